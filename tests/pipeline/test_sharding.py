"""All stages process a dataset in shards as they process one in arrays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classifier.catalog.manifest import SPLITS
from classifier.storage.splits import read_split
from conftest import command, run_stages, stage, write_project

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
NORMALIZED = Path("data/normalized/tiny")


def choose_shards(folder: Path) -> None:
    """Configures shards of ten images for the tiny project."""
    file = folder / "params.yaml"
    chosen = "channels: 3, storage: tfrecord, shard_bytes: 7680}"
    file.write_text(file.read_text().replace("channels: 3}", chosen))


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project with its images in shards, after all seven stages."""
    folder = write_project(tmp_path_factory.mktemp("sharded") / "project")
    choose_shards(folder)
    run_stages(folder, "download", "split", "normalize", "augment", "train", "evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stage("export", "pipeline=tiny", "runtimes=[litert_int8]", "accuracy_loss=1")
    return folder


def test_shards_hold_the_arrays_pixels_in_their_order(sharded: Path, finished: Path) -> None:
    for split in SPLITS:
        images, labels = read_split(sharded / NORMALIZED, split)
        expected, expected_labels = read_split(finished / NORMALIZED, split)
        np.testing.assert_array_equal(np.asarray(images), expected)
        np.testing.assert_array_equal(labels, expected_labels)
    shards = sorted(file.name for file in (sharded / NORMALIZED).glob("train-*"))
    assert shards == [f"train-{number:05d}-of-00003.tfrecord" for number in range(3)]
    others = [
        "index.csv",
        "classes.txt",
        "preprocessing.json",
        "statistics.json",
        "grids/0-blue.png",
    ]
    for name in [*others, *(f"{split}_labels.npy" for split in SPLITS)]:
        assert (sharded / NORMALIZED / name).read_bytes() == (
            finished / NORMALIZED / name
        ).read_bytes()


def test_every_stage_makes_what_it_makes_of_arrays(sharded: Path, finished: Path) -> None:
    for output in ("data/augmented", "models", "reports"):
        made, expected = (
            sorted(file.name for file in (folder / output / "tiny").iterdir())
            for folder in (sharded, finished)
        )
        assert made == expected
    preview = "data/augmented/tiny/preview.png"
    assert (sharded / preview).read_bytes() == (finished / preview).read_bytes()
    history = pd.read_csv(sharded / "models/tiny/history.csv")
    assert np.isfinite(history.to_numpy()).all()
    runtimes = pd.read_csv(sharded / "exports/tiny/runtimes.csv")
    assert runtimes["runtime"].tolist() == ["saved_model", "litert_int8"]


@pytest.fixture
def copied(sharded: Path, project: Path) -> Path:
    """A fresh project with the data of the sharded one; it is the working directory."""
    command("cp", "-r", str(sharded / "data"), str(project), cwd=project)
    choose_shards(project)
    return project


@pytest.mark.difference("random numbers of a training from shards", "one seed for all of them")
def test_the_same_training_twice(run_stage: Run, copied: Path, sharded: Path) -> None:
    assert run_stage("train", "pipeline=tiny")[0] == 0
    weights = "models/tiny/model.weights.h5"
    assert (copied / weights).read_bytes() == (sharded / weights).read_bytes()


def test_copies_of_shards_are_refused(run_stage: Run, copied: Path) -> None:
    status, error, _ = run_stage("augment", "pipeline=tiny", "copies=1")
    assert (status, error.count("\n")) == (1, 1)
    assert "copies is 1, but copies need arrays, and these images are in shards" in error


@pytest.mark.fault("a shard that flipped a bit, while it is streamed", "one line")
def test_a_damaged_shard_stops_a_training_in_one_line(run_stage: Run, copied: Path) -> None:
    file = copied / NORMALIZED / "validation-00000-of-00001.tfrecord"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    status, error, _ = run_stage("train", "pipeline=tiny")
    assert status == 1
    assert "a shard of the images is damaged (corrupted record at" in error.splitlines()[-1]
    assert "Traceback" not in error
