"""Layouts: found by themselves, the same for a folder and for its archive."""

import tarfile
from pathlib import Path
from typing import Any

import pytest

from classifier.formats.contents import Entry
from classifier.layouts.find import find_layout
from classifier.layouts.survey import Survey, survey
from classifier.layouts.wanted import Found, Wanted

CSV = b"path,label\n" + b"".join(
    b"%d.jpg,%s\n" % (n, b"cat" if n % 2 else b"dog") for n in range(8)
)


def files(*names: str, **tables: bytes) -> Survey:
    """A folder of images, and of tables, whose names have an underscore for the dot."""
    return Survey("photos", list(names), {n.replace("_", "."): t for n, t in tables.items()}, [])


def numbered(*folders: str, count: int = 4) -> list[str]:
    return [f"{folder}/{number}.jpg" for folder in folders for number in range(count)]


def found(*names: str, wanted: dict[str, Any] | None = None, **tables: bytes) -> Found:
    return find_layout(files(*names, **tables), Wanted(**wanted or {}))


def images(result: Found) -> list[tuple[str, str, str]]:
    """The id, the class and the split of each image that is taken."""
    return [(e.id, e.class_name, e.split) for e in result.entries if not e.passed_over]


def test_class_folders_with_images_at_any_depth() -> None:
    result = found("cats/1.jpg", "cats/2023/may/2.jpg", "dogs/1.jpg", "loose.jpg")
    assert result.layout == "classes"
    assert images(result) == [
        ("cats/1.jpg", "cats", ""),
        ("cats/2023/may/2.jpg", "cats", ""),
        ("dogs/1.jpg", "dogs", ""),
    ]
    assert result.entries[3:] == [Entry("loose.jpg", passed_over="outside the layout")]


@pytest.mark.parametrize("around", ["", "pets/", "a/b/"])
def test_folders_around_everything_change_nothing(around: str) -> None:
    names = ["cats/1.jpg", "cats/deep/2.jpg", "dogs/deep/1.jpg"]
    assert images(found(*(around + name for name in names))) == [
        (name, name.partition("/")[0], "") for name in names
    ]


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "valid", "test"),
        ("Training", "VAL", "Testing"),
        ("train", "dev", "eval"),
        ("TRAIN", "validation", "test"),
    ],
)
def test_split_folders_in_the_usual_spellings(train: str, validation: str, test: str) -> None:
    result = found(*numbered(f"x/{train}/cats", f"x/{validation}/cats", f"x/{test}/dogs/deep"))
    assert result.layout == "splits"
    kinds = {(class_name, split) for _, class_name, split in images(result)}
    assert kinds == {("cats", "train"), ("cats", "validation"), ("dogs", "test")}
    assert images(result)[0][0] == f"{train}/cats/0.jpg"


def test_split_folders_below_class_folders() -> None:
    result = found(*numbered("cats/train", "cats/test", "dogs/train", "dogs/test"))
    assert result.layout == "splits"
    assert images(result)[4] == ("cats/test/0.jpg", "cats", "test")


@pytest.mark.fault("a split folder without class folders", "named, with its images, passed over")
def test_a_split_folder_without_class_folders_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    result = found(*numbered("train/cats", "train/dogs", "test"))
    assert result.layout == "splits"
    assert len(images(result)) == 8
    assert caplog.messages == [
        "photos: the split folder 'test' has no class folders: its 4 images have no labels, and "
        "are passed over"
    ]


def test_a_class_that_is_called_like_a_split() -> None:
    names = numbered("test", "cats", "dogs")
    chosen = {"classes": ["cats", "dogs", "test"]}
    assert found(*names, wanted=chosen).layout == "classes"
    assert found(*names, wanted={"layout": "classes"}).layout == "classes"


@pytest.mark.parametrize("around", ["", "pets/"])
@pytest.mark.parametrize("folder", ["", "images/"])
def test_a_table_beside_the_images_or_their_folder(around: str, folder: str) -> None:
    names = [f"{around}{folder}{number}.jpg" for number in range(8)]
    survey = Survey("photos", names, {f"{around}labels.csv": CSV}, [])
    result = find_layout(survey, Wanted())
    assert result.layout == "table"
    assert images(result)[:2] == [(f"{folder}0.jpg", "dog", ""), (f"{folder}1.jpg", "cat", "")]


def test_the_table_wins_where_folders_are_no_classes() -> None:
    names = [f"part_{1 + number // 4}/{number}.jpg" for number in range(8)]
    assert found(*names, labels_csv=CSV).layout == "table"


def test_a_table_of_something_else_is_passed_over() -> None:
    other = b"camera,lens\nA,B\n"
    result = found(*numbered("cats", "dogs"), cameras_csv=other)
    assert result.layout == "classes"
    assert result.entries[-1] == Entry("cameras.csv", passed_over="no image")


def test_a_pattern_finds_the_class_in_the_name() -> None:
    names = [f"train/{kind}.{number}.jpg" for kind in ("cat", "dog") for number in range(2)]
    result = found(*names, "train/cover.jpg", wanted={"pattern": r"(?P<class>[a-z]+)\.\d+\.jpg"})
    assert result.layout == "pattern"
    assert images(result)[1:3] == [("cat.1.jpg", "cat", ""), ("dog.0.jpg", "dog", "")]
    assert result.entries[4] == Entry("train/cover.jpg", passed_over="no label")


def test_a_pattern_may_find_split_and_group() -> None:
    pattern = r"(?P<split>\w+)/(?P<class>\w+)-(?P<group>p\d)-"
    result = found("train/cat-p1-1.jpg", "val/dog-p2-2.jpg", wanted={"pattern": pattern})
    assert [(e.class_name, e.split, e.group) for e in result.entries] == [
        ("cat", "train", "p1"),
        ("dog", "validation", "p2"),
    ]


def test_split_folders_of_images_with_a_pattern() -> None:
    names = [
        f"a/{split}/{kind}{n}.jpg" for split in ("train", "val") for kind in "xy" for n in "12"
    ]
    result = found(*names, wanted={"pattern": r"/(?P<class>[xy])\d"})
    assert {split for _, _, split in images(result)} == {"train", "validation"}


@pytest.mark.fault("folders of places above those of the classes", "one line: set a pattern")
def test_folders_above_those_of_the_classes_are_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    names = numbered("rome/cats", "rome/dogs", "oslo/cats", "oslo/dogs", "bonn/new")
    assert found(*names).layout == "classes"
    (line,) = caplog.messages
    assert line.startswith(
        "photos: the class folders oslo, rome have sub-folders of the same names, cats, dogs: if"
    )
    pattern = line.split("pattern: '")[1].rstrip("'")
    result = found(*names, wanted={"pattern": pattern})
    assert {class_name for _, class_name, _ in images(result)} == {"cats", "dogs", "new"}


LAYOUTS: dict[str, tuple[list[str], str]] = {
    "classes": (["cats/1.png", "cats/deep/2.png", "dogs/1.png", "notes.txt", ".hidden"], "classes"),
    "splits": (["train/cats/1.png", "Valid/dogs/1.png", "test/cats/1.png", "a.txt"], "splits"),
    "table": (["images/0.jpg", "images/1.jpg", "images/2.jpg", "images/3.jpg"], "table"),
    "flat table": (["0.jpg", "1.jpg", "2.jpg", "3.jpg"], "table"),
}


@pytest.mark.difference("a folder or its archive", "one answer for both")
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_and_its_archive_give_the_same_answer(tmp_path: Path, name: str) -> None:
    names, layout = LAYOUTS[name]
    folder = tmp_path / "pets"
    for file in [*names, *(["labels.csv"] if layout == "table" else [])]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(CSV if file == "labels.csv" else b"x")
    answers = []
    for around in ("", "pets"):
        with tarfile.open(tmp_path / "pets.tar", "w") as archive:
            archive.add(folder, around or ".")
        for path in (folder, tmp_path / "pets.tar"):
            surveyed = survey(path, "pets", max_bytes=10_000, max_files=20)
            result = find_layout(surveyed, Wanted())
            assert result.layout == layout
            answers.append((sorted(images(result)), len(result.entries)))
    assert all(answer == answers[0] for answer in answers)
