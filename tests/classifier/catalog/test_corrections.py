"""Corrections of labels: how their file is read, and what they do to the splits."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from classifier.catalog import assignment
from classifier.catalog.corrections import correct, read_corrections, write_corrections
from classifier.catalog.manifest import DROPPED
from classifier.support.errors import InputError
from conftest import split_options

CLASSES = ["a", "b", "c"]
FILE = Path("corrections.csv")


def images(per_class: int = 20, copies: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table of images; those of ``copies``, as class/number, repeat the image a/0."""
    ids = [f"{name}/{number}" for name in CLASSES for number in range(per_class)]
    classes = [name.partition("/")[0] for name in ids]
    return pd.DataFrame(
        {
            "id": ids,
            "class": classes,
            "label": [CLASSES.index(name) for name in classes],
            "sha256": ["a/0" if name in copies else name for name in ids],
            "official": None,
            "group": None,
        }
    )


def assign_splits(table: pd.DataFrame, **options: object) -> pd.DataFrame:
    options = {"validation": 0.2, "test": 0.2, "seed": 7} | options
    return assignment.assign_splits(table, split_options(**options))


def corrected(table: pd.DataFrame, corrections: dict[str, str], **options: object) -> pd.DataFrame:
    return assign_splits(correct(table, corrections, FILE, CLASSES, CLASSES), **options)


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    chosen = {"b/2, large": "a", "a/1": "drop", "a/0": "a"}
    write_corrections(tmp_path / "new" / "c.csv", chosen)
    assert read_corrections(tmp_path / "new" / "c.csv") == chosen
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.csv"]
    # As a spreadsheet of some countries saves it, with columns of its own.
    (tmp_path / "d.csv").write_text("﻿id;note;class\nb/2;sure;a\n", "utf-8")
    assert read_corrections(tmp_path / "d.csv") == {"b/2": "a"}


@pytest.mark.fault("corrections of labels with a mistake", "one line")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,class\na/0,b\n", "has the columns name, class: must have id and class"),
        ("id,class\na/0,b\na/0,b\n", "'a/0' is in it twice: delete one row"),
        ("id,class\na/0,\n", "row 1 has no class"),
        ("id,class\n,b\n", "row 1 has no id"),
        ("id,class\n", "no rows below its first line"),
        ("id,class\na/0,b,c\n", "row 1 has 3 values"),
        ("id,class\na/99,b\nx,b\n", "has no image 'a/99' and 1 more"),
        ("id,class\na/0,beta\n", "'a/0' has the class 'beta', which the dataset does not have"),
        ("id,class\na/0,b\na/1,c\n", "a/0 and a/1 are identical, but get the classes b and c"),
        (None, "cannot be read: No such file"),
    ],
    ids=[
        *["other columns", "an id twice", "no class", "no id", "no rows", "a value too many"],
        *["an unknown id", "an unknown class", "identical images of two classes", "no file"],
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "c.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        corrected(images(copies=("a/1",)), read_corrections(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "hash"}, {"folds": 4, "fold": 2}, {"duplicates": "drop"}],
    ids=["stratified", "hash", "folds", "no duplicates"],
)
@pytest.mark.fault("a correction of a label", "no other image changes its split")
def test_no_other_image_moves(options: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    table = images(30, copies=("a/1",))
    before = assign_splits(table, **options).set_index("id")
    with caplog.at_level(logging.INFO):
        after = corrected(table, {"a/1": "drop", "b/3": "c", "c/4": "c"}, **options)
    after = after.set_index("id")
    assert "1 relabelled, 2 dropped, 1 kept; 1 of them as identical images" in caplog.text
    moved = after.index[after["split"].ne(before["split"])]
    assert set(moved) <= {"a/0", "a/1"}
    assert after.loc[["a/0", "a/1"], "split"].unique().tolist() == [DROPPED]
    columns = ["class", "label", "given", "correction"]
    assert after.loc[["b/3"], columns].to_numpy().tolist() == [["c", 2, "b", "relabelled"]]
    assert after["correction"].value_counts().to_dict() == {
        "": 86,
        "dropped": 2,
        "relabelled": 1,
        "kept": 1,
    }


def test_a_conflict_is_resolved_by_a_correction() -> None:
    table = images(copies=("b/0", "c/0"))
    before = assign_splits(table).set_index("id")
    same = ["a/0", "b/0", "c/0"]
    assert set(before["split"][same]) == {DROPPED}
    after = corrected(table, {"b/0": "a", "c/0": "drop"}).set_index("id")
    assert after["split"]["a/0"] == after["split"]["b/0"] != DROPPED
    assert after["split"]["c/0"] == DROPPED
    assert after["class"]["b/0"] == "a"


def test_a_misspelt_class_of_one_image_is_put_right() -> None:
    table = pd.concat(
        [images(), pd.DataFrame({"id": ["aa/0"], "class": "aa", "label": 3, "sha256": "aa/0"})],
        ignore_index=True,
    )
    classes = [*CLASSES, "aa"]
    chosen = correct(table, {"aa/0": "a"}, FILE, classes, classes)
    after = assign_splits(chosen)
    assert set(after["class"]) == set(CLASSES)
    assert after["split"][after["id"] == "aa/0"].tolist() != [DROPPED]


def test_images_of_classes_that_are_not_chosen() -> None:
    chosen = correct(images(), {"a/0": "c", "c/1": "b", "c/2": "drop"}, FILE, CLASSES, ["b", "a"])
    after = assign_splits(chosen).set_index("id")
    assert len(after) == 41
    assert (after["class"]["a/0"], after["split"]["a/0"]) == ("a", DROPPED)
    assert after.loc[["c/1"], ["class", "label"]].to_numpy().tolist() == [["b", 0]]


def test_a_split_without_images_of_a_class_is_refused() -> None:
    table = images(5)
    before = assign_splits(table).set_index("id")
    of_test = before.index[(before["split"] == "test") & (before["class"] == "a")]
    with pytest.raises(InputError, match="class 'a' has too few images to split: 5, and none"):
        corrected(table, dict.fromkeys(of_test, "drop"))
