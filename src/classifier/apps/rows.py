"""The rows of ``classify``: a table to read, CSV, JSON Lines or Parquet, which can be gone on with.

Each row is written as it comes. What a killed process leaves has whole rows and perhaps a part of
one, which is cut off before others follow.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, TextIO

from classifier.apps.predictions import Answer, Labelled, Prediction, Unreadable
from classifier.serving.loading import NONE_OF_THESE
from classifier.support.atomic import atomic_path
from classifier.support.errors import InputError

COLUMNS = ("file", "rank", "class", "probability", "score", "accepted", "error")
PART = 1000  # images of a Parquet file
NO_LABEL = "no label"  # of an image of which no class is above its threshold


class Finished(NamedTuple):
    """What an output has already: the number of its images by file, and of unreadable ones."""

    files: Counter[str]
    unreadable: int


class Writer(Protocol):
    def write(self, answer: Answer) -> None: ...


def printable(file: str) -> str:
    """A file's name as text: bytes that are not UTF-8 become ``\\xff``."""
    content = file.encode("utf-8", "surrogateescape")
    return content.decode("utf-8", "backslashreplace")


def table_line(answer: Answer, model: Mapping[str, Any]) -> str:
    """Nothing for an image that cannot be read."""
    if isinstance(answer, Unreadable):
        return ""
    classes = classes_of(answer)
    top = "   ".join(f"{name} {100 * probability:.1f} %" for name, probability in classes)
    unknown = "" if answer.accepted else f"{NONE_OF_THESE}   "
    return f"{printable(answer.file)}   {unknown}{top or NO_LABEL}\n"


def classes_of(answer: Prediction | Labelled) -> list[tuple[str, float]]:
    """The classes of an answer with their probabilities, in decreasing order."""
    return answer.labels if isinstance(answer, Labelled) else answer.top


def csv_lines(answer: Answer, model: Mapping[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    for row in rows(answer):
        numbers: dict[str, str] = {}
        if not isinstance(answer, Unreadable):
            numbers = {
                "probability": "" if row["class"] is None else f"{row['probability']:.6f}",
                "score": "" if row["score"] is None else f"{row['score']:.4f}",
                "accepted": str(row["accepted"]).lower(),
            }
        writer.writerow(row | numbers)
    return text.getvalue()


def json_line(answer: Answer, model: Mapping[str, Any]) -> str:
    row: dict[str, Any] = {"file": printable(answer.file)}
    if isinstance(answer, Unreadable):
        row["error"] = answer.reason
    else:
        shares = [{"class": name, "probability": share} for name, share in classes_of(answer)]
        row["labels" if isinstance(answer, Labelled) else "top"] = shares
        row["score"] = None if isnan(answer.score) else answer.score
        row["accepted"] = answer.accepted
    return json.dumps(row | {"model": model}, ensure_ascii=False) + "\n"


def rows(answer: Answer) -> list[dict[str, Any]]:
    """A row a class, or one row with the reason why the image cannot be read; of COLUMNS.

    An image of which no class is above its threshold has one row, without a class.
    """
    file = printable(answer.file)
    if isinstance(answer, Unreadable):
        return [dict.fromkeys(COLUMNS) | {"file": file, "error": answer.reason}]
    score = None if isnan(answer.score) else answer.score
    rest = {"score": score, "accepted": answer.accepted, "error": None}
    return [
        {"file": file, "rank": rank, "class": name, "probability": probability, **rest}
        for rank, (name, probability) in enumerate(classes_of(answer) or [(None, None)], 1)
    ]


LINES = {"table": table_line, "csv": csv_lines, "jsonl": json_line}
FORMATS = (*LINES, "parquet")


class TextWriter:
    """Writes the lines of each image at once, so that a reader has them."""

    def __init__(self, stream: TextIO, format: str, model: Mapping[str, Any], *, begun: bool):
        """
        Args:
            begun: whether the stream has rows already.
        """
        self._stream, self._lines, self._model = stream, LINES[format], model
        if format == "csv" and not begun:
            stream.write(",".join(COLUMNS) + "\n")

    def write(self, answer: Answer) -> None:
        self._stream.write(self._lines(answer, self._model))
        self._stream.flush()


class ParquetWriter:
    """Writes a folder of Parquet files, PART images each, which are whole from the first moment."""

    def __init__(self, folder: Path):
        import pyarrow as pa

        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._schema = pa.schema(
            {
                "file": pa.string(),
                "rank": pa.int32(),
                "class": pa.string(),
                "probability": pa.float32(),
                "score": pa.float32(),
                "accepted": pa.bool_(),
                "error": pa.string(),
            }
        )
        parts = _parts(folder)
        self._number = int(parts[-1].stem.rpartition("-")[2]) + 1 if parts else 0
        self._rows: list[dict[str, Any]] = []
        self._images = 0

    def write(self, answer: Answer) -> None:
        self._rows += rows(answer)
        self._images += 1
        if self._images == PART:
            self.close()

    def close(self) -> None:
        """Writes what has come since the last file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._rows:
            with atomic_path(self._folder / f"part-{self._number:05d}.parquet") as temporary:
                pq.write_table(pa.Table.from_pylist(self._rows, self._schema), temporary)
            self._number += 1
            self._rows, self._images = [], 0


def finished(output: Path, format: str, ranks: int) -> Finished:
    """What an output has of a run that was broken off. A half-written end is cut off.

    Args:
        format: csv, jsonl or parquet.
        ranks: number of rows of an image that could be read, in CSV.

    Raises:
        InputError: ``classify`` has not written it, or it is damaged.
    """
    files: Counter[str] = Counter()
    unreadable = whole = 0
    try:
        if format == "parquet":
            for name, refused in _images_of_parts(output):
                files[name] += 1
                unreadable += refused
        else:
            with output.open("rb+") as file:
                images = _images_of_csv(file, ranks) if format == "csv" else _images_of_json(file)
                for name, refused, end in images:
                    files[name] += 1
                    unreadable += refused
                    whole = end
                file.truncate(whole)
    except (OSError, ValueError, LookupError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{output} cannot be gone on with ({reason}): name another file") from None
    return Finished(files, unreadable)


def _images_of_csv(file: BinaryIO, ranks: int) -> Iterator[tuple[str, bool, int]]:
    """The name of each whole image, whether it could not be read, and where its rows end."""
    end = 0

    def whole_lines() -> Iterator[str]:
        nonlocal end
        for line in file:
            if line.endswith(b"\n"):
                end += len(line)
                yield line.decode()

    reader = csv.DictReader(whole_lines(), strict=True)  # reads no line ahead
    if reader.fieldnames is None:
        return
    if tuple(reader.fieldnames) != COLUMNS:
        raise ValueError(f"its columns are not {','.join(COLUMNS)}")
    for row in _until_the_end(reader):
        if row["error"] is None or None in row:
            raise ValueError(f"line {reader.line_num} is no row of {len(COLUMNS)} columns")
        if row["error"] or row["rank"] == str(ranks):
            yield row["file"], bool(row["error"]), end


def _until_the_end(reader: Iterator[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The rows, but for a last one that ends within quotation marks, as a name may have lines."""
    try:
        yield from reader
    except csv.Error as error:
        if str(error) != "unexpected end of data":
            raise


def _images_of_json(file: BinaryIO) -> Iterator[tuple[str, bool, int]]:
    """As of :func:`_images_of_csv`."""
    end = 0
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            return
        end += len(line)
        row = json.loads(line)
        if not isinstance(row, dict) or "file" not in row:
            raise ValueError(f"line {number} has no file")
        yield row["file"], "error" in row, end


def _images_of_parts(folder: Path) -> Iterator[tuple[str, bool]]:
    import pyarrow.parquet as pq

    for part in _parts(folder):
        table = pq.read_table(part, columns=["file", "rank", "error"])
        for row in table.to_pylist():
            if row["error"] or row["rank"] == 1:
                yield row["file"], bool(row["error"])


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"part-{'[0-9]' * 5}.parquet"))
