"""Reads a table of text: CSV, TSV, Parquet or JSON Lines."""

import csv
import io
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from classifier.support.errors import InputError


class TableError(InputError):
    """The table cannot be read. The message is one line."""


class Table(NamedTuple):
    """Rows of text."""

    name: str  # its file
    columns: list[str]
    rows: list[list[str]]  # each as long as ``columns``; a missing value is empty

    def column(self, name: str) -> list[str]:
        """The values of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def read_table(name: str, content: bytes) -> Table:
    """Reads a table, by the suffix of its name.

    Raises:
        TableError: it cannot be read, has no rows, or a row has not as many values as the first.
    """
    suffix = PurePosixPath(name).suffix.lower()
    table = (_read_text if suffix in (".csv", ".tsv") else _read_frame)(name, content)
    if not table.rows:
        raise TableError(f"{name}: the table has no rows below its first line, the columns' names")
    return table


def _read_text(name: str, content: bytes) -> Table:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError(f"{name}: is not UTF-8: save it as CSV in UTF-8") from None
    first = text.lstrip().partition("\n")[0]
    separator = "\t" if name.lower().endswith(".tsv") else max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        rows = [[value.strip() for value in row] for row in reader if row]
    except csv.Error as error:
        raise TableError(f"{name}: line {reader.line_num}: {error}") from None
    if not rows:
        raise TableError(f"{name}: the table is empty")
    columns = rows.pop(0)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise TableError(
                f"{name}: row {number} has {len(row)} values, but there are {len(columns)} columns"
            )
    return Table(name, columns, rows)


def _read_frame(name: str, content: bytes) -> Table:
    import pandas as pd

    try:
        if name.lower().endswith(".parquet"):
            frame = pd.read_parquet(io.BytesIO(content))
        else:
            frame = pd.read_json(io.BytesIO(content), lines=True, dtype=False, convert_dates=False)
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise TableError(f"{name}: cannot be read as a table ({reason})") from None
    rows = [[_text(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return Table(name, [str(column) for column in frame.columns], rows)


def _text(value: Any) -> str:
    if value is None or value != value:  # NaN is not itself
        return ""
    # A column of whole numbers with a missing one comes as floats.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
