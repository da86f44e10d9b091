"""Runs whose model was evaluated, to compare."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from classifier.errors import InputError, nearest
from classifier.tracking.outage import reaching_the_store
from classifier.tracking.store import open_store


class EvaluatedRun(NamedTuple):
    """A run whose model was evaluated: its name, with the beginning of its id where others are
    called so too; parameters as text; metrics; predictions of the test split (of
    :func:`classifier.evaluation.predictions_table`)."""

    name: str
    params: dict[str, str]
    metrics: dict[str, float]
    predictions: pd.DataFrame


@reaching_the_store()
def evaluated_runs(root: Path, experiment: str, names: Sequence[str]) -> list[EvaluatedRun]:
    """The runs called ``names``, the latest of each name; for no names, the two latest, the older
    one first.

    Args:
        root, experiment: see :func:`open_store`.
        names: run names, or run ids or their beginnings.

    Raises:
        InputError: there is no such run, it was not evaluated, or the store cannot be reached.
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
    called = Counter(run.info.run_name for run in chosen)
    return [
        EvaluatedRun(
            run.info.run_name
            + (f"-{run.info.run_id[:6]}" if called[run.info.run_name] > 1 else ""),
            run.data.params,
            run.data.metrics,
            _predictions(run),
        )
        for run in chosen
    ]


def _named(runs: list[Run], name: str, experiment: str) -> Run:
    found = [run for run in runs if run.info.run_name == name or run.info.run_id.startswith(name)]
    if not found:
        known = nearest(name, {run.info.run_name for run in runs})
        raise InputError(f"no evaluated run '{name}' of {experiment}: {known}")
    return found[0]


def _predictions(run: Run) -> pd.DataFrame:
    with TemporaryDirectory() as folder:
        uri = f"runs:/{run.info.run_id}/evaluation/predictions.csv"
        path = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        text = {"id": str, "class": str, "predicted": str}
        return pd.read_csv(path, dtype=text, keep_default_na=False)
