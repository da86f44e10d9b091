"""Exported models as a server loads them: from a copy, so that the folder may change or go."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from classifier.serving.loading import LITERT, ONNX, SavedClassifier, load_classifier
from classifier.support.errors import InputError

# The server needs none of them: the SavedModel, the Keras model, and LiteRT's int8 model.
NOT_COPIED = ("saved_model.pb", "variables", "*.keras", "model_int8.tflite", "*example*")
RUNTIMES = {LITERT: "litert", ONNX: "onnx"}  # the file of a model, its name in runtimes.csv

State = tuple[tuple[str, int, int], ...]  # of each file: its path, time in ns and bytes


class Loaded(NamedTuple):
    """A version of a model, ready to answer.

    Attributes:
        version: the number in MLflow, or the first twelve digits of the files' SHA-256.
        runtime: litert | onnx.
        metrics: by name, of the test split.
        card: what else is known of the model: its preprocessing, its base, its description.
        since: when it was loaded, ISO 8601.
    """

    name: str
    version: str
    runtime: str
    classifier: SavedClassifier
    metrics: dict[str, float]
    card: dict[str, Any]
    since: str


def find_exported(folder: Path) -> Iterator[Path]:
    """The exported models in ``folder``: itself, or its sub-folders, sorted."""
    for place in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        if not place.name.startswith(".") and is_exported(place):
            yield place
            if place == folder:
                return


def is_exported(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*RUNTIMES, "saved_model.pb"))


def state_of(folder: Path) -> State:
    """Changes when a file of the model is written. Empty if there is no such folder."""
    files = []
    try:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not any(file.match(name) for name in NOT_COPIED):
                status = file.stat()
                place = file.relative_to(folder).as_posix()
                files.append((place, status.st_mtime_ns, status.st_size))
    except FileNotFoundError:  # it is removed at this moment
        return ()
    return tuple(files)


def load(
    name: str,
    folder: Path,
    version: str | None = None,
    metrics: Mapping[str, float] | None = None,
    card: Mapping[str, Any] | None = None,
) -> Loaded:
    """Loads an exported model, and answers once, so that the first request is fast.

    Args:
        name: of the model.
        folder: of the export stage, or of a registered model.
        version, metrics, card: as MLflow has them; None for those of the folder.

    Raises:
        InputError: the folder has no LiteRT or ONNX file, or changes at this moment, or the model
            is damaged.
    """
    before = state_of(folder)
    with TemporaryDirectory(prefix="classifier-") as temporary:
        copy = Path(temporary) / name
        try:
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        except (shutil.Error, FileNotFoundError, NotADirectoryError):
            raise InputError(f"{folder} changes, or is no folder") from None
        if state_of(folder) != before:
            raise InputError(f"{folder} changes at this moment")
        files = [file for file_name in RUNTIMES for file in sorted(copy.rglob(file_name))]
        if not files:
            raise InputError(
                f"{folder} has no {' or '.join(RUNTIMES)}: add litert to export.runtimes, and "
                "export the model again"
            )
        runtime = RUNTIMES[files[0].name]
        try:
            classifier = load_classifier(copy)
            answers = classifier.answer(np.zeros((1, *classifier.shape), np.uint8))
        except InputError as error:
            raise InputError(str(error).replace(str(copy), str(folder))) from None
        except Exception as error:  # LiteRT's and ONNX Runtime's have no common base class
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{folder} cannot be loaded: {reason}") from None
        outputs = answers.probabilities.shape[1]
        if outputs != len(classifier.classes):
            raise InputError(
                f"{folder} has {len(classifier.classes)} class names, but the model has {outputs} "
                "outputs: export it again"
            )
        return Loaded(
            name,
            version or digest(copy),
            runtime,
            classifier,
            dict(metrics) if metrics is not None else _metrics(copy, runtime),
            _card(copy, classifier) | dict(card or {}),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )


def digest(folder: Path) -> str:
    """The first twelve hexadecimal digits of the SHA-256 of the folder's files and their names,
    without those that the server does not copy."""
    total = sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        place = file.relative_to(folder)
        if not any(fnmatch(part, name) for part in place.parts for name in NOT_COPIED):
            total.update(f"\0{place.as_posix()}\0".encode() + file.read_bytes())
    return total.hexdigest()[:12]


def _metrics(folder: Path, runtime: str) -> dict[str, float]:
    file = folder / "runtimes.csv"
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["runtime"] == runtime:
                return {"accuracy": float(row["accuracy"])}
    return {}


def _card(folder: Path, classifier: SavedClassifier) -> dict[str, Any]:
    card: dict[str, Any] = {
        "preprocessing": classifier.preprocessing.arguments,
        "drawn": classifier.drawn,
    }
    if base := next(folder.rglob("base.json"), None):
        card["base"] = json.loads(base.read_text("utf-8"))
    return card
