"""The table of a dataset's files: contents.csv, beside the archive of the images.

Each file has a class, or the reason why it is passed over. Later stages take from it what the
images of an archive are, so that a layout is found only once.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

CONTENTS = "contents.csv"

# Why a file is passed over.
HIDDEN = "hidden"
NO_IMAGE = "no image"
NO_LABEL = "no label"
OUTSIDE = "outside the layout"
NOT_CHOSEN = "its class is not in classes"
TOO_LARGE = "a table too large for memory"
MISSING = "in the table, but no such file"
TABLE = "the table of labels"  # not counted: it has been used


class Entry(NamedTuple):
    """A file: taken with a class and perhaps a split and a group, or passed over."""

    file: str  # its name in the archive
    id: str = ""  # unique in the dataset
    class_name: str = ""
    split: str = ""  # the dataset's own: train, validation, test, or empty
    group: str = ""  # images of a group belong in one split
    passed_over: str = ""  # the reason; empty for an image that is taken


HEADER = ("file", "id", "class", "split", "group", "passed_over")


def write_contents(path: Path, entries: Iterable[Entry]) -> None:
    """Writes a row for each file, sorted by file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(sorted(entries))


def read_contents(path: Path) -> list[Entry]:
    """Reads the entries that :func:`write_contents` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [Entry(*row) for row in rows]


def taken(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The entries of the images that are taken, by the name of the file."""
    return {entry.file: entry for entry in entries if not entry.passed_over}
