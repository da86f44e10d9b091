"""A checkout to measure in: a copy of this code, with its own outputs and MLflow store."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML

from stages.configuration import build
from stages.layout import needed
from stages.programs import environment

if TYPE_CHECKING:
    from classifier.training.training_set import TrainingSet
    from stages.schemas import Train

ROOT = Path(__file__).resolve().parents[1]


class Result(NamedTuple):
    """The results of one training."""

    accuracy: float  # of the test split
    seconds: float  # of training
    images: int  # trained on, summed over the epochs
    parameters: int
    validation: list[tuple[float, float]]  # per epoch: seconds since the start, accuracy


@contextmanager
def checkout() -> Iterator[Path]:
    """Copies the tracked files to a temporary folder, which shares this checkout's DVC cache."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "checkout")
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        cache = f"[cache]\n    dir = {ROOT / '.dvc' / 'cache'}\n[core]\n    no_scm = true\n"
        (folder / ".dvc" / "config.local").write_text(cache)
        yield folder


def run(folder: Path, *words: str) -> None:
    """Runs this virtual environment's program in ``folder``; its output goes to standard error."""
    subprocess.run(words, cwd=folder, env=environment(), stdout=sys.stderr, check=True)


def use_recipe(folder: Path, recipe: str, pipeline: str) -> None:
    """Puts the recipe's sections of the pipeline into params.yaml."""
    run(folder, sys.executable, "-m", "stages.recipe", recipe, pipeline)


def set_params(folder: Path, changes: dict[str, Any]) -> None:
    """Sets values of params.yaml by their dotted keys; a pipeline or section may be new."""
    yaml = YAML()
    content = yaml.load(folder / "params.yaml")
    for key, value in changes.items():
        *parents, last = key.split(".")
        node = content["pipelines"]
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    yaml.dump(content, folder / "params.yaml")


def copy_pipeline(folder: Path, pattern: str, name: str, changes: dict[str, Any]) -> None:
    """Adds the pipeline ``name``: a copy of ``pattern`` with ``changes`` by keys of its section."""
    sections = YAML(typ="safe").load(folder / "params.yaml")["pipelines"][pattern]
    set_params(folder, {name: sections})
    set_params(folder, {f"{name}.{key}": value for key, value in changes.items()})


def train(folder: Path, pipeline: str) -> Result:
    """Trains the pipeline in ``folder``, even if DVC has its outputs, and evaluates it."""
    run(folder, "dvc", "repro", "--quiet", f"augment@{pipeline}", f"backbone@{pipeline}")
    run(folder, "dvc", "repro", "--quiet", "--force", "--single-item", f"train@{pipeline}")
    run(folder, "dvc", "repro", "--quiet", f"evaluate@{pipeline}")
    metrics = json.loads((folder / "reports" / pipeline / "metrics.json").read_text())
    latest = latest_run(folder, pipeline)
    seconds = latest.data.metrics["training_seconds"]
    epochs = _store(folder).get_metric_history(latest.info.run_id, "val_accuracy")
    last = max(epoch.timestamp for epoch in epochs)
    images = len(np.load(folder / "data" / "normalized" / pipeline / "train.npy", mmap_mode="r"))
    return Result(
        accuracy=metrics["accuracy"],
        seconds=seconds,
        images=images * len(epochs),
        parameters=int(latest.data.metrics["model.parameters"]),
        validation=[
            (seconds - (last - epoch.timestamp) / 1000, epoch.value)
            for epoch in sorted(epochs, key=lambda epoch: epoch.step)
        ],
    )


def predict_test_split(config: "Train", data: "TrainingSet") -> tuple[np.ndarray, np.ndarray]:
    """Trains on other data in this process, without outputs.

    Args:
        config: of the train stage; its pipeline is normalized in the working directory.

    Returns:
        The labels of the whole test split, and what the best epoch predicts, integers (N,).
    """
    from classifier.layers.views import averaged
    from classifier.saved.saving import load_model
    from classifier.storage.splits import read_split
    from classifier.training import session
    from classifier.training.fit import fit
    from stages.train import assemble

    session.begin(config)
    model, feed, phases = assemble(config, build("strategy", config.strategy), data)
    with TemporaryDirectory() as temporary:
        batches = data.validation_batches()
        fit(model, phases, feed, batches, config, Path(temporary), lambda *_: None)
        best = load_model(Path(temporary, "best.keras"))
    views = build("views", config.views, data.shape)
    whole = averaged(best, views) if views else best
    images, labels = read_split(needed("normalize", config.pipeline), "test")
    return labels, whole.predict(images, batch_size=64, verbose=0).argmax(axis=1)


def latest_run(folder: Path, pipeline: str) -> Run:
    """The pipeline's newest MLflow run in ``folder``."""
    experiment = _store(folder).get_experiment_by_name(pipeline)
    assert experiment is not None  # the pipeline was trained in this folder
    return _store(folder).search_runs([experiment.experiment_id], max_results=1)[0]


def _store(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
