"""Models that a training goes on from or learns from: found, named, recorded, or refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from classifier.saved.saving import load_model, save_model
from conftest import build_model, experiment_id
from stages.trained import continued_model, md5_of

Run = Callable[..., tuple[int, str, str]]
LAST = Path("models/tiny/last.keras")
NOWHERE = "0" * 32


@pytest.fixture
def with_data(finished: Path, project: Path) -> Path:
    shutil.copytree(finished / "data", project / "data")
    (project / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    return project


def cached(file: Path) -> str:
    """Puts a file into DVC's cache; its hash."""
    hashed = md5_of(file)
    place = Path(".dvc/cache/files/md5", hashed[:2], hashed[2:])
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, place)
    return hashed


@pytest.mark.slow
def test_a_training_goes_on_from_the_last_one_and_says_so(run_stage: Run, with_data: Path) -> None:
    words = ["pipeline=tiny", "epochs=1", "schedule=cosine"]
    assert run_stage("train", *words)[0] == 0
    hashed = cached(LAST)
    status, error, output = run_stage("train", *words, "continue_from=last")
    assert status == 0, error
    assert f"continue_from last is md5:{hashed} today, and another model after this" in output
    assert f"the optimizer goes on from continue_from md5:{hashed}, where it took 4 steps" in output
    continued, card = LAST.read_bytes(), Path("models/tiny/base.json").read_bytes()
    assert json.loads(card)["continued"] == {"from": f"md5:{hashed}", "md5": hashed}
    assert pd.read_csv("models/tiny/history.csv")["epoch"].tolist() == [1]
    client = MlflowClient(f"sqlite:///{with_data / 'mlflow.db'}")
    second, first = client.search_runs([experiment_id(client, "tiny")])
    assert (first.data.tags["last_md5"], first.data.tags["epochs"]) == (hashed, "1")
    assert second.data.tags["epochs"] == "2"
    assert second.data.params["train.continue_from"] == f"md5:{hashed}"
    lineage = {key: text for key, text in second.data.tags.items() if key.startswith("continued.")}
    assert lineage == {
        "continued.from": f"md5:{hashed}",
        "continued.md5": hashed,
        "continued.run": first.info.run_id,
        "continued.epochs": "1",
    }
    # DVC deletes the outputs before the stage runs, and dvc.lock says what they were.
    shutil.rmtree("models")
    Path("dvc.lock").write_text(
        f"stages:\n  train@tiny:\n    outs:\n    - {{path: {LAST}, md5: {hashed}}}\n"
    )
    status, error, _ = run_stage("train", *words, "continue_from=last")
    assert status == 0, error
    assert LAST.read_bytes() == continued
    assert Path("models/tiny/base.json").read_bytes() == card
    # The run's id finds the same file.
    found = continued_model("tiny", first.info.run_id)
    assert (found.source, found.md5, found.epochs) == (first.info.run_id, hashed, 1)
    assert found.classes == ["blue", "green", "red"]
    assert found.model().count_params() == load_model(LAST).count_params()


@pytest.mark.fault("nothing to go on from", "one line, before the first epoch")
def test_what_cannot_be_continued(run_stage: Run, project: Path) -> None:
    for source, expected in {
        "latest": "continue_from is 'latest': must be last, the id of an MLflow run, models:/",
        "last": "continue_from is last, and tiny has no trained model: train it first",
        f"md5:{NOWHERE}": f"neither DVC's cache nor a DVC remote has a file of md5 {NOWHERE}",
        NOWHERE: f"no 'runs:/{NOWHERE}': ",
        "models:/tiny/3": "no model 'models:/tiny/3': ",
        "old.keras": "continue_from is 'old.keras': old.keras does not exist",
    }.items():
        status, error, _ = run_stage("train", "pipeline=tiny", f"continue_from={source}")
        assert (status, error.count("\n")) == (1, 1)
        assert expected in error.replace(f"{project}/", "")
    assert not Path("models").exists()


@pytest.mark.fault("a continuation of another network", "one line with the layer that differs")
def test_another_network_is_not_continued(run_stage: Run, finished: Path, with_data: Path) -> None:
    shutil.copy(finished / LAST, with_data / "old.keras")
    status, error, _ = run_stage(
        "train", "pipeline=tiny", "continue_from=old.keras", "model.filters=[4]"
    )
    assert (status, error.count("\n")) == (1, 1)
    assert "continue_from old.keras is another network: kernel of its layer" in error
    assert "is 3 x 3 x 3 x 8, and 3 x 3 x 3 x 4 here" in error
    assert not Path("models").exists()


@pytest.mark.slow
def test_a_teacher_teaches_with_the_options_of_a_training(
    run_stage: Run, finished: Path, with_data: Path
) -> None:
    """Twice the same bytes, with mixed labels, class weights, 16 bits and several steps a call."""
    shutil.copy(finished / "models" / "tiny" / "model.keras", with_data / "large.keras")
    teacher = ["teacher=model", "teacher.source=large.keras", "teacher.temperature=2.0"]
    options = ["mixing=mixup", "class_weight=balanced", "precision=mixed_bfloat16"]
    words = ["pipeline=tiny", "epochs=1", "steps_per_execution=2", *teacher, *options]
    made = []
    for _ in range(2):
        status, error, output = run_stage("train", *words)
        assert status == 0, error
        assert "large.keras teaches: the training loss is 0.9 of what it says" in output
        assert "DVC does not look after large.keras, which train reads" in output
        made.append(Path("models/tiny/model.keras").read_bytes())
        shutil.rmtree("models/tiny") if not made[1:] else None
    assert made[0] == made[1]
    hashed = md5_of(Path("large.keras"))
    card = json.loads(Path("models/tiny/base.json").read_text())
    figures = {"from": "large.keras", "md5": hashed, "temperature": 2.0, "alpha": 0.9}
    assert card["teacher"] == figures
    client = MlflowClient(f"sqlite:///{with_data / 'mlflow.db'}")
    run = client.search_runs([experiment_id(client, "tiny")])[0]
    assert run.data.tags["teacher.md5"] == hashed
    assert run.data.params["train.teacher.alpha"] == "0.9"
    status, error, _ = run_stage("train", *words[:1], "epochs=1", *options, "steps_per_execution=2")
    assert status == 0, error
    assert Path("models/tiny/model.keras").read_bytes() != made[0]


@pytest.mark.fault("a teacher of other images or classes", "one line, before the first epoch")
def test_who_cannot_teach(run_stage: Run, with_data: Path) -> None:
    save_model(build_model("dense", 16, units=[4]), with_data / "five.keras")
    save_model(build_model("dense", 8, units=[4]), with_data / "small.keras")
    for source, expected in {
        "null": "teacher.source is None: give a pipeline, models:/<name>@<alias>, a .keras file",
        "tiny": "teacher.source is the pipeline itself: name another one",
        "giant": "teacher.source is 'giant': there is no 'giant'",
        "five.keras": "teacher five.keras knows 5 classes, and the images here are of 3",
        "small.keras": "teacher small.keras takes images of 8 x 8 x 3, and those here are 16 x 16",
    }.items():
        words = ["pipeline=tiny", "teacher=model", f"teacher.source={source}"]
        status, error, _ = run_stage("train", *words)
        assert (status, error.count("\n")) == (1, 1)
        assert expected in error
    assert not Path("models").exists()
