"""download: which source is used is never silent, and nothing half-done stays."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


def dataset(project: Path, sources: str) -> None:
    (project / "conf" / "dataset" / "tiny.yaml").write_text(
        f"name: tiny\nformat: folders\nfile: tiny.tar\nsources:\n{sources}"
    )


def test_folder_becomes_one_file_and_its_description(finished: Path) -> None:
    folder = finished / "data" / "raw" / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["source.json", "tiny.tar"]
    source = json.loads((folder / "source.json").read_text())
    assert source["classes"] == ["blue", "green", "red"]
    assert (source["source"], source["drawn"]) == ("folder", False)
    assert source["bytes"] == (folder / "tiny.tar").stat().st_size


def test_drawn_sample_warns_loudly(run_stage: Run, project: Path) -> None:
    dataset(project, "  - kind: sample\n")
    status, _, output = run_stage("download", "pipeline=tiny")
    assert status == 0
    assert "These are DRAWINGS" in output
    assert json.loads(Path("data/raw/tiny/source.json").read_text())["drawn"] is True


@pytest.mark.fault("no source can be reached", "a line for each, nothing left")
def test_no_source_gives_a_line_each_and_leaves_nothing(
    run_stage: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    dataset(
        project,
        "  - {kind: mirror, path: tiny.tar, sha256: 00}\n"
        "  - {kind: url, url: 'http://127.0.0.1:9/tiny.tar', sha256: 00}\n"
        "  - {kind: folder, path: /nowhere}\n",
    )
    status, error, _ = run_stage("download", "pipeline=tiny", "attempts=1")
    assert status == 1
    lines = error.splitlines()
    assert lines[1:] == [
        "  mirror: DATA_MIRROR is not set",
        "  url: http://127.0.0.1:9/tiny.tar: connection refused (1 attempts)",
        "  folder: /nowhere is not there",
        "Set DATA_MIRROR to a folder that has the file, or add a source to conf/dataset/tiny.yaml.",
    ]
    assert list(Path("data/raw").iterdir()) == []


@pytest.mark.fault("a corrupt mirror", "named; the next source is tried")
def test_corrupt_mirror_is_named_and_the_next_source_tried(
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
    assert sorted(path.name for path in Path("data/raw/tiny").iterdir()) == [
        "source.json",
        "tiny.tar",
    ]
