"""Which tables of a folder or an archive have the labels of its images."""

from collections import Counter
from typing import NamedTuple

from classifier.formats.label_sets import names_of
from classifier.formats.tables import Table, TableError, read_table
from classifier.layouts.columns import Columns, find_columns
from classifier.layouts.error import LayoutError
from classifier.layouts.root import common_folder
from classifier.layouts.survey import TABLE_SUFFIXES, Survey
from classifier.layouts.table import by_table, check_labels, split_of_name
from classifier.layouts.wanted import Wanted


class Candidate(NamedTuple):
    table: Table
    columns: Columns
    matched: set[str]  # images that its paths find


def candidates(files: Survey, wanted: Wanted, refused: list[str]) -> list[Candidate]:
    """The tables that may have the labels: with paths of images, and two labels or more.

    Args:
        refused: the reason is appended for each table that may not.
    """
    usable = []
    for name in files.tables:
        if name.lower().endswith(".parquet"):
            # It may unpack to any size: one of an archive from elsewhere is not read unasked.
            refused.append(f"{name}: is read only where it is named: set table: {name}")
            continue
        try:
            candidate = _candidate(files, name, wanted)
        except (LayoutError, TableError) as error:
            refused.append(str(error))
            continue
        labels = set(candidate.table.column(candidate.columns.label)) - {""}
        if wanted.separator:
            labels = {name for text in labels for name in names_of(text, wanted.separator)}
        if len(labels) < 2:
            refused.append(f"{name}: has one label only in '{candidate.columns.label}'")
        elif not set(wanted.classes or []) <= labels:
            refused.append(f"{name}: its labels are not those of classes")
        elif 2 * len(candidate.matched) < len(set(candidate.table.column(candidate.columns.path))):
            refused.append(f"{name}: most of its paths are no images of {files.place}")
        else:
            usable.append(candidate)
    return usable


def _candidate(files: Survey, name: str, wanted: Wanted) -> Candidate:
    table = read_table(name, files.tables[name])
    columns = find_columns(name, table.columns, wanted.columns)
    if not wanted.separator:
        check_labels(table, columns)
    root = common_folder([*files.images, name])
    labels = by_table(files.images, [(table, columns)], root, files.place, wanted.separator)
    matched = set(files.images) - set(labels.surplus)
    return Candidate(table, columns, matched)


def chosen_tables(files: Survey, wanted: Wanted, refused: list[str]) -> list[tuple[Table, Columns]]:
    if wanted.table:
        chosen = [wanted.table] if isinstance(wanted.table, str) else wanted.table
        names = [_named_table(files, name) for name in chosen]
    elif len(files.tables) == 1:
        names = list(files.tables)
    else:
        if not files.tables:
            raise LayoutError(
                f"{files.place}: layout: table needs a table of labels, and there is none "
                f"({', '.join(sorted(TABLE_SUFFIXES))}): add one beside the images"
            )
        usable = candidates(files, wanted, refused)
        if not usable:
            raise LayoutError(f"{files.place}: no table has the labels of the images: {refused[0]}")
        splits = Counter(split_of_name(candidate.table.name) for candidate in usable)
        if len(usable) > 1 and ("" in splits or max(splits.values()) > 1):
            names = sorted(candidate.table.name for candidate in usable)
            raise LayoutError(
                f"{files.place}: {len(names)} tables may have the labels: {', '.join(names)}: name "
                "one, as table: ..."
            )
        return [(candidate.table, candidate.columns) for candidate in usable]
    tables = [read_table(name, files.tables[name]) for name in names]
    return [(table, find_columns(table.name, table.columns, wanted.columns)) for table in tables]


def _named_table(files: Survey, name: str) -> str:
    found = [table for table in files.tables if f"/{table}".endswith(f"/{name}")]
    if len(found) != 1:
        there = ", ".join(sorted(files.tables)) or "none"
        problem = "has no table" if not found else "has several tables"
        raise LayoutError(f"{files.place} {problem} '{name}': its tables are {there}")
    return found[0]
