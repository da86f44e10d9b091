"""An index of photos that stay where they are: in place of an archive, paths with their digests.

A photo that is not what the index says is refused, so that later stages see what download saw.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from classifier.support.errors import InputError

INDEX = "in_place.csv"
HEADER = ("file", "path", "bytes", "sha256")
REMEDY = (
    "it is read in place: 'dvc repro' lists the photos again (with --force, if it runs nothing)"
)


class Photo(NamedTuple):
    """A photo of an index, which is read only when :meth:`read` is called."""

    name: str  # relative to the folder, with slashes
    path: Path
    size: int  # bytes
    sha256: str

    def read(self) -> bytes:
        """The content.

        Raises:
            InputError: the file is missing, cannot be read, or has changed since download.
        """
        content = _content(self.path)
        if len(content) != self.size or hashlib.sha256(content).hexdigest() != self.sha256:
            raise InputError(f"{self.path} has changed since download: {REMEDY}")
        return content


def write_index(folder: Path, destination: Path, names: Iterable[str]) -> None:
    """Writes a row for each photo, in the order in which ``pack_folder`` packs them.

    Args:
        folder: absolute.
        names: relative to the folder.

    Raises:
        InputError: a file is missing, or cannot be read.
    """
    with destination.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for name in sorted(names, key=lambda name: PurePosixPath(name).parts):
            content = _content(folder / name)
            digest = hashlib.sha256(content).hexdigest()
            writer.writerow([name, folder / name, len(content), digest])


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {REMEDY}") from None
    except PermissionError:
        raise InputError(f"{path} cannot be read: give yourself the right to read it") from None


def read_index(path: Path) -> Iterator[Photo]:
    """Yields the photos that :func:`write_index` listed."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for name, place, size, sha256 in rows:
            yield Photo(name, Path(place), int(size), sha256)
