"""Finds the layout of a folder or an archive, and what each of its files is."""

import logging

from classifier.formats.contents import NO_IMAGE, TABLE, Entry
from classifier.formats.label_sets import names_of
from classifier.layouts.candidates import candidates, chosen_tables
from classifier.layouts.classes import alike_below, by_class_folder
from classifier.layouts.error import LayoutError
from classifier.layouts.hint import hint, suggested_pattern
from classifier.layouts.pattern import by_pattern
from classifier.layouts.root import common_folder, root_of_folders
from classifier.layouts.spellings import split_of
from classifier.layouts.splits import (
    by_split_folder,
    check_training,
    splits_are_below,
    without_classes,
)
from classifier.layouts.summary import first_names
from classifier.layouts.survey import Survey
from classifier.layouts.table import by_table, check_labels, check_separator
from classifier.layouts.wanted import Found, Name, Wanted

NAMED = 5  # files that a message names

log = logging.getLogger(__name__)


def find_layout(files: Survey, wanted: Wanted) -> Found:
    """The layout that is wanted or, by itself, the one that fits.

    Raises:
        LayoutError: the images do not lie as ``wanted`` says, or in no layout, or have fewer than
            two classes.
    """
    refused: list[str] = []  # why a table is not used, for the hint
    found = _find(files, wanted, refused)
    names = {entry.class_name for entry in found.entries if not entry.passed_over}
    if wanted.separator:
        names = {name for text in names for name in names_of(text, wanted.separator)}
    if len(names) < 2:
        raise LayoutError(hint(found.layout, found.entries, files, refused))
    check_training(found.entries, files.place)
    return found


def find_layout_of_part(files: Survey, wanted: Wanted) -> Found:
    """As :func:`find_layout`, for images that others are merged with.

    They may have one class, and nothing to train on.
    """
    refused: list[str] = []
    found = _find(files, wanted, refused)
    if all(entry.passed_over for entry in found.entries):
        raise LayoutError(hint(found.layout, found.entries, files, refused))
    return found


def _find(files: Survey, wanted: Wanted, refused: list[str]) -> Found:
    layout = _layout(files, wanted, refused)
    if layout == "pattern":
        assert wanted.pattern is not None
        entries = by_pattern(files.images, wanted.pattern, files.place)
        found = Found(layout, f"'{wanted.pattern}'", entries)
    elif layout == "table":
        found = _by_tables(files, wanted, refused)
    else:
        root = _root(files, wanted)
        by = by_split_folder if layout == "splits" else by_class_folder
        found = Found(layout, f"below {root}" if root else "", by(files.images, root))
        for line in alike_below(found.entries) if layout == "classes" else []:
            log.warning("%s: %s", files.place, line)
        if layout == "splits":
            for folder, images in without_classes(found.entries, root).items():
                log.warning(
                    "%s: the split folder '%s' has no class folders: its %s images have no labels, "
                    "and are passed over",
                    files.place,
                    folder,
                    f"{images:,}",
                )
    used = {entry.file for entry in found.entries}
    others = [Entry(name, passed_over=NO_IMAGE) for name in files.tables if name not in used]
    found = found._replace(entries=[*found.entries, *files.others, *others])
    _check_names(found, files)
    return found


def _check_names(found: Found, files: Survey) -> None:
    ids: dict[str, str] = {}
    for entry in found.entries:
        if not entry.passed_over and entry.id in ids:
            raise LayoutError(
                f"{files.place}: {ids[entry.id]} and {entry.file} have one id, '{entry.id}': "
                "rename one of them"
            )
        ids[entry.id] = entry.file


def _layout(files: Survey, wanted: Wanted, refused: list[str]) -> Name:
    if wanted.separator and (wanted.layout not in ("auto", "table") or wanted.pattern):
        raise LayoutError(
            "task multi_label takes the labels of an image from a table: set layout: table, and "
            "leave out pattern"
        )
    if wanted.layout != "auto":
        if wanted.layout == "pattern" and not wanted.pattern:
            raise LayoutError("layout: pattern needs a pattern: add pattern: '(?P<class>...)'")
        if wanted.layout != "pattern" and wanted.pattern:
            raise LayoutError(f"pattern is for layout: pattern, not {wanted.layout}: remove one")
        if wanted.layout != "table" and (wanted.table or wanted.columns):
            raise LayoutError(
                f"table and columns are for layout: table, not {wanted.layout}: remove one"
            )
        return wanted.layout
    if wanted.pattern:
        return "pattern"
    if wanted.table or wanted.columns or wanted.separator:
        return "table"
    tables = candidates(files, wanted, refused)
    with_labels = {name for candidate in tables for name in candidate.matched}
    if 2 * len(with_labels) >= len(files.images):
        return "table"
    root = _root(files, wanted)
    below = [name.removeprefix(root).split("/") for name in files.images]
    folders = {parts[0] for parts in below if len(parts) > 1}
    splits = {name for name in folders if split_of(name)} - set(wanted.classes or [])
    if splits:
        deep = {parts[0] for parts in below if len(parts) > 2}
        if len({split_of(name) for name in splits}) > 1 and splits & deep:
            return "splits"
        if tables:
            return "table"
        raise LayoutError(_ambiguous(files, sorted(splits), sorted(folders - splits)))
    if splits_are_below(files.images, root):
        return "splits"
    if tables and len(folders) < 2:
        return "table"
    return "classes"


def _ambiguous(files: Survey, splits: list[str], others: list[str]) -> str:
    named = ", ".join(f"'{name}'" for name in splits)
    pattern = suggested_pattern(files)
    if pattern:
        return f"{files.place}: {named}: no class folders are below; {pattern}"
    if others:
        return (
            f"{files.place}: {named} is named like a split, and lies beside {len(others)} other "
            f"folders ('{others[0]}'): set layout: classes if it is a class, layout: splits if it "
            "is a split, or move it away"
        )
    return (
        f"{files.place}: {named} have no class folders for the labels: add a folder a class below "
        "them, or a table of labels (layout: table), or find the classes in the names of the "
        "files (layout: pattern)"
    )


def _root(files: Survey, wanted: Wanted) -> str:
    keep = {name.lower() for name in wanted.classes or []}
    if wanted.layout == "splits":
        below = root_of_folders(files.images)
        parts = below.split("/")
        # A single split folder is around everything, like the folder of an archive.
        for depth, part in enumerate(parts):
            if split_of(part):
                return "".join(f"{part}/" for part in parts[:depth])
        return below
    return root_of_folders(files.images, keep=keep)


def _by_tables(files: Survey, wanted: Wanted, refused: list[str]) -> Found:
    tables = chosen_tables(files, wanted, refused)
    names = [table.name for table, _ in tables]
    root = common_folder([*files.images, *names])
    if wanted.separator:
        check_separator(tables, wanted.separator)
    else:
        for table, columns in tables:
            check_labels(table, columns)
    labels = by_table(files.images, tables, root, files.place, wanted.separator)
    named = ", ".join(names)
    lines = [
        f"{named}: {what}: {len(names_of):,} ({first_names(names_of, NAMED)})"
        for what, names_of in (
            ("paths without an image", labels.missing),
            ("images without a row", labels.surplus),
        )
        if names_of
    ]
    if lines and wanted.unmatched == "fail":
        raise LayoutError(f"{'; '.join(lines)}: correct them, or set unmatched: warn")
    for line in lines:
        log.warning("%s", line)
    if labels.repeated:
        log.info("%s: rows that repeat an earlier one: %s", named, f"{labels.repeated:,}")
    columns = tables[0][1]
    detail = f"{named}, columns {', '.join(f'{name}' for name in columns if name)}"
    used = [Entry(name, passed_over=TABLE) for name in names]
    return Found("table", detail, [*labels.entries, *used])
