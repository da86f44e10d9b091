"""What a colleague gets: outputs without a run, and models that say where they come from."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from moto.server import ThreadedMotoServer

from conftest import command, commit_all, write_project
from stages import origin

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed tiny project whose seven stages have run."""
    folder = write_project(tmp_path_factory.mktemp("sharing") / "project")
    (folder / "requirements.txt").write_text("tensorflow==2\n")
    commit_all(folder)
    command("dvc", "repro", cwd=folder)
    commit_all(folder)
    return folder


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of an S3-compatible server; gives the server's address."""
    import boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    names = {name.lower(): text for name, text in CREDENTIALS.items()}
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **names)
    client.create_bucket(Bucket="outputs")
    yield address
    server.stop()


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_colleague_pulls_everything_and_runs_nothing(
    repository: Path, bucket: str, tmp_path: Path, kind: str
) -> None:
    url = str(tmp_path / "remote") if kind == "folder" else "s3://outputs/dvc"
    command("dvc", "remote", "add", "--force", "--default", kind, url, cwd=repository)
    if kind == "s3":
        command("dvc", "remote", "modify", kind, "endpointurl", bucket, cwd=repository)
    commit_all(repository)
    command("dvc", "push", cwd=repository, **CREDENTIALS)

    clone = tmp_path / "clone"
    command("git", "clone", "-q", str(repository), str(clone), cwd=tmp_path)
    command("dvc", "pull", cwd=clone, **CREDENTIALS)
    assert "Running stage" not in command("dvc", "repro", cwd=clone).stdout
    assert not (clone / "mlflow.db").exists()
    for output in ("models/tiny/model.keras", "exports/tiny/saved_model.pb", "data/split/tiny.csv"):
        assert (clone / output).read_bytes() == (repository / output).read_bytes()

    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("mistakes: 4", "mistakes: 3"))
    output = command("dvc", "repro", "evaluate@tiny", cwd=clone).stdout
    assert "Running stage 'evaluate@tiny'" in output
    assert "Running stage 'train@tiny'" not in output
    client = MlflowClient(f"sqlite:///{clone / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert "test.accuracy" in run.data.metrics


@pytest.fixture
def within(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repository)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return repository


@pytest.mark.parametrize("form", ["folder", "version"])
def test_an_exported_model_names_what_made_it(within: Path, tmp_path: Path, form: str) -> None:
    model = "models:/tiny/1"
    if form == "folder":
        model = str(shutil.copytree("exports/tiny", tmp_path / "copy"))
    first = command("git", "log", "--reverse", "--format=%H", "--", "dvc.lock", cwd=within).stdout
    commit, pipeline = origin.find(origin.model_hash(model))
    assert (commit, pipeline) == (first.split()[0], "tiny")
    described = dict(
        line.split(maxsplit=1) for line in origin.describe(commit, pipeline).splitlines()
    )
    assert described["commit"].startswith(commit)
    assert described["tiny.split"] == "{'validation': 0.2, 'test': 0.2, 'seed': 7}"
    assert described["data"].endswith(".dir")
    assert len(described["requirements.txt"]) == len(described["dvc.lock"]) == len("sha256 ") + 64


def test_a_model_is_made_again_with_the_same_bytes(within: Path) -> None:
    words = [sys.executable, "-m", "stages.origin", "exports/tiny", "--remake"]
    assert command(*words, cwd=within).stdout.splitlines()[-1] == "made again: the same bytes"


def test_a_model_of_no_commit_is_refused_in_one_line(within: Path, tmp_path: Path) -> None:
    copy = shutil.copytree("exports/tiny", tmp_path / "copy")
    (copy / "assets" / "classes.txt").write_text("other\n")
    words = [sys.executable, "-m", "stages.origin"]
    for model, expected in (
        (str(copy), "no commit's dvc.lock has this model"),
        (str(tmp_path), "is no exported model: it has no saved_model.pb"),
    ):
        refused = command(*words, model, cwd=within, check=False)
        assert refused.returncode == 1
        assert refused.stdout.startswith("origin: ")
        assert expected in refused.stdout
        assert len(refused.stdout.splitlines()) == 1
