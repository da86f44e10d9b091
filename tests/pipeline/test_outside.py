"""What a pipeline reads from outside of it, a folder of photos or another's model, reruns it."""

import re
from pathlib import Path

import pytest

from conftest import PYTHON, command, commit_all, png, write_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny pipelines: 'first' begins with what 'second' learned, and says so nowhere else."""
    folder = write_project(tmp_path_factory.mktemp("outside") / "project", ("first", "second"))
    params = folder / "params.yaml"
    text = re.sub(r", depends_on: [^}]*", "", params.read_text())
    text = re.sub(r" +depends_on: .*\n", "", text).replace("model: convnet", "model: transfer", 1)
    text = text.replace("model: {filters: [8], convolutions: 1}", "model: {base: second}", 1)
    params.write_text(text)
    commit_all(folder)
    photos = folder.parent / "project-photos"
    assert command(PYTHON, "-m", "stages.prepare", cwd=folder).stdout.splitlines() == [
        f"params.yaml: pipelines.first.download: added depends_on: {photos}",
        "params.yaml: pipelines.first.train: added depends_on: models/second/model.keras",
        f"params.yaml: pipelines.second.download: added depends_on: {photos}",
        "params.yaml: pipelines.second.train: added depends_on: conf/train.yaml",
    ]
    output = command("dvc", "repro", "train@first", cwd=folder).stdout
    ran = re.findall(r"Running stage '([^']+)'", output)
    assert ran.index("train@second") < ran.index("train@first")
    assert "DVC does not look after" not in output
    assert trained(folder) == []
    return folder


def trained(folder: Path) -> list[str]:
    output = command("dvc", "repro", "train@first", cwd=folder).stdout
    return re.findall(r"Running stage '((?:train|download)@[^']+)'", output)


@pytest.mark.fault("the base of a transferred model is trained again", "so is that model")
def test_a_base_that_was_trained_again(repository: Path) -> None:
    params = repository / "params.yaml"
    text, _, end = params.read_text().rpartition("epochs: 2")
    params.write_text(f"{text}epochs: 1{end}")
    assert trained(repository) == ["train@second", "train@first"]
    assert trained(repository) == []


@pytest.mark.fault("a photo of a local folder changes", "the pipeline runs again")
def test_a_photo_that_changed(repository: Path) -> None:
    photo = repository.parent / "project-photos" / "red" / "000.png"
    photo.write_bytes(png((200, 40, 40), seed=12345))
    assert sorted(trained(repository)) == [
        "download@first",
        "download@second",
        "train@first",
        "train@second",
    ]
    assert trained(repository) == []
