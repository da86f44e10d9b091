"""Reads the files of an archive or of a folder, and packs a folder's images into a tar.

Archives are not trusted, and nothing is unpacked to disk. Names that leave the archive's folder,
links, devices, and more bytes or files than allowed are refused.
"""

import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from classifier.formats.image_files import is_image_file
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

NO_LIMIT = 2**63  # for files that were read before
HEAD = 64  # bytes that tell the format of a file


class ArchiveError(InputError):
    """The archive is damaged, unsafe or too large. The message is one line."""


class File(NamedTuple):
    """A file of an archive or a folder, which is read only when :meth:`read` is called."""

    archive: str  # the name of the archive, for messages
    name: str  # relative to the archive or the folder, with slashes
    size: int  # bytes
    open: Callable[[], IO[bytes] | None]

    def read(self, wanted: Callable[[bytes], bool] | None = None) -> bytes | None:
        """The content; None if ``wanted`` says False to the first 64 bytes.

        A file of a tar can be read once, and only before the next file is asked for.

        Raises:
            ArchiveError: the file is damaged, or does not have the size that is stated.
        """
        with _damage_named(self.archive):
            opened = self.open()
            assert opened is not None  # tarfile gives None for what is not a regular file
            with opened:
                head = opened.read(min(HEAD, self.size + 1))
                if wanted is not None and not wanted(head):
                    return None
                content = head + opened.read(self.size + 1 - len(head))
            if len(content) != self.size:
                raise ArchiveError(
                    f"{self.archive}: {self.name!r} does not have the size that is stated"
                )
            return content


def read_files(path: Path, *, max_bytes: int, max_files: int) -> Iterator[File]:
    """Yields the files of a tar (plain or compressed), of a zip archive, or of a folder.

    Those of an archive come in its order, those of a folder sorted by name.

    Args:
        max_bytes: the largest sum of the sizes of all files.
        max_files: the largest number of files.

    Raises:
        ArchiveError: the archive is damaged, unsafe or too large. The message names the archive.
    """
    with _damage_named(path.name):
        yield from _read_files(path, max_bytes, max_files)


@contextmanager
def _damage_named(archive: str) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        if is_of_the_system(error):
            raise
        reason = " ".join(str(error).split())
        raise ArchiveError(f"{archive}: cannot be read as an archive ({reason})") from None


def _read_files(path: Path, max_bytes: int, max_files: int) -> Iterator[File]:
    total = 0
    for files, file in enumerate(_files_of(path), start=1):
        pure = PurePosixPath(file.name)
        if pure.is_absolute() or ".." in pure.parts or UNSAFE.search(file.name):
            raise ArchiveError(f"{path.name}: unsafe name {file.name!r}")
        total += file.size
        if files > max_files:
            raise ArchiveError(f"{path.name}: more than max_files {max_files:,} files")
        if total > max_bytes:
            raise ArchiveError(f"{path.name}: unpacks to more than max_bytes {max_bytes:,}")
        yield file._replace(name=pure.as_posix())


def _files_of(path: Path) -> Iterator[File]:
    if path.is_dir():
        return _folder_files(path)
    return _zip_files(path) if zipfile.is_zipfile(path) else _tar_files(path)


def _tar_files(path: Path) -> Iterator[File]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg():
                kind = "link" if member.issym() or member.islnk() else "device"
                raise ArchiveError(f"{path.name}: {member.name!r} is a {kind}")
            yield File(path.name, member.name, member.size, partial(archive.extractfile, member))


def _zip_files(path: Path) -> Iterator[File]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise ArchiveError(f"{path.name}: {info.filename!r} is a link or a device")
            yield File(path.name, info.filename, info.file_size, partial(archive.open, info))


def _folder_files(folder: Path) -> Iterator[File]:
    for path in sorted(_walk(folder, {os.path.realpath(folder)})):
        name = path.relative_to(folder).as_posix()
        yield File(folder.name, name, path.stat().st_size, partial(_opened, path))


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def _walk(folder: Path, above: set[str]) -> Iterator[Path]:
    """The files in a folder of the user, whose links are followed, but not in circles."""
    for path in folder.iterdir():
        if path.is_dir():
            real = os.path.realpath(path)
            if real not in above:
                yield from _walk(path, above | {real})
        elif path.is_file():
            yield path
        elif path.is_symlink() and not path.name.startswith("."):  # editors lock files with such
            raise ArchiveError(f"{path} is a link that leads nowhere: remove it")


def pack_parts(parts: Mapping[str, Path], destination: Path, names: Container[str]) -> None:
    """Writes files of several archives and folders to one uncompressed tar.

    The parts come in their order, as do the files of each. The files have no owners, modes and
    times, so that the same parts always give the same bytes.

    Args:
        parts: an archive or a folder, by its name, which becomes a folder of the tar.
        names: of the wanted files, in the tar.

    Raises:
        ArchiveError: an archive cannot be read.
    """
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as archive:
        for part, path in parts.items():
            for file in read_files(path, max_bytes=NO_LIMIT, max_files=NO_LIMIT):
                entry = tarfile.TarInfo(f"{part}/{file.name}")
                if entry.name in names:
                    content = file.read() or b""
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))


def pack_folder(folder: Path, destination: Path, names: Iterable[str] | None = None) -> None:
    """Writes files of a folder to an uncompressed tar.

    The files are sorted by name and have no owners, modes and times, so that the same files
    always give the same bytes.

    Args:
        names: relative to the folder; None packs all images by their names
            (:func:`classifier.formats.image_files.is_image_file`).
    """
    if names is None:
        files = (path.relative_to(folder) for path in _walk(folder, {os.path.realpath(folder)}))
        names = [name.as_posix() for name in files if is_image_file(name)]
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(names, key=lambda name: PurePosixPath(name).parts):
            path = folder / name
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(entry, file)
