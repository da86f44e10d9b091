"""Apply: a sweep's best trial, in params.yaml."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution

from classifier.studies.study import OF
from classifier.support.errors import InputError
from stages.apply import apply_best
from stages.search import FIXED, storage_url

OTHERS = {"pipeline": "tiny", "monitor": "val_loss"}


def study(name: str, params: dict[str, Any], fixed: dict[str, str]) -> None:
    """A sweep of the tiny pipeline with a trial of these values, and a worse one."""
    made = optuna.create_study(study_name=name, storage=storage_url(None), direction="minimize")
    made.set_user_attr(OF, OTHERS | {f"{FIXED}{key}": text for key, text in fixed.items()})
    kinds = {key: CategoricalDistribution([value]) for key, value in params.items()}
    for value in (1.4, 0.9):
        trial = optuna.trial.create_trial(params=params, distributions={**kinds}, value=value)
        made.add_trial(trial)


def test_the_best_trial_is_in_params_yaml_and_comments_stay(project: Path) -> None:
    params = Path("params.yaml")
    params.write_text("# ours\n" + params.read_text().replace("epochs: 2", "epochs: 2 # few"))
    searched = {"optimizer.learning_rate": 0.01234, "model.filters": "[4,8]", "optimizer": "sgd"}
    study("rates", searched, {"pipeline": "tiny", "epochs": "5", "model": "convnet"})
    lines = apply_best("tiny", "rates")
    assert lines[0] == "sweep rates: the best val_loss is 0.9, of trial 1"
    assert set(lines[1:]) == {
        "pipelines.tiny.train.epochs: 2 → 5",
        'pipelines.tiny.train.groups.optimizer: "adam" → "sgd"',
        "pipelines.tiny.train.model.filters: [8] → [4, 8]",
        "pipelines.tiny.train.optimizer.learning_rate: its default → 0.01234",
    }
    text = params.read_text()
    assert text.startswith("# ours\n")
    assert "epochs: 5 # few" in text
    train = yaml.safe_load(text)["pipelines"]["tiny"]["train"]
    assert train["optimizer"] == {"learning_rate": 0.01234}
    assert train["model"] == {"filters": [4, 8], "convolutions": 1}
    assert train["groups"]["optimizer"] == "sgd"
    assert train["epochs"] == 5
    assert len(apply_best("tiny", "rates")) == 1
    assert params.read_text() == text


@pytest.mark.fault("a sweep to apply that is not there, or has nothing", "one line, as it was")
def test_what_cannot_be_applied_leaves_params_yaml_as_it_was(project: Path) -> None:
    before = Path("params.yaml").read_bytes()
    with pytest.raises(InputError, match=r"sweeps.db has no sweep of pipeline tiny"):
        apply_best("tiny")
    study("rates", {"seed": 3}, {"~patience": ""})
    with pytest.raises(InputError, match=r"no sweep 'rate' of tiny: did you mean 'rates'\?"):
        apply_best("tiny", "rate")
    with pytest.raises(InputError, match="no pipeline 'tina': did you mean 'tiny'"):
        apply_best("tina")
    with pytest.raises(InputError, match="the sweep has ~patience"):
        apply_best("tiny")
    empty = optuna.create_study(study_name="empty", storage=storage_url(None))
    empty.set_user_attr(OF, OTHERS)
    with pytest.raises(InputError, match="no trial of the sweep 'empty' was finished yet"):
        apply_best("tiny", "empty")
    assert Path("params.yaml").read_bytes() == before
