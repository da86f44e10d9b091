"""One run for one trained model, found again by its weights' fingerprint.

Train, evaluate and export are separate processes, any of which DVC may skip; no run id is kept
in a file of theirs.
"""

import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.tracking import MlflowClient

from classifier.data.splits import Images
from classifier.errors import InputError
from classifier.tracking.outage import (
    STORE_ERRORS,
    Recording,
    continue_in_store,
    keep,
    or_keep,
    reaching_the_store,
    reason,
    recording,
    remember,
    remembered_run,
)
from classifier.tracking.store import FINGERPRINT, open_store, store_name
from classifier.tracking.sweeps import sweep_run

CHANGES = 3  # that a run's name says
DIGESTED = 256  # images

log = logging.getLogger(__name__)


@contextmanager
def resumed_run(
    root: Path,
    experiment: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    remembered: Path,
    outage: str,
    sweep: str | None = None,
) -> Iterator[None]:
    """Continues the run whose id the file ``remembered`` holds; starts one, and writes the file.

    It ends as FINISHED, FAILED for an exception, or KILLED for Ctrl-C. Use of processors, memory,
    disk and network is logged meanwhile. If the store fails while the run is going on, the rest
    of it is kept for :func:`classifier.tracking.upload`.

    Args:
        root, experiment: see :func:`open_store`.
        name: followed by what differs from the latest run, unless it is one of a sweep.
        tags: of the run.
        remembered: a file; see above.
        params: logged, keys joined by dots; those that a run has already stay, as MLflow's never
            change.
        outage: what to do if the store fails at the beginning: ``stop``, or ``postpone``, which
            keeps the whole run to upload it later.
        sweep: the name of the parent run, made by the first of its children.

    Raises:
        InputError: the store fails at the beginning, and ``outage`` is ``stop``.
    """
    run = Recording(root, experiment, name, flatten(params), tags, remembered, sweep)
    with recording(run), _ending():
        try:
            _begin(run)
        except STORE_ERRORS as error:
            if outage != "postpone":
                with suppress(*STORE_ERRORS):
                    mlflow.end_run("FAILED")
                raise InputError(
                    f"{store_name()} cannot be used ({reason(error)}); outage=postpone trains "
                    "without it and keeps the run for 'python -m stages.upload'"
                ) from error
            log.warning(
                "%s cannot be used (%s): the run is kept for 'python -m stages.upload'",
                store_name(),
                reason(error),
            )
            keep(mlflow.active_run())
        yield


def _begin(run: Recording) -> None:
    experiment_id = open_store(run.root, run.experiment)
    earlier = run_id = remembered_run(run)
    if run_id and not MlflowClient().search_runs([experiment_id], f"run_id = '{run_id}'"):
        run_id = None  # the store was deleted meanwhile, or the run was kept elsewhere
    start: dict[str, Any] = {}
    if run_id is None and run.sweep:
        parent = sweep_run(run.root, experiment_id, run.sweep)
        start = {"run_name": run.name, "parent_run_id": parent}
    elif run_id is None:
        changes = _changes(run.params, _latest_params(experiment_id))
        start = {"run_name": " ".join([run.name, *changes])}
    mlflow.start_run(
        run_id=run_id,
        experiment_id=experiment_id,
        tags=dict(run.tags),
        log_system_metrics=True,
        **start,
    )
    remember(run)
    begun = mlflow.active_run().info.run_id
    if earlier and run_id is None:
        continue_in_store(run.root, earlier, begun)
    known = mlflow.get_run(begun).data.params
    mlflow.log_params({key: value for key, value in run.params.items() if key not in known})


def _latest_params(experiment_id: str) -> dict[str, str]:
    """Parameters of the latest finished run that is of no sweep; none if there is none."""
    for run in MlflowClient().search_runs([experiment_id], "attributes.status = 'FINISHED'"):
        if "mlflow.parentRunId" not in run.data.tags and run.data.params:
            return run.data.params
    return {}


def _changes(params: Mapping[str, Any], earlier: Mapping[str, str]) -> list[str]:
    """What differs, as words ``epochs=12``; the first CHANGES, then how many more."""
    new = {key: text for key, text in params.items() if str(text) != earlier.get(key, str(text))}
    # Another choice of a group changes its other keys as well, and says enough.
    targets = [key for key in new if key.endswith("._target_")]
    groups = {key.removesuffix("._target_"): new[key].rpartition(".")[2] for key in targets}
    within = tuple(f"{group}." for group in groups)
    said = groups | {
        key.replace(".groups.", "."): text
        for key, text in new.items()
        if not key.startswith(within)
    }
    words = [f"{key.partition('.')[2]}={text}" for key, text in said.items()]
    more = len(words) - CHANGES
    return [*words[:CHANGES], *([f"+{more}"] if more > 0 else [])]


@contextmanager
def _ending() -> Iterator[None]:
    """Ends the active run with the block."""
    try:
        yield
    except BaseException as error:
        with suppress(*STORE_ERRORS):
            _end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    _end("FINISHED")


@or_keep
def _end(status: str) -> None:
    mlflow.end_run(status)


@contextmanager
def run_of_model(
    root: Path, experiment: str, fingerprint: str, name: str, tags: Mapping[str, str]
) -> Iterator[None]:
    """Continues the latest run of the model with this fingerprint.

    Starts one, with name and tags, if the store has never seen the model: it was pulled from a
    DVC remote, say, and trained elsewhere. Root and experiment: see :func:`open_store`.

    Raises:
        InputError: the store fails, at the beginning or later.
    """
    with reaching_the_store():
        experiment_id = open_store(root, experiment)
        runs = MlflowClient().search_runs(
            [experiment_id],
            f"tags.{FINGERPRINT} = '{fingerprint}'",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        if runs:
            mlflow.start_run(run_id=runs[0].info.run_id)
        else:
            found = {**tags, FINGERPRINT: fingerprint}
            mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=found)
        with _ending():
            yield


def log_epoch(epoch: int, logs: Mapping[str, float]) -> None:
    """Logs one epoch's metrics at their step; a Ctrl-C meanwhile takes effect afterwards."""
    with _uninterrupted():
        _log_step(epoch, {key: float(value) for key, value in logs.items()})


@or_keep
def _log_step(step: int, metrics: dict[str, float]) -> None:
    mlflow.log_metrics(metrics, step=step)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    # A KeyboardInterrupt inside SQLAlchemy leaves the database locked, and the run unfinished.
    came: list[int] = []
    previous = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@or_keep
def log_metrics(metrics: Mapping[str, Any]) -> None:
    """Logs the numbers of a nested dictionary, keys joined by dots."""
    mlflow.log_metrics(
        {key: float(value) for key, value in flatten(metrics).items() if _number(value)}
    )


@or_keep
def log_data(images: Images, labels: np.ndarray, name: str, *, source: str) -> None:
    """Logs what is trained on, with a digest of its first images and of all labels.

    Args:
        images, labels: uint8 (N, H, W, C) and integers (N,).
        name, source: the data's name and where it came from.
    """
    origin = CodeDatasetSource(tags={"location": source})
    # MLflow copies the images that it digests, and of the others wants to know the shape alone.
    first = np.asarray(images[:DIGESTED])
    digest = mlflow.data.from_numpy(first, source=origin, targets=labels).digest
    data = mlflow.data.from_numpy(
        np.broadcast_to(first[:1], images.shape),
        source=origin,
        targets=labels,
        name=name,
        digest=digest,
    )
    mlflow.log_input(data, context="training")


@or_keep
def log_text(text: str, file: str) -> None:
    """Logs a text as an artifact of the run."""
    mlflow.log_text(text, file)


def logged_text(file: str) -> str | None:
    """A text among the run's artifacts; None if there is no such file."""
    run = mlflow.active_run().info.run_id
    folder = file.rpartition("/")[0] or None
    if file not in {artifact.path for artifact in MlflowClient().list_artifacts(run, folder)}:
        return None
    return mlflow.artifacts.load_text(f"runs:/{run}/{file}")


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested dictionary as one level, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@or_keep
def log_file(path: Path, folder: str | None = None) -> None:
    """Logs a file as an artifact of the run, in a folder of its artifacts."""
    mlflow.log_artifact(str(path), folder)


@or_keep
def set_tags(tags: Mapping[str, Any]) -> None:
    """Sets the run's tags."""
    mlflow.set_tags(dict(tags))


def describe(text: str) -> None:
    """Sets the run's description, which is Markdown."""
    mlflow.set_tag("mlflow.note.content", text)
