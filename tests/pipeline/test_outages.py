"""If the MLflow store fails, training continues, and its run is uploaded later without loss."""

import json
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import requests
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from classifier import tracking
from classifier.saved.rounding import TRAINING_DIGITS, significant
from classifier.support.errors import InputError
from classifier.tracking.records import Run as TrackedRun
from classifier.tracking.store import open_store
from conftest import command, served_mlflow
from stages import upload as upload_stage

Run = Callable[..., tuple[int, str, str]]
Upload = Callable[[str], list[str]]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server."""
    with served_mlflow(tmp_path_factory.mktemp("server")) as address:
        yield address


class Proxy(ThreadingHTTPServer):
    """Forwards requests to the server until ``good`` epochs are logged; then ``fault`` applies."""

    def __init__(self, address: str, fault: str, good: int):
        super().__init__(("127.0.0.1", 0), Forwarder)
        self.target, self.fault, self.good = address, fault, good
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
        if self.server.fault == "end" and self.path.endswith("/runs/update"):
            self.send_error(500)
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
        headers = {name: text for name, text in self.headers.items() if name != "Host"}
        answer = requests.request(
            self.command, self.server.target + self.path, data=body, headers=headers
        )
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815


@pytest.fixture
def server(running_server: str) -> str:
    """The server, without the runs of earlier tests."""
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
    for started in running:
        started.shutdown()
        started.server_close()


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def prepared(finished: Path, project: Path) -> Path:
    """The tiny project after the augment stage."""
    shutil.copytree(finished / "data", project / "data")
    return project


def runs_at(address: str) -> list[MlflowRun]:
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("tiny")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def check_uploaded(address: str, epochs: int) -> None:
    """Checks for one finished run with all epochs of history.csv, its parameters and artifacts."""
    client = MlflowClient(address)
    (run,) = runs_at(address)
    assert run.info.status == "FINISHED"
    history = pd.read_csv("models/tiny/history.csv")
    logged = client.get_metric_history(run.info.run_id, "val_loss")
    assert [metric.step for metric in logged] == list(range(1, epochs + 1))
    values = [significant(metric.value, TRAINING_DIGITS) for metric in logged]
    assert values == history["val_loss"].tolist()
    assert run.data.params["train.epochs"] == str(epochs)
    assert run.data.params["split.seed"] == "7"
    assert len(run.data.tags["weights_sha256"]) == 64
    assert not [name for name in run.data.tags if name.startswith("kept.")]
    assert run.inputs is not None
    assert run.inputs.dataset_inputs[0].dataset.name == "tiny"
    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"summary.txt", "history.csv"} <= artifacts


@pytest.fixture
def upload(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Upload:
    """Runs stages.upload in this process; returns the lines that it prints."""

    def run(address: str) -> list[str]:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setattr(sys, "argv", ["stages.upload"])
        capsys.readouterr()
        try:
            upload_stage.main()
        except SystemExit as end:
            print(end.code)
        return capsys.readouterr().out.splitlines()

    return run


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


@pytest.mark.slow
@pytest.mark.fault(
    "MLflow server down, `outage=postpone`", "trains on; `python -m stages.upload` uploads the run"
)
def test_a_training_postpones_its_run_and_uploads_it_later(
    prepared: Path, run_stage: Run, server: str, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    status, _, output = run_stage("train", "pipeline=tiny", "outage=postpone")
    assert status == 0
    assert "the run is kept for 'python -m stages.upload'" in output
    assert Path("models/tiny/model.keras").exists()
    assert not Path("mlflow.db").exists()

    assert upload(NOWHERE)[-1].startswith(
        "upload: the MLflow store cannot be used (connection refused)"
    )

    words = (sys.executable, "-m", "stages.upload")
    uploaded = command(*words, cwd=prepared, MLFLOW_TRACKING_URI=server).stdout
    assert uploaded.splitlines()[-1] == "uploaded tiny: convnet"
    check_uploaded(server, epochs=2)
    assert list(Path(".dvc/tmp/postponed").iterdir()) == []
    assert upload(server) == ["nothing to upload"]


@pytest.mark.slow
@pytest.mark.fault("MLflow server refuses a kept run", "named and kept; the others are uploaded")
def test_a_run_that_is_refused_does_not_keep_the_others(
    prepared: Path,
    run_stage: Run,
    server: str,
    proxy: Callable[..., Proxy],
    upload: Upload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    for seed in (1, 2):
        words = ("epochs=1", f"train.seed={seed}", "outage=postpone")
        assert run_stage("train", "pipeline=tiny", *words)[0] == 0
    address = proxy("refuse").url
    uploaded, refused = upload(address)[-2:]
    assert uploaded.startswith("uploaded tiny: convnet")
    assert refused.startswith("upload: the MLflow store refused tiny: convnet")
    assert "full" in refused
    assert len(runs_at(server)) == 1
    assert upload(address)[-1].startswith("uploaded tiny: convnet")
    assert {run.data.params["train.seed"] for run in runs_at(server)} == {"1", "2"}


@pytest.mark.slow
@pytest.mark.fault("MLflow server lost half way", "trains on; the upload completes the same run")
@pytest.mark.parametrize("fault", ["error", "break"])
def test_a_server_lost_half_way_loses_no_epoch(
    prepared: Path,
    run_stage: Run,
    server: str,
    proxy: Callable[..., Proxy],
    upload: Upload,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    lost = proxy(fault, good=2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", lost.url)
    status, _, output = run_stage("train", "pipeline=tiny", "epochs=5")
    assert status == 0, output
    assert "MLflow cannot be used any more" in output
    (run,) = runs_at(server)
    assert run.info.status == "RUNNING"
    assert len(MlflowClient(server).get_metric_history(run.info.run_id, "val_loss")) == 2

    lost.fault = "none"
    assert upload(lost.url)[-1].startswith("uploaded tiny: convnet")
    check_uploaded(server, epochs=5)


@pytest.mark.slow
@pytest.mark.fault("MLflow server lost at the end", "the upload ends the same run")
def test_a_server_lost_at_the_end_loses_not_even_the_end(
    prepared: Path,
    run_stage: Run,
    server: str,
    proxy: Callable[..., Proxy],
    upload: Upload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy("end", good=1000).url)
    assert run_stage("train", "pipeline=tiny")[0] == 0
    assert runs_at(server)[0].info.status == "RUNNING"
    upload(server)
    check_uploaded(server, epochs=2)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.fault(
    "MLflow server down for evaluate", "one line; what is uploaded later joins the evaluated run"
)
def test_a_run_is_joined_to_that_of_an_evaluation_before_the_upload(
    prepared: Path, run_stage: Run, server: str, upload: Upload, monkeypatch: pytest.MonkeyPatch
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
    upload(server)
    check_uploaded(server, epochs=2)
    assert "test.accuracy" in runs_at(server)[0].data.metrics


@pytest.mark.slow
@pytest.mark.fault("SQLite file locked at the start", "one line before the first epoch")
def test_a_locked_store_stops_a_training_before_it_begins(prepared: Path, run_stage: Run) -> None:
    open_store(prepared, "tiny")
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


@pytest.mark.slow
@pytest.mark.fault("SQLite file locked half way", "trains on; the upload completes the run")
def test_a_store_that_is_locked_half_way_loses_no_epoch(
    prepared: Path, run_stage: Run, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[sqlite3.Connection] = []
    log_epoch = TrackedRun.log_epoch

    def lock_at_two(run: TrackedRun, epoch: int, logs: Mapping[str, float]) -> None:
        if epoch == 2:
            connections.append(sqlite3.connect("mlflow.db", isolation_level=None))
            connections[0].execute("BEGIN EXCLUSIVE")
        log_epoch(run, epoch, logs)

    monkeypatch.setattr(TrackedRun, "log_epoch", lock_at_two)
    status, _, output = run_stage("train", "pipeline=tiny", "epochs=3")
    connections[0].execute("ROLLBACK")
    connections[0].close()
    assert status == 0, output
    assert "the database is locked by another process" in output
    store = f"sqlite:///{prepared / 'mlflow.db'}"
    assert upload(store)[-1:] == ["uploaded tiny: convnet"]
    check_uploaded(store, epochs=3)


@contextmanager
def logged_run(root: Path, address: str) -> Iterator[TrackedRun]:
    """The run of a training that continues after each interruption, without the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        params, tags, remembered = {"seed": 1}, {"model": "convnet"}, root / "run"
        with tracking.resumed_run(
            root, "tiny", "convnet", params, tags, remembered, "postpone"
        ) as run:
            yield run


def kill(root: Path) -> None:
    """Truncates the postponed run, as ``kill -9`` does while the process writes its last record."""
    (file,) = (root / ".dvc" / "tmp" / "postponed").glob("*.jsonl")
    *records, end = file.read_text().splitlines(keepends=True)
    assert json.loads(end)["end"] == "FINISHED"
    file.write_text("".join(records) + end[:20])


def losses(address: str) -> dict[int, float]:
    """The loss at each step of the only run."""
    (run,) = runs_at(address)
    metrics = MlflowClient(address).get_metric_history(run.info.run_id, "val_loss")
    assert len(metrics) == len({metric.step for metric in metrics})
    return {metric.step: metric.value for metric in metrics}


def test_a_run_of_a_killed_process_is_uploaded_as_killed(
    tmp_path: Path, server: str, upload: Upload, caplog: pytest.LogCaptureFixture
) -> None:
    with logged_run(tmp_path, NOWHERE) as run:
        run.log_epoch(1, {"val_loss": 0.5})
        assert list(tracking.upload(tmp_path)) == []  # the run is still active
    kill(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert upload(server)[-1:] == ["uploaded tiny: convnet"]
    assert [record.message for record in caplog.records][-1].endswith(
        ".jsonl: line 3 is not complete: ignored"
    )
    assert losses(server) == {1: 0.5}
    assert runs_at(server)[0].info.status == "KILLED"


@pytest.mark.parametrize("then", ["down", "up"])
def test_a_training_that_continues_after_a_kill_is_one_run(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    with logged_run(tmp_path, NOWHERE) as run:
        run.log_epoch(1, {"val_loss": 0.5})
        run.log_text("layers", "summary.txt")
    kill(tmp_path)
    with logged_run(tmp_path, NOWHERE if then == "down" else server) as run:
        run.log_epoch(2, {"val_loss": 0.25})
        assert list(tracking.upload(tmp_path)) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert list(tracking.upload(tmp_path)) == ["tiny: convnet"]
    assert not list((tmp_path / ".dvc" / "tmp" / "postponed").iterdir())
    assert losses(server) == {1: 0.5, 2: 0.25}
    (stored,) = runs_at(server)
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {"seed": "1"}
    assert MlflowClient(server).list_artifacts(stored.info.run_id)[0].path == "summary.txt"


def test_an_interrupted_upload_is_repeated_without_duplicates(
    tmp_path: Path, server: str, proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_run(tmp_path, NOWHERE) as run:
        for epoch in (1, 2, 3):
            run.log_epoch(epoch, {"val_loss": 1 / epoch})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy("error", good=2).url)
    with pytest.raises(InputError, match="what was not uploaded is still in"):
        list(tracking.upload(tmp_path))
    assert len(losses(server)) == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert list(tracking.upload(tmp_path)) == ["tiny: convnet"]
    assert losses(server) == {1: 1, 2: 1 / 2, 3: 1 / 3}


def test_a_training_continues_without_store_and_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "tmp" / "postponed").write_text("not a folder")
    with logged_run(tmp_path, NOWHERE) as run:
        for epoch in (1, 2):
            run.log_epoch(epoch, {"val_loss": 0.5})
    messages = [record.message for record in caplog.records]
    assert len([text for text in messages if "MLflow's record of this run ends here" in text]) == 1
