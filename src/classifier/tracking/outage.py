"""When the store fails a training: what it would log is kept in a store of its own, to upload.

That second store, ``.dvc/tmp/postponed``, is an embedded MLflow store like the first: whatever can
be logged can be kept, and what was kept is uploaded by MLflow's client.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import mlflow
import psutil
import requests
from mlflow.entities import DatasetInput, Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE, ErrorCode
from mlflow.tracking import MlflowClient

from classifier.addresses import without_credentials
from classifier.errors import InputError
from classifier.tracking.store import FINGERPRINT, make_experiment, open_store, store_name
from classifier.tracking.sweeps import sweep_run

STORE_ERRORS = (MlflowException, requests.RequestException, OSError)
OUTAGES = {ErrorCode.Name(code) for code in (INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE)}
# Tags of a run that was kept: the first store's run that it goes on from, its sweep, its process;
# and of the run that it becomes, until it is whole.
CONTINUES, SWEEP, PROCESS = "kept.continues", "kept.sweep", "kept.process"
UPLOADED_FROM = "kept.uploaded_from"
BATCH = 1000  # the most metrics that MLflow takes at once

log = logging.getLogger(__name__)
Arguments = ParamSpec("Arguments")


class Recording(NamedTuple):
    """A training's run: what it takes to begin it, in either store."""

    root: Path
    experiment: str
    name: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    remembered: Path  # holds the run's id, for a training that goes on after a break
    sweep: str | None


_recording: Recording | None = None
_lost = False
_silent = False


@contextmanager
def reaching_the_store() -> Iterator[None]:
    """A block that needs the store.

    Raises:
        InputError: it cannot be reached.
    """
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        if not is_outage(error):
            raise
        raise InputError(f"{store_name()} cannot be used ({reason(error)})") from error


@contextmanager
def recording(run: Recording) -> Iterator[None]:
    """Within the block, log calls that the store fails are kept (:func:`or_keep`)."""
    global _recording, _lost
    _recording, _lost, address = run, False, os.environ.get("MLFLOW_TRACKING_URI")
    try:
        yield
    finally:
        _recording = None
        # MLflow writes the address that it was given to the environment.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if address is not None:
            os.environ["MLFLOW_TRACKING_URI"] = address


@contextmanager
def unlogged() -> Iterator[None]:
    """Within the block, log calls do nothing: another process logs the same run."""
    global _silent
    _silent = True
    try:
        yield
    finally:
        _silent = False


def or_keep(log_call: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Makes a log call that the store fails once more, into the second store.

    If that one fails too, its disk is full say, the run's record ends there, with a warning: a
    training's own files do not depend on it.
    """

    @wraps(log_call)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        global _lost
        if _silent or (_lost and _recording is not None):
            return
        active = mlflow.active_run()
        try:
            log_call(*args, **kwargs)
        except STORE_ERRORS as error:
            if _recording is None or not is_outage(error):
                raise
            try:
                if mlflow.get_tracking_uri() == _address(_recording.root):
                    raise
                log.warning(
                    "MLflow cannot be used any more (%s): what follows is kept in %s; "
                    "'python -m stages.upload' uploads it",
                    reason(error),
                    _folder(_recording.root),
                )
                keep(active)
                log_call(*args, **kwargs)
            except STORE_ERRORS as second:
                _lost = True
                log.warning("MLflow's record of this run ends here (%s)", reason(second))

    return call


def is_outage(error: Exception) -> bool:
    """Whether the store failed, and not what it was asked for."""
    return not isinstance(error, MlflowException) or error.error_code in OUTAGES


def keep(active: Run | None) -> None:
    """Begins the recording's run in the second store, or goes on with the one that is there.

    Args:
        active: the run of the first store that it continues.
    """
    assert _recording is not None
    folder = _folder(_recording.root)
    folder.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(_address(_recording.root))
    with suppress(MlflowException):  # a run that this store has never seen
        mlflow.end_run()
    experiment_id = make_experiment(folder, _recording.experiment, folder / "artifacts")
    earlier = remembered_run(_recording)
    if earlier and MlflowClient().search_runs([experiment_id], f"run_id = '{earlier}'"):
        mlflow.start_run(run_id=earlier, tags={PROCESS: str(os.getpid())})
        return
    continues = active.info.run_id if active else earlier
    more = {CONTINUES: continues, SWEEP: _recording.sweep, PROCESS: str(os.getpid())}
    mlflow.start_run(
        experiment_id=experiment_id,
        run_name=_recording.name,
        tags={**_recording.tags, **{key: text for key, text in more.items() if text}},
    )
    mlflow.log_params(dict(_recording.params))
    if continues is None:
        remember(_recording)


def remembered_run(run: Recording) -> str | None:
    """The id of the run that a broken-off training had."""
    return (run.remembered.read_text("utf-8") if run.remembered.exists() else "") or None


def remember(run: Recording) -> None:
    """Writes down the active run's id."""
    run.remembered.parent.mkdir(parents=True, exist_ok=True)
    run.remembered.write_text(mlflow.active_run().info.run_id, "utf-8")


def continue_in_store(root: Path, kept: str, run_id: str) -> None:
    """Lets a run that was kept, if it is one, be uploaded into the store's run."""
    if (_folder(root) / "mlflow.db").exists():
        source = MlflowClient(_address(root))
        with suppress(MlflowException):
            source.get_run(kept)
            source.set_tag(kept, CONTINUES, run_id)


def reason(error: Exception) -> str:
    """What went wrong with the store, as one short line."""
    text = without_credentials(" ".join(str(error).split()))
    for sign, words in (
        ("Connection refused", "connection refused"),
        ("Failed to resolve", "host not found"),
        ("Read timed out", "no answer in time"),
        ("ConnectTimeout", "no answer in time"),
        ("database is locked", "the database is locked by another process"),
        ("database or disk is full", "the disk is full"),
    ):
        if sign in text:
            return words
    return text[:200]


def upload(root: Path) -> Iterator[str]:
    """Uploads the runs that were kept, to the store that is in use now, and forgets them.

    A run that had begun in the first store goes on there; one whose model was evaluated there
    meanwhile is joined to that run. The run of a process that is still going on stays, that of
    one that was killed is uploaded as KILLED. An upload that breaks off can be repeated.

    Args:
        root: the checkout, as for :func:`open_store`.

    Yields:
        ``<experiment>: <run>`` of each run, when it is uploaded.

    Raises:
        InputError: the store cannot be used, or has refused a run, which does not keep it from
            the others; what was not uploaded is still kept.
    """
    if not (_folder(root) / "mlflow.db").exists():
        return
    source = MlflowClient(_address(root))
    refused = []
    for experiment in source.search_experiments():
        for run in source.search_runs([experiment.experiment_id]):
            running = run.info.status == "RUNNING"
            if running and psutil.pid_exists(int(run.data.tags[PROCESS])):
                continue
            try:
                name = _upload_run(source, run, "KILLED" if running else run.info.status, root)
            except STORE_ERRORS as error:
                if is_outage(error):
                    raise InputError(
                        f"the MLflow store cannot be used ({reason(error)}): "
                        f"what was not uploaded is still in {_folder(root)}"
                    ) from error
                refused.append(f"{experiment.name}: {run.info.run_name} ({reason(error)})")
                continue
            source.delete_run(run.info.run_id)
            yield f"{experiment.name}: {name}"
    if refused:
        raise InputError(f"the MLflow store refused {'; '.join(refused)}: still in {_folder(root)}")


def _upload_run(source: MlflowClient, run: Run, status: str, root: Path) -> str:
    experiment = source.get_experiment(run.info.experiment_id).name
    experiment_id = open_store(root, experiment)
    target = MlflowClient()
    tags = {key: text for key, text in run.data.tags.items() if key != "mlflow.runName"}
    continues, sweep = tags.pop(CONTINUES, None), tags.pop(SWEEP, None)
    tags.pop(PROCESS)
    run_id = _present(target, experiment_id, run.info.run_id, continues, tags.get(FINGERPRINT))
    if run_id is None:
        tags[UPLOADED_FROM] = run.info.run_id
        if sweep:
            tags["mlflow.parentRunId"] = sweep_run(root, experiment_id, sweep)
        begun, name = run.info.start_time, run.info.run_name
        run_id = target.create_run(experiment_id, begun, tags, name).info.run_id
    known = target.get_run(run_id)
    params = {key: text for key, text in run.data.params.items() if key not in known.data.params}
    target.log_batch(run_id, params=[Param(key, text) for key, text in params.items()])
    for key, text in tags.items():
        target.set_tag(run_id, key, text)
    for name in run.data.metrics:
        history = source.get_metric_history(run.info.run_id, name)
        metrics = [Metric(name, point.value, point.timestamp, point.step) for point in history]
        for first in range(0, len(metrics), BATCH):
            target.log_batch(run_id, metrics=metrics[first : first + BATCH])
    if run.inputs.dataset_inputs and not known.inputs.dataset_inputs:
        target.log_inputs(
            run_id, [DatasetInput(given.dataset, given.tags) for given in run.inputs.dataset_inputs]
        )
    for artifact in source.list_artifacts(run.info.run_id):
        target.log_artifact(run_id, source.download_artifacts(run.info.run_id, artifact.path))
    if known.info.status == "RUNNING":
        target.set_terminated(run_id, status=status, end_time=run.info.end_time)
    if UPLOADED_FROM in tags | known.data.tags:
        target.delete_tag(run_id, UPLOADED_FROM)
    return known.info.run_name


def _present(
    target: MlflowClient,
    experiment_id: str,
    kept: str,
    continues: str | None,
    fingerprint: str | None,
) -> str | None:
    """The store's run that the kept one belongs to; None if it is new there."""
    conditions = [f"run_id = '{continues}'"] if continues else []
    conditions.append(f"tags.`{UPLOADED_FROM}` = '{kept}'")
    for condition in conditions:
        if found := target.search_runs([experiment_id], condition, max_results=1):
            return found[0].info.run_id
    if fingerprint is None:
        return None
    for run in target.search_runs([experiment_id], f"tags.{FINGERPRINT} = '{fingerprint}'"):
        if "training_seconds" not in run.data.metrics:  # else it is another training's
            return run.info.run_id
    return None


def _folder(root: Path) -> Path:
    return root / ".dvc" / "tmp" / "postponed"


def _address(root: Path) -> str:
    return f"sqlite:///{_folder(root) / 'mlflow.db'}"
