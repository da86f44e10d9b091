"""normalize: arrays, labels, statistics and grids."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from classifier.catalog.manifest import read_manifest
from classifier.images.preprocessing import read_preprocessing
from classifier.storage.splits import read_split
from conftest import run_stages, stage, write_arrays, write_project

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def normalized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of normalize in a tiny project."""
    folder = write_project(tmp_path_factory.mktemp("normalized") / "project")
    run_stages(folder, "download", "split", "normalize")
    return folder / "data" / "normalized" / "tiny"


def test_arrays_match_the_index_and_are_memory_mapped(normalized: Path) -> None:
    index = read_manifest(normalized / "index.csv")
    for split in ("train", "validation", "test"):
        images, labels = read_split(normalized, split)
        rows = index[index["split"] == split]
        assert isinstance(images, np.memmap)
        assert (images.shape, images.dtype) == ((len(rows), 16, 16, 3), np.uint8)
        assert labels.tolist() == rows["label"].tolist()
        # Each class has a colour: its strongest channel is blue, green or red.
        assert (2 - images.mean(axis=(1, 2)).argmax(axis=1)).tolist() == labels.tolist()


def test_statistics_are_those_of_the_training_split(normalized: Path) -> None:
    train = np.load(normalized / "train.npy").astype(np.float64)
    statistics = json.loads((normalized / "statistics.json").read_text())
    assert statistics["mean"] == pytest.approx(train.mean(axis=(0, 1, 2)))
    assert statistics["standard_deviation"] == pytest.approx(train.std(axis=(0, 1, 2)))


def test_one_grid_per_class(normalized: Path) -> None:
    grids = normalized / "grids"
    assert sorted(path.name for path in grids.iterdir()) == [
        "0-blue.png",
        "1-green.png",
        "2-red.png",
    ]
    assert Image.open(grids / "0-blue.png").width > 8 * 96


def test_a_page_of_the_data(normalized: Path) -> None:
    folder = normalized.parents[1] / "overview" / "tiny"
    images = pd.read_csv(folder / "images.csv")
    index = read_manifest(normalized / "index.csv")
    assert images[["id", "class", "split"]].equals(index[["id", "class", "split"]])
    assert set(images["width"]) == set(images["height"]) == {20}
    page = (folder / "data.html").read_text("utf-8")
    assert "<td>green</td><td>9</td><td>3</td><td>3</td><td>15</td>" in page
    assert "All 45 images are 20 x 20 pixels." in page
    assert "Not looked for: split.near_duplicates.distance is null." in page


@pytest.mark.parametrize("storage", ["arrays", "tfrecord"])
def test_the_page_shows_each_image_under_its_name(project: Path, storage: str) -> None:
    run_stages(project, "download", "split")
    stage("normalize", "pipeline=tiny", f"storage={storage}")
    with Image.open("data/overview/tiny/class-2.png") as picture:
        red, green, _ = np.asarray(picture.convert("RGB"))[20:80, 20:80].mean(axis=(0, 1))
    assert red > green + 100
    overview = Path("data/overview/tiny")
    before = {file.name: file.read_bytes() for file in overview.iterdir()}
    stage("normalize", "pipeline=tiny", "workers=1", f"storage={storage}")
    assert {file.name: file.read_bytes() for file in overview.iterdir()} == before


@pytest.mark.parametrize("choice", ["fail", "drop"])
def test_an_image_that_cannot_be_decoded(run_stage: Run, project: Path, choice: str) -> None:
    (project.parent / "project-photos" / "red" / "000.png").write_bytes(b"not an image")
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    status, error, output = run_stage("normalize", "pipeline=tiny", f"undecodable={choice}")
    if choice == "fail":
        assert (status, error.count("\n")) == (1, 1)
        assert "red/000.png cannot be decoded: it is not a JPEG, PNG" in error
        assert list(Path("data/normalized").iterdir()) == []
    else:
        assert status == 0
        assert "dropped red/000.png: it cannot be decoded" in output
        assert len(read_manifest(Path("data/normalized/tiny/index.csv"))) == 44


@pytest.mark.fault("a truncated photo", "refused, or loaded and counted, by a parameter")
@pytest.mark.parametrize("choice", ["refuse", "load"])
def test_a_truncated_photo(run_stage: Run, project: Path, choice: str) -> None:
    file = project.parent / "project-photos" / "red" / "000.png"
    file.write_bytes(file.read_bytes()[:900])
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    status, error, output = run_stage("normalize", "pipeline=tiny", f"truncated={choice}")
    if choice == "refuse":
        assert (status, error.count("\n")) == (1, 1)
        assert "red/000.png cannot be decoded: " in error
    else:
        assert status == 0
        assert "1 images are truncated or damaged, and loaded as far as they go" in output
        assert len(read_manifest(Path("data/normalized/tiny/index.csv"))) == 45


def test_the_colour_behind_transparent_pixels_is_chosen_and_recorded(
    run_stage: Run, project: Path
) -> None:
    for number, file in enumerate((project.parent / "project-photos" / "red").iterdir()):
        Image.new("RGBA", (20, 20 + number)).save(file)
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    assert run_stage("normalize", "pipeline=tiny", "transparency='#102030'")[0] == 0
    folder = Path("data/normalized/tiny")
    images, labels = read_split(folder, "train")
    assert (images[labels == 2] == [16, 32, 48]).all()
    assert read_preprocessing(folder / "preprocessing.json").transparency == "#102030"
    transparent = np.zeros((20, 20, 4), np.uint8)
    assert (read_preprocessing(folder / "preprocessing.json")(transparent) == [16, 32, 48]).all()


@pytest.mark.fault("a colour that does not exist", "one line")
@pytest.mark.parametrize("colour", ["whit", "'#12345'", "'#10203040'", "null"])
def test_a_background_that_is_no_colour(run_stage: Run, colour: str) -> None:
    status, error, _ = run_stage("normalize", "pipeline=tiny", f"transparency={colour}")
    assert (status, error.count("\n")) == (1, 1)
    assert "transparency is " in error


@pytest.mark.fault("damaged images", "one line if a split has no other image of a class")
@pytest.mark.parametrize("storage", ["arrays", "tfrecord"])
@pytest.mark.parametrize("damaged", [["red"], ["blue", "green", "red"]], ids=["one", "all"])
def test_a_class_without_whole_images(
    run_stage: Run, project: Path, damaged: list[str], storage: str
) -> None:
    for name in damaged:
        for file in (project.parent / "project-photos" / name).iterdir():
            file.write_bytes(b"not an image of " + str(file).encode())
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    status, error, _ = run_stage(
        "normalize", "pipeline=tiny", "undecodable=drop", f"storage={storage}"
    )
    assert (status, error.count("\n")) == (1, 1)
    assert f"no image of class '{damaged[0]}' is left in train" in error
    assert f"{15 * len(damaged)} of 45 images cannot be decoded and were dropped" in error
    assert list(Path("data/normalized").iterdir()) == []


@pytest.mark.fault("memory error while images are decoded", "one line, no image is dropped")
def test_too_little_memory_drops_no_image(
    run_stage: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: PngImageFile) -> None:
        raise MemoryError

    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    monkeypatch.setattr(PngImageFile, "load", load)
    status, error, _ = run_stage("normalize", "pipeline=tiny", "undecodable=drop")
    assert (status, error.count("\n")) == (1, 1)
    assert "not enough memory to decode the images after none: fewer workers than 2" in error
    assert list(Path("data/normalized").iterdir()) == []


def noise(highest: float, dtype: type) -> np.ndarray:
    values = np.random.default_rng(0).uniform(0, highest, (60, 20, 20))
    return (values if dtype is float else values.round()).astype(dtype)


@pytest.mark.fault("floats without value_range", "one line that says where to declare it")
@pytest.mark.parametrize("choice", ["fail", "drop"])
def test_floats_without_a_range(run_stage: Run, project: Path, choice: str) -> None:
    write_arrays(project, noise(1, float), [0, 1] * 30)
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    status, error, output = run_stage("normalize", "pipeline=tiny", f"undecodable={choice}")
    assert (status, error.count("\n")) == (1, 1)
    assert "train/00000 cannot be decoded: its values are float64, here from 0" in error
    assert "declare value_range: [low, high] in conf/dataset/tiny.yaml" in error
    assert "dropped" not in output
    assert list(Path("data/normalized").iterdir()) == []


def test_a_declared_range_is_scaled(run_stage: Run, project: Path) -> None:
    write_arrays(project, noise(1, float), [0, 1] * 30, "value_range: [0, 1]\n")
    stage("download", "pipeline=tiny")
    source = json.loads(Path("data/raw/tiny/source.json").read_text())
    assert source["value_range"] == [0, 1]
    stage("split", "pipeline=tiny")
    status, _, output = run_stage("normalize", "pipeline=tiny", "image_size=20", "channels=1")
    assert status == 0
    assert "scaled 120 images of float64 from [0, 1] to [0, 255]" in output
    mean = json.loads(Path("data/normalized/tiny/statistics.json").read_text())["mean"]
    assert mean[0] == pytest.approx(127.5, abs=3)


@pytest.mark.fault("12 bits in arrays of 16", "one line with the number of images")
def test_dark_images_of_16_bits_are_one_line(run_stage: Run, project: Path) -> None:
    write_arrays(project, noise(4095, np.uint16), [0, 1] * 30)
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    status, _, output = run_stage("normalize", "pipeline=tiny")
    assert status == 0
    assert "120 of 120 images of uint16 become nearly black: their largest value is 4095" in output


@pytest.mark.parametrize("value_range", ["[1, 0]", "[0, .inf]", "[0]", "1"])
def test_a_wrong_range_is_one_line(run_stage: Run, project: Path, value_range: str) -> None:
    write_arrays(project, noise(1, float), [0, 1] * 30, f"value_range: {value_range}\n")
    status, error, _ = run_stage("download", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "dataset.value_range" in error
