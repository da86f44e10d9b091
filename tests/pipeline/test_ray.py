"""Sweeps on a Ray cluster of two nodes: the runs of all trials are in one MLflow server."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import psutil
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from conftest import command, experiment_id, served_mlflow, stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is missing: make setup WITH=ray"),
]

# Writes a trial's process and node to a file: Hydra calls it on the worker.
WHERE = """\
import json, os
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback

class Where(Callback):
    def on_job_start(self, config, **_):
        import ray
        node = ray.get_runtime_context().get_node_id()
        Path(HydraConfig.get().runtime.output_dir, "where.json").write_text(
            json.dumps({"process": os.getpid(), "node": node, "folder": os.getcwd()})
        )
"""
CALLBACK = "+hydra.callbacks.where._target_=where.Where"
RATES = "train.optimizer.learning_rate=0.01,0.03"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """Ray's folder, with a path short enough for sockets, and the cluster's password."""
    with TemporaryDirectory(prefix="ray") as folder:
        yield {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
        left = [process.info for process in psutil.process_iter(["cmdline"])]
        assert not [info for info in left if folder in " ".join(info["cmdline"] or [])]


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of two nodes with one CPU each, without a checkout and an MLflow server."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, text in environment.items():
            patch.setenv(variable, text)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(tmp_path_factory.mktemp("node"))
        from ray.cluster_utils import Cluster

        nodes = Cluster()
        try:
            nodes.add_node(include_dashboard=False)
            nodes.add_node()
            yield nodes.address
        finally:
            nodes.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_mlflow(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def prepared(finished: Path, project: Path) -> Path:
    shutil.copytree(finished / "data", project / "data")
    (project / "where.py").write_text(WHERE)
    return project


def sweep(folder: Path, *words: str, env: Mapping[str, str], check: bool = True) -> str:
    train = [sys.executable, "-m", "stages.train", "pipeline=tiny", "epochs=1", "--multirun"]
    return command(*train, *words, cwd=folder, check=check, env=env).stdout


def launcher(address: str) -> list[str]:
    return ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}"]


def runs_of(client: MlflowClient) -> tuple[Run, list[Run]]:
    """The latest sweep's parent run and its children."""
    runs = client.search_runs([experiment_id(client, "tiny")])
    parent = next(run for run in runs if "sweep" in run.data.tags)
    children = [
        run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    return parent, children


def places(folder: Path, trials: int) -> list[dict[str, str]]:
    files = list((folder / ".dvc" / "tmp" / "multirun").glob("*/*/where.json"))
    assert len(files) == trials
    return [json.loads(file.read_text()) for file in files]


def results(runs: list[Run]) -> dict[str, dict[str, float]]:
    """The losses and accuracies of each trial, by its name."""
    return {
        run.info.run_name: {
            name: value
            for name, value in run.data.metrics.items()
            if name.endswith(("loss", "accuracy"))
        }
        for run in runs
    }


def test_two_nodes_train_the_children_of_one_run(
    prepared: Path,
    cluster: str,
    server: str,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {**environment, "MLFLOW_TRACKING_URI": server}
    sweep(prepared, *launcher(cluster), RATES, CALLBACK, env=variables)
    where = places(prepared, trials=2)
    assert len({place["node"] for place in where}) == 2
    assert len({place["process"] for place in where}) == 2
    assert str(prepared) not in {place["folder"] for place in where}
    assert not (prepared / "mlflow.db").exists()
    assert not (prepared / "models").exists()

    client = MlflowClient(server)
    parent, children = runs_of(client)
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert sorted(run.info.run_name for run in children) == [
        "epochs=1 optimizer.learning_rate=0.01",
        "epochs=1 optimizer.learning_rate=0.03",
    ]
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"sweep.csv", "sweep.png"}
    table = pd.read_csv(client.download_artifacts(parent.info.run_id, "sweep.csv"))
    assert sorted(table["train.optimizer.learning_rate"]) == [0.01, 0.03]

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    stage("train", "pipeline=tiny", "epochs=1", "--multirun", RATES)
    _, one_process = runs_of(client)
    assert results(children) == results(one_process)


def test_optuna_s_trials_run_two_at_a_time(
    prepared: Path, cluster: str, server: str, environment: dict[str, str]
) -> None:
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2"]
    rates = "train.optimizer.learning_rate=tag(log,interval(0.001,0.1))"
    variables = {**environment, "MLFLOW_TRACKING_URI": server}
    output = sweep(prepared, *words, *launcher(cluster), rates, CALLBACK, env=variables)
    assert len({place["node"] for place in places(prepared, trials=2)}) == 2
    _, children = runs_of(MlflowClient(server))
    best = max(run.data.metrics["best_val_accuracy"] for run in children)
    assert len(children) == 2
    assert f"Best value: {best}"[:20] in output


def test_a_trial_that_fails_on_a_cluster_of_its_own_ends_the_sweep_in_one_line(
    prepared: Path, environment: dict[str, str]
) -> None:
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=1"]
    none = "batch_size=choice(0)"
    output = sweep(prepared, *words, *launcher("local"), none, check=False, env=environment)
    assert "train: pipelines.tiny.train: batch_size is 0: must be at least 1" in output
    assert "Traceback" not in output
