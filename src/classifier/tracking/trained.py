"""Which run made a model that another training begins with, and what it says of it."""

from pathlib import Path
from typing import NamedTuple

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from classifier.support.errors import InputError
from classifier.tracking.failures import is_outage, reaching_the_store, reason
from classifier.tracking.store import LAST, check_store, use_store

CLASSES = "classes.txt"  # an artifact of the run


class TrainingRun(NamedTuple):
    """A run of a training: its id, its tags, and the names of its classes, None if not logged."""

    id: str
    tags: dict[str, str]
    classes: list[str] | None


@reaching_the_store()
def training_run(root: Path, uri: str) -> TrainingRun:
    """The run ``runs:/<id>``, or the one that made ``models:/<name>/<version>``.

    Args:
        root: the checkout, as for :func:`open_store`.

    Raises:
        InputError: the store cannot be reached, or has no such run or version.
    """
    check_store(root, f"no '{uri}'")
    client = MlflowClient()
    kind, _, name = uri.partition(":/")
    try:
        if kind == "models":
            run_id = client.get_model_version(*name.rsplit("/", 1)).run_id or ""
        else:
            run_id = name.strip("/").partition("/")[0]
        return _described(client.get_run(run_id))
    except MlflowException as error:
        if is_outage(error):
            raise
        raise InputError(f"no '{uri}': {reason(error)}") from None


@reaching_the_store()
def run_of_file(root: Path, experiment: str, md5: str) -> TrainingRun | None:
    """The latest run whose last epoch is a file with this MD5; None if there is none.

    Args:
        root, experiment: see :func:`open_store`.

    Raises:
        InputError: the store cannot be reached.
    """
    if use_store(root) and not (root / "mlflow.db").exists():
        return None  # and none is made
    known = MlflowClient().get_experiment_by_name(experiment)
    if known is None:
        return None
    found = MlflowClient().search_runs(
        [known.experiment_id],
        f"tags.{LAST} = '{md5}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return _described(found[0]) if found else None


def _described(run: Run) -> TrainingRun:
    classes = None
    files = {file.path for file in MlflowClient().list_artifacts(run.info.run_id)}
    if CLASSES in files:
        text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{CLASSES}")
        classes = text.splitlines()
    return TrainingRun(run.info.run_id, dict(run.data.tags), classes)
