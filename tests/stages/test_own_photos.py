"""One's own photos, whatever their layout: nothing is left out or mixed in silence."""

import csv
import gzip
import json
import shutil
import struct
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from classifier.catalog.manifest import read_manifest
from conftest import CLASSES, png, write_arrays

Run = Callable[..., tuple[int, str, str]]
SPLITS = {"train": 6, "valid": 3, "test": 3}


def photo(number: int, name: str) -> bytes:
    return png(CLASSES[name], seed=1000 * list(CLASSES).index(name) + number)


@pytest.fixture
def photos(project: Path) -> Path:
    """An empty folder that is the dataset of the tiny project."""
    folder = project.parent / "project-photos"
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def write(folder: Path, names: Iterable[str], class_names: Iterable[str] = CLASSES) -> None:
    """A photo of each class for each name, which may hold ``{}`` for the class."""
    for class_name in class_names:
        for number, name in enumerate(names):
            path = folder / name.format(class_name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo(number, class_name))


def keys(project: Path, text: str) -> None:
    """Adds lines to the YAML file of the dataset."""
    file = project / "conf" / "dataset" / "tiny.yaml"
    file.write_text(f"{file.read_text()}{text}\n")


def archived(project: Path, folder: Path) -> None:
    """Makes an archive of the folder the dataset, and deletes the folder."""
    archive = project.parent / "photos.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, "photos")
    shutil.rmtree(folder)
    file = project / "conf" / "dataset" / "tiny.yaml"
    file.write_text(file.read_text().replace(str(folder), str(archive)))


def contents() -> list[dict[str, str]]:
    with Path("data/raw/tiny/contents.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def split_photos(run_stage: Run, *overrides: str) -> tuple[Counter[tuple[str, str]], str]:
    """How many images each split has of each class, and the output of download and split."""
    status, error, downloaded = run_stage("download", "pipeline=tiny")
    assert status == 0, error
    status, error, output = run_stage("split", "pipeline=tiny", *overrides)
    assert status == 0, error
    table = read_manifest(Path("data/split/tiny.csv"))
    return Counter(zip(table["split"], table["class"], strict=True)), downloaded + output


@pytest.mark.fault("photos in train, valid and test", "each stays in its split")
@pytest.mark.parametrize("packed", [False, True])
def test_official_splits_are_respected(
    run_stage: Run, project: Path, photos: Path, packed: bool
) -> None:
    for split, count in SPLITS.items():
        names = [f"{split}/{{}}/{split}{number}.png" for number in range(count)]
        for class_name in CLASSES:
            for number, name in enumerate(names):
                path = photos / name.format(class_name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(photo(10 * list(SPLITS).index(split) + number, class_name))
    if packed:
        archived(project, photos)
    counts, output = split_photos(run_stage, "split.official=respect")
    assert counts == {
        (split, name): count
        for split, count in zip(("train", "validation", "test"), SPLITS.values(), strict=True)
        for name in CLASSES
    }
    assert "tiny: layout splits" in output
    assert "tiny: validation 9: blue 3, green 3, red 3" in output
    table = read_manifest(Path("data/split/tiny.csv"))
    assert all(f"test{number}" in "".join(table["id"]) for number in range(3))
    assert (table["split"][table["id"].str.startswith("test/")] == "test").all()


@pytest.mark.fault("photos deeper in a class, and .jfif files", "taken")
@pytest.mark.parametrize("packed", [False, True])
def test_no_photo_of_a_class_is_left_out(
    run_stage: Run, project: Path, photos: Path, packed: bool
) -> None:
    write(photos, ["{}/1.png", "{}/2.PNG", "{}/may/3.png", "{}/may/a/4.png", "{}/5.jfif", "{}/6"])
    (photos / "red" / "notes.txt").write_text("no image")
    if packed:
        archived(project, photos)
    counts, output = split_photos(run_stage)
    assert counts.total() == 18
    assert "tiny: passed over 1 (no image): " in output
    assert "more than 5 %" in output
    taken = Counter(row["class"] for row in contents() if not row["passed_over"])
    assert taken == {"red": 6, "green": 6, "blue": 6}


@pytest.mark.fault("a folder of photos beside a table of labels", "the table's labels")
@pytest.mark.parametrize("packed", [False, True])
def test_labels_of_a_table(run_stage: Run, project: Path, photos: Path, packed: bool) -> None:
    write(photos, [f"images/{{}}{number}.png" for number in range(8)])
    rows = [f"{name}{number},{name}" for name in CLASSES for number in range(8)]
    (photos / "labels.csv").write_text("\n".join(["image,label", *rows, "gone,red"]))
    if packed:
        archived(project, photos)
    counts, output = split_photos(run_stage)
    assert counts.total() == 24
    assert {name for _, name in counts} == set(CLASSES)
    assert "tiny: layout table" in output
    assert "paths without an image: 1 (gone)" in output
    source = json.loads(Path("data/raw/tiny/source.json").read_text())
    assert source["classes"] == ["blue", "green", "red"]


@pytest.mark.parametrize("packed", [False, True])
def test_the_images_of_a_table_are_normalized(
    run_stage: Run, project: Path, photos: Path, packed: bool
) -> None:
    write(photos, [f"{{}}-{number}.png" for number in range(8)])
    keys(project, r"pattern: '(?P<class>[a-z]+)-\d'")
    if packed:
        archived(project, photos)
    split_photos(run_stage)
    assert run_stage("normalize", "pipeline=tiny")[0] == 0
    assert Path("data/normalized/tiny/classes.txt").read_text() == "blue\ngreen\nred\n"


def test_groups_of_a_table_are_in_one_split(run_stage: Run, photos: Path) -> None:
    write(photos, [f"images/{{}}{number}.png" for number in range(15)])
    rows = [f"{name}{n},{name},{name}{n // 3}" for name in CLASSES for n in range(15)]
    (photos / "labels.csv").write_text("\n".join(["image,label,patient_id", *rows]))
    _, output = split_photos(run_stage)
    assert "split by group, 45 images: train 60.00 % (wanted 60.00 %)" in output
    table = read_manifest(Path("data/split/tiny.csv"))
    numbers = table["id"].str.extract(r"(\d+)")[0].astype(int)
    assert (table["split"].groupby([table["class"], numbers // 3]).nunique() == 1).all()


@pytest.mark.fault("a class that an official split lacks", "one line by download")
def test_a_class_that_a_split_lacks_is_said(run_stage: Run, photos: Path) -> None:
    write(photos, ["train/{}/1.png", "train/{}/2.png"])
    write(photos, ["test/{}/3.png"], ["red", "blue"])
    status, _, output = run_stage("download", "pipeline=tiny")
    assert status == 0
    assert "tiny: the test split has no image of class 'green'\n" in output


@pytest.mark.fault("photos of one class", "download stops: what there is, and what was meant")
@pytest.mark.parametrize("packed", [False, True])
def test_one_class_stops_the_download(
    run_stage: Run, project: Path, photos: Path, packed: bool
) -> None:
    write(photos, [f"all/{number}.png" for number in range(4)], ["red"])
    if packed:
        archived(project, photos)
    status, error, _ = run_stage("download", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "all 4 images that are taken have one class, 'all' (layout: classes, as in " in error
    assert "put the images of each class in a folder of its own" in error
    assert not Path("data/raw/tiny").exists()


BAD = {
    "an empty folder": ("", "there are no images among 0 files"),
    "a layout that is none": ("layout: folders", "layout is 'folders': must be"),
    "a column that is none": ("columns: {name: x}", "columns"),
    "a pattern without a class": ("pattern: x", "has no group named class"),
    "columns that are not there": ("columns: {path: a, label: b}", "needs a table of labels"),
}


@pytest.mark.fault("a description of photos", "one line, nothing left")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_description_is_one_line(
    run_stage: Run, project: Path, photos: Path, name: str
) -> None:
    text, expected = BAD[name]
    if text:
        write(photos, ["{}/1.png"])
    keys(project, text)
    status, error, _ = run_stage("download", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1), error
    assert expected in error
    assert not Path("data/raw/tiny").exists()


@pytest.mark.fault("raw images without contents.csv", "one line: which target makes it")
def test_contents_that_are_missing_are_named(run_stage: Run, project: Path) -> None:
    assert run_stage("download", "pipeline=tiny")[0] == 0
    Path("data/raw/tiny/contents.csv").unlink()
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "data/raw/tiny/contents.csv is missing: make it with 'dvc repro download@tiny'" in error


@pytest.mark.fault("arrays with one label", "one line")
def test_arrays_with_one_label_are_refused(run_stage: Run, project: Path) -> None:
    write_arrays(project, np.zeros((4, 8, 8), np.uint8), [3, 3, 3, 3])
    status, error, _ = run_stage("download", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "arrays.npz: all images have one label, 3: add others" in error


def digits(number: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (number, 20, 20), np.uint8), np.arange(number, dtype=np.uint8) % 3


def write_idx(file: Path, values: np.ndarray) -> None:
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    file.write_bytes(gzip.compress(head + values.tobytes()))


@pytest.mark.parametrize("format", ["idx", "npz"])
def test_arrays_by_their_usual_names(
    run_stage: Run, project: Path, photos: Path, format: str
) -> None:
    (images, labels), (test_images, test_labels) = digits(30), digits(9)
    if format == "idx":
        write_idx(photos / "train-images-idx3-ubyte.gz", images)
        write_idx(photos / "train-labels-idx1-ubyte.gz", labels)
        write_idx(photos / "t10k-images-idx3-ubyte.gz", test_images)
        write_idx(photos / "t10k-labels-idx1-ubyte.gz", test_labels)
        path = photos
    else:
        path = photos / "medical.npz"
        np.savez(
            path,
            train_images=images,
            train_labels=labels[:, None],
            test_images=test_images,
            test_labels=test_labels,
        )
    (project / "conf" / "dataset" / "tiny.yaml").write_text(
        f"name: tiny\nformat: {format}\nfile: tiny.npz\n"
        f"sources:\n  - {{kind: folder, path: {path}}}\n"
    )
    counts, _ = split_photos(run_stage, "split.official=respect")
    assert {split: n for (split, name), n in counts.items() if name == "0"} == {
        "train": 8,
        "validation": 2,
        "test": 3,
    }
    assert run_stage("normalize", "pipeline=tiny", "channels=1")[0] == 0


def test_arrays_without_splits_are_split(run_stage: Run, project: Path, photos: Path) -> None:
    images, labels = digits(30)
    np.savez(photos / "a.npz", faces=images, persons=labels)
    (project / "conf" / "dataset" / "tiny.yaml").write_text(
        "name: tiny\nformat: npz\nfile: tiny.npz\nkeys: {x: faces, y: persons}\n"
        f"sources:\n  - {{kind: folder, path: {photos / 'a.npz'}}}\n"
    )
    counts, _ = split_photos(run_stage)
    assert counts.total() == 30
    assert {split for split, _ in counts} == {"train", "validation", "test"}


def test_photos_of_two_places(run_stage: Run, project: Path, photos: Path) -> None:
    for place in ("munich", "lyon"):
        write(photos / place, [f"{{}}/{place}{number}.png" for number in range(8)])
    for name in CLASSES:  # not the same photos
        for number in range(8):
            content = photo(100 + number, name)
            (photos / "lyon" / name / f"lyon{number}.png").write_bytes(content)
    (project / "conf" / "dataset" / "tiny.yaml").write_text(
        "name: tiny\nformat: folders\nfile: tiny.tar\nsources:\n  - kind: merged\n    parts:\n"
        f"      munich: {{kind: folder, path: {photos / 'munich'}}}\n"
        f"      lyon: {{kind: folder, path: {photos / 'lyon'}}}\n"
    )
    counts, output = split_photos(run_stage)
    assert counts.total() == 48
    assert "tiny: munich 24: blue 8, green 8, red 8" in output
    assert "DVC does not look after" not in output
    status, _, output = run_stage(
        "download", "pipeline=tiny", f"download.depends_on={photos / 'lyon'}"
    )
    assert status == 0
    assert f"DVC does not look after {photos / 'munich'}, the part munich: set" in output
    assert run_stage("normalize", "pipeline=tiny")[0] == 0


@pytest.mark.fault("IDX files or arrays taken for photos", "one line that names their format")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train-images-idx3-ubyte.gz", "these are IDX files: set format: idx"),
        ("a.npz", "a.npz has arrays: set format: npz and name that file"),
    ],
    ids=["IDX", "npz"],
)
def test_arrays_are_no_photos(run_stage: Run, photos: Path, name: str, expected: str) -> None:
    (photos / name).write_bytes(b"any")
    status, error, _ = run_stage("download", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert expected in error


@pytest.mark.fault("an unknown name in keys", "one line with the valid ones")
def test_an_unknown_key_of_arrays(run_stage: Run, project: Path) -> None:
    write_arrays(project, digits(30)[0], digits(30)[1].tolist(), "keys: {x_trian: faces}\n")
    status, error, _ = run_stage("download", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "x_trian" in error
