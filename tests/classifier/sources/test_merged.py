"""Several sources of one dataset: all images, with ids that say where they come from."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from classifier.catalog.raw import RawImage, read_raw
from classifier.formats.archive import pack_folder
from classifier.sources.dataset import Dataset, Format
from classifier.sources.fetch import Access
from classifier.sources.obtain import obtain
from classifier.sources.source import Source
from classifier.support.errors import InputError
from conftest import CLASSES, write_photos


def merged(parts: dict[str, Any], format: Format = "folders", **options: Any) -> Dataset:
    return Dataset(
        name="any",
        format=format,
        file="a.tar",
        sources=[Source(kind="merged", parts=parts)],
        max_bytes=10**6,
        max_files=100,
        **options,
    )


def images(tmp_path: Path, wanted: Dataset) -> list[RawImage]:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    obtain(wanted, "auto", data / "a.tar", Access(None, data))
    assert sorted(path.name for path in data.iterdir()) == ["a.tar", "contents.csv"]
    return list(read_raw(data / "a.tar", "folders", sorted(CLASSES)))


@pytest.fixture
def sites(tmp_path: Path) -> dict[str, Path]:
    """Two folders with files of the same names: one of class folders, one of split folders."""
    munich = write_photos(tmp_path / "munich", per_class=2)
    lyon = tmp_path / "lyon"
    for split in ("train", "test"):
        shutil.copytree(munich, lyon / split)
    (lyon / "notes.txt").write_text("no image")
    return {"munich": munich, "lyon": lyon}


def folders(sites: dict[str, Path]) -> dict[str, Any]:
    return {name: Source(kind="folder", path=str(path)) for name, path in sites.items()}


def test_each_part_has_its_own_layout_and_ids(
    tmp_path: Path, sites: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    found = images(tmp_path, merged(folders(sites)))
    assert len({image.id for image in found}) == len(found) == 6 + 12
    assert {image.id: (image.class_name, image.official) for image in found}.items() >= {
        "munich/red/000.png": ("red", None),
        "lyon/train/red/000.png": ("red", "train"),
        "lyon/test/blue/001.png": ("blue", "test"),
    }.items()
    assert [line for line in caplog.messages if "munich" in line or "lyon" in line][3:] == [
        "any: munich: layout classes",
        "any: lyon: layout splits",
        "any: munich 6: blue 2, green 2, red 2",
        "any: lyon 12: blue 4, green 4, red 4",
        "any: passed over 1 (no image): lyon/notes.txt",
    ]


def test_a_folder_and_its_archive_are_the_same_part(tmp_path: Path, sites: dict[str, Path]) -> None:
    parts = folders(sites)
    expected = images(tmp_path, merged(parts))
    first = (tmp_path / "data" / "a.tar").read_bytes()
    images(tmp_path, merged(parts))
    assert (tmp_path / "data" / "a.tar").read_bytes() == first
    pack_folder(sites["munich"], tmp_path / "munich.tar")
    parts["munich"] = Source(kind="folder", path=str(tmp_path / "munich.tar"))
    assert images(tmp_path, merged(parts)) == expected


def test_groups_of_two_parts_are_different(tmp_path: Path) -> None:
    parts = {}
    for site in ("munich", "lyon"):
        folder = write_photos(tmp_path / site, per_class=2)
        rows = [f"{name}/00{number}.png,{name},7" for name in CLASSES for number in (0, 1)]
        (folder / "labels.csv").write_text("\n".join(["path,label,group", *rows]))
        parts[site] = Source(kind="folder", path=str(folder))
    found = images(tmp_path, merged(parts))
    assert {image.group for image in found} == {"munich/7", "lyon/7"}


@pytest.mark.fault("a class that one part of a dataset alone has", "a warning")
def test_a_class_of_one_part_alone(
    tmp_path: Path, sites: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(sites["munich"] / "red")
    shutil.rmtree(sites["munich"] / "blue")
    found = images(tmp_path, merged(folders(sites)))
    assert len(found) == 2 + 12
    assert (
        "any: only the part lyon has images of blue, red: the model may learn to tell the parts, "
        "not the classes"
    ) in caplog.messages


@pytest.mark.fault("a part of a merged dataset", "one line, nothing left")
@pytest.mark.parametrize(
    ("parts", "options", "expected"),
    [
        ({}, {}, "the source has no 'parts'"),
        ({"a": {"kind": "folder", "path": "/none"}}, {}, "a: /none does not exist"),
        ({"a": {"kind": "mirror", "path": "a.tar"}}, {}, "a: DATA_MIRROR is not set"),
        ({"a/b": {"kind": "folder", "path": "/none"}}, {}, "the part 'a/b' needs a name of lett"),
        ({"..": {"kind": "folder", "path": "/none"}}, {}, r"the part '\.\.' needs a name of let"),
        ({"a": {"kind": "sample"}}, {}, "a: a part cannot be of the kind sample"),
        ({"a": {"kind": "merged"}}, {}, "a: a part cannot be of the kind merged"),
        ({"a": {"kind": "folder", "path": "."}}, {"format": "idx"}, "only images can be merged"),
    ],
    ids=["no parts", "missing", "no mirror", "a path", "dots", "drawings", "merged", "IDX"],
)
def test_a_part_that_cannot_be_used(
    tmp_path: Path, parts: dict[str, Any], options: dict[str, Any], expected: str
) -> None:
    wanted = merged({name: Source(**part) for name, part in parts.items()}, **options)
    with pytest.raises(InputError, match=f"\n  merged: {expected}"):
        obtain(wanted, "auto", tmp_path / "a.tar", Access(None, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("the images of a merged dataset", "one line, nothing left")
def test_images_that_say_too_little(tmp_path: Path, sites: dict[str, Path]) -> None:
    data = tmp_path / "data"
    data.mkdir()

    def line(**chosen: Path) -> str:
        with pytest.raises(InputError) as raised:
            obtain(merged(folders(chosen)), "auto", data / "a.tar", Access(None, data))
        assert list(data.iterdir()) == []
        return str(raised.value)

    empty, one, flat = tmp_path / "empty", tmp_path / "one", tmp_path / "flat.zip"
    empty.mkdir()
    shutil.copytree(sites["munich"] / "red", one / "red")
    with zipfile.ZipFile(flat, "w") as archive:
        archive.write(one / "red" / "000.png", "000.png")
    assert line(munich=sites["munich"], b=empty).startswith("b: there are no images among 0 files")
    assert line(munich=sites["munich"], b=flat).startswith("b: no image has a class")
    assert "all images of all parts have one class, 'red'" in line(a=one, b=one)
