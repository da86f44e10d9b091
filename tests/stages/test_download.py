"""download: the used source is recorded, and no partial output stays."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from classifier.sources import fetch
from classifier.sources.drawings import write_drawings
from classifier.support import lock
from conftest import stage
from stages.layout import output
from stages.lock import locked

FILES = ["contents.csv", "source.json", "tiny.tar"]
STAGES = ["download", "split", "normalize"]
Run = Callable[..., tuple[int, str, str]]


def dataset(project: Path, sources: str) -> None:
    (project / "conf" / "dataset" / "tiny.yaml").write_text(
        f"name: tiny\nformat: folders\nfile: tiny.tar\nsources:\n{sources}"
    )


def test_a_folder_becomes_one_file_with_a_description(run_stage: Run, project: Path) -> None:
    assert run_stage("download", "pipeline=tiny")[0] == 0
    folder = project / "data" / "raw" / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    source = json.loads((folder / "source.json").read_text())
    assert source["classes"] == ["blue", "green", "red"]
    assert (source["source"], source["drawn"]) == ("folder", False)
    assert source["bytes"] == (folder / "tiny.tar").stat().st_size


def test_the_drawn_sample_has_a_warning(
    run_stage: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "write_drawings", partial(write_drawings, per_class=3))
    dataset(project, "  - kind: sample\n")
    status, _, output = run_stage("download", "pipeline=tiny")
    assert status == 0
    assert "These are DRAWINGS" in output
    assert json.loads(Path("data/raw/tiny/source.json").read_text())["drawn"] is True


@pytest.mark.fault("no source can be reached", "one line each, nothing left")
def test_no_source_is_one_line_each_and_leaves_nothing(
    run_stage: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    dataset(
        project,
        "  - {kind: mirror, path: tiny.tar, sha256: '00'}\n"
        "  - {kind: url, url: 'http://127.0.0.1:9/tiny.tar', sha256: '00'}\n"
        "  - {kind: folder, path: /nowhere}\n",
    )
    status, error, _ = run_stage("download", "pipeline=tiny", "attempts=1")
    assert status == 1
    lines = error.splitlines()
    assert lines[1:] == [
        "  mirror: DATA_MIRROR is not set",
        "  url: http://127.0.0.1:9/tiny.tar: connection refused (1 attempts)",
        "  folder: /nowhere does not exist",
        "Set DATA_MIRROR to a folder that has the file, or add a source to conf/dataset/tiny.yaml.",
    ]
    assert list(Path("data/raw").iterdir()) == []


@pytest.mark.fault("a corrupt mirror", "named; the next source is tried")
def test_a_corrupt_mirror_is_named_and_the_next_source_tried(
    run_stage: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "tiny.tar").write_bytes(b"truncated")
    monkeypatch.setenv("DATA_MIRROR", str(mirror))
    photos = tmp_path / "project-photos"
    dataset(
        project,
        f"  - {{kind: mirror, path: tiny.tar, sha256: '{'0' * 64}'}}\n"
        f"  - {{kind: folder, path: {photos}}}\n",
    )
    status, _, output = run_stage("download", "pipeline=tiny")
    assert status == 0
    assert "mirror: checksum of tiny.tar is" in output
    assert json.loads(Path("data/raw/tiny/source.json").read_text())["source"] == "folder"
    assert sorted(path.name for path in Path("data/raw/tiny").iterdir()) == FILES


@pytest.mark.fault("two processes that write one pipeline's data at once", "the second waits")
@pytest.mark.parametrize("name", STAGES)
def test_a_second_process_of_a_pipeline_waits(
    run_stage: Run, project: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for earlier in STAGES[: STAGES.index(name)]:
        stage(earlier, "pipeline=tiny")
    path, held, waiting = output(name, "tiny"), Event(), Event()
    lines: list[str] = []

    def warning(message: str, *words: object) -> None:
        lines.append(message % words)
        waiting.set()

    monkeypatch.setattr(lock.log, "warning", warning)

    def hold() -> None:
        with locked(path):
            held.set()
            assert waiting.wait(60)

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold)
        assert held.wait(10)
        status, _, _ = run_stage(name, "pipeline=tiny")
        holder.result()
    assert status == 0
    assert lines[0].startswith(f"waiting for another process that writes {path} ")
