"""Looks at each file of a folder or an archive once: which are images, which are tables."""

from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from classifier.formats.archive import read_files
from classifier.formats.contents import HIDDEN, NO_IMAGE, TOO_LARGE, Entry
from classifier.formats.image_files import (
    HEIF_SUFFIXES,
    IMAGE_SUFFIXES,
    RAW_SUFFIXES,
    begins_like_an_image,
    is_heif,
    is_hidden,
    is_image_content,
)
from classifier.layouts.arrays import IDX
from classifier.layouts.error import LayoutError

TABLE_SUFFIXES = {".csv", ".tsv", ".parquet", ".jsonl", ".ndjson"}
TABLE_BYTES = 100_000_000  # of all tables together: they are held in memory


class Survey(NamedTuple):
    """The files of a folder or an archive."""

    place: str  # for messages
    images: list[str]  # names, in the order of the archive
    tables: dict[str, bytes]  # contents by name
    others: list[Entry]  # passed over


def survey(path: Path, place: str, *, max_bytes: int, max_files: int) -> Survey:
    """Reads all files of an archive, or of a folder.

    A file is an image by its suffix, whatever its content is (normalize names a damaged one), or
    by its content, whatever its suffix is.

    Args:
        place: what messages call the folder or the archive.

    Raises:
        ArchiveError: it is damaged, unsafe or too large.
        LayoutError: it has no images, two files have one name, or a name has a line break. Or it
            has HEIC photos, and the package that reads them is not installed.
    """
    without_heif = find_spec("pillow_heif") is None
    found = Survey(place, [], {}, [])
    names: set[str] = set()
    tables = 0
    for file in read_files(path, max_bytes=max_bytes, max_files=max_files):
        name = PurePosixPath(file.name)
        if is_hidden(name):
            found.others.append(Entry(file.name, passed_over=HIDDEN))
            continue
        suffix = name.suffix.lower()
        if suffix in TABLE_SUFFIXES:
            tables += file.size
            if tables > TABLE_BYTES:
                found.others.append(Entry(file.name, passed_over=TOO_LARGE))
                continue
            found.tables[file.name] = file.read() or b""
        elif suffix in IMAGE_SUFFIXES:
            # A damaged archive is found here.
            if not path.is_dir() or (without_heif and suffix in HEIF_SUFFIXES):
                content = file.read()
                if without_heif and is_heif(content or b""):
                    raise _heif_error(place, file.name)
            _add_image(found, names, file.name)
        else:
            looks = suffix not in RAW_SUFFIXES
            content = file.read(begins_like_an_image) if looks else None
            if content is not None and is_image_content(content):
                if without_heif and is_heif(content):
                    raise _heif_error(place, file.name)
                _add_image(found, names, file.name)
            else:
                found.others.append(Entry(file.name, passed_over=NO_IMAGE))
    if not found.images:
        files = len(found.others) + len(found.tables)
        raise LayoutError(
            f"{place}: there are no images among {files:,} files: {_other_format(found)}name a "
            f"folder or an archive that has images ({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    return found


def _other_format(found: Survey) -> str:
    names = [entry.file for entry in found.others if entry.passed_over == NO_IMAGE]
    if any(IDX.search(name) for name in names):
        return "these are IDX files: set format: idx, or "
    if arrays := [name for name in names if name.endswith(".npz")]:
        return f"{arrays[0]} has arrays: set format: npz and name that file, or "
    return ""


def _heif_error(place: str, name: str) -> LayoutError:
    return LayoutError(
        f"{place}: {name} is a HEIC photo, which needs the package pillow-heif: "
        "pip install 'pillow-heif>=1.1', or convert such photos to JPEG"
    )


def _add_image(found: Survey, names: set[str], name: str) -> None:
    # Those of Unicode too: a list of the classes has one a line.
    if name.splitlines() != [name]:
        raise LayoutError(f"{found.place}: the name {name!r} has a line break: rename the file")
    if name in names:
        raise LayoutError(
            f"{found.place}: two files have the id '{name}': rename one of them, or remove it"
        )
    names.add(name)
    found.images.append(name)
