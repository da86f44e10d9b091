"""Archives of images with one sub-folder a class, read in place and with suspicion.

Nothing is ever unpacked to disk. A name that leaves the archive's folder, a link, a device, or
more bytes or files than allowed is refused.
"""

import errno
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

# What the readers of the standard library raise; RuntimeError is for what is encrypted.
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
# A drive's letter, a backslash or NUL; and what is no UTF-8, which no table could hold.
UNSAFE = re.compile(r"^[A-Za-z]:|[\\\0\ud800-\udfff]")
IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


class ArchiveError(Exception):
    """The archive is damaged, unsafe or too large; its text is one line."""


class Member(NamedTuple):
    """One image of an archive."""

    id: str  # path below the archive's one top folder, or below its root: class/…/name.jpg
    class_name: str  # the folder that the image lies in
    content: bytes


def read_images(path: Path, *, max_bytes: int, max_files: int) -> Iterator[Member]:
    """The images of a tar (plain or compressed) or zip archive, in the archive's order.

    Files without an image's suffix, hidden files and files outside of a folder are passed over.

    Raises:
        ArchiveError: see there; the message names the archive and the member.
    """
    try:
        yield from _read_images(path, max_bytes, max_files)
    except DAMAGED as error:
        # A damaged archive sends its reader to places that the file does not have.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = " ".join(str(error).split())
        raise ArchiveError(f"{path.name}: cannot be read as an archive ({reason})") from None


def _read_images(path: Path, max_bytes: int, max_files: int) -> Iterator[Member]:
    files = 0
    total = 0
    members = _zip_members if zipfile.is_zipfile(path) else _tar_members
    for name, size, content in members(path):
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or UNSAFE.search(name):
            raise ArchiveError(f"{path.name}: unsafe name {name!r}")
        files += 1
        total += size
        if files > max_files:
            raise ArchiveError(f"{path.name}: more than max_files {max_files:,} files")
        if total > max_bytes:
            raise ArchiveError(f"{path.name}: unpacks to more than max_bytes {max_bytes:,}")
        parts = [part for part in pure.parts if part != "."]
        hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        if len(parts) < 2 or hidden or pure.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        yield Member("/".join(parts[-2:]), parts[-2], content())


def pack_folder(folder: Path, destination: Path) -> None:
    """Packs a folder with one sub-folder a class into a plain tar, the same bytes each time.

    Only images go in, sorted by name, without owners, modes and times.

    Raises:
        ArchiveError: the folder has no images in sub-folders.
    """
    images = sorted(
        path
        for path in folder.glob("*/*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and path.name[0] != "."
    )
    if not images:
        raise ArchiveError(f"{folder}: no images in sub-folders (one sub-folder a class)")
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in images:
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(entry, file)


class Reader:
    """Reads one member's content when called; a member that is passed over is never read."""

    def __init__(self, archive: tarfile.TarFile | zipfile.ZipFile, member: object, size: int):
        self.archive, self.member, self.size = archive, member, size

    def __call__(self) -> bytes:
        if isinstance(self.archive, tarfile.TarFile):
            file = self.archive.extractfile(self.member)  # type: ignore[arg-type]
            assert file is not None  # it is a regular file
        else:
            file = self.archive.open(self.member)  # type: ignore[arg-type]
        with file:
            content = file.read(self.size + 1)
        if len(content) != self.size:
            raise ArchiveError(f"{self.member}: is not as long as the archive says")
        return content


def _tar_members(path: Path) -> Iterator[tuple[str, int, Reader]]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg():
                kind = "link" if member.issym() or member.islnk() else "device"
                raise ArchiveError(f"{path.name}: {member.name!r} is a {kind}")
            yield member.name, member.size, Reader(archive, member, member.size)


def _zip_members(path: Path) -> Iterator[tuple[str, int, Reader]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise ArchiveError(f"{path.name}: {info.filename!r} is a link or a device")
            yield info.filename, info.file_size, Reader(archive, info, info.file_size)
