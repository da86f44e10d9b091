"""Sweeps in MLflow: a parent run, its child runs, and a table of them."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
from mlflow.entities import Metric, Run
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from classifier.support.directions import higher_is_better
from classifier.tracking.records import milliseconds
from classifier.tracking.store import open_store

VALUES = "sweep.values"  # a tag of a trial: JSON of its values by their keys
TRIAL = "sweep.trial"  # a tag of a trial of Optuna: its number
MOST = 1000  # metrics that MLflow takes at once
PRUNED = "sweep.pruned"  # a tag of a trial that was stopped: why


def sweep_table(
    root: Path,
    experiment: str,
    sweep: str,
    metric: str,
    committed: str | None = None,
    usual: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """The finished runs of a sweep, the best first.

    Args:
        root, experiment: see :func:`open_store`.
        sweep: the name of the parent run.
        metric: has a direction (:mod:`classifier.support.directions`).
        committed: the id of a run outside the sweep, which is a row too: all trials start from
            its values.
        usual: values by their keys, of a run that has no value of its own. For the others, the
            run's parameters are taken.

    Returns:
        Columns: ``run`` (the name), the values that the trials set (VALUES) and that differ
        between the runs, and ``metric``.
    """
    experiment_id = open_store(root, experiment)
    client, parent = MlflowClient(), sweep_run(root, experiment_id, sweep)
    runs = _all_runs(
        experiment_id, f"tags.mlflow.parentRunId = '{parent}' and attributes.status = 'FINISHED'"
    )
    names = [run.info.run_name for run in runs]
    if committed is not None:
        runs.append(client.get_run(committed))
        names.append(f"{runs[-1].info.run_name} (committed)")
    values = [json.loads(run.data.tags.get(VALUES, "{}")) for run in runs]
    if committed is not None:
        values[-1] = {}
    keys = sorted({key for row in values for key in row})
    table = pd.DataFrame(
        {
            key: [
                _cell(row[key] if key in row else (usual or {}).get(key, run.data.params.get(key)))
                for row, run in zip(values, runs, strict=True)
            ]
            for key in keys
        }
    )
    differing = [name for name in table if table[name].map(str).nunique() > 1]
    table = table[differing].apply(_numbers)
    table.insert(0, "run", names)
    table[metric] = [run.data.metrics.get(metric, np.nan) for run in runs]
    return table.sort_values(metric, ascending=not higher_is_better(metric), ignore_index=True)


def finished_run(
    root: Path, experiment: str, metric: str, wanted: Callable[[Mapping[str, str]], bool]
) -> str | None:
    """The id of the latest finished run that has the metric and wanted tags; None if there is
    none.
    """
    for run in _all_runs(open_store(root, experiment), "attributes.status = 'FINISHED'"):
        if metric in run.data.metrics and wanted(run.data.tags):
            return run.info.run_id
    return None


def end_trials(root: Path, experiment: str, sweep: str, numbers: Sequence[int]) -> int:
    """Ends as KILLED the runs of the sweep's trials whose process ended without doing so.

    Args:
        root, experiment: see :func:`open_store`.
        sweep: the name of the parent run.
        numbers: of the trials.

    Returns:
        The number of runs.
    """
    experiment_id = open_store(root, experiment)
    client, parent = MlflowClient(), sweep_run(root, experiment_id, sweep)
    condition = f"tags.mlflow.parentRunId = '{parent}' and attributes.status = 'RUNNING'"
    texts = {str(number) for number in numbers}
    runs = [run for run in _all_runs(experiment_id, condition) if run.data.tags.get(TRIAL) in texts]
    for run in runs:
        client.set_terminated(run.info.run_id, "KILLED")
    return len(runs)


def _all_runs(experiment_id: str, condition: str) -> list[Run]:
    """The runs, the latest first; the store answers in pages."""
    client, token = MlflowClient(), None
    runs: list[Run] = []
    while True:
        page = client.search_runs([experiment_id], condition, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _cell(value: Any) -> Any:
    """Numbers and texts as they are, the others as JSON."""
    is_plain = isinstance(value, (int, float, str)) and not isinstance(value, bool)
    return value if is_plain else json.dumps(value)


def _numbers(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    return values if numbers.isna().any() else numbers


def log_to_sweep(
    root: Path,
    experiment: str,
    sweep: str,
    files: Sequence[Path],
    metrics: Mapping[str, float] | None = None,
) -> str:
    """Logs files as artifacts of a sweep's parent run, and metrics; they replace those of the same
    name.

    Returns:
        The folder of the artifacts, or its URI if it is not on this machine.
    """
    client, parent = MlflowClient(), sweep_run(root, open_store(root, experiment), sweep)
    for file in files:
        client.log_artifact(parent, str(file))
    now = milliseconds()
    values = [Metric(name, value, now, 0) for name, value in (metrics or {}).items()]
    for first in range(0, len(values), MOST):
        client.log_batch(parent, metrics=values[first : first + MOST])
    return local_file_uri_to_path(client.get_run(parent).info.artifact_uri)


def sweep_run(root: Path, experiment_id: str, sweep: str) -> str:
    """The id of a sweep's parent run, which is created if it is new."""
    client = MlflowClient()
    with filelock.FileLock(root / ".dvc" / "tmp" / "mlflow.lock"):
        runs = client.search_runs([experiment_id], f"tags.sweep = '{sweep}'", max_results=1)
        if runs:
            return runs[0].info.run_id
        run = client.create_run(experiment_id, run_name=sweep, tags={"sweep": sweep})
        client.set_terminated(run.info.run_id)
        return run.info.run_id
