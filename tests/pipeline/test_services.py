"""The team's MLflow server as compose.yaml has it, its database and storage run for real."""

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

from conftest import ROOT, free_port, served

Run = Callable[..., tuple[int, str, str]]
PASSWORD = "a-pass-word"


def postgres_programs() -> Path:
    """The folder of PostgreSQL's server: on the PATH, or where Debian has it. Its test is skipped
    without one, but not in CI."""
    places = [*os.environ["PATH"].split(os.pathsep), *Path("/usr/lib/postgresql").glob("*/bin")]
    programs = (Path(place, "initdb").resolve() for place in places)
    found = next((program.parent for program in programs if program.exists()), None)
    if found is None:
        message = "no PostgreSQL server: initdb is not on the PATH"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return found


@pytest.fixture
def postgres() -> Iterator[str]:
    """A new PostgreSQL server with a database ``mlflow``; its host and port."""
    programs, port = postgres_programs(), free_port()
    with TemporaryDirectory() as temporary:  # pytest's is closed to other users
        folder = Path(temporary)
        (folder / "password").write_text(PASSWORD)
        as_owner: list[str] = []
        if os.geteuid() == 0:  # it refuses to run as root
            as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        data = str(folder / "data")
        first = ["--username=mlflow", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        subprocess.run([*as_owner, programs / "initdb", *first, data], cwd=folder, check=True)
        options = f"-h 127.0.0.1 -p {port} -k {folder}"
        control = [*as_owner, programs / "pg_ctl", "--pgdata", data, "--wait"]
        log = ["--log", str(folder / "log")]
        subprocess.run([*control, *log, "--options", options, "start"], cwd=folder, check=True)
        try:
            where = ["--host=127.0.0.1", f"--port={port}", "--username=mlflow", "mlflow"]
            known = os.environ | {"PGPASSWORD": PASSWORD}
            subprocess.run([programs / "createdb", *where], env=known, check=True)
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
    """The service ``mlflow`` of compose.yaml, with these two in place of its own."""
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
    # Who trains knows the address alone.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for stage in ("download", "split", "normalize", "augment", "train", "evaluate", "export"):
        assert run_stage(stage, "pipeline=tiny")[0] == 0
    found = MlflowClient(server)
    (run,) = found.search_runs([found.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "FINISHED"
    assert {"test.accuracy", "best_val_accuracy"} <= set(run.data.metrics)
    assert found.get_model_version_by_alias("tiny", "candidate").version == "1"
    stored = client(storage).list_objects_v2(Bucket="mlflow")["Contents"]
    assert any(item["Key"].endswith("evaluation/report.html") for item in stored)
    assert not Path("mlflow.db").exists()
