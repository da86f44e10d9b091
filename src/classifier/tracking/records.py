"""What a run logs, as records: a store takes a record at once, or later from a file."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from classifier.storage.splits import Images

DIGESTED = 256  # images

# JSON. Always: "time" (milliseconds since 1970). And: "metrics" with their "step", "params",
# "tags", "dataset", "text" with the path of its artifact, "file" (a path) with its artifact's
# folder, "end" (a status of MLflow), or "begin" (see :mod:`classifier.tracking.outage`).
Record = dict[str, Any]
Watch = Callable[[int, Mapping[str, float]], None]
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


class Pruned(Exception):  # noqa: N818  it is no error, as Optuna's TrialPruned
    """What a watcher raises to end a training; the run is KILLED, and has a tag with the reason.

    ``run_id`` is that of the run.
    """

    run_id = ""


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """A block in which ``watch`` gets the number and the metrics of each epoch that is logged.

    What it raises ends the training: :class:`Pruned`, for example.
    """
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


class Run:
    """A run that is being logged. Each method makes a record and writes it.

    Ctrl-C takes effect after the record is written: a KeyboardInterrupt inside SQLAlchemy leaves
    the database locked, and the run unfinished.

    Args:
        write: takes each record.
    """

    def __init__(self, write: Callable[[Record], None]):
        self._write = write

    def _log(self, **record: Any) -> None:
        with _uninterrupted():
            self._write({"time": milliseconds(), **record})

    def log_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Logs the metrics of one epoch; ``epoch`` is their step."""
        self._log(metrics={key: float(value) for key, value in logs.items()}, step=epoch)
        if watch := _watch.get():
            watch(epoch, logs)

    def log_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Logs the numbers of a nested dictionary; dots join the keys."""
        numbers = {key: float(value) for key, value in flatten(metrics).items() if _number(value)}
        self._log(metrics=numbers, step=0)

    def log_data(self, images: Images, labels: np.ndarray, name: str, *, source: str) -> None:
        """Logs the training images, with a digest of the first images and of all labels.

        Args:
            images: uint8 (N, H, W, C).
            labels: integers (N,).
            name: of the dataset.
            source: the place where the dataset came from.
        """
        origin = CodeDatasetSource(tags={"location": source})
        # MLflow copies the images that it digests, and needs only the shape of the others.
        first = np.asarray(images[:DIGESTED])
        digest = from_numpy(first, source=origin, targets=labels).digest
        data = from_numpy(
            np.broadcast_to(first[:1], images.shape),
            source=origin,
            targets=labels,
            name=name,
            digest=digest,
        )
        self._log(dataset=data.to_dict())

    def log_text(self, text: str, file: str) -> None:
        """Logs a text as the artifact ``file``."""
        self._log(text=text, artifact=file)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Logs a file as an artifact, in ``folder`` of the artifacts."""
        self._log(file=str(path), folder=folder)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags."""
        self._log(tags={key: str(value) for key, value in tags.items()})

    def describe(self, text: str) -> None:
        """Sets the description, which is Markdown."""
        self.set_tags({"mlflow.note.content": text})

    def end(self, status: str) -> None:
        """Ends the run as FINISHED, FAILED or KILLED."""
        self._log(end=status)


def milliseconds() -> int:
    """The time since 1970."""
    return int(1000 * time.time())


def write_record(client: MlflowClient, run_id: str, record: Record) -> None:
    """Writes a record to the store's run. A parameter that the run has already stays as it is."""
    if params := record.get("params"):
        known = client.get_run(run_id).data.params  # MLflow refuses to change a parameter
        new = [Param(key, text) for key, text in params.items() if key not in known]
        client.log_batch(run_id, params=new)
    if tags := record.get("tags"):
        client.log_batch(run_id, tags=[RunTag(key, text) for key, text in tags.items()])
    if metrics := record.get("metrics"):
        when, step = record["time"], record["step"]
        values = [Metric(key, value, when, step) for key, value in metrics.items()]
        client.log_batch(run_id, metrics=values)
    if dataset := record.get("dataset"):
        tag = InputTag("mlflow.data.context", "training")
        client.log_inputs(run_id, [DatasetInput(Dataset(**dataset), [tag])])
    if "text" in record:
        client.log_text(run_id, record["text"], record["artifact"])
    if "file" in record:
        client.log_artifact(run_id, record["file"], record["folder"])
    if "end" in record:
        client.set_terminated(run_id, record["end"], end_time=record["time"])


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delays SIGINT and SIGTERM to the end of the block."""
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested dictionary as one level; dots join the keys."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
