r"""new: looks at photos, prints what is there, and writes a pipeline for them.

$ python -m stages.new pets ~/photos/pets                # a folder
$ python -m stages.new pets ~/photos/pets.zip            # an archive: tar, zip
$ python -m stages.new pets ~/photos/labels.csv          # a table of labels beside the photos
$ python -m stages.new films ~/stills/labels.csv --separator=';'   # several labels an image
$ python -m stages.new digits ~/data/digits.npz          # arrays, see classifier.formats.npz
$ python -m stages.new digits ~/data/mnist               # a folder or an archive of IDX files
$ python -m stages.new pets https://example.org/pets.tar.gz
$ python -m stages.new pets s3://photos/pets             # a bucket
$ python -m stages.new pets ~/photos/pets --pattern '(?P<class>[a-z]+)\.\d+\.jpg'

It writes conf/dataset/<name>.yaml and a section of params.yaml; :mod:`stages.recommended` has the
rules by which it chooses the values. A mistake in the source is one line, and nothing is written.
"""

import argparse
import io
import logging
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, get_args
from urllib.parse import urlsplit

from ruamel.yaml.comments import CommentedMap

from classifier.formats.archive import NO_LIMIT, read_files
from classifier.formats.contents import TABLE, Entry
from classifier.formats.idx import idx_files, read_idx_files
from classifier.formats.label_sets import names_of
from classifier.formats.npz import (
    NAMES,
    SPLITS,
    Arrays,
    array_names,
    classes_of_labels,
    read_npz,
)
from classifier.inspection.findings import what_looks_wrong
from classifier.inspection.near_duplicates import (
    SMALLEST,
    NearDuplicates,
    near_duplicate_arrays,
    near_duplicates,
)
from classifier.inspection.overview import overview
from classifier.inspection.pictures import Pictures, measure, measure_arrays
from classifier.layouts.arrays import find_arrays, usual_name
from classifier.layouts.columns import USUAL, Role
from classifier.layouts.find import find_layout
from classifier.layouts.summary import summarize
from classifier.layouts.survey import TABLE_SUFFIXES, survey
from classifier.layouts.wanted import Name, Wanted
from classifier.sources.bucket import BucketError, fetch_from_bucket
from classifier.sources.http import DownloadError, download
from classifier.support.addresses import without_credentials
from classifier.support.atomic import atomic_path, restored_on_error
from classifier.support.checksum import sha256_of
from classifier.support.errors import InputError, nearest
from stages.access import machine_access
from stages.git import head
from stages.layout import located
from stages.one_line import stops_in_one_line
from stages.params import (
    PARAMS,
    check_names,
    params_without,
    pipelines,
    read_params,
    round_trip,
    used_by,
    write_params,
)
from stages.prepare import completed
from stages.recommended import Recommended, flow, recommend
from stages.schemas import SCHEMAS

DOWNLOAD = Path("conf", "download.yaml")
FORMS = (
    "a folder, an archive (tar, zip), a table (CSV, TSV, Parquet, JSON Lines), an .npz, IDX files, "
    "a URL, or a bucket (s3://)"
)


class Seen(NamedTuple):
    """What is at the source."""

    dataset: dict[str, Any]  # the content of the dataset's YAML file
    title: str  # the layout, in words
    entries: list[Entry]
    pictures: Pictures
    near: NearDuplicates | None  # None: not looked for
    findings: list[str]


def look(name: str, source: str, wanted: Wanted, downloads: Path, temporary: Path) -> Seen:
    """Looks at the source.

    Args:
        downloads: the folder for the file of a URL.
        temporary: the folder for what is in a bucket.

    Raises:
        InputError: there is nothing that could be a dataset.
    """
    path, origin = _reached(source, downloads, temporary)
    file = f"{name}{_suffix(urlsplit(source).path if 'url' in origin else path.name)}"
    if path.suffix.lower() in TABLE_SUFFIXES and path.is_file():
        if wanted.layout not in ("auto", "table") or wanted.pattern:
            raise InputError(f"{source} is a table: leave out --layout and --pattern")
        if "url" in origin:
            raise InputError(f"{source} is a table without photos: give an archive with both")
        wanted = replace(wanted, layout="table", table=path.name)
        origin, path = {"kind": "folder", "path": str(Path(source).parent)}, path.parent
    if file.lower().endswith(".npz"):
        limits = {"max_bytes": _limits()["max_bytes"]}
        arrays = read_npz(path, keys=find_arrays(array_names(path), None, source), **limits)
        dataset = {"name": name, "format": "npz", "file": file, "sources": [flow(origin)]}
        return _look_at_arrays(arrays, wanted, dataset, source)
    if path.is_dir():
        file = f"{name}.tar"
    elif not (zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
        raise InputError(f"{without_credentials(source)} is not {FORMS}")
    if files := _idx_files(path):
        arrays = read_idx_files(path, find_arrays(files, None, source), **_limits())
        file = f"{name}.npz"
        dataset = {"name": name, "format": "idx", "file": file, "sources": [flow(origin)]}
        return _look_at_arrays(arrays, wanted, dataset, source)
    return _look_at_images(name, path, wanted, {"file": file, "sources": [flow(origin)]})


def _idx_files(path: Path) -> list[str]:
    """The names of IDX files; none if there are no images and labels by their usual names."""
    files = read_files(path, max_bytes=NO_LIMIT, max_files=NO_LIMIT)
    named = {usual_name(file.name) for file in files}
    found = {"x_train", "y_train"} <= named or {"x", "y"} <= named
    return idx_files(path, max_bytes=NO_LIMIT, max_files=NO_LIMIT) if found else []


def _reached(source: str, downloads: Path, temporary: Path) -> tuple[Path, dict[str, Any]]:
    """A local path with the content of the source, and the source for the dataset's YAML file."""
    scheme, _, rest = source.partition("://")
    if not rest:
        path = located(source)
        if not path.exists():
            raise InputError(f"{path} does not exist: give {FORMS}")
        return path, {"kind": "folder", "path": source}
    if scheme not in ("http", "https"):
        path = temporary / f"bucket{_suffix(source) if '.' in PurePosixPath(rest).name else ''}"
        access = {key: round_trip().load(DOWNLOAD)[key] for key in ("attempts", "timeout")}
        try:
            fetch_from_bucket(source, path, options={}, max_bytes=_limits()["max_bytes"], **access)
        except BucketError as error:
            raise InputError(str(error)) from None
        return path, {"kind": "bucket", "url": source}
    if "@" in urlsplit(source).netloc:
        raise InputError(
            f"{without_credentials(source)} has a password, which would be in a file that git "
            "tracks: download the file yourself, and give its path"
        )
    partial = downloads / f"new{_suffix(urlsplit(source).path)}.part"
    partial.unlink(missing_ok=True)  # of another URL, perhaps
    try:
        download(source, partial, max_bytes=_limits()["max_bytes"])
    except DownloadError as error:
        raise InputError(str(error)) from None
    sha256 = sha256_of(partial)
    path = partial.replace(downloads / sha256)  # where the stage download looks for it
    return path, {"kind": "url", "url": source, "sha256": sha256, "bytes": path.stat().st_size}


def _suffix(name: str) -> str:
    match = re.search(r"(\.tar)?\.[A-Za-z0-9]{1,7}$", PurePosixPath(name).name)
    return match[0].lower() if match else ".archive"


def _limits() -> dict[str, int]:
    """The limits of the download stage, in bytes and files."""
    defaults = round_trip().load(DOWNLOAD)["dataset"]
    return {key: int(defaults[key]) for key in ("max_bytes", "max_files")}


def _look_at_images(name: str, path: Path, wanted: Wanted, dataset: dict[str, Any]) -> Seen:
    limits, findings = _limits(), []
    if path.is_dir():
        findings = _raise_limits(path, limits)
    place = f"{path.resolve()}" if path.is_dir() else str(path)
    files = survey(path, place, **limits)
    with _warnings():
        found = find_layout(files, wanted)
    tables = [entry.file for entry in found.entries if entry.passed_over == TABLE]
    # What the YAML file will name gives the answer that is printed.
    wanted = replace(wanted, layout=found.layout, table=tables or None)
    with _warnings() as warned:
        found = find_layout(files, wanted)
    pictures = measure(path, found.entries)
    if pictures.deep:
        findings.append(_range_is_needed(name, pictures.deep))
    near = near_duplicates(path, found.entries) if pictures.shorter_side >= SMALLEST else None
    columns: dict[str, Any] = {str(role): column for role, column in wanted.columns.items()}
    described = {
        "name": name,
        "format": "folders",
        "file": dataset["file"],
        "layout": found.layout,
        "pattern": wanted.pattern,
        "table": tables[0] if len(tables) == 1 else tables or None,
        "columns": flow(columns) if columns else None,
        "task": "multi_label" if wanted.separator else None,
        "separator": wanted.separator,
        **{key: limit for key, limit in limits.items() if limit != _limits()[key]},
        "sources": dataset["sources"],
    }
    counted = of_each_label(found.entries, wanted.separator)
    findings = [*what_looks_wrong(counted, pictures, near), *findings, *warned]
    title = f"layout {found.layout} {found.detail}".strip()
    kept = {key: value for key, value in described.items() if value is not None}
    return Seen(kept, title, found.entries, pictures, near, findings)


def of_each_label(entries: list[Entry], separator: str | None) -> list[Entry]:
    """The entries, each once for every label that it has, where it may have several.

    Args:
        separator: between the labels; None where an image has one.
    """
    if separator is None:
        return entries
    return [
        entry._replace(class_name=name)
        for entry in entries
        for name in ([""] if entry.passed_over else names_of(entry.class_name, separator))
    ]


def _raise_limits(folder: Path, limits: dict[str, int]) -> list[str]:
    """Doubles what a folder has, if it is above the limits: they are for archives of others."""
    sizes = [file.size for file in read_files(folder, max_bytes=NO_LIMIT, max_files=NO_LIMIT)]
    lines = []
    for key, there in (("max_bytes", sum(sizes)), ("max_files", len(sizes))):
        if there > limits[key]:
            lines.append(f"{key} is {2 * there:,}: the folder has {there:,}, above {limits[key]:,}")
            limits[key] = 2 * there
    return lines


def _look_at_arrays(arrays: Arrays, wanted: Wanted, dataset: dict[str, Any], place: str) -> Seen:
    if wanted != Wanted():
        raise InputError(
            f"{place} has arrays: leave out --layout, --pattern, --columns and --separator"
        )
    classes = classes_of_labels(arrays, None)
    if len(classes) < 2:
        raise InputError(f"{place}: all images have one label, {min(classes)}: add others")
    entries = [
        Entry(f"{split}/{number}", f"{split}/{number}", classes[label], split)
        for split, (_, labels) in SPLITS.items()
        if labels in arrays
        for number, label in enumerate(arrays[labels].tolist())
    ]
    pictures = measure_arrays(arrays)
    images = [arrays[name] for name, labels in SPLITS.values() if labels in arrays]
    near = near_duplicate_arrays(images, entries) if pictures.shorter_side >= SMALLEST else None
    findings = what_looks_wrong(entries, pictures, near)
    if pictures.deep:
        low, high = min(array.min() for array in images), max(array.max() for array in images)
        needed = _range_is_needed(dataset["name"], pictures.deep)
        findings.append(f"{needed} (they go from {low} to {high})")
    names = [name for name in NAMES if name in arrays]
    return Seen(dataset, f"arrays {', '.join(names)}", entries, pictures, near, findings)


def _range_is_needed(name: str, images: int) -> str:
    return (
        f"{images:,} images have floats or 32 bits: add value_range: [<black>, <white>] to "
        f"conf/dataset/{name}.yaml"
    )


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings that the library logs in the block."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    library = logging.getLogger("classifier")
    library.addHandler(handler)
    propagated, library.propagate = library.propagate, False
    try:
        yield lines
    finally:
        library.removeHandler(handler)
        library.propagate = propagated


def check_name(name: str, force: bool) -> None:
    """Checks that a pipeline can have the name.

    Raises:
        InputError: it cannot, or there is one of that name, and it shall not be replaced.
    """
    known = pipelines()
    check_names([name], "the name")
    if name in known or _dataset_file(name).exists():
        place = f"pipelines.{name} of {PARAMS}" if name in known else f"{_dataset_file(name)}"
        if not force:
            raise InputError(f"{place} exists: choose another name, or replace it with --force")
    else:
        check_names([*known, name], "the name")


def _dataset_file(name: str) -> Path:
    return Path("conf", "dataset", f"{name}.yaml")


def write(name: str, seen: Seen, sections: Mapping[str, Any]) -> None:
    """Writes the dataset's YAML file and the section of params.yaml: both, or neither."""
    file = _dataset_file(name)
    with restored_on_error(file, PARAMS):
        with atomic_path(file) as temporary:
            temporary.write_text(_dataset_text(seen), encoding="utf-8", newline="\n")
        params = params_without(name) if name in pipelines() else read_params()
        params["pipelines"] = params["pipelines"] or CommentedMap()
        download_section = flow({"groups": flow({"dataset": name}), "source": "auto"})
        given = {"download": download_section, **sections}
        params["pipelines"][name] = CommentedMap(
            (stage, completed(name, stage, given[stage], params["pipelines"])[0])
            for stage in SCHEMAS
        )
        params["pipelines"].yaml_set_comment_before_after_key(name, before="\n")
        write_params(params)


def _dataset_text(seen: Seen) -> str:
    images = [entry for entry in seen.entries if not entry.passed_over]
    counted = of_each_label(images, seen.dataset.get("separator"))
    classes = len({entry.class_name for entry in counted})
    text = io.StringIO()
    round_trip().dump(CommentedMap(seen.dataset), text)
    return (
        f"# {len(images):,} images of {classes:,} classes, when it was written.\n{text.getvalue()}"
    )


def report(name: str, seen: Seen, chosen: Recommended) -> Iterator[str]:
    """The lines that say what is there, what looks wrong, and what was chosen, and why."""
    images = [entry for entry in seen.entries if not entry.passed_over]
    source = seen.dataset["sources"][0]
    place = without_credentials(source.get("url") or source["path"])
    yield f"{name}: {len(images):,} images in {place}, {seen.title}"
    yield ""
    separator = seen.dataset.get("separator")
    yield from overview(of_each_label(seen.entries, separator), seen.pictures, seen.near)
    if separator:
        for line in summarize(seen.entries, separator).images:
            yield f"{'labels':<12} {line}"
    findings = dict.fromkeys([*chosen.problems, *seen.findings])
    for line in findings or ["nothing"]:
        yield f"{'looks wrong':<12} {' '.join(line.split())}"
    yield ""
    width = max(len(value) for value, _ in chosen.reasons)
    for value, why in chosen.reasons:
        yield f"{value:<{width}}  {why}"


def following(name: str) -> Iterator[str]:
    """The commands to run next."""
    yield "next:"
    if head() is None:
        yield "  python -m stages.prepare"
    yield f"  dvc repro export@{name}"
    if head() is not None:
        yield (
            f"  git add {_dataset_file(name).as_posix()} {PARAMS}    # a queued experiment "
            "(dvc exp run --queue) copies only what git tracks"
        )
        yield f"  git add dvc.lock models/{name} reports/{name}    # after dvc repro, to come back"


def new(arguments: argparse.Namespace) -> None:
    check_name(arguments.name, arguments.force)
    wanted = Wanted(
        layout=arguments.layout,
        pattern=arguments.pattern,
        columns=_columns(arguments.columns),
        separator=arguments.separator,
    )
    with tempfile.TemporaryDirectory() as temporary:
        # A dry run writes nothing into the checkout.
        downloads = Path(temporary) if arguments.dry_run else machine_access(1, 1).downloads
        seen = look(arguments.name, arguments.source, wanted, downloads, Path(temporary))
    with _warnings() as warned:
        chosen = recommend(seen.entries, seen.pictures, seen.near, arguments.separator)
    seen.findings.extend(warned)
    for line in report(arguments.name, seen, chosen):
        print(line)
    print()
    if arguments.dry_run:
        print("a dry run: nothing was written")
        return
    write(arguments.name, seen, chosen.sections)
    file = _dataset_file(arguments.name).as_posix()
    users = used_by(arguments.name)
    if users:
        print(f"{file} was the dataset of {', '.join(users)} too: look at what they do now")
    print(f"wrote {file}, and pipelines.{arguments.name} of {PARAMS}: change them as you like")
    for line in following(arguments.name):
        print(line)


def _columns(words: list[str]) -> dict[Role, str]:
    columns: dict[Role, str] = {}
    for word in words:
        role, _, column = word.partition("=")
        if role not in USUAL or not column:
            raise InputError(f"--columns {word}: write <role>=<column>: {nearest(role, USUAL)}")
        columns[role] = column
    return columns


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.new", description="Looks at photos, and writes a pipeline for them"
    )
    parser.add_argument("name", help="of the pipeline")
    parser.add_argument("source", help=FORMS)
    parser.add_argument(
        "--layout",
        default="auto",
        choices=("auto", *get_args(Name)),
        help="default: found by itself",
    )
    parser.add_argument("--pattern", help="a regular expression with a group named class")
    parser.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="ROLE=COLUMN",
        help=f"of the table, where they have no usual names: {', '.join(USUAL)}",
    )
    parser.add_argument(
        "--separator",
        metavar="TEXT",
        help="an image may have several labels, or none: what is between them in the table",
    )
    parser.add_argument("--force", action="store_true", help="replace a pipeline of this name")
    parser.add_argument("--dry-run", action="store_true", help="look and print, but write nothing")
    with stops_in_one_line("new"):
        new(parser.parse_args())


if __name__ == "__main__":
    main()
