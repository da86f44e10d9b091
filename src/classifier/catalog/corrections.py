"""Corrections of labels: a small CSV file that a person keeps beside the data.

Its columns are id and class: the class that the image gets, or ``drop``. The class that it has
already says that somebody looked, and that the label is right. Other columns are passed over.
"""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from classifier.catalog.manifest import DROPPED
from classifier.formats.tables import read_table
from classifier.support.atomic import atomic_path
from classifier.support.errors import InputError, nearest

DROP = "drop"
KEPT, RELABELLED = "kept", "relabelled"  # what was done, beside DROPPED

log = logging.getLogger(__name__)


def read_corrections(path: Path) -> dict[str, str]:
    """The class, or ``drop``, of each id of the file.

    Raises:
        InputError: there is no such file, it is no table with id and class, an id is in it twice,
            or a class is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"corrections: {path} cannot be read: {error.strerror}") from None
    table = read_table(str(path), content)
    for name in ("id", "class"):
        if name not in table.columns:
            raise InputError(
                f"corrections: {path} has the columns {', '.join(table.columns)}: must have id and "
                "class, the new class or 'drop'"
            )
    chosen: dict[str, str] = {}
    for number, (name, label) in enumerate(
        zip(table.column("id"), table.column("class"), strict=True), start=1
    ):
        if not name or not label:
            raise InputError(
                f"corrections: {path}: row {number} has no {'class' if name else 'id'}: write "
                "it, or delete the row"
            )
        if name in chosen:
            raise InputError(f"corrections: {path}: '{name}' is in it twice: delete one row")
        chosen[name] = label
    return chosen


def write_corrections(path: Path, corrections: Mapping[str, str]) -> None:
    """Writes the file, atomically, in the order of the corrections."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["id", "class"])
        rows.writerows(corrections.items())


def correct(
    table: pd.DataFrame,
    corrections: Mapping[str, str],
    path: Path,
    classes: list[str],
    chosen: list[str],
) -> pd.DataFrame:
    """Gives the images their corrected classes, and logs how many there are.

    A correction holds for the identical images of the same class too: it is about what is seen.

    Args:
        table: of :func:`classifier.catalog.manifest.list_images`, with all ``classes``.
        path: of the file, for messages.
        chosen: the classes that are wanted, in the order of the labels. What is corrected to
            another class is dropped.

    Returns:
        The images of the chosen classes, with the corrected ``class`` and ``label``, and three
        columns more: ``given``, the dataset's own class; ``correction``: relabelled, dropped, kept,
        or empty; ``stratum``, the label to divide them by, which is that of ``given``.

    Raises:
        InputError: there is no such image or class, or identical images get several classes.
    """
    _check(table, corrections, path, classes)
    same = table["sha256"] + " " + table["class"]
    wanted = table["id"].map(corrections)
    for _, of_same in wanted.dropna().groupby(same):
        if of_same.nunique() > 1:
            names = " and ".join(table["id"][of_same.index[:2]])
            raise InputError(
                f"corrections: {path}: {names} are identical, but get the classes "
                f"{' and '.join(sorted(of_same.unique()))}: give them one"
            )
    wanted = same.map(wanted.groupby(same).first())
    given = table["class"]
    left = (given.isin(chosen) & ~wanted.isin(chosen) & wanted.notna()) | (wanted == DROP)
    kept = wanted == given
    relabelled = wanted.notna() & ~left & ~kept
    correction = pd.Series("", index=table.index, dtype=object)
    for what, rows in ((DROPPED, left), (KEPT, kept), (RELABELLED, relabelled)):
        correction[rows] = what
    numbers = {name: number for number, name in enumerate(chosen)}
    label = wanted.where(relabelled, given)
    table = table.assign(label=label.map(numbers), given=given, correction=correction)
    table["class"] = label
    table = table[label.isin(chosen)].reset_index(drop=True)
    _log(table["correction"], len(table["id"][table["id"].isin(list(corrections))]), path)
    stratum = table["given"].map(numbers).fillna(table["label"])
    return table.assign(label=table["label"].astype(int), stratum=stratum.astype(int))


def _check(
    table: pd.DataFrame, corrections: Mapping[str, str], path: Path, classes: list[str]
) -> None:
    ids = set(table["id"])
    unknown = [name for name in corrections if name not in ids]
    if unknown:
        more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        raise InputError(
            f"corrections: {path}: the dataset has no image '{unknown[0]}'{more}: write the id as "
            "in the table of the split, or delete the row"
        )
    for name, label in corrections.items():
        if label == DROP and DROP in classes:
            raise InputError(
                f"corrections: {path}: '{name}' is to be '{DROP}', which is a class of this "
                "dataset too: rename the class"
            )
        if label not in (DROP, *classes):
            raise InputError(
                f"corrections: {path}: '{name}' has the class '{label}', which the dataset does "
                f"not have: {nearest(label, [*classes, DROP])}"
            )


def _log(correction: pd.Series, named: int, path: Path) -> None:
    counts = correction[correction != ""].value_counts()
    parts = (f"{counts.get(what, 0):,} {what}" for what in (RELABELLED, DROPPED, KEPT))
    copies = int(counts.sum()) - named
    by_copy = f"; {copies:,} of them as identical images" if copies else ""
    log.info("corrections of %s: %s%s", path, ", ".join(parts), by_copy)
