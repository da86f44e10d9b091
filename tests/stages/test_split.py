"""split: the table of images, with the split of each."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifier.catalog.manifest import read_manifest
from conftest import png, stage, write_arrays

Run = Callable[..., tuple[int, str, str]]


def test_the_table_has_one_row_per_image(project: Path) -> None:
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    table = read_manifest(project / "data" / "split" / "tiny.csv")
    assert list(table.columns) == ["id", "class", "label", "sha256", "split"]
    assert table["split"].value_counts().to_dict() == {"train": 27, "validation": 9, "test": 9}
    assert set(table["class"][table["label"] == 0]) == {"blue"}


def test_a_class_with_too_few_images_is_named(run_stage: Run, project: Path) -> None:
    photos = project.parent / "project-photos" / "red"
    for path in sorted(photos.iterdir())[2:]:
        path.unlink()
    stage("download", "pipeline=tiny")
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert status == 1
    assert "class 'red' has too few images to split: 2, and none of them is in" in error
    assert not Path("data/split/tiny.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["drop", "train_only"])
def test_the_stages_after_a_rare_class(run_stage: Run, project: Path, choice: str) -> None:
    photos = project.parent / "project-photos" / "red"
    for path in sorted(photos.iterdir())[2:]:
        path.unlink()
    stage("download", "pipeline=tiny")
    _, _, output = run_stage("split", "pipeline=tiny", f"split.rare_classes={choice}")
    assert "1, with 2 images: red (2, none in " in output
    for name in ("normalize", "augment", "train", "evaluate", "export"):
        status, error, output = run_stage(name, "pipeline=tiny")
        assert status == 0, error
        if name == "evaluate":
            said = "1 of 3 classes have no test image, and no figure: red" in output
            assert said == (choice == "train_only")
    names = Path("data/normalized/tiny/classes.txt").read_text().split()
    metrics = json.loads(Path("reports/tiny/metrics.json").read_text())
    report = " ".join(Path("reports/tiny/report.html").read_text("utf-8").split())
    if choice == "drop":
        assert (names, metrics["untested_classes"]) == (["blue", "green"], 0)
        assert "1 classes with 2 images, too few for each split to have one: red" in report
    else:
        assert (names, metrics["untested_classes"]) == (["blue", "green", "red"], 1)
        assert "1 of 3 classes have no test image: nothing is known of red" in report
    assert "nan" not in report.split("<h2>Results per class")[1].split("<img")[0]
    assert np.isfinite([metrics["balanced_accuracy"], metrics["macro_f1"]]).all()


def test_chosen_classes_in_the_chosen_order(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny", "split.classes=[red,blue]")
    table = read_manifest(Path("data/split/tiny.csv"))
    labels = table[["class", "label"]].drop_duplicates().to_numpy().tolist()
    assert sorted(labels) == [["blue", 1], ["red", 0]]
    stage("normalize", "pipeline=tiny")
    assert Path("data/normalized/tiny/classes.txt").read_text() == "red\nblue\n"


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("[red,bleu]", "classes: the dataset has no class 'bleu': did you mean 'blue'?"),
        ("[red]", "must be two or more different classes"),
        ("[red,red]", "must be two or more different classes"),
    ],
)
def test_wrong_classes_are_one_line(
    run_stage: Run, project: Path, classes: str, expected: str
) -> None:
    stage("download", "pipeline=tiny")
    status, error, _ = run_stage("split", "pipeline=tiny", f"split.classes={classes}")
    assert (status, error.count("\n")) == (1, 1)
    assert expected in error
    assert not Path("data/split/tiny.csv").exists()


def test_by_hash_a_photo_more_moves_no_other(run_stage: Run, project: Path) -> None:
    def splits() -> dict[str, str]:
        assert run_stage("download", "pipeline=tiny")[0] == 0
        options = ("split.method=hash", "split.validation=0.3", "split.test=0.3")
        status, _, output = run_stage("split", "pipeline=tiny", *options)
        assert status == 0
        assert output.count("(wanted 40.00 %)") == 1
        table = read_manifest(Path("data/split/tiny.csv"))
        return dict(zip(table["sha256"], table["split"], strict=True))

    before = splits()
    blue = project.parent / "project-photos" / "blue"
    (blue / "a first one.png").write_bytes(png((9, 9, 9), seed=99))
    after = splits()
    assert len(after) == len(before) + 1
    assert after.items() >= before.items()


def test_images_of_no_split_are_counted(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    options = ("split.train=20", "split.validation=9", "split.test=9")
    _, _, output = run_stage("split", "pipeline=tiny", *options)
    assert "7 dropped" in output


def test_arrays_without_classes_keep_all_labels_in_their_order(project: Path) -> None:
    labels = [1, 2, 10] * 20
    write_arrays(
        project,
        np.zeros((60, 4, 4), np.uint8) + np.arange(60, dtype=np.uint8)[:, None, None],
        labels,
    )
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    table = read_manifest(Path("data/split/tiny.csv"))
    assert len(table) == 120
    labels_of = table.drop_duplicates("label").set_index("class")["label"].to_dict()
    assert labels_of == {"1": 0, "2": 1, "10": 2}


@pytest.mark.fault("a raw file that was damaged after its download", "one line")
def test_a_damaged_raw_file_is_one_line(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    Path("data/raw/tiny/tiny.tar").write_bytes(b"damaged")
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "tiny.tar: cannot be read as an archive" in error
