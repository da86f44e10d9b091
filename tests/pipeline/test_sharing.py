"""Sharing: a colleague pulls outputs without a run, and traces models to their origin."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from moto.server import ThreadedMotoServer
from ruamel.yaml import YAML

from classifier.support.errors import InputError
from conftest import PYTHON, command, commit_all, experiment_id, write_project
from stages import origin, provenance

pytestmark = pytest.mark.slow

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed tiny project, after all seven stages."""
    folder = write_project(tmp_path_factory.mktemp("sharing") / "project")
    (folder / "requirements.txt").write_text("tensorflow==2\n")
    commit_all(folder)
    command("dvc", "repro", cwd=folder)
    commit_all(folder)
    return folder


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3-compatible server with a bucket ``outputs``; its address."""
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
    command("dvc", "push", cwd=repository, env=CREDENTIALS)

    clone = tmp_path / "clone"
    command("git", "clone", "-q", str(repository), str(clone), cwd=tmp_path)
    command("dvc", "pull", cwd=clone, env=CREDENTIALS)
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
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert "test.accuracy" in run.data.metrics


IN_GIT = {  # the files with figures that a clone, GitHub and a pull request show
    "models/tiny/history.csv",
    "reports/tiny/calibration.csv",
    "reports/tiny/classes.csv",
    "reports/tiny/confusion.csv",
    "reports/tiny/corruptions.csv",
    "reports/tiny/coverage.csv",
    "reports/tiny/intervals.csv",
    "reports/tiny/metrics.json",
    "reports/tiny/slices.csv",
    "reports/tiny/suspicious.csv",
    "reports/tiny/unknown.csv",
}


def test_a_clone_without_the_cache_compares_metrics_and_plots(
    repository: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    command("git", "clone", "-q", str(repository), str(clone), cwd=tmp_path)
    outputs = command("git", "ls-files", "models", "reports", "data", "exports", cwd=clone).stdout
    assert set(outputs.split()) == IN_GIT
    metrics = clone / "reports" / "tiny" / "metrics.json"
    before = json.loads(metrics.read_text())["images"]
    metrics.write_text(
        metrics.read_text().replace(f'"images": {before}', f'"images": {before + 1}')
    )
    history = clone / "models" / "tiny" / "history.csv"
    history.write_text(history.read_text() + history.read_text().splitlines()[-1] + "\n")

    shown = command("dvc", "metrics", "diff", cwd=clone).stdout
    assert "failed to load" not in shown
    (row,) = [line for line in shown.splitlines() if " images " in line]
    assert row.split()[-3:] == [str(before), str(before + 1), "1"]
    table = json.loads(command("dvc", "metrics", "show", "--json", cwd=clone).stdout)
    assert table[""]["data"]["reports/tiny/metrics.json"]["data"]["images"] == before + 1
    for name in ("models/tiny/history.csv", "reports/tiny/calibration.csv"):
        words = ["dvc", "plots", "diff", "--json", "--targets", name, "--", "HEAD"]
        plots = json.loads(command(*words, cwd=clone).stdout)
        assert not plots.get("errors"), plots
        for plot in plots["data"][name]:
            assert set(plot["revisions"]) == {"HEAD", "workspace"}
    command("dvc", "plots", "diff", cwd=clone)  # without what is in the cache alone


@pytest.fixture
def checkout(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repository)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return repository


@pytest.mark.parametrize("form", ["folder", "version"])
def test_an_exported_model_names_what_made_it(checkout: Path, tmp_path: Path, form: str) -> None:
    model = "models:/tiny/1"
    if form == "folder":
        model = str(shutil.copytree("exports/tiny", tmp_path / "copy"))
    first = command("git", "log", "--reverse", "--format=%H", "--", "dvc.lock", cwd=checkout).stdout
    commit, pipeline = origin.find(origin.model_hash(model))
    assert (commit, pipeline) == (first.split()[0], "tiny")
    described = dict(
        line.split(maxsplit=1) for line in origin.describe(commit, pipeline).splitlines()
    )
    assert described["commit"].startswith(commit)
    split = "'official': 'ignore', 'validation': 0.2, 'test': 0.2, 'seed': 7}"
    assert described["tiny.split"] == "{'depends_on': 'conf/split.yaml', " + split
    assert described["data"].endswith(".dir")
    assert len(described["requirements.txt"]) == len(described["dvc.lock"]) == len("sha256 ") + 64


def test_a_run_names_what_made_it_by_its_inputs_and_by_the_tags_of_before(checkout: Path) -> None:
    first = command("git", "log", "--reverse", "--format=%H", "--", "dvc.lock", cwd=checkout).stdout
    client = MlflowClient(f"sqlite:///{checkout / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    lock = YAML(typ="safe").load(checkout / "dvc.lock")["stages"]
    tags = run.data.tags
    assert tags["dvc.stage"] == "train@tiny"
    assert tags["dvc.inputs"] == provenance.inputs_digest(lock["train@tiny"])
    assert tags["git.dirty"] == "false"  # dvc.lock does not count
    version = client.get_model_version("tiny", "1").tags
    assert version["dvc.inputs"] == provenance.inputs_digest(lock["export@tiny"])
    commit, pipeline, said = origin.origin_of(f"runs:/{run.info.run_id}")
    assert (commit, pipeline) == (first.split()[0], "tiny")
    assert said["git.commit"] == tags["git.commit"]
    names = ("pipeline", "weights_sha256", "git.commit", "dvc.lock.sha256")
    before = {name: tags.get(name, "0" * 64) for name in names}
    assert origin.find_recorded(before) == (commit, "tiny")
    with pytest.raises(InputError, match=r"^commit .{7} has the same inputs, but other weights$"):
        origin.find_recorded({**tags, "weights_sha256": "0" * 64})
    with pytest.raises(InputError, match=r"^no commit has the inputs 0.* made on commit .{7}"):
        origin.find_recorded({**tags, "dvc.inputs": "0" * 64})
    with pytest.raises(InputError, match=r"^it has no tags of a pipeline's trained model$"):
        origin.find_recorded({})
    for uri in ("runs:/none", "models:/tiny", "models:/tiny@none", "models:/none/1"):
        with pytest.raises(InputError, match=f"^no '{uri}'"):
            origin.origin_of(uri)


def test_a_model_is_made_again_with_the_same_bytes(checkout: Path) -> None:
    words = [PYTHON, "-m", "stages.origin", "exports/tiny", "--remake"]
    assert command(*words, cwd=checkout).stdout.splitlines()[-1] == "made again: the same bytes"


def test_a_model_of_no_commit_is_refused_in_one_line(checkout: Path, tmp_path: Path) -> None:
    copy = shutil.copytree("exports/tiny", tmp_path / "copy")
    (copy / "assets" / "classes.txt").write_text("other\n")
    words = [PYTHON, "-m", "stages.origin"]
    for model, expected in (
        (str(copy), "no commit has this model"),
        (str(tmp_path), "is not an exported model: it has no saved_model.pb"),
    ):
        refused = command(*words, model, cwd=checkout, check=False)
        assert refused.returncode == 1
        assert refused.stdout.startswith("origin: ")
        assert expected in refused.stdout
        assert len(refused.stdout.splitlines()) == 1
