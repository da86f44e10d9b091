"""MLflow: one run for one trained model, found again by its weights' fingerprint.

Train, evaluate and export are separate processes, any of which DVC may skip; no run id is kept
in a file. The default store is embedded, an SQLite database and a folder of artifacts; the
environment's MLFLOW_TRACKING_URI names a server instead.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import filelock

# Nothing is reported to anyone unless the user asks for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

from classifier.errors import InputError, nearest

FINGERPRINT = "weights_sha256"
CHANGES = 3  # that a run's name says
CHAMPION, CANDIDATE = "champion", "candidate"  # aliases: the best version so far, the latest one


def open_store(root: Path, experiment: str) -> str:
    """Opens the store, makes the experiment if it is new, and returns its id.

    Args:
        root: the checkout; the embedded store is ``mlflow.db`` and ``mlartifacts/`` there.
        experiment: its name.
    """
    embedded = _use_store(root)
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


def _use_store(root: Path) -> bool:
    """Points MLflow at the store; says whether it is the embedded one."""
    embedded = not os.environ.get("MLFLOW_TRACKING_URI")
    if embedded:
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    return embedded


@contextmanager
def resumed_run(
    root: Path,
    experiment: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    remembered: Path,
    sweep: str | None = None,
) -> Iterator[None]:
    """Continues the run whose id the file ``remembered`` holds; starts one, and writes the file.

    It ends as FINISHED, FAILED for an exception, or KILLED for Ctrl-C. Use of processors, memory,
    disk and network is logged meanwhile.

    Args:
        root, experiment: see :func:`open_store`.
        name: followed by what differs from the latest run, unless it is one of a sweep.
        params: logged, keys joined by dots; those that a run has already stay, as MLflow's never
            change.
        sweep: the name of the parent run, made by the first of its children.
    """
    experiment_id = open_store(root, experiment)
    run_id = remembered.read_text("utf-8") if remembered.exists() else None
    if run_id and not MlflowClient().search_runs([experiment_id], f"run_id = '{run_id}'"):
        run_id = None  # the store was deleted meanwhile
    flat = flatten(params)
    start: dict[str, Any] = {"experiment_id": experiment_id, "log_system_metrics": True}
    if run_id is None and sweep:
        start |= {"run_name": name, "parent_run_id": _sweep_run(root, experiment_id, sweep)}
    elif run_id is None:
        start["run_name"] = " ".join([name, *_changes(flat, _latest_params(experiment_id))])
    with _run(run_id=run_id, tags=dict(tags), **start):
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_text(mlflow.active_run().info.run_id, "utf-8")
        known = mlflow.get_run(mlflow.active_run().info.run_id).data.params
        mlflow.log_params({key: value for key, value in flat.items() if key not in known})
        yield


def _latest_params(experiment_id: str) -> dict[str, str]:
    """Parameters of the latest finished run that is of no sweep; none if there is none."""
    for run in MlflowClient().search_runs([experiment_id], "attributes.status = 'FINISHED'"):
        if "mlflow.parentRunId" not in run.data.tags and run.data.params:
            return run.data.params
    return {}


def _changes(params: Mapping[str, Any], earlier: Mapping[str, str]) -> list[str]:
    """What differs, as words ``epochs=12``; the first CHANGES, then how many more."""
    new = {key: text for key, text in params.items() if str(text) != earlier.get(key, str(text))}
    # Another choice of a group changes its other keys as well, and says enough.
    targets = [key for key in new if key.endswith("._target_")]
    groups = {key.removesuffix("._target_"): new[key].rpartition(".")[2] for key in targets}
    within = tuple(f"{group}." for group in groups)
    said = groups | {
        key.replace(".groups.", "."): text
        for key, text in new.items()
        if not key.startswith(within)
    }
    words = [f"{key.partition('.')[2]}={text}" for key, text in said.items()]
    more = len(words) - CHANGES
    return [*words[:CHANGES], *([f"+{more}"] if more > 0 else [])]


def sweep_table(root: Path, experiment: str, sweep: str, metric: str) -> pd.DataFrame:
    """The finished children of a sweep's parent run, the best first.

    Columns: run (its name), the parameters that differ between them, and ``metric``, of which
    more is better unless it is a loss.
    """
    experiment_id = open_store(root, experiment)
    parent = _sweep_run(root, experiment_id, sweep)
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
    parent = _sweep_run(root, open_store(root, experiment), sweep)
    for file in files:
        MlflowClient().log_artifact(parent, str(file))


def _sweep_run(root: Path, experiment_id: str, sweep: str) -> str:
    client = MlflowClient()
    with filelock.FileLock(root / ".dvc" / "tmp" / "mlflow.lock"):
        found = client.search_runs([experiment_id], f"tags.sweep = '{sweep}'", max_results=1)
        if found:
            return found[0].info.run_id
        run = client.create_run(experiment_id, run_name=sweep, tags={"sweep": sweep})
        client.set_terminated(run.info.run_id)
        return run.info.run_id


@contextmanager
def _run(**start: Any) -> Iterator[None]:
    mlflow.start_run(**start)
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
    root: Path, experiment: str, fingerprint: str, name: str, tags: Mapping[str, str]
) -> Iterator[None]:
    """Continues the latest run of the model with this fingerprint.

    Starts one, with name and tags, if the store has never seen the model: it was pulled from a
    DVC remote, say, and trained elsewhere. Root and experiment: see :func:`open_store`.
    """
    experiment_id = open_store(root, experiment)
    runs = MlflowClient().search_runs(
        [experiment_id],
        f"tags.{FINGERPRINT} = '{fingerprint}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if runs:
        with _run(run_id=runs[0].info.run_id):
            yield
    else:
        found = {**tags, FINGERPRINT: fingerprint}
        with _run(experiment_id=experiment_id, run_name=name, tags=found):
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


def log_metrics(metrics: Mapping[str, Any]) -> None:
    """Logs the numbers of a nested dictionary, keys joined by dots."""
    mlflow.log_metrics(
        {key: float(value) for key, value in flatten(metrics).items() if _number(value)}
    )


def log_data(images: np.ndarray, labels: np.ndarray, name: str, *, source: str) -> None:
    """Logs what is trained on, with its digest.

    Args:
        images, labels: uint8 (N, H, W, C) and integers (N,).
        name, source: the data's name and where it came from.
    """
    origin = CodeDatasetSource(tags={"location": source})
    data = mlflow.data.from_numpy(np.asarray(images), source=origin, targets=labels, name=name)
    mlflow.log_input(data, context="training")


def log_text(text: str, file: str) -> None:
    """Logs a text as an artifact of the run."""
    mlflow.log_text(text, file)


def logged_text(file: str) -> str | None:
    """A text among the run's artifacts; None if there is no such file."""
    run = mlflow.active_run().info.run_id
    folder = file.rpartition("/")[0] or None
    if file not in {artifact.path for artifact in MlflowClient().list_artifacts(run, folder)}:
        return None
    return mlflow.artifacts.load_text(f"runs:/{run}/{file}")


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


def log_file(path: Path, folder: str | None = None) -> None:
    """Logs a file as an artifact of the run, in a folder of its artifacts."""
    mlflow.log_artifact(str(path), folder)


def set_tags(tags: Mapping[str, Any]) -> None:
    """Sets the run's tags."""
    mlflow.set_tags(dict(tags))


class EvaluatedRun(NamedTuple):
    """A run whose model was evaluated: its name, with the beginning of its id where others are
    called so too; parameters as text; metrics; predictions of the test split (of
    :func:`classifier.evaluation.predictions_table`)."""

    name: str
    params: dict[str, str]
    metrics: dict[str, float]
    predictions: pd.DataFrame


def evaluated_runs(root: Path, experiment: str, names: Sequence[str]) -> list[EvaluatedRun]:
    """The runs called ``names``, the latest of each name; for no names, the two latest, the older
    one first.

    Args:
        root, experiment: see :func:`open_store`.
        names: run names, or run ids or their beginnings.

    Raises:
        InputError: there is no such run, or it was not evaluated.
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
        return pd.read_csv(path, dtype={"id": str, "class": str, "predicted": str})


def describe(text: str) -> None:
    """Sets the run's description, which is Markdown."""
    mlflow.set_tag("mlflow.note.content", text)


def registered_keras_model(root: Path, uri: str) -> Path:
    """A local copy of the ``model.keras`` that was registered with a SavedModel.

    Args:
        root: the checkout, as for :func:`open_store`.
        uri: ``models:/<name>@<alias>``, ``models:/<name>/<version>`` or ``runs:/<run>/model``.

    Raises:
        InputError: the store has no such model, or it holds no Keras model.
    """
    _use_store(root)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except MlflowException as error:
        raise InputError(f"base {uri}: {str(error).splitlines()[0]}") from error
    found = sorted(folder.rglob("model.keras"))
    if not found:
        raise InputError(f"base {uri} holds no model.keras: run 'dvc repro' to register it anew")
    return found[0]


def registered_saved_model(root: Path, name: str) -> Path:
    """A local copy of a registered SavedModel.

    Args:
        root: the checkout, as for :func:`open_store`.
        name: a registered model, whose ``champion`` is taken, or ``candidate`` where there is
            none; or ``models:/<name>@<alias>``, ``models:/<name>/<version>`` or
            ``runs:/<run>/model``.

    Raises:
        InputError: the store has no such model, or it is no SavedModel.
    """
    if _use_store(root) and not (root / "mlflow.db").exists():
        raise InputError(f"no model '{name}': {root} has no MLflow store; run 'dvc repro' first")
    uris = (
        [name] if ":/" in name else [f"models:/{name}@{alias}" for alias in (CHAMPION, CANDIDATE)]
    )
    reason = ""
    for uri in uris:
        try:
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        except MlflowException as error:
            reason = str(error).splitlines()[0]
            continue
        found = sorted(folder.rglob("saved_model.pb"))
        if found:
            return found[0].parent
        reason = f"{uri} is no SavedModel"
    known = sorted(model.name for model in MlflowClient().search_registered_models())
    raise InputError(f"no model '{name}': {reason}; registered: {', '.join(known) or 'none'}")


class Version(NamedTuple):
    """A version of a registered model: what to call it, and its ``models:/`` URI."""

    title: str
    uri: str


class RegisteredModel(NamedTuple):
    """A registered model: its images' channels, and its versions, champion and latest first."""

    name: str
    channels: int
    versions: list[Version]


def registered_models(root: Path) -> list[RegisteredModel]:
    """The registered models of images, by name.

    Args:
        root: the checkout, as for :func:`open_store`.

    Raises:
        InputError: there is none.
    """
    if _use_store(root) and not (root / "mlflow.db").exists():
        raise InputError(f"no model: {root} has no MLflow store; run 'dvc repro' first")
    client = MlflowClient()
    found = []
    for model in client.search_registered_models(order_by=["name ASC"]):
        versions = client.search_model_versions(f"name = '{model.name}'")
        if not versions:
            continue
        aliases: dict[int, list[str]] = {}
        for alias, number in sorted(model.aliases.items(), reverse=True):
            aliases.setdefault(int(number), []).append(alias)
        # The champion's number first, then the latest.
        numbers = sorted((int(version.version) for version in versions), reverse=True)
        numbers.sort(key=lambda number: CHAMPION not in aliases.get(number, []))
        info = mlflow.models.get_model_info(f"models:/{model.name}/{numbers[0]}")
        inputs = info.signature.inputs.inputs if info.signature else []
        shape: tuple[int, ...] = getattr(inputs[0], "shape", ()) if inputs else ()
        if len(shape) != 4:
            continue  # a shared store has models of other kinds
        found.append(
            RegisteredModel(
                model.name,
                shape[-1],
                [
                    Version(
                        ", ".join([f"version {number}", *aliases.get(number, [])]),
                        f"models:/{model.name}/{number}",
                    )
                    for number in numbers
                ],
            )
        )
    if not found:
        raise InputError("no model is registered: run 'dvc repro' first")
    return found


def register_saved_model(
    module: Any,
    signatures: Any,
    *,
    name: str,
    alias: str,
    images: np.ndarray,
    probabilities: np.ndarray,
    tags: Mapping[str, str],
    description: str,
    files: list[Path],
) -> int:
    """Logs a ``tf.Module`` as a SavedModel, registers it as ``name`` and points ``alias`` at it.

    Args:
        module: called with uint8 (N, H, W, C), gives float32 (N, classes).
        images, probabilities: an example of both, for signature and input example.
        tags, description: of the version; the description is Markdown.
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
    client.update_model_version(name, version, description)
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    set_alias(name, alias, int(version))
    return int(version)


def set_alias(name: str, alias: str, version: int) -> None:
    """Points the registered model's alias at the version."""
    MlflowClient().set_registered_model_alias(name, alias, str(version))


def version_tags(name: str, alias: str) -> dict[str, str] | None:
    """The tags of the version that the alias points at; None if it points at none."""
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        return None
    aliases = client.get_registered_model(name).aliases
    return client.get_model_version(name, aliases[alias]).tags if alias in aliases else None
