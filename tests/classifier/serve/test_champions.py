"""A server answers by MLflow's champion, and by the next one when there is one."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import classifier
from classifier.serve import champions as module
from classifier.serve import models as models_module
from classifier.serve.champions import Champion, champions, look
from classifier.serve.models import Models
from classifier.serve.monitoring import Monitoring
from classifier.serve.refusal import RefusedError
from classifier.support.errors import InputError
from conftest import write_exported


def test_a_champion_is_looked_up_once_for_each_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[str] = []

    def named(root: Path, name: str) -> Any:
        if name != "models:/tiny@champion":
            raise InputError("no model 'other': registered: tiny")
        tags = {"test.accuracy": "0.5"}
        return SimpleNamespace(uri="models:/tiny/7", version=7, aliases=["champion"], tags=tags)

    def download(root: Path, uri: str) -> Path:
        downloads.append(uri)
        return tmp_path

    store = SimpleNamespace(
        CHAMPION="champion", named_version=named, registered_saved_model=download
    )
    monkeypatch.setitem(sys.modules, "classifier.tracking", store)
    monkeypatch.setattr(classifier, "tracking", store, raising=False)
    found = look(tmp_path, "tiny", None)
    assert (found.version, found.folder, found.metrics) == ("7", str(tmp_path), {"accuracy": 0.5})
    assert found.card["uri"] == "models:/tiny/7"
    assert look(tmp_path, "tiny", found) is found
    assert downloads == ["models:/tiny/7"]
    assert look(tmp_path, "other", None).problem == "no model 'other': registered: tiny"


@pytest.mark.fault("MLflow has no champion, or a damaged one", "one line; the one before answers")
def test_a_server_takes_each_new_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (str(write_exported(tmp_path / name)) for name in ("first", "second"))
    problem = "the MLflow server does not answer"
    seen: list[str | int] = []
    models = Models([], ["tiny"], batch=8, every=1, monitoring=Monitoring())

    def now() -> str | int:
        try:
            return models.of("tiny").loaded.version
        except RefusedError as error:
            return error.status

    async def found(root: Path, names: list[str], every: float) -> AsyncIterator[Champion]:
        for champion in (
            Champion("tiny", problem=problem),
            Champion("tiny", "1", first, {"accuracy": 0.5}, {"aliases": ["champion"]}),
            Champion("tiny", "2", str(tmp_path / "gone")),
            Champion("tiny", "3", second),
        ):
            seen.append(now())
            yield champion
        seen.append(now())

    monkeypatch.setattr(models_module, "champions", found)
    asyncio.run(models.watch_champions(tmp_path))
    assert seen == [503, 503, "1", "1", "3"]
    assert models.ready
    messages = [record.message for record in caplog.records if record.levelname == "WARNING"]
    gone = f"{tmp_path / 'gone'} changes, or is no folder: version 1 answers on"
    assert messages == [problem, gone]


@pytest.mark.slow
def test_the_process_that_watches_mlflow_says_what_it_finds_and_ends(tmp_path: Path) -> None:
    processes: list[asyncio.subprocess.Process] = []

    async def first() -> Champion:
        start = asyncio.create_subprocess_exec

        async def recorded(*words: str, **options: Any) -> asyncio.subprocess.Process:
            processes.append(await start(*words, **options))
            return processes[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.asyncio, "create_subprocess_exec", recorded)
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            found = champions(tmp_path, ["tiny"], 60)
            champion = await anext(found)
            assert processes[0].stdin is not None
            processes[0].stdin.close()  # as when the server ends
            assert await asyncio.wait_for(processes[0].wait(), 10) == 0
            await found.aclose()
        return champion

    champion = asyncio.run(first())
    assert champion.problem is not None
    assert champion.problem.endswith("has no MLflow store; run 'dvc repro' first")
