"""Faults while a stage runs: one line, nothing half-written, and the same bytes in the end."""

import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from conftest import command, commit_all, without_store, write_project

Run = Callable[..., tuple[int, str, str]]
STAGES = {
    "download": "data/raw/tiny",
    "split": "data/split/tiny.csv",
    "normalize": "data/normalized/tiny",
    "augment": "data/augmented/tiny",
    "train": "models/tiny",
    "evaluate": "reports/tiny",
    "export": "exports/tiny",
}
# Ends the process as kill -9 does, when all is written and nothing has its name yet.
KILLED = """
import os, pathlib, runpy, signal, sys
replace = pathlib.Path.replace
def killed(self, target):
    if pathlib.Path(target) == pathlib.Path({output!r}):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
pathlib.Path.replace = killed
sys.argv[1:] = ["pipeline=tiny"]
runpy.run_module("stages.{stage}", run_name="__main__")
"""


def files_below(path: Path) -> dict[str, bytes]:
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(file.relative_to(path)): file.read_bytes() for file in found if file.is_file()}


Outputs = dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outputs]:
    """A tiny project that ran, had each stage killed, and ran again; what it had made at first."""
    folder = write_project(tmp_path_factory.mktemp("killed") / "project")
    commit_all(folder)
    command("dvc", "repro", cwd=folder)
    whole = {stage: files_below(folder / output) for stage, output in STAGES.items()}
    for stage, output in STAGES.items():
        before = (folder / output).rename(tmp_path_factory.mktemp(stage) / "before")
        code = KILLED.format(stage=stage, output=output)
        words = [sys.executable, "-c", code]
        end = subprocess.run(words, cwd=folder, env=without_store(), capture_output=True)
        assert end.returncode == -signal.SIGKILL, end.stderr
        assert not (folder / output).exists()
        before.rename(folder / output)
    command("dvc", "repro", "--force", "--no-run-cache", cwd=folder)
    return folder, whole


@pytest.mark.fault("kill -9 before the output has its name", "`dvc repro` ends with the same bytes")
@pytest.mark.parametrize("stage", STAGES)
def test_kill_9_in_each_stage_then_dvc_repro_ends_with_the_same_bytes(
    killed: tuple[Path, Outputs], stage: str
) -> None:
    folder, whole = killed
    assert whole[stage]
    assert files_below(folder / STAGES[stage]) == whole[stage]
    assert not list((folder / STAGES[stage]).parent.glob(".*.partial"))


@pytest.mark.fault("kill -9 in every stage", "`dvc status` is clean after `dvc repro`")
def test_status_is_clean_after_the_kills(killed: tuple[Path, Outputs]) -> None:
    assert "up to date" in command("dvc", "status", cwd=killed[0]).stdout


@pytest.mark.fault(
    "an output cut off, as by a power failure", "`dvc repro` makes it again, the same bytes"
)
@pytest.mark.parametrize("file", ["data/normalized/tiny/train.npy", "models/tiny/model.keras"])
def test_a_truncated_output_is_made_again(killed: tuple[Path, Outputs], file: str) -> None:
    path = killed[0] / file
    content = path.read_bytes()
    path.unlink()  # it may be a link to DVC's cache
    path.write_bytes(content[: len(content) // 2])
    command("dvc", "repro", cwd=killed[0])
    assert path.read_bytes() == content


@contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A small file system of its own at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def before(finished: Path, project: Path) -> Callable[[str], None]:
    """Puts what the stages before one have made into the fresh project."""

    def bring(stage: str) -> None:
        for earlier, output in STAGES.items():
            if earlier == stage:
                break
            (project / output).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (finished / output).is_dir() else shutil.copy
            copy(finished / output, project / output)

    return bring


@pytest.mark.fault("disk full", "one line, nothing half-written; runs when there is room")
@pytest.mark.parametrize("stage", ["download", "normalize", "train", "export"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    run_stage: Run, project: Path, before: Callable[[str], None], stage: str
) -> None:
    before(stage)
    parent = (project / STAGES[stage]).parent
    with disk(parent, "size=8k"):
        status, error, _ = run_stage(stage, "pipeline=tiny")
        left = list(parent.iterdir())
    assert status == 1
    assert error.splitlines()[-1].startswith(f"{stage}: pipelines.tiny.{stage}: ")
    assert "the disk is full: make room and run it again" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert left == []
    assert run_stage(stage, "pipeline=tiny")[0] == 0


@pytest.mark.fault("read-only folder", "one line")
@pytest.mark.parametrize("stage", STAGES)
def test_a_read_only_checkout_is_one_line(
    run_stage: Run, project: Path, before: Callable[[str], None], stage: str
) -> None:
    before(stage)
    with disk((project / STAGES[stage]).parent, "ro"):
        status, error, _ = run_stage(stage, "pipeline=tiny")
    assert status == 1
    assert "see to its permissions" in error.splitlines()[-1]
    assert "Traceback" not in error


@pytest.mark.fault(
    "a memory limit below what the batch takes",
    "one line before the first epoch, with a batch that may fit",
)
def test_too_little_memory_for_the_batch_is_said_before_the_first_epoch(
    project: Path, before: Callable[[str], None]
) -> None:
    before("normalize")
    words = [sys.executable, "-m"]
    command(*words, "stages.normalize", "pipeline=tiny", "image_size=1024", cwd=project)
    command(*words, "stages.augment", "pipeline=tiny", "policy=none", cwd=project)
    limit = 10 * 2**30  # of addresses, some of which TensorFlow reserves
    found = subprocess.run(
        [*words, "stages.train", "pipeline=tiny", "model.filters=[160]", "batch_size=27"],
        cwd=project,
        env=without_store(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
    )
    assert found.returncode == 1
    assert "batch_size is 27: a step takes" in found.stderr.splitlines()[-1]
    assert "Epoch" not in found.stdout
    assert "Traceback" not in found.stderr


@pytest.mark.fault("two processes create the MLflow store at once", "both runs are in it")
def test_two_first_uses_of_the_store_at_once(tmp_path: Path, finished: Path) -> None:
    folder = write_project(tmp_path / "project", ("first", "second"))
    for pipeline in ("first", "second"):
        for output in list(STAGES.values())[:4]:
            target = folder / output.replace("tiny", pipeline)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (finished / output).is_dir() else shutil.copy
            copy(finished / output, target)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "stages.train", f"pipeline={pipeline}"],
            cwd=folder,
            env=without_store(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for pipeline in ("first", "second")
    ]
    for process in processes:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for pipeline in ("first", "second"):
        (run,) = client.search_runs([client.get_experiment_by_name(pipeline).experiment_id])
        assert run.info.status == "FINISHED"


@pytest.mark.fault("the clock is set back a day while training", "the same bytes")
def test_a_clock_that_is_set_back_changes_nothing(
    run_stage: Run, finished: Path, before: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before("train")
    clock, calls = time.time, [0]

    def set_back() -> float:
        calls[0] += 1
        return clock() - (86_400 if calls[0] > 20 else 0)

    monkeypatch.setattr(time, "time", set_back)
    assert run_stage("train", "pipeline=tiny")[0] == 0
    assert calls[0] > 20
    assert files_below(Path("models/tiny")) == files_below(finished / "models/tiny")
