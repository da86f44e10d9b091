"""Searches by Optuna: broken off and continued, pruned, refused. The trainings are functions."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import NopPruner
from optuna.samplers import BruteForceSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import TrialState

from classifier import tracking
from classifier.studies.plots import draw_study, importances
from classifier.studies.study import finished, open_study
from classifier.support.errors import InputError
from stages import search as module
from stages.search import Launch, in_study, of_study, search, search_space

RATE = "train.optimizer.learning_rate"
ARGUMENTS = ["pipeline=tiny", "epochs=3", f"{RATE}=tag(log,interval(0.001,0.1))", "seed=1,2,3"]
Run = Callable[..., tuple[int, str, str]]


def value_of(overrides: Sequence[str]) -> float:
    """The best near a learning rate of 0.02 and for a seed of 2."""
    given = dict(text.split("=") for text in overrides)
    return 1 - abs(float(given[RATE]) - 0.02) - 0.01 * abs(int(given["seed"]) - 2)


def launch(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    return [JobReturn(status=JobStatus.COMPLETED, _return_value=value_of(o)) for o in overrides]


@pytest.fixture(scope="module")
def empty_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with Optuna's tables, which take a second to make."""
    file = tmp_path_factory.mktemp("storage") / "sweeps.db"
    RDBStorage(f"sqlite:///{file}").engine.dispose()
    return file


@pytest.fixture
def reports(
    project: Path, empty_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Study]]:
    """The tiny project without MLflow; the studies that were reported."""
    studies: list[Study] = []
    shutil.copy(empty_storage, project / ".dvc" / "tmp")
    monkeypatch.setattr(module, "report", lambda study, *others: studies.append(study))
    monkeypatch.setattr(module, "_end_runs", lambda *others: None)
    yield studies


def run(
    name: str = "rates",
    n_trials: int = 8,
    arguments: Sequence[str] = ARGUMENTS,
    launch: Launch = launch,
    monitor: str = "val_accuracy",
    **options: object,
) -> None:
    options = {"sampler": partial(TPESampler, n_startup_trials=3), "pruner": NopPruner()} | options
    options = {"storage": None, "n_jobs": 1, "seed": 7, "trial": None} | options
    options |= {"study_name": name, "n_trials": n_trials}
    search(options, arguments, OmegaConf.create({"monitor": monitor}), launch)


@pytest.mark.fault("kill -9 at the fourth of eight trials of a search", "its best is the same")
def test_a_search_that_was_killed_makes_the_trials_that_it_lacks(reports: list[Study]) -> None:
    process = os.fork()
    if not process:

        def killed(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
            if first == 3:
                os.kill(os.getpid(), 9)
            return launch(overrides, first)

        run(launch=killed)
        os._exit(1)
    assert os.waitpid(process, 0)[1] == 9
    asked: list[int] = []

    def counted(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        asked.append(first)
        return launch(overrides, first)

    run(launch=counted)
    run("unbroken")
    broken, unbroken = reports
    assert asked == [4, 5, 6, 7, 8]
    assert [trial.number for trial in broken.trials if trial.state is TrialState.FAIL] == [3]
    tried = [[(trial.params, trial.value) for trial in finished(one)] for one in reports]
    assert tried[0] == tried[1]
    assert len(tried[0]) == 8
    assert broken.best_params == unbroken.best_params
    run(launch=counted)
    assert len(asked) == 5  # nothing is left to do


def test_more_trials_than_before_continue_a_search(reports: list[Study]) -> None:
    run(n_trials=2)
    run(n_trials=5)
    assert len(finished(reports[1])) == 5


def test_a_trial_that_fails_ends_the_search_and_is_not_tried_again(reports: list[Study]) -> None:
    def failing(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        if first == 1:
            return [JobReturn(status=JobStatus.FAILED, _return_value=InputError("no memory"))]
        return launch(overrides, first)

    with pytest.raises(InputError, match="no memory"):
        run(n_trials=3, launch=failing)
    run(n_trials=3, launch=failing)
    (study,) = reports
    assert len(finished(study)) == 3
    assert study.trials[1].state is TrialState.FAIL
    assert study.trials[1].params != study.trials[2].params


def test_ctrl_c_marks_the_trial_and_a_loss_is_made_small(reports: list[Study]) -> None:
    def interrupted(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(launch=interrupted, monitor="val_loss")
    run(n_trials=3, monitor="val_loss")
    (study,) = reports
    assert study.trials[0].state is TrialState.FAIL
    assert study.trials[0].params == study.trials[1].params
    values = [trial.value for trial in finished(study)]
    assert study.best_value == min(value for value in values if value is not None)


def test_a_grid_has_every_combination_once_also_when_it_is_continued(reports: list[Study]) -> None:
    grid = ["pipeline=tiny", f"{RATE}=0.01,0.02", "seed=range(1,4)"]
    for n_trials in (4, 20):
        run("grid", n_trials, grid, sampler=BruteForceSampler)
    tried = [tuple(trial.params.values()) for trial in finished(reports[-1])]
    assert len(tried) == len(set(tried)) == 6


def trained(values: dict[int, list[float]], study: str, pruner: str) -> Launch:
    """Trains three epochs with these values of the monitor, by the trials' numbers."""

    def launch(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        sweeper = {"_target_": module.PLUGIN, "study_name": study, "trial": first}
        chosen = {"_target_": f"optuna.pruners.{pruner}"}
        if pruner == "MedianPruner":
            chosen |= {"n_startup_trials": 1}  # type: ignore[dict-item]
        config: Any = {"mode": RunMode.MULTIRUN, "sweeper": sweeper}
        config["sweeper"] |= {"storage": None, "pruner": chosen}
        HydraConfig.instance().cfg = OmegaConf.create({"hydra": config})  # type: ignore[assignment]
        written: list[dict[str, object]] = []
        logged = tracking.records.Run(written.append)
        try:
            with in_study("val_accuracy"):
                for epoch, value in enumerate(values[first], 1):
                    logged.log_epoch(epoch, {"val_accuracy": value})
            return [JobReturn(status=JobStatus.COMPLETED, _return_value=max(values[first]))]
        except tracking.Pruned as pruned:
            return [JobReturn(status=JobStatus.FAILED, _return_value=pruned)]
        finally:
            HydraConfig.instance().cfg = None

    return launch


def test_a_hopeless_trial_is_pruned_after_an_epoch(
    reports: list[Study], caplog: pytest.LogCaptureFixture
) -> None:
    values = {0: [0.5, 0.7], 1: [0.1, 0.9], 2: [0.6, 0.7]}
    caplog.set_level("INFO")
    run(n_trials=3, launch=trained(values, "rates", "MedianPruner"))
    states = [trial.state for trial in reports[0].trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]
    assert reports[0].trials[1].intermediate_values == {1: 0.1}
    assert "trial 1 was pruned: after epoch 1, val_accuracy 0.1" in caplog.text


def test_without_a_pruner_every_epoch_is_trained(reports: list[Study]) -> None:
    values = {n: [0.9 / (n + 1)] * 2 for n in range(3)}
    run(n_trials=3, launch=trained(values, "rates", "NopPruner"))
    assert {len(trial.intermediate_values) for trial in reports[0].trials} == {2}
    assert {trial.state for trial in reports[0].trials} == {TrialState.COMPLETE}


@pytest.mark.fault("a search of the name of another one", "one line, before a trial")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"arguments": [*ARGUMENTS, "epochs=4"]}, "fixed epochs is 4 here, 3 there"),
        ({"arguments": [*ARGUMENTS, "seed=1,2"]}, "searched seed is CategoricalDistribution"),
        ({"arguments": [*ARGUMENTS, "pipeline=other"]}, "pipeline is other here, tiny there"),
        ({"monitor": "val_loss"}, "monitor is val_loss here, val_accuracy there"),
    ],
)
def test_another_search_of_this_name_is_refused(
    reports: list[Study], change: dict[str, object], expected: str
) -> None:
    params = Path("params.yaml").read_text()
    other = params.partition("\n")[2].replace("  tiny:", "  other:", 1)
    Path("params.yaml").write_text(params + other)
    run(n_trials=1)
    with pytest.raises(InputError) as raised:
        run(n_trials=2, **change)  # type: ignore[arg-type]
    message = str(raised.value)
    assert expected in message
    assert message.startswith("the sweep 'rates' in sqlite:///")
    assert message.endswith("give this one another name, hydra.sweeper.study_name=…")


def test_changed_parameters_and_other_programs_are_refused(
    reports: list[Study], tmp_path: Path
) -> None:
    run(n_trials=1)
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("batch_size: 8", "batch_size: 9"))
    with pytest.raises(InputError, match=re.escape("train.batch_size is 9 here, 8 there")):
        run(n_trials=2)
    import optuna

    storage = f"sqlite:///{tmp_path / 'other.db'}"
    optuna.create_study(storage=storage, study_name="rates").ask()
    with pytest.raises(InputError, match="made by another program"):
        open_study(storage, "rates", {}, higher=True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"n_trials": 0}, "hydra.sweeper.n_trials is 0: must be at least 1"),
        ({"arguments": ["pipeline=tiny"]}, "nothing is searched: give a key an interval"),
        ({"storage": "sqlite:////nowhere/x.db"}, "the storage sqlite:////nowhere/x.db cannot"),
        ({"storage": "nosuch://me:secret@h/db"}, "the storage nosuch://h/db cannot be used"),
        ({"sampler": BruteForceSampler}, "a grid has no interval of real numbers"),
        ({"monitor": None}, "only train is searched"),
        ({"arguments": ["pipeline=tiny", "seed=tag(log,interval(0,3))"]}, "seed=tag(log"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_one_line(
    reports: list[Study], change: dict[str, object], expected: str
) -> None:
    with pytest.raises(InputError) as raised:
        run(**change)  # type: ignore[arg-type]
    assert expected in str(raised.value)
    assert not reports


def test_hydra_s_grammar_becomes_optuna_s_distributions() -> None:
    space, fixed = search_space(
        [
            "+a.b=interval(0,0.5)",
            "b=int(interval(1,9))",
            "c=tag(log,interval(0.1,1))",
            "d=range(2,9,3)",
            "e=choice([8],[8,16])",
            "f=range(0.0,1.0,0.25)",
            "epochs=1,2",
            "epochs=3",
        ]
    )
    assert space == {
        "+a.b": FloatDistribution(0, 0.5),
        "b": IntDistribution(1, 9),
        "c": FloatDistribution(0.1, 1, log=True),
        "d": IntDistribution(2, 8, step=3),
        "e": CategoricalDistribution(["[8]", "[8,16]"]),
        "f": FloatDistribution(0, 0.75, step=0.25),
    }
    assert fixed == {"epochs": "3"}


def test_the_same_command_has_the_same_name_and_another_one_has_another(project: Path) -> None:
    words = ["pipeline=tiny", "epochs=1,2", "seed=3"]
    names = [
        of_study(others)["hydra.sweeper.study_name"]
        for others in (words, [*words[::-1], "hydra.sweeper.n_trials=9"], [*words, "batch_size=4"])
    ]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("tiny-")
    given = of_study([*words, "hydra.sweeper.study_name=rates"])
    assert given["hydra.sweeper.study_name"] == "rates"
    with pytest.raises(InputError, match=r"study_name 'a/b': a name is a letter"):
        of_study([*words, "hydra.sweeper.study_name=a/b"])


def test_optuna_s_plots_are_drawn_of_what_decides(reports: list[Study], tmp_path: Path) -> None:
    run(n_trials=12, sampler=RandomSampler)
    (study,) = reports
    files = {file.name for file in draw_study(study, tmp_path, value="best val_accuracy")}
    expected = {"history", "slice", "parallel", "epochs", "importances"}
    assert files == {f"{name}.png" for name in expected} | {"trials.csv"}
    assert all((tmp_path / file).stat().st_size > 500 for file in files)
    shares = importances(study)
    assert list(shares) == [RATE, "seed"]
    assert sum(shares.values()) == pytest.approx(1)
