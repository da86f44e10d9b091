"""Reads and writes archives of images with one sub-folder per class.

Archives are not trusted, and nothing is unpacked to disk. Names that leave the archive's folder,
links, devices, and more bytes or files than allowed are refused.
"""

import logging
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from classifier.formats.image_files import SKIPPED, is_image_file
from classifier.support.errors import InputError, is_of_the_system

# What the standard library's readers raise for damaged archives. RuntimeError is for encryption.
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    IndexError,  # for an empty name
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
# A drive letter, a backslash, NUL, or bytes that are not UTF-8, which no CSV file can hold.
UNSAFE = re.compile(r"^[A-Za-z]:|[\\\0\ud800-\udfff]")

log = logging.getLogger(__name__)


class ArchiveError(InputError):
    """The archive is damaged, unsafe or too large. The message is one line."""


class Member(NamedTuple):
    """One image of an archive."""

    id: str  # its folder and file name: class/name.jpg
    class_name: str  # its folder
    content: bytes


class _File(NamedTuple):
    """A file of an archive, which is read only when ``open`` is called."""

    name: str
    size: int  # bytes
    open: Callable[[], IO[bytes] | None]


def read_images(
    path: Path, *, max_bytes: int, max_files: int, skipped: list[str] | None = None
) -> Iterator[Member]:
    """Yields the images of a tar (plain or compressed) or zip archive, in the archive's order.

    It skips files that are not images by their names
    (:func:`classifier.formats.image_files.is_image_file`), and files that are not in a folder.

    Args:
        max_bytes: the largest sum of the sizes of all files.
        max_files: the largest number of files.
        skipped: the name of each file that is skipped is appended.

    Raises:
        ArchiveError: the archive is damaged, unsafe or too large. The message names the archive.
    """
    try:
        yield from _read_images(path, max_bytes, max_files, [] if skipped is None else skipped)
    except DAMAGED as error:
        if is_of_the_system(error):
            raise
        reason = " ".join(str(error).split())
        raise ArchiveError(f"{path.name}: cannot be read as an archive ({reason})") from None


def _read_images(
    path: Path, max_bytes: int, max_files: int, skipped: list[str]
) -> Iterator[Member]:
    files = 0
    total = 0
    for file in (_zip_files if zipfile.is_zipfile(path) else _tar_files)(path):
        pure = PurePosixPath(file.name)
        if pure.is_absolute() or ".." in pure.parts or UNSAFE.search(file.name):
            raise ArchiveError(f"{path.name}: unsafe name {file.name!r}")
        files += 1
        total += file.size
        if files > max_files:
            raise ArchiveError(f"{path.name}: more than max_files {max_files:,} files")
        if total > max_bytes:
            raise ArchiveError(f"{path.name}: unpacks to more than max_bytes {max_bytes:,}")
        parts = [part for part in pure.parts if part != "."]
        if len(parts) < 2 or not is_image_file(PurePosixPath(*parts)):
            skipped.append(file.name)
            continue
        yield Member("/".join(parts[-2:]), parts[-2], _content(path, file))


def _content(path: Path, file: _File) -> bytes:
    opened = file.open()
    assert opened is not None  # tarfile gives None for what is not a regular file
    with opened:
        content = opened.read(file.size + 1)
    if len(content) != file.size:
        raise ArchiveError(f"{path.name}: {file.name!r} does not have the size that is stated")
    return content


def _tar_files(path: Path) -> Iterator[_File]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg():
                kind = "link" if member.issym() or member.islnk() else "device"
                raise ArchiveError(f"{path.name}: {member.name!r} is a {kind}")
            yield _File(member.name, member.size, partial(archive.extractfile, member))


def _zip_files(path: Path) -> Iterator[_File]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise ArchiveError(f"{path.name}: {info.filename!r} is a link or a device")
            yield _File(info.filename, info.file_size, partial(archive.open, info))


def pack_folder(folder: Path, destination: Path) -> None:
    """Writes the images of a folder with one sub-folder per class to an uncompressed tar.

    The images are sorted by name and have no owners, modes and times, so that the same images
    always give the same bytes. One line says how many other files are left out.

    Raises:
        ArchiveError: the folder has no images in sub-folders.
    """
    images = sorted(
        path
        for path in folder.glob("*/*")
        if is_image_file(path.relative_to(folder)) and path.is_file()
    )
    if not images:
        raise ArchiveError(f"{folder}: no images in sub-folders (one sub-folder per class)")
    others = sum(path.is_file() for path in folder.rglob("*")) - len(images)
    if others > 0:  # rglob does not follow links to folders, unlike glob
        log.info(
            "%s: files left out: %s (%s, or not in a sub-folder of the first level)",
            folder,
            f"{others:,}",
            SKIPPED,
        )
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in images:
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(entry, file)
