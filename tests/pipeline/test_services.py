"""The team's MLflow server of compose.yaml, with a real database and an S3-compatible storage."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import pytest
import yaml
from mlflow.tracking import MlflowClient
from moto.server import ThreadedMotoServer

from conftest import ROOT, experiment_id, free_port, served

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
PASSWORD = "a-pass-word"


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs, from the PATH or from Debian's folder.

    Without one, the test is skipped, but fails in CI.
    """
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += Path("/usr/lib/postgresql").glob("*/bin")
    programs = ((folder / "initdb").resolve() for folder in folders)
    for program in programs:
        if program.exists():
            return program.parent
    message = "no PostgreSQL server: initdb is not on the PATH"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def postgres() -> Iterator[str]:
    """A new PostgreSQL server with a database ``mlflow``; its host and port."""
    programs, port = postgres_programs(), free_port()
    with TemporaryDirectory() as temporary:  # other users cannot read tmp_path
        folder = Path(temporary)
        (folder / "password").write_text(PASSWORD)
        as_owner: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        data = str(folder / "data")
        first = ["--username=mlflow", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        subprocess.run([*as_owner, str(programs / "initdb"), *first, data], cwd=folder, check=True)
        options = f"-h 127.0.0.1 -p {port} -k {folder}"
        control = [*as_owner, str(programs / "pg_ctl"), "--pgdata", data, "--wait"]
        log = ["--log", str(folder / "log")]
        subprocess.run([*control, *log, "--options", options, "start"], cwd=folder, check=True)
        try:
            connection = ["--host=127.0.0.1", f"--port={port}", "--username=mlflow", "mlflow"]
            variables = os.environ | {"PGPASSWORD": PASSWORD}
            subprocess.run([programs / "createdb", *connection], env=variables, check=True)
            yield f"127.0.0.1:{port}"
        finally:
            subprocess.run([*control, "--mode", "immediate", "stop"], cwd=folder, check=True)


@pytest.fixture
def storage() -> Iterator[str]:
    """An S3-compatible server with a bucket ``mlflow``; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    client(f"http://{host}:{port}").create_bucket(Bucket="mlflow")
    yield f"http://{host}:{port}"
    server.stop()


def client(address: str) -> boto3.client:
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="mlflow",
        aws_secret_access_key=PASSWORD,
    )


@pytest.fixture
def server(postgres: str, storage: str, tmp_path: Path) -> Iterator[str]:
    """The service ``mlflow`` of compose.yaml, with this database and this storage."""
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["mlflow"]
    variables = {
        name: re.sub(r"\$\{\w+:[^}]*\}", PASSWORD, str(text))
        .replace("postgres:5432", postgres)
        .replace("http://storage:9000", storage)
        for name, text in service["environment"].items()
    }
    variables |= {"MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": "{port}"}
    with served(tmp_path, *service["command"].split(), **variables) as address:
        yield address


def test_a_training_by_the_team_s_server(
    project: Path, run_stage: Run, server: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Training needs only the address.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for stage in ("download", "split", "normalize", "augment", "train", "evaluate", "export"):
        assert run_stage(stage, "pipeline=tiny")[0] == 0
    store = MlflowClient(server)
    (run,) = store.search_runs([experiment_id(store, "tiny")])
    assert run.info.status == "FINISHED"
    assert {"test.accuracy", "best_val_accuracy"} <= set(run.data.metrics)
    assert store.get_model_version_by_alias("tiny", "candidate").version == "1"
    stored = client(storage).list_objects_v2(Bucket="mlflow")["Contents"]
    assert any(item["Key"].endswith("evaluation/report.html") for item in stored)
    assert not Path("mlflow.db").exists()
