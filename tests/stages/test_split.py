"""split: the table that later stages read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.data.manifest import read_manifest
from conftest import stage

Run = Callable[..., tuple[int, str, str]]


def test_table_has_a_row_an_image(finished: Path) -> None:
    table = read_manifest(finished / "data" / "split" / "tiny.csv")
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
    assert "class 'red' has too few images to split: 2, and none of them falls in" in error
    assert not Path("data/split/tiny.csv").exists()


def test_some_of_the_classes_in_the_order_chosen(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny", "split.classes=[red,blue]")
    table = read_manifest(Path("data/split/tiny.csv"))
    found = table[["class", "label"]].drop_duplicates().to_numpy().tolist()
    assert sorted(found) == [["blue", 1], ["red", 0]]
    stage("normalize", "pipeline=tiny")
    assert Path("data/normalized/tiny/classes.txt").read_text() == "red\nblue\n"


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("[red,bleu]", "classes: the dataset has no class 'bleu': did you mean 'blue'?"),
        ("[red]", "must be two classes or more, each once"),
        ("[red,red]", "must be two classes or more, each once"),
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
