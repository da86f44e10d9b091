"""The file that ``classify`` writes, with another beside it that says which model made it."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from classifier.apps.rows import Finished, ParquetWriter, TextWriter, Writer, finished
from classifier.serving.loading import LITERT, ONNX
from classifier.support.atomic import write_json
from classifier.support.checksum import sha256_of
from classifier.support.errors import InputError
from classifier.support.lock import locked_by

NOTHING = Finished(Counter(), 0)


class Output(NamedTuple):
    """Where the rows go.

    Attributes:
        finished: what is there already, of a run that was broken off.
    """

    writer: Writer
    finished: Finished


def check_new(file: Path | None, *, resume: bool) -> None:
    """Checks that nothing is lost.

    Raises:
        InputError: the file exists, and the user has not said to go on with it.
    """
    if file and file.exists() and not resume:
        raise InputError(f"{file} exists: --resume goes on with it, else name another file")


def digest(folder: Path) -> str:
    """The SHA-256 of what a model answers by: its weights, classes and preprocessing."""
    total = sha256()
    for file in sorted(folder.rglob("*")):
        by_name = file.name in (LITERT, ONNX, "saved_model.pb")
        if file.is_file() and (by_name or file.parent.name in ("assets", "variables")):
            total.update(f"{file.name} {sha256_of(file)}\n".encode())
    return total.hexdigest()


@contextmanager
def opened(
    file: Path | None,
    format: str,
    model: Mapping[str, Any],
    options: Mapping[str, Any],
    ranks: int,
    *,
    resume: bool,
) -> Iterator[Output]:
    """Opens the output, and writes what is left of it when the block ends, also by an error.

    Args:
        file: None for the standard output.
        format: one of :data:`classifier.apps.rows.FORMATS`.
        model: what each row of JSON Lines says about it.
        options: what an output must have been made with, to go on with it.
        ranks: number of classes of an image.

    Raises:
        InputError: the file exists, and ``resume`` is false, or was made otherwise.
    """
    if file is None:
        writer: Writer = TextWriter(sys.stdout, format, model, begun=False)
        yield Output(writer, NOTHING)
        return
    about = file.with_name(f"{file.name}.json")
    with locked_by(file.with_name(f".{file.name}.lock"), f"writes {file}"):
        check_new(file, resume=resume)
        before = NOTHING
        if file.exists():
            _check_same(file, about, options)
            before = finished(file, format, ranks)
        else:
            write_json(about, {"model": dict(model), **options})
        if format == "parquet":
            writer = ParquetWriter(file)
            try:
                yield Output(writer, before)
            finally:
                writer.close()
        else:
            with file.open("a", newline="", encoding="utf-8") as stream:
                writer = TextWriter(stream, format, model, begun=bool(stream.tell()))
                yield Output(writer, before)


def _check_same(file: Path, about: Path, options: Mapping[str, Any]) -> None:
    try:
        made = json.loads(about.read_text("utf-8"))
        before = {key: made[key] for key in options}
    except (OSError, ValueError, LookupError, TypeError):
        raise InputError(
            f"{about}, which says what made {file.name}, is missing or damaged: name another file"
        ) from None
    for key, value in options.items():
        if before[key] != value:
            what = "another model" if key == "sha256" else f"{key} {before[key]}, not {value}"
            raise InputError(
                f"{file} was made with {what}: go on as {about.name} says, or name another file"
            )
