"""Obtains the verified file of a dataset, and describes it."""

import logging
from collections import Counter
from functools import partial
from pathlib import Path

from classifier.formats.archive import ArchiveError, pack_folder
from classifier.formats.contents import (
    CONTENTS,
    NOT_CHOSEN,
    Entry,
    read_contents,
    taken,
    write_contents,
)
from classifier.formats.in_place import write_index
from classifier.formats.npz import (
    classes_of_labels,
    read_npz,
    read_pickle,
    verify_arrays,
    write_npz,
)
from classifier.layouts.error import LayoutError
from classifier.layouts.find import find_layout
from classifier.layouts.splits import lacking
from classifier.layouts.summary import summarize
from classifier.layouts.survey import survey
from classifier.sources.dataset import Dataset
from classifier.sources.fetch import Access, SourceError, fetch_first
from classifier.sources.source import Source
from classifier.support.checksum import sha256_of
from classifier.support.errors import InputError

NO_LIMIT = 2**63

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


def index_in_place(dataset: Dataset, kind: str, destination: Path, access: Access) -> Source:
    """Writes an index of the photos in a local folder to ``destination``; they stay where they are.

    Args:
        kind, destination: as for :func:`obtain`.

    Raises:
        InputError: a source is not a local folder of photos, or as :func:`obtain`.
    """
    for source in dataset.sources:
        if kind in ("auto", source.kind):
            _check_in_place(dataset, source, source.kind)
    place = partial(_place_index, dataset, destination=destination)
    return fetch_first(dataset, kind, destination, access, place)


def _check_in_place(dataset: Dataset, source: Source, kind: str) -> None:
    if kind != "folder" or dataset.format != "folders":
        what = kind if dataset.format == "folders" else f"{kind} of {dataset.format} arrays"
        raise InputError(
            f"in_place is for a local folder of photos, and {source} is a {what}: set in_place: "
            "false, or name a folder alone"
        )


def _place_index(dataset: Dataset, source: Source, fetched: Path, destination: Path) -> None:
    _check_in_place(dataset, source, "folder" if fetched.is_dir() else "file")
    folder = fetched.resolve()
    # Nothing is copied or unpacked, so the number of bytes needs no limit.
    entries = _list_files(dataset, folder, f"{folder}", max_bytes=NO_LIMIT)
    write_index(folder, destination, taken(entries))
    log.info("%s: no copy is kept: later stages read the photos in %s", dataset.name, folder)
    write_contents(destination.with_name(CONTENTS), entries)


def verify_and_place(dataset: Dataset, source: Source, fetched: Path, destination: Path) -> None:
    """Reads the whole fetched file to verify its content, and moves it to ``destination``.

    Archives of images do not change; the images of a folder are packed. Beside them,
    :mod:`classifier.formats.contents` says what each file is. Arrays are written again, so that
    all sources give the same bytes.

    Raises:
        LayoutError: the images do not lie in a layout, or have fewer than two classes.
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
        names = classes_of_labels(arrays, dataset.classes)
        if len(names) < 2:
            raise LayoutError(f"{source}: all images have one label, {min(names)}: add others")
        write_npz(fetched, arrays)
        fetched.replace(destination)
    else:
        _place_images(dataset, source, fetched, destination)


def _place_images(dataset: Dataset, source: Source, fetched: Path, destination: Path) -> None:
    folder = fetched.resolve() if fetched.is_dir() else None
    place = f"{folder or source}"
    entries = _list_files(dataset, folder or fetched, place, max_bytes=dataset.max_bytes)
    if folder:
        pack_folder(folder, destination, taken(entries))
    else:
        fetched.replace(destination)
    write_contents(destination.with_name(CONTENTS), entries)


def _list_files(dataset: Dataset, path: Path, place: str, *, max_bytes: int) -> list[Entry]:
    """What each file of a folder or an archive is, by its layout."""
    files = survey(path, place, max_bytes=max_bytes, max_files=dataset.max_files)
    found = find_layout(files, dataset.wanted)
    entries = _chosen(dataset, found.entries)
    log.info("%s: layout %s", dataset.name, f"{found.layout} {found.detail}".strip())
    report(dataset.name, entries)
    return entries


def _chosen(dataset: Dataset, entries: list[Entry]) -> list[Entry]:
    """The entries, with those of other classes than the dataset's passed over."""
    if dataset.classes is None:
        return entries
    chosen = set(dataset.classes)
    if len(chosen) < max(2, len(dataset.classes)):
        raise LayoutError(f"classes is {dataset.classes}: must be two or more different classes")
    counts = Counter(entry.class_name for entry in entries if not entry.passed_over)
    missing = [name for name in dataset.classes if name not in counts]
    if missing:
        raise ArchiveError(f"no images of class {', '.join(missing)} inside")
    others = sorted(set(counts) - chosen)
    if others:
        log.warning(
            "%s: left out %s images of classes that are not in classes: %s",
            dataset.name,
            f"{sum(counts[name] for name in others):,}",
            ", ".join(others),
        )
    return [
        entry if entry.passed_over or entry.class_name in chosen else _not_chosen(entry)
        for entry in entries
    ]


def _not_chosen(entry: Entry) -> Entry:
    return Entry(entry.file, passed_over=NOT_CHOSEN)


def report(name: str, entries: list[Entry]) -> None:
    """Logs how many images are taken, by class and split, and which files are passed over, and why.

    Many files that are passed over, and a class that a split lacks, are warnings.
    """
    summary = summarize(entries)
    for line in summary.images:
        log.info("%s: %s", name, line)
    for line in summary.passed_over:
        log.log(logging.WARNING if summary.too_many else logging.INFO, "%s: %s", name, line)
    if summary.too_many:
        log.warning("%s: more than 5 %% of the files are passed over: see %s", name, CONTENTS)
    for line in lacking(entries):
        log.warning("%s: %s", name, line)


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
    names = {entry.class_name for entry in taken(read_contents(path.with_name(CONTENTS))).values()}
    return sorted(names)
