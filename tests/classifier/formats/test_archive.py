"""Archives: images by class from valid ones, an error of one line from hostile ones."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from classifier.formats.archive import ArchiveError, pack_folder, read_files

LIMITS: dict[str, Any] = {"max_bytes": 10_000, "max_files": 10}


def contents(path: Path) -> dict[str, bytes | None]:
    return {file.name: file.read() for file in read_files(path, **LIMITS)}


def write_tar(
    path: Path,
    entries: Mapping[str, bytes | tarfile.TarInfo],
    mode: Literal["w", "w:gz"] = "w:gz",
) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return path


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = "/etc/passwd"
    return entry


@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
def test_images_by_folder(tmp_path: Path, kind: str) -> None:
    entries = {
        "top/LICENSE.txt": b"text",
        "top/cats/1.jpg": b"one",
        "top/cats/.hidden.jpg": b"x",
        "__MACOSX/top/cats/._1.jpg": b"x",
        "top/.cache/1.jpg": b"x",
        "top/dogs/12:30:05.PNG": b"two",
        "top/dogs/notes.txt": b"x",
        "loose.jpg": b"x",
    }
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
    else:
        write_tar(path, entries, "w" if kind == "tar" else "w:gz")
    assert contents(path) == entries
    assert [file.name for file in read_files(path, **LIMITS)] == list(entries)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "traversal": ({"a/../../b.jpg": b""}, "unsafe name"),
    "absolute": ({"/a/b.jpg": b""}, "unsafe name"),
    "drive": ({"C:/a/b.jpg": b""}, "unsafe name"),
    "backslash": ({"a\\..\\b.jpg": b""}, "unsafe name"),
    "Latin-1": ({"a/caf\udce9.jpg": b""}, r"unsafe name 'a/caf\\udce9.jpg'"),
    "symlink": ({"": special("a/b.jpg", tarfile.SYMTYPE)}, "is a link"),
    "hardlink": ({"": special("a/b.jpg", tarfile.LNKTYPE)}, "is a link"),
    "device": ({"": special("a/b.jpg", tarfile.CHRTYPE)}, "is a device"),
    "bytes": ({"a/b.jpg": bytes(20_000)}, "more than max_bytes 10,000"),
    "files": ({f"a/{n}.jpg": b"" for n in range(11)}, "more than max_files 10"),
}


@pytest.mark.fault("hostile tar", "one line, nothing unpacked")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    entries, expected = HOSTILE[name]
    path = write_tar(tmp_path / "a.tgz", entries)
    with pytest.raises(ArchiveError, match=expected) as raised:
        contents(path)
    assert "\n" not in str(raised.value)


@pytest.mark.fault("zip with a link", "one line, nothing unpacked")
def test_hostile_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        link = zipfile.ZipInfo("a/b.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="is a link or a device"):
        contents(path)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04"])
def test_a_file_that_is_not_an_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.tgz: cannot be read as an archive"):
        contents(path)


@pytest.mark.fault("archive cut off", "one line")
def test_truncated_archive(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tgz", {"a/b.jpg": bytes(range(256)) * 30})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArchiveError):
        contents(path)


@pytest.mark.difference("times, owners and modes of a folder's files", "left out of the archive")
def test_packing_does_not_depend_on_times_and_modes(tmp_path: Path) -> None:
    packed = []
    for number in range(2):
        folder = tmp_path / f"photos{number}"
        for name in ("b/2.jpg", "a/1.jpg", "a/.DS_Store", "a/readme.txt"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
            path.chmod(0o600 + number)
        pack_folder(folder, tmp_path / f"{number}.tar")
        packed.append((tmp_path / f"{number}.tar").read_bytes())
    assert packed[0] == packed[1]
    assert list(contents(tmp_path / "0.tar")) == ["a/1.jpg", "b/2.jpg"]


def test_a_folder_gives_the_files_that_its_archive_gives(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    written = {"a/1.jpg": b"one", "a/deep/2.txt": b"two", ".hidden": b"three"}
    for name, content in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "a" / "circle").symlink_to(folder)
    archive = write_tar(tmp_path / "a.tgz", written)
    for path in (folder, archive):
        assert contents(path) == written
    with pytest.raises(ArchiveError, match="more than max_files 2 files"):
        list(read_files(folder, max_bytes=10_000, max_files=2))


@pytest.mark.fault("a link in a folder that leads nowhere", "one line")
def test_a_broken_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "nothing")
    with pytest.raises(ArchiveError, match=r"a\.jpg is a link that leads nowhere: remove it"):
        list(read_files(tmp_path, **LIMITS))


def test_an_unwanted_file_is_not_read_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tgz", {"a/b.mp4": bytes(9000), "a/c.png": b"whole"})
    read = [file.read(lambda head: head == b"whole") for file in read_files(path, **LIMITS)]
    assert read == [None, b"whole"]
