"""The MLflow store: the embedded one, or the server that MLFLOW_TRACKING_URI names."""

import logging
import os
from pathlib import Path

import filelock
import mlflow
from mlflow.tracking import MlflowClient

from classifier.support.addresses import without_credentials
from classifier.support.errors import InputError

FINGERPRINT = "weights_sha256"  # the tag that finds the run of a model
PREPROCESSING = "preprocessing_sha256"  # with FINGERPRINT, the tag that finds a model's version
LAST = "last_md5"  # the tag with the hash that DVC has for the last epoch's model
# The description that MLflow's page of an experiment shows, and what a pipeline's says.
NOTE = "mlflow.note.content"
DESCRIPTION = """\
Trainings of the pipeline `{name}`: each run is one model, from its training to its export.

Useful columns: `best_val_accuracy` (to choose by), `test.accuracy`, `test.log_loss`,
`training_seconds`, and the parameters that you change. The *Columns* button above the table adds
them. A run's name says what differs from the run before it. Its artifact `evaluation/report.html`
is the whole report. `python -m stages.compare {name}` tests the difference between two runs.
"""

# Messages about tables, examples and threads; errors are raised as exceptions.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)


def open_store(root: Path, experiment: str) -> str:
    """Opens the store, creates the experiment if it is new, and returns the experiment's id.

    An experiment without a description gets one. A description that a user wrote stays.

    Args:
        root: the checkout. The embedded store is ``mlflow.db`` and ``mlartifacts/`` there.
        experiment: the name of the experiment.

    Raises:
        InputError: the embedded store has its artifacts elsewhere: the checkout was moved.
    """
    location = (root / "mlartifacts" / experiment).as_uri() if use_store(root) else None
    # Two processes must not create an SQLite store at the same time.
    with filelock.FileLock(root / ".dvc" / "tmp" / "mlflow.lock"):
        client = MlflowClient()
        known = client.get_experiment_by_name(experiment)
        if known is None:
            description = {NOTE: DESCRIPTION.format(name=experiment)}
            return client.create_experiment(
                experiment, artifact_location=location, tags=description
            )
        if known.lifecycle_stage == "deleted":
            client.restore_experiment(known.experiment_id)
        if location and known.artifact_location != location:
            raise InputError(
                f"{store_name()} has its artifacts at {known.artifact_location}, not at "
                f"{location}: move the checkout back, or move mlflow.db and mlartifacts/ "
                "away to begin a new store"
            )
        if NOTE not in known.tags:
            client.set_experiment_tag(
                known.experiment_id, NOTE, DESCRIPTION.format(name=experiment)
            )
        return known.experiment_id


def use_store(root: Path) -> bool:
    """Sets MLflow's tracking URI; returns whether the store is the embedded one."""
    embedded = f"sqlite:///{root / 'mlflow.db'}"
    address = os.environ.get("MLFLOW_TRACKING_URI") or embedded
    if without_credentials(address) != address:
        # MLflow prints the address with its credentials at the end of a run.
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    mlflow.set_tracking_uri(address)
    return address == embedded


def check_store(root: Path, missing: str) -> None:
    """Opens the store that :func:`use_store` chooses, to read what it has.

    Args:
        missing: what cannot be there, for the message.

    Raises:
        InputError: it is the embedded one, and no run has created it.
    """
    if use_store(root) and not (root / "mlflow.db").exists():
        raise InputError(f"{missing}: {root} has no MLflow store; run 'dvc repro' first")


def store_file(root: Path) -> Path | None:
    """The file of the store that is in use, if it is an SQLite database; None for a server."""
    use_store(root)
    address = mlflow.get_tracking_uri()
    sqlite, _, path = address.partition(":///")
    return Path(path) if sqlite == "sqlite" else None


def store_name() -> str:
    """The store's name in messages, without credentials."""
    address = without_credentials(mlflow.get_tracking_uri())
    if address.startswith("sqlite:///"):
        return f"the MLflow store {address.removeprefix('sqlite:///')}"
    return f"the MLflow server {address}"
