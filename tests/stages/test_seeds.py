"""seeds and combine: trainings with several seeds as one experiment, and one model of them."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from classifier import tracking
from classifier.saved.saving import load_model
from classifier.serving.loading import load_saved_model
from classifier.support.errors import InputError
from conftest import build_model, command, experiment_id, write_project
from stages import combine, seeds
from stages.sweep import seeds_folder

# A test split without corruptions and unknown pictures is quick to evaluate.
QUICK = ["epochs=1", "evaluate.corruption_images=0"]
NAME = "seeds seeds"


def train(folder: Path, *words: str) -> str:
    return command("python", "-m", "stages.seeds", "tiny", *words, *QUICK, cwd=folder).stdout


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, finished: Path) -> Path:
    """A tiny project with an experiment of the seeds 7 and 8, of which 8 came later."""
    folder = write_project(tmp_path_factory.mktemp("seeds") / "project")
    shutil.copytree(finished / "data", folder / "data")
    first = train(folder, "--seeds", "7")
    assert "accuracy: " in first
    assert "of one seed: how much seeds differ is unknown" in first
    second = train(folder, "--seeds", "7,8")
    (folder / "printed").write_text(second)
    return folder


@pytest.fixture
def here(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(experiment)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return experiment


def refused(program: Callable[[], None], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """The line that the program stops with."""
    monkeypatch.setattr(sys, "argv", ["program", *words])
    with pytest.raises(SystemExit) as end:
        program()
    return str(end.value.code)


@pytest.mark.fault("an experiment of several seeds that was broken off", "it trains what it lacks")
@pytest.mark.slow
def test_an_experiment_goes_on_with_the_seeds_that_it_lacks(here: Path) -> None:
    printed = (here / "printed").read_text()
    assert "the images stay divided by split.seed 7" in printed
    assert printed.count("(trained before)") == 1
    assert printed.count(" s)") == 1
    assert "between 2 seeds (standard deviation; " in printed
    client = MlflowClient(f"sqlite:///{here / 'mlflow.db'}")
    runs = client.search_runs([experiment_id(client, "tiny")])
    (parent,) = [run for run in runs if "sweep" in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert parent.info.run_name == NAME
    assert {run.data.params["train.seed"] for run in children} == {"7", "8"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    table = pd.read_csv(client.download_artifacts(parent.info.run_id, "seeds.csv"))
    assert table["seed"].tolist() == [7, 8]
    metrics = parent.data.metrics
    assert metrics["test.accuracy.mean"] == pytest.approx(table["test.accuracy"].mean())
    assert {"test.accuracy.std", "test.log_loss.min", "training_seconds.max"} <= set(metrics)
    assert client.download_artifacts(parent.info.run_id, "seeds.png")


@pytest.mark.slow
def test_each_run_keeps_its_model_and_its_predictions(here: Path, tmp_path: Path) -> None:
    runs = tracking.evaluated_trials(here, "tiny", "seeds")
    for run in runs:
        model = load_model(tracking.kept_model(run, tmp_path / run.id))
        validation = tracking.validation_predictions(run)
        assert list(validation) == list(run.predictions)
        assert not set(validation["id"]) & set(run.predictions["id"])
        assert model.output_shape == (None, 3)
    assert not any((here / name).exists() for name in ("models", "reports", "exports"))
    assert not [file for file in seeds_folder("tiny", "seeds").iterdir() if file.is_dir()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tine"], "no pipeline 'tine' in params.yaml: did you mean 'tiny'?"),
        (["tiny", "epochs=many"], "epochs"),
        (["tiny", "epoch=3"], "unknown key 'epoch': did you mean 'epochs'?"),
        (["tiny", "seed=3"], "seed=3: the seeds are those of --seeds"),
        (["tiny", "epochs"], "'epochs' is no override: write <key>=<value>"),
        (["tiny", "--name", "a b"], "--name is 'a b': must be letters"),
        (["tiny", "evaluate.bootstrap=0"], "bootstrap"),
        (["tiny"], "data/normalized/tiny is missing: make it with 'dvc repro normalize@tiny'"),
    ],
)
def test_bad_input_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    line = refused(seeds.main, monkeypatch, *words)
    assert line.startswith("seeds: ")
    assert message in line
    assert "\n" not in line


@pytest.mark.parametrize("text", ["7,", "a", "7;8", "7,7"])
def test_seeds_are_different_whole_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert refused(seeds.main, monkeypatch, "tiny", "--seeds", text) == "2"
    assert f"argument --seeds: '{text}'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_name_belongs_to_one_set_of_values(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = refused(seeds.main, monkeypatch, "tiny", "--seeds", "7,9", "epochs=2")
    assert line == (
        "seeds: 'seeds' has trainings with other values: seed 7 with train.epochs=1, now 2: take "
        "another --name"
    )


def test_a_training_that_was_not_evaluated_is_not_trained_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = seeds_folder("tiny", "seeds")
    seeds.forget_others(folder, {"train.epochs": "1"})
    trained = folder / "8" / "train" / "model.keras"
    trained.parent.mkdir(parents=True)
    trained.touch()
    ran: list[str] = []
    monkeypatch.setattr(seeds, "run_logged", lambda words, name, file: ran.append(words[2]))
    for seed in (8, 9):
        seeds.train_one("tiny", "seeds", seed, {"train": [], "evaluate": []}, folder)
    assert ran == ["stages.evaluate", "stages.train", "stages.evaluate"]
    seeds.forget_others(folder, {"train.epochs": "1"})
    assert trained.exists()
    seeds.forget_others(folder, {"train.epochs": "2"})
    assert not trained.exists()


def test_seeds_of_several_commits_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    run = tracking.EvaluatedRun("", {}, {}, pd.DataFrame())
    tags = [{"git.commit": "a" * 40, "git.dirty": dirty} for dirty in ("false", "false", "true")]
    seeds.say_commits({7 + n: run._replace(tags=of_seed) for n, of_seed in enumerate(tags)})
    assert capsys.readouterr().out == (
        "trained at 2 states of the code: seeds 7, 8 at aaaaaaa; 9 at aaaaaaa with changes\n"
    )
    seeds.say_commits({7: run, 8: run})
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_an_ensemble_of_an_experiment_is_one_exported_model(here: Path) -> None:
    words = ["stages.combine", "tiny", "--runs", "seeds", "--how", "ensemble"]
    printed = command("python", "-m", *words, cwd=here).stdout
    lines = printed.splitlines()
    assert lines[0].startswith("epochs=1 seed=7: ")
    assert "an ensemble of 2 of 2 models: " in printed
    assert "models:/tiny/1 is registered" in printed
    assert "test images: " in printed
    exported = here / "exports" / "tiny-ensemble"
    card = json.loads((exported / "base.json").read_text())["combined"]
    assert card["how"] == "an ensemble"
    runs = tracking.evaluated_trials(here, "tiny", "seeds")
    assert {run["id"] for run in card["runs"]} == {run.id for run in runs}
    classifier = load_saved_model(exported)
    assert classifier.predict(np.zeros((2, 16, 16, 3), np.uint8)).shape == (2, 3)
    client = MlflowClient(f"sqlite:///{here / 'mlflow.db'}")
    assert client.get_registered_model("tiny").aliases == {}
    condition = "tags.combined.how = 'ensemble'"
    (run,) = client.search_runs([experiment_id(client, "tiny")], condition)
    report = Path(client.download_artifacts(run.info.run_id, "evaluation/report.html")).read_text()
    assert "an ensemble of 2 trained models, the MLflow runs epochs=1 seed=7" in report
    assert "<h2>Training</h2>" not in report
    assert len(runs) == 2  # it is no seed of the experiment
    assert not (here / "models").exists()


@pytest.mark.slow
def test_a_soup_that_is_worse_than_its_best_member_is_not_exported(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(combine, "validation_accuracy", lambda pipeline, model: -1.0)
    uniform = refused(combine.main, monkeypatch, "tiny", "--runs", "seeds", "--how", "uniform")
    assert uniform.startswith(
        "combine: a uniform soup is worse than its best member, 'epochs=1 seed="
    )
    assert ", WORSE than its best member, epochs=1 seed=" in capsys.readouterr().out
    greedy = refused(combine.main, monkeypatch, "tiny", "--runs", "seeds")
    assert "with any other model, the mean is worse than 'epochs=1 seed=" in greedy
    assert not (here / "exports" / "tiny-soup").exists()
    monkeypatch.setattr(combine, "validation_accuracy", lambda pipeline, model: 1.0)
    runs = tracking.evaluated_trials(here, "tiny", "seeds")
    model, kept = combine.made("tiny", runs, "soup")
    assert model.name == "convnet_soup_of_2"
    assert len(kept) == 2

    models = iter([build_model("convnet", 16, filters=[size]) for size in (4, 6)])
    monkeypatch.setattr("classifier.saved.saving.load_model", lambda file: next(models))
    mixed = refused(combine.main, monkeypatch, "tiny", "--runs", "seeds")
    assert "have different architectures, so that their weights have no mean" in mixed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tine", "--runs", "seeds"], "no pipeline 'tine'"),
        (["tiny", "--runs", "sedes"], "no evaluated run 'sedes' of tiny"),
        (["tiny", "--runs", "epochs=1 seed=7"], "epochs=1 seed=7 is one run alone: name an"),
    ],
)
def test_what_cannot_be_combined_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    line = refused(combine.main, monkeypatch, *words)
    assert line.startswith(f"combine: {message}")
    assert "\n" not in line


@pytest.mark.slow
def test_other_classes_and_a_run_without_its_model_are_refused(here: Path, tmp_path: Path) -> None:
    run = tracking.evaluated_trials(here, "tiny", "seeds")[0]
    other = run._replace(predictions=run.predictions.rename(columns={"p(red)": "p(pink)"}))
    with pytest.raises(InputError, match="has other classes than tiny now: blue, green, pink"):
        combine.check_classes("tiny", [run, other])
    client = MlflowClient(f"sqlite:///{here / 'mlflow.db'}")
    bare = client.create_run(experiment_id(client, "tiny"))
    with pytest.raises(InputError, match=r"has no model.keras: only the trainings of stages.seeds"):
        tracking.kept_model(run._replace(id=bare.info.run_id), tmp_path)
    client.delete_run(bare.info.run_id)


def test_what_the_members_began_with_is_on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.base.backbone_card", lambda pipeline: {"name": "Lite", "by": "us"})
    run = tracking.EvaluatedRun("", {}, {}, pd.DataFrame())
    lite = run._replace(params={"train.model.base": "None"})
    other = run._replace(params={"train.model.base": "mnist"})
    assert combine.began_with("tiny", [lite, lite]) == {"name": "Lite", "by": "us"}
    assert combine.began_with("tiny", [run]) == {"name": None}
    assert combine.began_with("tiny", [run, lite, other]) == {
        "name": "random weights and Lite and mnist"
    }
