"""Faults while a stage runs: an error of one line, no partial output, the same bytes at the end."""

import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from conftest import PYTHON, command, commit_all, experiment_id, without_store, write_project

pytestmark = pytest.mark.slow

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
# Ends the process as kill -9 does, after it wrote all files and before it renames the output.
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
    paths = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(file.relative_to(path)): file.read_bytes() for file in paths if file.is_file()}


# What a stage writes beside its output.
BESIDES = {"split": "data/near_duplicates/tiny", "normalize": "data/overview/tiny"}
Outputs = dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outputs]:
    """A tiny project that ran, had each stage killed, and ran again; its first outputs."""
    folder = write_project(tmp_path_factory.mktemp("killed") / "project")
    commit_all(folder)
    command("dvc", "repro", cwd=folder)
    whole = {stage: files_below(folder / output) for stage, output in STAGES.items()}
    for stage, output in STAGES.items():
        before = (folder / output).rename(tmp_path_factory.mktemp(stage) / "before")
        code = KILLED.format(stage=stage, output=output)
        words = [PYTHON, "-c", code]
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
    """Mounts a small file system at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def outputs_before(finished: Path, project: Path) -> Callable[[str], None]:
    """A function that copies the outputs of all stages before one into the fresh project."""

    def copy_outputs(stage: str) -> None:
        for earlier in STAGES:
            if earlier == stage:
                break
            for output in filter(None, (STAGES[earlier], BESIDES.get(earlier))):
                (project / output).parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (finished / output).is_dir() else shutil.copy
                copy(finished / output, project / output)

    return copy_outputs


@pytest.mark.fault("disk full", "one line, nothing half-written; runs when there is room")
@pytest.mark.parametrize("stage", ["download", "normalize", "train", "export"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    run_stage: Run, project: Path, outputs_before: Callable[[str], None], stage: str
) -> None:
    outputs_before(stage)
    parent = (project / STAGES[stage]).parent
    with disk(parent, "size=8k"):
        status, error, _ = run_stage(stage, "pipeline=tiny")
        left = list(parent.iterdir())
    assert status == 1
    assert error.splitlines()[-1].startswith(f"{stage}: pipelines.tiny.{stage}: ")
    assert "the disk is full: free some space and run it again" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert left == []
    assert run_stage(stage, "pipeline=tiny")[0] == 0


@pytest.mark.fault("read-only folder", "one line")
@pytest.mark.parametrize("stage", STAGES)
def test_a_read_only_checkout_is_one_line(
    run_stage: Run, project: Path, outputs_before: Callable[[str], None], stage: str
) -> None:
    outputs_before(stage)
    with disk((project / STAGES[stage]).parent, "ro"):
        status, error, _ = run_stage(stage, "pipeline=tiny")
    assert status == 1
    assert "check its permissions" in error.splitlines()[-1]
    assert "Traceback" not in error


@pytest.mark.fault(
    "a memory limit below what the batch takes",
    "one line before the first epoch, with a batch that may fit",
)
def test_too_little_memory_for_the_batch_is_said_before_the_first_epoch(
    project: Path, outputs_before: Callable[[str], None]
) -> None:
    outputs_before("normalize")
    words = [PYTHON, "-m"]
    command(*words, "stages.normalize", "pipeline=tiny", "image_size=1024", cwd=project)
    command(*words, "stages.augment", "pipeline=tiny", "policy=none", cwd=project)
    limit = 14 * 2**30  # of virtual memory, of which TensorFlow reserves some 10 GB
    result = subprocess.run(
        [*words, "stages.train", "pipeline=tiny", "model.filters=[160]", "batch_size=27"],
        cwd=project,
        env=without_store(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "batch_size is 27: a step takes" in result.stderr.splitlines()[-1]
    assert "Epoch" not in result.stdout
    assert "Traceback" not in result.stderr


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
            [PYTHON, "-m", "stages.train", f"pipeline={pipeline}"],
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
        (run,) = client.search_runs([experiment_id(client, pipeline)])
        assert run.info.status == "FINISHED"


@pytest.mark.fault("the clock is set back a day while training", "the same bytes")
def test_a_clock_that_is_set_back_changes_nothing(
    run_stage: Run,
    finished: Path,
    outputs_before: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs_before("train")
    clock, calls = time.time, [0]

    def set_back() -> float:
        calls[0] += 1
        return clock() - (86_400 if calls[0] > 20 else 0)

    monkeypatch.setattr(time, "time", set_back)
    assert run_stage("train", "pipeline=tiny")[0] == 0
    assert calls[0] > 20
    assert files_below(Path("models/tiny")) == files_below(finished / "models/tiny")
