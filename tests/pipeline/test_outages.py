"""An MLflow store that fails loses no result: a training goes on, and its run is uploaded later."""

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import requests
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from conftest import command, served_mlflow

Run = Callable[..., tuple[int, str, str]]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server."""
    with served_mlflow(tmp_path_factory.mktemp("server")) as address:
        yield address


class Proxy(ThreadingHTTPServer):
    """Stands before the server: passes ``good`` metric logs on, then does what ``fault`` says."""

    def __init__(self, address: str, fault: str, good: int):
        super().__init__(("127.0.0.1", 0), Forwarder)
        self.behind, self.fault, self.good = address, fault, good
        self.url = f"http://127.0.0.1:{self.server_port}"


class Forwarder(BaseHTTPRequestHandler):
    server: Proxy

    def log_message(self, *arguments: object) -> None:
        pass

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.good <= 0 and self.server.fault == "error":
            self.send_error(500)
            return
        if self.server.good <= 0 and self.server.fault == "break":
            self.connection.close()
            return
        if self.server.fault == "refuse" and self.path.endswith("/runs/create"):
            self.server.fault = "none"
            self.send_response(400)
            self.end_headers()
            self.wfile.write(b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "full"}')
            return
        if self.server.fault == "slow":
            time.sleep(0.3)
        if self.path.endswith("/runs/log-batch") and b"val_loss" in body:
            self.server.good -= 1
        kept = {name: text for name, text in self.headers.items() if name != "Host"}
        answer = requests.request(
            self.command, self.server.behind + self.path, data=body, headers=kept
        )
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815


@pytest.fixture
def server(running_server: str) -> str:
    """The server, without the runs of the tests before."""
    for run in runs_at(running_server):
        MlflowClient(running_server).delete_run(run.info.run_id)
    return running_server


@pytest.fixture
def proxy(server: str) -> Iterator[Callable[..., Proxy]]:
    running: list[Proxy] = []

    def start(fault: str, good: int = 0) -> Proxy:
        running.append(Proxy(server, fault, good))
        threading.Thread(target=running[-1].serve_forever, daemon=True).start()
        return running[-1]

    yield start
    for each in running:
        each.shutdown()
        each.server_close()


@pytest.fixture
def prepared(project: Path, run_stage: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny project up to augment; MLflow tries once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for stage in ("download", "split", "normalize", "augment"):
        assert run_stage(stage, "pipeline=tiny")[0] == 0
    return project


def runs_at(address: str) -> list[MlflowRun]:
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("tiny")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def check_uploaded(address: str, epochs: int) -> None:
    """One finished run with every epoch of history.csv, the parameters, and the artifacts."""
    client = MlflowClient(address)
    (run,) = runs_at(address)
    assert run.info.status == "FINISHED"
    history = pd.read_csv("models/tiny/history.csv")
    logged = client.get_metric_history(run.info.run_id, "val_loss")
    assert [metric.step for metric in logged] == list(range(1, epochs + 1))
    assert [metric.value for metric in logged] == pytest.approx(history["val_loss"].tolist())
    assert run.data.params["train.epochs"] == str(epochs)
    assert run.data.params["split.seed"] == "7"
    assert len(run.data.tags["weights_sha256"]) == 64
    assert not [name for name in run.data.tags if name.startswith("kept.")]
    assert run.inputs.dataset_inputs[0].dataset.name == "tiny"
    found = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"summary.txt", "history.csv"} <= found


def upload(**environment: str) -> str:
    return command(sys.executable, "-m", "stages.upload", cwd=Path.cwd(), **environment).stdout


@pytest.mark.fault("MLflow server down at the start", "one line before the first epoch")
def test_a_server_that_is_down_stops_a_training_before_it_begins(
    prepared: Path, run_stage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    status, error, output = run_stage("train", "pipeline=tiny")
    assert status == 1
    assert error.splitlines()[-1] == (
        f"train: pipelines.tiny.train: the MLflow server {NOWHERE} cannot be used (connection "
        "refused); outage=postpone trains without it and keeps the run for "
        "'python -m stages.upload'"
    )
    assert "Epoch" not in output
    assert "Traceback" not in error
    assert not Path("models/tiny").exists()


@pytest.mark.fault(
    "MLflow server down, `outage=postpone`", "trains on; `python -m stages.upload` uploads the run"
)
def test_a_training_postpones_its_run_and_uploads_it_later(
    prepared: Path, run_stage: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    status, _, output = run_stage("train", "pipeline=tiny", "outage=postpone")
    assert status == 0
    assert "the run is kept for 'python -m stages.upload'" in output
    assert Path("models/tiny/model.keras").exists()
    assert not Path("mlflow.db").exists()

    refused = command(
        sys.executable,
        "-m",
        "stages.upload",
        cwd=prepared,
        check=False,
        MLFLOW_TRACKING_URI=NOWHERE,
    )
    assert refused.returncode == 1
    assert "upload: the MLflow store cannot be used (connection refused)" in refused.stdout

    assert upload(MLFLOW_TRACKING_URI=server).splitlines()[-1] == "uploaded tiny: convnet"
    check_uploaded(server, epochs=2)
    assert upload(MLFLOW_TRACKING_URI=server).splitlines()[-1] == "nothing to upload"


@pytest.mark.fault("MLflow server refuses a kept run", "named and kept; the others are uploaded")
def test_a_run_that_is_refused_does_not_keep_the_others(
    prepared: Path,
    run_stage: Run,
    server: str,
    proxy: Callable[..., Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    for seed in (1, 2):
        words = ("epochs=1", f"train.seed={seed}", "outage=postpone")
        assert run_stage("train", "pipeline=tiny", *words)[0] == 0
    address = proxy("refuse").url
    words = (sys.executable, "-m", "stages.upload")
    found = command(*words, cwd=prepared, check=False, MLFLOW_TRACKING_URI=address)
    assert found.returncode == 1
    uploaded, refused = found.stdout.splitlines()[-2:]
    assert uploaded.startswith("uploaded tiny: convnet")
    assert refused.startswith("upload: the MLflow store refused tiny: convnet")
    assert "full" in refused
    assert len(runs_at(server)) == 1
    assert "uploaded tiny: convnet" in upload(MLFLOW_TRACKING_URI=address)
    assert {one.data.params["train.seed"] for one in runs_at(server)} == {"1", "2"}


@pytest.mark.fault("MLflow server lost half way", "trains on; the upload completes the same run")
@pytest.mark.parametrize("fault", ["error", "break"])
def test_a_server_lost_half_way_loses_no_epoch(
    prepared: Path,
    run_stage: Run,
    server: str,
    proxy: Callable[..., Proxy],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy(fault, good=2).url)
    status, _, output = run_stage("train", "pipeline=tiny", "epochs=5")
    assert status == 0, output
    assert "MLflow cannot be used any more" in output
    (run,) = runs_at(server)
    assert run.info.status == "RUNNING"
    assert len(MlflowClient(server).get_metric_history(run.info.run_id, "val_loss")) == 2

    assert upload(MLFLOW_TRACKING_URI=server).splitlines()[-1].startswith("uploaded tiny: convnet")
    check_uploaded(server, epochs=5)


@pytest.mark.fault("MLflow server lost at the end", "the upload ends the same run")
def test_a_server_lost_at_the_end_loses_not_even_the_end(
    prepared: Path,
    run_stage: Run,
    server: str,
    proxy: Callable[..., Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from classifier.tracking import runs

    lost = proxy("error", good=1000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", lost.url)
    end = runs._end

    def lose_and_end(status: str) -> None:
        lost.good = 0
        end(status)

    monkeypatch.setattr(runs, "_end", lose_and_end)
    assert run_stage("train", "pipeline=tiny")[0] == 0
    assert runs_at(server)[0].info.status == "RUNNING"
    upload(MLFLOW_TRACKING_URI=server)
    check_uploaded(server, epochs=2)


@pytest.mark.fault("MLflow server slow", "every epoch is logged")
def test_a_slow_server_is_waited_for(
    prepared: Path,
    run_stage: Run,
    server: str,
    proxy: Callable[..., Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy("slow", good=1000).url)
    assert run_stage("train", "pipeline=tiny")[0] == 0
    check_uploaded(server, epochs=2)


@pytest.mark.fault(
    "MLflow server down for evaluate", "one line; what is uploaded later joins the evaluated run"
)
def test_a_run_is_joined_to_that_of_an_evaluation_before_the_upload(
    prepared: Path, run_stage: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    assert run_stage("train", "pipeline=tiny", "outage=postpone")[0] == 0
    status, error, _ = run_stage("evaluate", "pipeline=tiny")
    assert status == 1
    assert error.splitlines()[-1] == (
        f"evaluate: pipelines.tiny.evaluate: the MLflow server {NOWHERE} cannot be used "
        "(connection refused)"
    )
    assert not Path("reports/tiny").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert run_stage("evaluate", "pipeline=tiny")[0] == 0
    upload(MLFLOW_TRACKING_URI=server)
    check_uploaded(server, epochs=2)
    assert "test.accuracy" in runs_at(server)[0].data.metrics


@pytest.mark.fault("SQLite file locked at the start", "one line before the first epoch")
def test_a_locked_store_stops_a_training_before_it_begins(prepared: Path, run_stage: Run) -> None:
    assert run_stage("train", "pipeline=tiny")[0] == 0
    with sqlite3.connect("mlflow.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        status, error, _ = run_stage("train", "pipeline=tiny", "epochs=1")
        other.execute("ROLLBACK")
    assert status == 1
    assert error.splitlines()[-1].startswith(
        f"train: pipelines.tiny.train: the MLflow store {prepared / 'mlflow.db'} cannot be used "
        "(the database is locked by another process)"
    )
    assert "Traceback" not in error


@pytest.mark.fault("SQLite file locked half way", "trains on; the upload completes the run")
def test_a_store_that_is_locked_half_way_loses_no_epoch(prepared: Path, run_stage: Run) -> None:
    from classifier.tracking import runs

    locks: list[sqlite3.Connection] = []
    log_step = runs._log_step

    def lock_at_two(step: int, metrics: dict[str, float]) -> None:
        if step == 2:
            locks.append(sqlite3.connect("mlflow.db", isolation_level=None))
            locks[0].execute("BEGIN EXCLUSIVE")
        log_step(step, metrics)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_log_step", lock_at_two)
        status, _, output = run_stage("train", "pipeline=tiny", "epochs=3")
    locks[0].execute("ROLLBACK")
    locks[0].close()
    assert status == 0, output
    assert "the database is locked by another process" in output
    assert upload().splitlines()[-1] == "uploaded tiny: convnet"
    check_uploaded(f"sqlite:///{prepared / 'mlflow.db'}", epochs=3)
