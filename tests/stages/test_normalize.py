"""normalize: arrays, labels, statistics and grids."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.data.manifest import read_manifest
from classifier.data.splits import read_split
from conftest import stage

Run = Callable[..., tuple[int, str, str]]


def test_arrays_match_the_index_and_map_into_memory(finished: Path) -> None:
    folder = finished / "data" / "normalized" / "tiny"
    index = read_manifest(folder / "index.csv")
    for split in ("train", "validation", "test"):
        images, labels = read_split(folder, split)
        rows = index[index["split"] == split]
        assert isinstance(images, np.memmap)
        assert (images.shape, images.dtype) == ((len(rows), 16, 16, 3), np.uint8)
        assert labels.tolist() == rows["label"].tolist()
        # Each class is a colour: the strongest channel tells blue, green, red.
        assert (2 - images.mean(axis=(1, 2)).argmax(axis=1)).tolist() == labels.tolist()


def test_statistics_are_those_of_the_training_split_alone(finished: Path) -> None:
    folder = finished / "data" / "normalized" / "tiny"
    train = np.load(folder / "train.npy").astype(np.float64)
    statistics = json.loads((folder / "statistics.json").read_text())
    assert statistics["mean"] == pytest.approx(train.mean(axis=(0, 1, 2)))
    assert statistics["standard_deviation"] == pytest.approx(train.std(axis=(0, 1, 2)))


def test_a_grid_a_class(finished: Path) -> None:
    grids = finished / "data" / "normalized" / "tiny" / "grids"
    assert sorted(path.name for path in grids.iterdir()) == [
        "0-blue.png",
        "1-green.png",
        "2-red.png",
    ]
    assert Image.open(grids / "0-blue.png").width > 8 * 96


@pytest.mark.parametrize("choice", ["fail", "drop"])
def test_a_photo_that_cannot_be_decoded(run_stage: Run, project: Path, choice: str) -> None:
    (project.parent / "project-photos" / "red" / "000.png").write_bytes(b"not a picture")
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    status, error, output = run_stage("normalize", "pipeline=tiny", f"undecodable={choice}")
    if choice == "fail":
        assert (status, error.count("\n")) == (1, 1)
        assert "red/000.png cannot be decoded: it is no picture of a format" in error
        assert list(Path("data/normalized").iterdir()) == []
    else:
        assert status == 0
        assert "dropped red/000.png: it cannot be decoded" in output
        assert len(read_manifest(Path("data/normalized/tiny/index.csv"))) == 44
