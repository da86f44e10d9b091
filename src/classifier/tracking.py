"""MLflow: one run for one trained model, found again by its weights' fingerprint.

Train, evaluate and export are separate processes, any of which DVC may skip; no run id is kept
in a file. The default store is embedded, an SQLite database and a folder of artifacts; the
environment's MLFLOW_TRACKING_URI names a server instead.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

# Nothing is reported to anyone unless the user asks for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

FINGERPRINT = "weights_sha256"


def open_store(root: Path, experiment: str) -> str:
    """Opens the store, makes the experiment if it is new, and returns its id.

    Args:
        root: the checkout; the embedded store is ``mlflow.db`` and ``mlartifacts/`` there.
        experiment: its name.
    """
    embedded = not os.environ.get("MLFLOW_TRACKING_URI")
    if embedded:
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    # Two processes that create a new SQLite store at once would collide.
    with filelock.FileLock(root / ".dvc" / "tmp" / "mlflow.lock"):
        client = MlflowClient()
        found = client.get_experiment_by_name(experiment)
        if found is None:
            location = (root / "mlartifacts" / experiment).as_uri() if embedded else None
            return client.create_experiment(experiment, artifact_location=location)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return found.experiment_id


@contextmanager
def new_run(experiment_id: str, name: str, tags: Mapping[str, str]) -> Iterator[None]:
    """Starts a run; it ends as FINISHED, FAILED for an exception, or KILLED for Ctrl-C."""
    mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=dict(tags))
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        mlflow.end_run(status)


@contextmanager
def run_of_model(
    experiment_id: str, fingerprint: str, name: str, tags: Mapping[str, str]
) -> Iterator[None]:
    """Continues the latest run of the model with this fingerprint.

    Starts one, with name and tags, if the store has never seen the model: it was pulled from a
    DVC remote, say, and trained elsewhere.
    """
    runs = MlflowClient().search_runs(
        [experiment_id],
        f"tags.{FINGERPRINT} = '{fingerprint}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if runs:
        with mlflow.start_run(run_id=runs[0].info.run_id):
            yield
    else:
        with new_run(experiment_id, name, {**tags, FINGERPRINT: fingerprint}):
            yield


def log_epoch(epoch: int, logs: Mapping[str, float]) -> None:
    """Logs one epoch's metrics at their step; a Ctrl-C meanwhile takes effect afterwards."""
    with _uninterrupted():
        mlflow.log_metrics({key: float(value) for key, value in logs.items()}, step=epoch)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    # A KeyboardInterrupt inside SQLAlchemy leaves the database locked, and the run unfinished.
    interrupts: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if interrupts:
            signal.raise_signal(signal.SIGINT)


def log_metrics(metrics: Mapping[str, Any], prefix: str = "") -> None:
    """Logs the numbers of a nested dictionary, keys joined by dots."""
    mlflow.log_metrics(
        {key: float(value) for key, value in flatten(metrics, prefix).items() if _number(value)}
    )


def log_params(params: Mapping[str, Any]) -> None:
    """Logs a nested dictionary as flat parameters, keys joined by dots."""
    mlflow.log_params(flatten(params))


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


def log_dataset(images: np.ndarray, labels: np.ndarray, *, name: str, source: str) -> None:
    """Logs the training data with its digest: uint8 images (N, H, W, C), labels (N,)."""
    origin = CodeDatasetSource(tags={"location": source})
    dataset = mlflow.data.from_numpy(np.asarray(images), source=origin, targets=labels, name=name)
    mlflow.log_input(dataset, context="training")


def log_text(text: str, name: str) -> None:
    """Logs a text as an artifact called ``name``."""
    mlflow.log_text(text, name)


def log_file(path: Path, folder: str | None = None) -> None:
    """Logs a file as an artifact of the run, in a folder of its artifacts."""
    mlflow.log_artifact(str(path), folder)


def set_tags(tags: Mapping[str, Any]) -> None:
    """Sets the run's tags."""
    mlflow.set_tags(dict(tags))


def register_saved_model(
    module: Any,
    signatures: Any,
    *,
    name: str,
    alias: str,
    images: np.ndarray,
    probabilities: np.ndarray,
    tags: Mapping[str, str],
    files: list[Path],
) -> int:
    """Logs a ``tf.Module`` as a SavedModel, registers it as ``name`` and points ``alias`` at it.

    Args:
        module: called with uint8 (N, H, W, C), gives float32 (N, classes).
        images, probabilities: an example of both, for signature and input example.
        files: kept beside the model.

    Returns:
        The registered version.
    """
    info = mlflow.tensorflow.log_model(
        module,
        name="model",
        signature=infer_signature(images, probabilities),
        input_example=images[:1],
        saved_model_kwargs={"signatures": signatures},
        registered_model_name=name,
        extra_files=[str(path) for path in files],
        pip_requirements=["tensorflow"],
        tags=dict(tags),
    )
    version = info.registered_model_version
    client = MlflowClient()
    client.set_registered_model_alias(name, alias, version)
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    return int(version)
