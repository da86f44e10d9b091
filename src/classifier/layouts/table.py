"""The layout ``table``: a table has the path and the label of each image."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from classifier.formats.contents import MISSING, NO_LABEL, Entry
from classifier.formats.label_sets import as_text, names_of
from classifier.formats.tables import Table
from classifier.layouts.columns import Columns
from classifier.layouts.error import LayoutError
from classifier.layouts.spellings import split_of
from classifier.layouts.splits import splits_of_folders


class Labels(NamedTuple):
    """What a table says of the images."""

    entries: list[Entry]  # of each image, and of each row that has no image
    missing: list[str]  # paths of rows without an image
    surplus: list[str]  # images without a row
    repeated: int  # rows that say the same of an image as an earlier row


class _Images:
    """Finds an image by its path, with or without suffix, relative to one of several folders."""

    def __init__(self, images: Iterable[str], root: str) -> None:
        self.root = root
        self.whole: dict[str, list[str]] = defaultdict(list)
        self.ends: dict[str, list[str]] = defaultdict(list)
        for name in images:
            path = name.removeprefix(root)
            for key in {path, _without_suffix(path)}:
                self.whole[key].append(name)
                self.ends[posixpath.basename(key)].append(name)

    def find(self, table: str, row: int, path: str) -> str | None:
        """The image of a row; None if there is none.

        A path is relative to the table or to the root; else it may be the end of one image's.
        """
        path = path.replace("\\", "/")
        folder = posixpath.dirname(table.removeprefix(self.root))
        beside = posixpath.normpath(posixpath.join(folder, path))
        if path.startswith("/") or re.match("[A-Za-z]:", path) or beside.startswith("../"):
            raise LayoutError(
                f"{table}: row {row}: the path '{path}' is outside the folder of the images: write "
                "paths relative to the table"
            )
        plain = posixpath.normpath(path)
        found = self.whole.get(beside) or self.whole.get(plain)
        if not found:
            ends = self.ends.get(posixpath.basename(plain), [])
            found = [name for name in ends if _is_end(plain, name.removeprefix(self.root))]
        if len(found) > 1:
            raise LayoutError(
                f"{table}: row {row}: '{path}' may be {found[0]} or {found[1]}: write its folder "
                "and its suffix in the table"
            )
        return found[0] if found else None


def _is_end(path: str, name: str) -> bool:
    """Whether one of two paths is the end of the other, with or without the suffix of the image."""
    whole = f"/{name}", f"/{_without_suffix(name)}"
    return any(one.endswith(f"/{path}") or f"/{path}".endswith(one) for one in whole)


def _without_suffix(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def check_labels(table: Table, columns: Columns) -> None:
    """Checks that the labels can be classes.

    Raises:
        LayoutError: each row has another label.
    """
    labels = [label for label in table.column(columns.label) if label]
    if len(labels) > 2 and len(set(labels)) == len(labels):
        raise LayoutError(
            f"{table.name}: each of {len(labels):,} rows has another label in the column "
            f"'{columns.label}', for example '{labels[0]}': name the column of the classes, as "
            "columns: {label: ...}"
        )


def check_separator(tables: list[tuple[Table, Columns]], separator: str) -> None:
    """Checks that an image may have several labels.

    Raises:
        LayoutError: none has: the separator is in no row.
    """
    for table, columns in tables:
        if any(separator in text for text in table.column(columns.label)):
            return
    table, columns = tables[0]
    example = next(filter(None, table.column(columns.label)), "")
    raise LayoutError(
        f"{table.name}: no row of the column '{columns.label}' has the separator '{separator}', so "
        f"that no image has several labels, for example '{example}': set separator to what is "
        "between the labels, name another column, as columns: {label: ...}, or set task: "
        "single_label"
    )


def by_table(
    images: list[str],
    tables: list[tuple[Table, Columns]],
    root: str,
    place: str,
    separator: str | None = None,
) -> Labels:
    """An entry for each image, by the rows of the tables.

    The split is that of the table's column, else of the table's name (``train.csv``), else of the
    first folder below ``root`` (``train/1.jpg``).

    Args:
        root: the folder of images and tables, with a slash at its end, or empty.
        place: what messages call the folder or the archive.
        separator: between the labels of an image, which may have several, or none; None: each has
            one, and those without are passed over.

    Raises:
        LayoutError: a path is outside the root or could be two images, an image has two labels, a
            split is none, a class has a line break, or no row has an image.
    """
    finder = _Images(images, root)
    found: dict[str, Entry] = {}
    missing: list[str] = []
    repeated = 0
    by_folder = splits_of_folders(images, root)
    for table, columns in tables:
        of_table = split_of_name(table.name)
        rows = zip(
            table.column(columns.path),
            table.column(columns.label),
            table.column(columns.split) if columns.split else [""] * len(table.rows),
            table.column(columns.group) if columns.group else [""] * len(table.rows),
            strict=True,
        )
        for row, (path, label, word, group) in enumerate(rows, start=1):
            if not path:
                raise LayoutError(
                    f"{table.name}: row {row} has no path in the column '{columns.path}': add it, "
                    "or remove the row"
                )
            if len(label.splitlines()) > 1:
                raise LayoutError(
                    f"{table.name}: row {row}: the label {label!r} has a line break: change it"
                )
            split = split_of(word) if word else ""
            if split is None:
                raise LayoutError(
                    f"{table.name}: row {row}: '{word}' in the column '{columns.split}' is no "
                    "split: write train, validation or test, or name another column, as "
                    "columns: {split: ...}"
                )
            name = finder.find(table.name, row, path)
            if name is None:
                missing.append(path)
                continue
            if not columns.split:
                split = of_table or by_folder.get(name, "")
            identity = name.removeprefix(root)
            if separator:
                label = as_text(names_of(label, separator), separator)
            entry = Entry(name, identity, label, split, group)
            if not label and not separator:
                entry = Entry(name, passed_over=NO_LABEL)
            earlier = found.setdefault(name, entry)
            if earlier != entry:
                first, second = _difference(earlier, entry)
                raise LayoutError(
                    f"{table.name}: row {row}: '{identity}' has an earlier row, with {first}, not "
                    f"{second}: each image has one row"
                )
            repeated += earlier is not entry
    if not found:
        raise LayoutError(
            f"{place}: none of {len(missing):,} paths of {', '.join(t.name for t, _ in tables)} is "
            f"an image, for example '{missing[0]}', where there is '{images[0]}': name the column "
            "of the paths, as columns: {path: ...}"
        )
    surplus = [name for name in images if name not in found]
    entries = list(found.values())
    entries += [Entry(name, passed_over=NO_LABEL) for name in surplus]
    entries += [Entry(path, passed_over=MISSING) for path in dict.fromkeys(missing)]
    return Labels(entries, missing, surplus, repeated)


def _difference(first: Entry, second: Entry) -> tuple[str, str]:
    for field in ("class_name", "split", "group"):
        one, other = getattr(first, field), getattr(second, field)
        if one != other:
            return f"the {field.removesuffix('_name')} '{one}'", f"'{other}'"
    return "no label", f"'{second.class_name}'"


def split_of_name(table: str) -> str:
    """The split that the name of a table says (``train_labels.csv``); empty for none or several."""
    words = re.split("[^a-z]+", PurePosixPath(table).stem.lower())
    splits = {split for split in map(split_of, words) if split}
    return splits.pop() if len(splits) == 1 else ""
