"""The MLflow store: its experiments, and what their pages say."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

import forkserver
from classifier.tracking.store import NOTE, open_store, use_store
from conftest import COMMANDS, prepared


def test_an_experiment_has_a_description_that_a_user_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not prepared:  # dozens of migrations make a store
        forkserver.prepare_mlflow(COMMANDS / "mlflow.db")
        prepared.append(True)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    use_store(tmp_path)
    client = MlflowClient()
    client.create_experiment("old", artifact_location=(tmp_path / "mlartifacts" / "old").as_uri())
    for name in ("new", "old"):
        number = open_store(tmp_path, name)
        assert f"python -m stages.compare {name}" in client.get_experiment(number).tags[NOTE]
        client.set_experiment_tag(number, NOTE, "Mine.")
        assert open_store(tmp_path, name) == number
        assert client.get_experiment(number).tags[NOTE] == "Mine."
