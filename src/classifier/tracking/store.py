"""The MLflow store: the embedded one, or the server that MLFLOW_TRACKING_URI names."""

import logging
import os
from pathlib import Path

import filelock
import mlflow
from mlflow.tracking import MlflowClient

from classifier.addresses import without_credentials
from classifier.errors import InputError

FINGERPRINT = "weights_sha256"  # the tag by which a model's run is found again

# What MLflow says of its tables and its threads; errors reach us as exceptions.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)


def open_store(root: Path, experiment: str) -> str:
    """Opens the store, makes the experiment if it is new, and returns its id.

    Args:
        root: the checkout; the embedded store is ``mlflow.db`` and ``mlartifacts/`` there.
        experiment: its name.
    """
    location = root / "mlartifacts" / experiment if use_store(root) else None
    return make_experiment(root / ".dvc" / "tmp", experiment, location)


def make_experiment(locks: Path, experiment: str, location: Path | None) -> str:
    """The id of the experiment in the store that MLflow points at; makes it if it is new.

    Args:
        locks: the folder of the lock: two processes that create an SQLite store would collide.
        location: of its artifacts; None leaves it to the store.

    Raises:
        InputError: its artifacts are elsewhere, as the checkout was moved.
    """
    with filelock.FileLock(locks / "mlflow.lock"):
        client = MlflowClient()
        found = client.get_experiment_by_name(experiment)
        if found is None:
            where = location.as_uri() if location else None
            return client.create_experiment(experiment, artifact_location=where)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        if location and found.artifact_location != location.as_uri():
            raise InputError(
                f"{store_name()} has its artifacts at {found.artifact_location}, not at "
                f"{location.as_uri()}: move the checkout back, or move mlflow.db and mlartifacts/ "
                "away to begin a new store"
            )
        return found.experiment_id


def use_store(root: Path) -> bool:
    """Points MLflow at the store; says whether it is the embedded one."""
    embedded = f"sqlite:///{root / 'mlflow.db'}"
    address = os.environ.get("MLFLOW_TRACKING_URI") or embedded
    if without_credentials(address) != address:
        # MLflow prints the address, whole, at the end of a run.
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    mlflow.set_tracking_uri(address)
    return address == embedded


def store_name() -> str:
    """What to call the store in a message."""
    address = without_credentials(mlflow.get_tracking_uri())
    if address.startswith("sqlite:///"):
        return f"the MLflow store {address.removeprefix('sqlite:///')}"
    return f"the MLflow server {address}"
