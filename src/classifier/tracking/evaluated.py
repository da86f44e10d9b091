"""The evaluated runs of an experiment, for comparisons."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from classifier.support.errors import InputError, nearest
from classifier.tracking.failures import reaching_the_store
from classifier.tracking.store import open_store


class EvaluatedRun(NamedTuple):
    """A run with an evaluated model.

    ``name`` ends with the beginning of the run's id if another run has the same name. ``params``
    are texts. ``predictions`` is the table of the test split
    (:func:`classifier.reporting.predictions.predictions_table`).
    """

    name: str
    params: dict[str, str]
    metrics: dict[str, float]
    predictions: pd.DataFrame


@reaching_the_store()
def evaluated_runs(root: Path, experiment: str, names: Sequence[str]) -> list[EvaluatedRun]:
    """The runs with these names.

    Args:
        root, experiment: see :func:`open_store`.
        names: names of runs, ids, or beginnings of ids. The latest run of a name is taken. An
            empty sequence means the two latest runs, the older one first.

    Raises:
        InputError: no evaluated run has such a name, or the store cannot be reached.
    """
    experiment_id = open_store(root, experiment)
    runs = [
        run
        for run in MlflowClient().search_runs([experiment_id])  # the latest first
        if "test.accuracy" in run.data.metrics
    ]
    if not names and len(runs) < 2:
        raise InputError(
            f"{len(runs)} evaluated runs of {experiment}: two are needed; change a parameter "
            f"and run 'dvc repro evaluate@{experiment}'"
        )
    chosen = [_named(runs, name, experiment) for name in names] or runs[1::-1]
    counts = Counter(run.info.run_name for run in chosen)
    return [
        EvaluatedRun(
            run.info.run_name
            + (f"-{run.info.run_id[:6]}" if counts[run.info.run_name] > 1 else ""),
            run.data.params,
            run.data.metrics,
            _predictions(run),
        )
        for run in chosen
    ]


def _named(runs: list[Run], name: str, experiment: str) -> Run:
    for run in runs:
        if run.info.run_name == name or run.info.run_id.startswith(name):
            return run
    hint = nearest(name, {run.info.run_name for run in runs})
    raise InputError(f"no evaluated run '{name}' of {experiment}: {hint}")


def _predictions(run: Run) -> pd.DataFrame:
    with TemporaryDirectory() as folder:
        uri = f"runs:/{run.info.run_id}/evaluation/predictions.csv"
        path = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        types = {"id": str, "class": str, "predicted": str}
        return pd.read_csv(path, dtype=types, keep_default_na=False)
