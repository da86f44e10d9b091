"""augment: the policy, its preview, and copies where asked for."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., tuple[int, str, str]]


def test_policy_is_keras_layers_in_order(finished: Path) -> None:
    folder = finished / "data" / "augmented" / "tiny"
    policy = json.loads((folder / "policy.json").read_text())
    assert [layer["class_name"] for layer in policy][:3] == [
        "RandomFlip",
        "RandomRotation",
        "RandomZoom",
    ]
    assert Image.open(folder / "preview.png").width > 12 * 96
    assert sorted(path.name for path in folder.iterdir()) == ["policy.json", "preview.png"]


def test_copies_are_augmented_and_labelled(run_stage: Run, finished: Path, project: Path) -> None:
    shutil.copytree(finished / "data", project / "data")
    assert run_stage("augment", "pipeline=tiny", "copies=2", "policy.flip=null")[0] == 0
    originals = np.load("data/normalized/tiny/train.npy")
    labels = np.load("data/normalized/tiny/train_labels.npy")
    copies = np.load("data/augmented/tiny/copies.npy")
    assert copies.shape == (2 * len(originals), 16, 16, 3)
    assert np.load("data/augmented/tiny/copies_labels.npy").tolist() == labels.tolist() * 2
    first, second = np.split(copies, 2)
    assert (first != originals).any(axis=(1, 2, 3)).all()
    assert (first != second).any(axis=(1, 2, 3)).all()
    assert run_stage("train", "pipeline=tiny", "epochs=1")[0] == 0


@pytest.mark.difference("random numbers of an augmentation", "derived from the seed")
def test_same_seed_same_bytes(run_stage: Run, finished: Path, project: Path) -> None:
    shutil.copytree(finished / "data", project / "data")
    contents = []
    for seed in (1, 1, 2):
        assert run_stage("augment", "pipeline=tiny", "copies=1", f"seed={seed}")[0] == 0
        contents.append(Path("data/augmented/tiny/copies.npy").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
