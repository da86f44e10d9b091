"""Which files are images: by their suffix, or by their content."""

import io
from pathlib import Path

import pytest
from PIL import Image

from classifier.formats.contents import Entry
from classifier.layouts import survey as module
from classifier.layouts.error import LayoutError
from classifier.layouts.survey import survey


def encoded(kind: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(content, kind)
    return content.getvalue()


def test_images_by_suffix_or_by_content(tmp_path: Path) -> None:
    contents = {
        "a.jfif": encoded("JPEG"),
        "b": encoded("PNG"),
        "c.JPG_large": encoded("JPEG"),
        "d.webp.bak": encoded("WEBP"),
        "damaged.jpg": b"damaged",
        "e.dng": encoded("TIFF"),
        "f.mp4": bytes(200),
        "g.txt": b"BMW is a car, not a bitmap",
        "h.csv": b"path,label\n",
        ".i.jpg": encoded("JPEG"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = survey(tmp_path, "photos", max_bytes=100_000, max_files=20)
    assert found.images == ["a.jfif", "b", "c.JPG_large", "d.webp.bak", "damaged.jpg"]
    assert found.tables == {"h.csv": b"path,label\n"}
    assert found.others == [
        Entry(".i.jpg", passed_over="hidden"),
        Entry("e.dng", passed_over="no image"),
        Entry("f.mp4", passed_over="no image"),
        Entry("g.txt", passed_over="no image"),
    ]


@pytest.mark.fault("a folder without images", "one line")
def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(LayoutError, match="photos: there are no images among 1 files: name a fold"):
        survey(tmp_path, "photos", max_bytes=100, max_files=10)


@pytest.mark.fault("a line break in the name of an image", "one line")
@pytest.mark.parametrize("character", ["\n", "\r", "\u2028"])
def test_a_name_with_a_line_break_is_refused(tmp_path: Path, character: str) -> None:
    (tmp_path / f"a{character}b").mkdir()
    (tmp_path / f"a{character}b" / "1.jpg").touch()
    escaped = repr(character)[1:-1].replace("\\", r"\\")
    with pytest.raises(LayoutError, match=rf"photos: the name 'a{escaped}b/1.jpg' has a line"):
        survey(tmp_path, "photos", max_bytes=100, max_files=10)


def test_tables_too_large_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TABLE_BYTES", 10)
    (tmp_path / "1.jpg").touch()
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(bytes(6))
    found = survey(tmp_path, "photos", max_bytes=100, max_files=10)
    assert list(found.tables) == ["a.csv"]
    assert found.others == [Entry("b.csv", passed_over="a table too large for memory")]
