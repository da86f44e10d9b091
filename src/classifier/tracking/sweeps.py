"""Sweeps in MLflow: a parent run, its children, and their table."""

from collections.abc import Sequence
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
from mlflow.tracking import MlflowClient

from classifier.tracking.store import open_store


def sweep_table(root: Path, experiment: str, sweep: str, metric: str) -> pd.DataFrame:
    """The finished children of a sweep's parent run, the best first.

    Columns: run (its name), the parameters that differ between them, and ``metric``, of which
    more is better unless it is a loss.
    """
    experiment_id = open_store(root, experiment)
    parent = sweep_run(root, experiment_id, sweep)
    children = MlflowClient().search_runs(
        [experiment_id], f"tags.mlflow.parentRunId = '{parent}' and attributes.status = 'FINISHED'"
    )
    table = pd.DataFrame([run.data.params for run in children])
    differing = [name for name in table if table[name].nunique(dropna=False) > 1]
    table = table[differing].apply(_numbers)
    table.insert(0, "run", [run.info.run_name for run in children])
    table[metric] = [run.data.metrics.get(metric, np.nan) for run in children]
    return table.sort_values(metric, ascending=metric.endswith("loss"), ignore_index=True)


def _numbers(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    return values if numbers.isna().any() else numbers


def log_to_sweep(root: Path, experiment: str, sweep: str, files: Sequence[Path]) -> None:
    """Logs files as artifacts of a sweep's parent run, in place of earlier ones."""
    parent = sweep_run(root, open_store(root, experiment), sweep)
    for file in files:
        MlflowClient().log_artifact(parent, str(file))


def sweep_run(root: Path, experiment_id: str, sweep: str) -> str:
    """The id of a sweep's parent run; makes it if it is new."""
    client = MlflowClient()
    with filelock.FileLock(root / ".dvc" / "tmp" / "mlflow.lock"):
        found = client.search_runs([experiment_id], f"tags.sweep = '{sweep}'", max_results=1)
        if found:
            return found[0].info.run_id
        run = client.create_run(experiment_id, run_name=sweep, tags={"sweep": sweep})
        client.set_terminated(run.info.run_id)
        return run.info.run_id
