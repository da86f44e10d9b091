"""Obtains the verified file of a dataset, and describes it."""

import logging
from collections import Counter
from functools import partial
from pathlib import Path

from classifier.formats.archive import ArchiveError, read_images
from classifier.formats.image_files import SKIPPED
from classifier.formats.npz import (
    classes_of_labels,
    read_npz,
    read_pickle,
    verify_arrays,
    write_npz,
)
from classifier.sources.dataset import Dataset
from classifier.sources.fetch import Access, SourceError, fetch_first
from classifier.sources.source import Source
from classifier.support.checksum import sha256_of

log = logging.getLogger(__name__)


def obtain(dataset: Dataset, kind: str, destination: Path, access: Access) -> Source:
    """Writes the verified file of a dataset to ``destination``, from the first source that has it.

    Args:
        kind: ``auto`` tries all sources in the dataset's order, other values those of one kind.
        destination: the file. It is written atomically.

    Returns:
        The source that was used.

    Raises:
        InputError: no source has the file; see :func:`classifier.sources.fetch.fetch_first`.
    """
    place = partial(verify_and_place, dataset, destination=destination)
    return fetch_first(dataset, kind, destination, access, place)


def verify_and_place(dataset: Dataset, source: Source, fetched: Path, destination: Path) -> None:
    """Reads the whole fetched file to verify its content, and moves it to ``destination``.

    Archives of images do not change. Arrays are written again, so that all sources give the
    same bytes.

    Raises:
        ArchiveError, ArraysError: the content is not what the dataset describes.
        SourceError: the file is a pickle, and the source does not have its hash.
    """
    if dataset.format == "npz":
        with fetched.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        if gzipped and source.sha256 is None:
            raise SourceError(
                f"{source} is a pickle, which is only read if its hash is known: add its sha256"
            )
        arrays = (read_pickle if gzipped else read_npz)(fetched, max_bytes=dataset.max_bytes)
        verify_arrays(arrays, dataset.arrays or {})
        classes_of_labels(arrays, dataset.classes)
        write_npz(fetched, arrays)
    else:
        skipped: list[str] = []
        counts = _images_per_folder(dataset, fetched, skipped)
        if skipped:
            log.info(
                "%s: skipped files of the archive: %s (%s, or in no folder)",
                dataset.name,
                f"{len(skipped):,}",
                SKIPPED,
            )
        missing = [name for name in dataset.classes or [] if name not in counts]
        if missing or not counts:
            raise ArchiveError(f"no images of class {', '.join(missing) or '(any)'} inside")
        others = sorted(set(counts) - set(dataset.classes or counts))
        if others:
            log.warning(
                "%s: left out %s images of folders that are not in classes: %s",
                dataset.name,
                f"{sum(counts[name] for name in others):,}",
                ", ".join(others),
            )
    fetched.replace(destination)


def describe(dataset: Dataset, source: Source, path: Path) -> dict[str, object]:
    """The content of data/raw/<pipeline>/source.json, which describes the file at ``path``."""
    description: dict[str, object] = {
        "dataset": dataset.name,
        "format": dataset.format,
        "file": path.name,
        "classes": dataset.classes or class_names(dataset, path),
        "source": source.kind,
        "location": str(source),
        "drawn": source.kind == "sample",
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "homepage": dataset.homepage,
        "license": dataset.license,
    }
    if dataset.value_range:
        description["value_range"] = dataset.value_range
    return description


def class_names(dataset: Dataset, path: Path) -> list[str]:
    """The classes that the file at ``path`` has images of: labels in order, or names sorted."""
    if dataset.format == "npz":
        arrays = read_npz(path, max_bytes=dataset.max_bytes)
        return list(classes_of_labels(arrays, dataset.classes).values())
    return sorted(_images_per_folder(dataset, path, []))


def _images_per_folder(dataset: Dataset, path: Path, skipped: list[str]) -> Counter[str]:
    images = read_images(
        path, max_bytes=dataset.max_bytes, max_files=dataset.max_files, skipped=skipped
    )
    return Counter(image.class_name for image in images)
