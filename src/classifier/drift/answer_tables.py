"""Answers from a table: the server's log, or what ``classify`` wrote."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import BaseModel, Field, ValidationError, model_validator

from classifier.support.errors import InputError

SUFFIXES = (".jsonl", ".csv")
DAMAGED = "that cannot be read"


class LoggedAnswer(BaseModel):
    """A line of the server's log, or a row of ``classify``, as far as it is compared."""

    name: str = Field(alias="class")
    probability: float = Field(ge=0, le=1)
    score: float | None = Field(None, allow_inf_nan=False)
    accepted: bool | None = None
    file: str = ""
    model: str | None = None
    version: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_classify(cls, entry: Any) -> Any:
        """JSON of ``classify`` has the classes in a list, and says more of its model."""
        if isinstance(entry, dict) and entry.get("top"):
            entry = {**entry["top"][0], **entry, "model": None}
        return entry


class AnswerTable(NamedTuple):
    """Answers from tables.

    Attributes:
        rows: class, probability, score, accepted, file, version; a row per picture, in the order
            of the lines.
        passed_over: the numbers of lines that are left out, by the reason.
    """

    rows: pd.DataFrame
    passed_over: Counter[str]


def is_answer_table(word: str) -> bool:
    """Whether a word of the command line names a table, perhaps a rotated one: ``a.jsonl.1``."""
    return any(suffix in SUFFIXES for suffix in Path(word).suffixes[-2:])


def read_answers(files: Sequence[str], model: str, classes: Sequence[str]) -> AnswerTable:
    """Reads logs of the server (JSON Lines), and CSV or JSON Lines of ``classify``.

    Args:
        model: the name of the model whose answers are taken; a file without names has no others.
        classes: of the model.

    Raises:
        InputError: a file cannot be read.
    """
    rows: list[tuple[Any, ...]] = []
    passed_over: Counter[str] = Counter()
    known = set(classes)
    for file in files:
        for line in _lines(file):
            if line is None:
                passed_over[DAMAGED] += 1
                continue
            if line.model is not None and line.model != model:
                passed_over[f"of the model {line.model}"] += 1
            elif line.name not in known:
                passed_over["with a class that the model does not have"] += 1
            else:
                rows.append(
                    (
                        line.name,
                        line.probability,
                        line.score,
                        line.accepted if line.score is not None else None,
                        line.file,
                        line.version,
                    )
                )
    columns = ["class", "probability", "score", "accepted", "file", "version"]
    table = pd.DataFrame(rows, columns=columns)
    table["score"] = table["score"].astype(float)
    return AnswerTable(table, passed_over)


def _lines(file: str) -> Iterator[LoggedAnswer | None]:
    """The answers in the file; None for a line that is damaged."""
    try:
        with Path(file).open(encoding="utf-8", errors="replace", newline="") as lines:
            if ".csv" in Path(file).suffixes:
                for row in csv.DictReader(lines):
                    if row.get("rank") in (None, "1"):
                        yield _answer({key: text for key, text in row.items() if text != ""})
            else:
                for line in lines:
                    if line.strip():
                        yield _answer(_json(line))
    except csv.Error as error:
        raise InputError(f"{file} is no table: {error}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _answer(entry: Any) -> LoggedAnswer | None:
    try:
        return LoggedAnswer.model_validate(entry)
    except (ValidationError, TypeError, LookupError):
        return None
