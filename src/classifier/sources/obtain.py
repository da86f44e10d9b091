"""Obtains the verified file of a dataset, and describes it."""

import logging
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from classifier.formats.archive import NO_LIMIT, ArchiveError, pack_folder, pack_parts
from classifier.formats.contents import (
    CONTENTS,
    NOT_CHOSEN,
    Entry,
    read_contents,
    taken,
    write_contents,
)
from classifier.formats.idx import idx_files, read_idx_files
from classifier.formats.in_place import write_index
from classifier.formats.label_sets import as_text, names_of
from classifier.formats.npz import (
    Arrays,
    array_names,
    classes_of_labels,
    read_npz,
    read_pickle,
    verify_arrays,
    write_npz,
)
from classifier.formats.unchanged import unchanged
from classifier.layouts.arrays import find_arrays
from classifier.layouts.error import LayoutError
from classifier.layouts.find import find_layout, find_layout_of_part
from classifier.layouts.parts import by_part, check_parts, of_one_part, within_part
from classifier.layouts.splits import lacking
from classifier.layouts.summary import summarize
from classifier.layouts.survey import TABLE_SUFFIXES, survey
from classifier.sources.dataset import Dataset
from classifier.sources.fetch import Access, SourceError, fetch_first
from classifier.sources.source import Source
from classifier.support.checksum import sha256_of
from classifier.support.errors import InputError

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
    _check_task(dataset)
    place = partial(verify_and_place, dataset, destination=destination)
    return fetch_first(dataset, kind, destination, access, place)


def _check_task(dataset: Dataset) -> None:
    """Refuses several labels an image where no table can have them."""
    if dataset.label_separator and dataset.format != "folders":
        raise InputError(
            f"task is multi_label, but the dataset is of {dataset.format} arrays, which have one "
            "label an image: give images and a table of their labels"
        )
    if dataset.label_separator and any(source.parts for source in dataset.sources):
        raise InputError("task is multi_label, which merged sources do not have: give one source")


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
    _check_task(dataset)
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
    with unchanged(folder, taken(entries)):
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
    if source.parts:
        _place_parts(dataset, source, fetched, destination)
    elif dataset.stored_format == "npz":
        read = _read_idx if dataset.format == "idx" else _read_arrays
        arrays = read(dataset, source, fetched)
        verify_arrays(arrays, dataset.arrays or {})
        names = classes_of_labels(arrays, dataset.classes)
        if len(names) < 2:
            raise LayoutError(f"{source}: all images have one label, {min(names)}: add others")
        written = fetched.with_name("arrays.npz")
        write_npz(written, arrays)
        written.replace(destination)
    else:
        _place_images(dataset, source, fetched, destination)


def _read_arrays(dataset: Dataset, source: Source, fetched: Path) -> Arrays:
    with fetched.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    if not gzipped:
        keys = find_arrays(array_names(fetched), dataset.keys, f"{source}")
        return read_npz(fetched, max_bytes=dataset.max_bytes, keys=keys)
    if source.sha256 is None:
        raise SourceError(
            f"{source} is a pickle, which is only read if its hash is known: add its sha256"
        )
    return read_pickle(fetched, max_bytes=dataset.max_bytes)


def _read_idx(dataset: Dataset, source: Source, fetched: Path) -> Arrays:
    path = fetched.resolve()
    limits = {"max_bytes": dataset.max_bytes, "max_files": dataset.max_files}
    files = find_arrays(idx_files(path, **limits), dataset.keys, f"{source}")
    return read_idx_files(path, files, **limits)


def _place_parts(dataset: Dataset, source: Source, fetched: Path, destination: Path) -> None:
    """Packs the images of all parts; the name of its part is the first folder of each image."""
    if dataset.format != "folders":
        raise SourceError(f"only images can be merged: format is {dataset.format}")
    parts = {name: (fetched / name).resolve() for name in source.parts or {}}
    entries: list[Entry] = []
    for name, path in parts.items():
        files = survey(path, name, max_bytes=dataset.max_bytes, max_files=dataset.max_files)
        found = find_layout_of_part(files, dataset.wanted)
        log.info("%s: %s: layout %s", dataset.name, name, f"{found.layout} {found.detail}".strip())
        entries += within_part(found.entries, name)
    check_parts(entries, f"{source}")
    entries = _chosen(dataset, entries)
    for line in by_part(entries):
        log.info("%s: %s", dataset.name, line)
    for line in of_one_part(entries):
        log.warning("%s: %s", dataset.name, line)
    report(dataset.name, entries)
    packed = fetched.with_name("packed.tar")
    with ExitStack() as stack:
        for name, path in parts.items():
            if path.is_dir():
                of_part = [file for file in taken(entries) if file.startswith(f"{name}/")]
                names = [file.removeprefix(f"{name}/") for file in of_part]
                stack.enter_context(unchanged(path, names))
        pack_parts(parts, packed, taken(entries))
    packed.replace(destination)
    write_contents(destination.with_name(CONTENTS), entries)


def _place_images(dataset: Dataset, source: Source, fetched: Path, destination: Path) -> None:
    folder = fetched.resolve() if fetched.is_dir() else None
    if not folder and Path(f"{source}").suffix.lower() in TABLE_SUFFIXES:
        raise LayoutError(f"{source} is a table: name the folder or the archive that it lies in")
    place = f"{folder if fetched.is_symlink() else source}"
    entries = _list_files(dataset, folder or fetched, place, max_bytes=dataset.max_bytes)
    if folder:
        with unchanged(folder, taken(entries)):
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
    report(dataset.name, entries, dataset.label_separator)
    return entries


def _chosen(dataset: Dataset, entries: list[Entry]) -> list[Entry]:
    """The entries, with those of other classes than the dataset's passed over."""
    if dataset.classes is None:
        return entries
    chosen = set(dataset.classes)
    if len(chosen) < max(2, len(dataset.classes)):
        raise LayoutError(f"classes is {dataset.classes}: must be two or more different classes")
    if dataset.label_separator:
        return _with_chosen_labels(dataset, entries, dataset.label_separator)
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


def _with_chosen_labels(dataset: Dataset, entries: list[Entry], separator: str) -> list[Entry]:
    """The entries without the labels that are not among the dataset's: no image is left out."""
    chosen = dataset.classes or []
    counts = Counter(
        name
        for entry in entries
        if not entry.passed_over
        for name in names_of(entry.class_name, separator)
    )
    missing = [name for name in chosen if name not in counts]
    if missing:
        raise ArchiveError(f"no images with the label {', '.join(missing)} inside")
    if others := sorted(set(counts) - set(chosen)):
        log.warning(
            "%s: left out %s labels that are not in classes, and no image: %s",
            dataset.name,
            f"{sum(counts[name] for name in others):,}",
            ", ".join(others),
        )

    def kept(text: str) -> str:
        return as_text(set(names_of(text, separator)) & set(chosen), separator)

    return [
        entry if entry.passed_over else entry._replace(class_name=kept(entry.class_name))
        for entry in entries
    ]


def _not_chosen(entry: Entry) -> Entry:
    return Entry(entry.file, passed_over=NOT_CHOSEN)


def report(name: str, entries: list[Entry], separator: str | None = None) -> None:
    """Logs how many images are taken, by class and split, and which files are passed over, and why.

    Many files that are passed over, and a class that a split lacks, are warnings.

    Args:
        separator: between the labels of an image, which may have several; None where it has one.
    """
    summary = summarize(entries, separator)
    for line in summary.images:
        log.info("%s: %s", name, line)
    for line in summary.passed_over:
        log.log(logging.WARNING if summary.too_many else logging.INFO, "%s: %s", name, line)
    if summary.too_many:
        log.warning("%s: more than 5 %% of the files are passed over: see %s", name, CONTENTS)
    for line in lacking(entries, separator):
        log.warning("%s: %s", name, line)


def describe(dataset: Dataset, source: Source, path: Path) -> dict[str, object]:
    """The content of data/raw/<pipeline>/source.json, which describes the file at ``path``."""
    description: dict[str, object] = {
        "dataset": dataset.name,
        "format": dataset.stored_format,
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
    if dataset.label_separator:
        description |= {"task": dataset.task, "separator": dataset.label_separator}
    if dataset.value_range:
        description["value_range"] = dataset.value_range
    return description


def class_names(dataset: Dataset, path: Path) -> list[str]:
    """The classes that the file at ``path`` has images of: labels in order, or names sorted."""
    if dataset.stored_format == "npz":
        arrays = read_npz(path, max_bytes=dataset.max_bytes)
        return list(classes_of_labels(arrays, dataset.classes).values())
    names = {entry.class_name for entry in taken(read_contents(path.with_name(CONTENTS))).values()}
    if dataset.label_separator:
        names = {name for text in names for name in names_of(text, dataset.label_separator)}
    return sorted(names)
