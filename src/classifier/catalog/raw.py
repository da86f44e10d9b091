"""Reads the images of a downloaded file of any format, in the file's order."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classifier.formats.archive import NO_LIMIT, File, read_files
from classifier.formats.contents import CONTENTS, read_contents, taken
from classifier.formats.in_place import INDEX, Photo, read_index
from classifier.formats.npz import SPLITS, classes_of_labels, read_npz


class RawImage(NamedTuple):
    """One image of the downloaded file."""

    id: str  # unique in its dataset
    class_name: str
    official: str | None  # the dataset's own split: train, validation or test, if it has splits
    content: bytes | np.ndarray  # an encoded image, or pixels (H, W[, C])
    group: str | None = None  # images of a group belong in one split


def read_raw(
    file: Path, format: str, classes: list[str], separator: str | None = None
) -> Iterator[RawImage]:
    """Yields the images of ``classes`` in ``file``, and skips others.

    Beside an archive of images, or an index of photos in place, lies contents.csv, which says what
    they are.

    Args:
        format: ``npz`` or ``folders``.
        classes: class names in the order of the labels, see
            :func:`classifier.formats.npz.classes_of_labels`.
        separator: between the labels of an image, which may have several: all images are read, and
            ``class_name`` has all labels. None where an image has one.

    Raises:
        ArchiveError, ArraysError: the file cannot be read, or a label has no class.
        InputError: a photo in place is missing, or has changed.
    """
    if format == "npz":
        arrays = read_npz(file, max_bytes=NO_LIMIT)
        class_of = classes_of_labels(arrays, classes)
        for official, (x, y) in SPLITS.items():
            if x in arrays:
                folder = official or "images"
                for number, (image, label) in enumerate(
                    zip(arrays[x], arrays[y].tolist(), strict=True)
                ):
                    yield RawImage(
                        f"{folder}/{number:05d}", class_of[label], official or None, image
                    )
    else:
        entries = taken(read_contents(file.with_name(CONTENTS)))
        members: Iterable[File | Photo] = (
            read_index(file)
            if file.name == INDEX
            else read_files(file, max_bytes=NO_LIMIT, max_files=NO_LIMIT)
        )
        for member in members:
            entry = entries.get(member.name)
            if entry and (separator or entry.class_name in classes):
                content = member.read()
                assert content is not None  # it is for files that are not wanted
                split, group = entry.split or None, entry.group or None
                yield RawImage(entry.id, entry.class_name, split, content, group)
