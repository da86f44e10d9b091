"""The names of the MLflow runs of a multirun's trials."""

from types import SimpleNamespace

import pytest

from stages import sweep


def test_a_trial_is_named_by_what_the_command_line_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["pipeline=tiny", "logger=none", "model=lenet", "epochs=2", "seed=7"]
    hydra = SimpleNamespace(overrides=SimpleNamespace(task=words))
    monkeypatch.setattr(sweep, "HydraConfig", SimpleNamespace(get=lambda: hydra))
    monkeypatch.setattr(sweep, "_multirun", lambda: True)
    monkeypatch.setattr(sweep, "groups_outside", lambda stage: {"logger": "none"})
    sections = {"tiny": {"train": {"groups": {"model": "lenet"}}}}
    monkeypatch.setattr(sweep, "pipelines", lambda: sections)
    assert sweep.run_name("lenet") == "epochs=2 seed=7"
