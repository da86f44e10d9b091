"""The evaluated runs of an experiment, for comparisons."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import NamedTuple

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from classifier.support.errors import InputError, nearest
from classifier.tracking.failures import reaching_the_store
from classifier.tracking.store import open_store

MODEL = "model.keras"  # artifacts of a run
VALIDATION = "validation_predictions.csv"  # in evaluation/


class EvaluatedRun(NamedTuple):
    """A run with an evaluated model.

    ``name`` ends with the beginning of the run's id if another run has the same name. ``params``
    are texts. ``predictions`` is the table of the test split
    (:func:`classifier.reporting.predictions.predictions_table`). ``id`` and ``tags`` are MLflow's.
    """

    name: str
    params: dict[str, str]
    metrics: dict[str, float]
    predictions: pd.DataFrame
    id: str = ""
    tags: Mapping[str, str] = MappingProxyType({})


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
        _evaluated(run, f"-{run.info.run_id[:6]}" if counts[run.info.run_name] > 1 else "")
        for run in chosen
    ]


@reaching_the_store()
def evaluated_trials(
    root: Path, experiment: str, sweep: str, params: Mapping[str, str] | None = None
) -> list[EvaluatedRun]:
    """The evaluated runs of a sweep, the oldest first; empty if there is no such sweep.

    Args:
        root, experiment: see :func:`open_store`.
        sweep: the name of the parent run, or the name of the DVC experiments without their
            numbers, or of the trainings of stages.seeds. The latest of several is taken.
        params: only runs with these, as texts. The predictions of others are not fetched.

    Raises:
        InputError: the store cannot be reached.
    """
    experiment_id = open_store(root, experiment)
    parents = [
        run.info.run_id
        for run in MlflowClient().search_runs([experiment_id], "tags.sweep != ''")
        if run.data.tags["sweep"] in (sweep, f"seeds {sweep}")
        or run.data.tags["sweep"].startswith(f"experiments {sweep} of ")
    ]
    if not parents:
        return []
    runs = MlflowClient().search_runs(
        [experiment_id], f"tags.mlflow.parentRunId = '{parents[0]}'", max_results=1000
    )
    wanted = (params or {}).items()
    return [
        _evaluated(run)
        for run in reversed(runs)
        if "test.accuracy" in run.data.metrics and wanted <= run.data.params.items()
    ]


@reaching_the_store()
def kept_model(run: EvaluatedRun, folder: Path) -> Path:
    """The ``model.keras`` that the run has, downloaded to the folder.

    Raises:
        InputError: the store cannot be reached, or the run has none.
    """
    _check_artifact(run, MODEL, "only the trainings of stages.seeds keep their models there")
    uri = f"runs:/{run.id}/{MODEL}"
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))


@reaching_the_store()
def validation_predictions(run: EvaluatedRun) -> pd.DataFrame:
    """The table of the run's predictions of the validation split.

    Raises:
        InputError: the store cannot be reached, or the run has none.
    """
    _check_artifact(run, f"evaluation/{VALIDATION}", "evaluate its model again")
    return _predictions(MlflowClient().get_run(run.id), VALIDATION)


def _check_artifact(run: EvaluatedRun, file: str, advice: str) -> None:
    artifacts = MlflowClient().list_artifacts(run.id, file.rpartition("/")[0] or None)
    if file not in {artifact.path for artifact in artifacts}:
        raise InputError(f"the run '{run.name}' has no {file}: {advice}")


def _evaluated(run: Run, suffix: str = "") -> EvaluatedRun:
    name = run.info.run_name + suffix
    return EvaluatedRun(
        name,
        run.data.params,
        run.data.metrics,
        _predictions(run, "predictions.csv"),
        run.info.run_id,
        run.data.tags,
    )


def _named(runs: list[Run], name: str, experiment: str) -> Run:
    for run in runs:
        if run.info.run_name == name or run.info.run_id.startswith(name):
            return run
    hint = nearest(name, {run.info.run_name for run in runs})
    raise InputError(f"no evaluated run '{name}' of {experiment}: {hint}")


def _predictions(run: Run, file: str) -> pd.DataFrame:
    with TemporaryDirectory() as folder:
        uri = f"runs:/{run.info.run_id}/evaluation/{file}"
        path = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        types = {"id": str, "class": str, "predicted": str}
        return pd.read_csv(path, dtype=types, keep_default_na=False)
