"""The tags of a run say what is true: the commit, and how the files differed from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import command, commit_all
from stages import git, provenance

SOURCE = {"source": "folder", "location": "photos", "sha256": "0" * 64, "drawn": False}


@pytest.fixture
def downloaded(project: Path) -> Path:
    """A project that has a dataset's source.json."""
    file = project / "data" / "raw" / "tiny" / "source.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(SOURCE))
    return project


def test_a_changed_file_makes_the_commit_dirty_and_stands_in_the_diff(downloaded: Path) -> None:
    commit_all(downloaded)
    head = command("git", "rev-parse", "HEAD", cwd=downloaded).stdout.strip()
    tags = provenance.tags("tiny")
    assert (tags["git.commit"], tags["git.dirty"]) == (head, "false")
    assert "dvc.lock.sha256" not in tags
    assert provenance.uncommitted() == ""
    Path("dvc.lock").write_text("schema: '2.0'\n")  # DVC writes it while the stages run
    assert provenance.tags("tiny")["git.dirty"] == "false"
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("epochs: 2", "epochs: 3"))
    assert provenance.tags("tiny")["git.dirty"] == "true"
    text = provenance.uncommitted()
    assert "-      epochs: 2\n+      epochs: 3\n" in text
    assert "dvc.lock" not in text


def test_a_new_file_makes_the_commit_dirty_and_is_named(downloaded: Path) -> None:
    commit_all(downloaded)
    Path("conf", "model", "späte.yaml").write_text("x: 1\n")
    assert provenance.tags("tiny")["git.dirty"] == "true"
    assert provenance.uncommitted() == "not tracked: conf/model/späte.yaml\n"


@pytest.mark.fault(
    "a secret in a file that git ignores, or in a changed URL", "not in the run's git.diff"
)
def test_the_diff_has_no_secrets(downloaded: Path) -> None:
    Path("tracked.env").write_text("before\n")
    commit_all(downloaded)
    with Path(".gitignore").open("a") as file:
        file.write("*.env\n")
    commit_all(downloaded)
    Path("tracked.env").write_text("KEY=hush1\n")
    Path("other.env").write_text("KEY=hush2\n")
    with Path("conf", "dataset", "tiny.yaml").open("a") as file:
        file.write("# https://me:hush3@example.com/a.tar?token=hush4\n")
    text = provenance.uncommitted()
    assert "changed, but ignored by git, and left out: tracked.env\n" in text
    assert "https://example.com/a.tar" in text
    assert "hush" not in text


def test_a_long_diff_is_cut_and_says_so(downloaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_all(downloaded)
    Path("params.yaml").write_text("# ä\n" * 10_000)
    monkeypatch.setattr(git, "LIMIT", 1001)
    *lines, last = provenance.uncommitted().splitlines()
    assert last.startswith("cut: these are the first 1,001 of ")
    assert len("\n".join(lines).encode()) <= 1001


@pytest.mark.fault("a checkout without git", "runs have no git tags, everything else works")
def test_a_source_archive_has_no_commit(downloaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Somebody unpacked it inside a repository of something else.
    command("git", "init", "-q", cwd=downloaded.parent)
    command("git", "config", "user.name", "test", cwd=downloaded.parent)
    command("git", "config", "user.email", "test@example.com", cwd=downloaded.parent)
    command("git", "commit", "-q", "--allow-empty", "-m", "other", cwd=downloaded.parent)
    for path in (None, ""):
        if path is not None:
            monkeypatch.setenv("PATH", path)  # git is not installed
        tags = provenance.tags("tiny")
        assert tags["data.source"] == "folder"
        assert not [name for name in tags if name.startswith("git.")]
        assert provenance.uncommitted() == ""


def test_the_digest_is_of_dependencies_and_parameters_alone() -> None:
    entry: dict[str, Any] = {
        "cmd": "python -m stages.train",
        "deps": [
            {"path": "b", "hash": "md5", "md5": "2", "size": 1},
            {"path": "a", "hash": "md5", "md5": "1.dir", "size": 1, "nfiles": 1},
        ],
        "params": {"params.yaml": {"pipelines.tiny.train": {"epochs": 2, "rate": 0.1}}},
    }
    digest = provenance.inputs_digest(entry)
    assert len(digest) == 64
    made = entry | {"outs": [{"path": "c", "md5": "3"}], "cmd": "other"}
    assert provenance.inputs_digest(made) == digest
    assert provenance.inputs_digest(entry | {"deps": entry["deps"][:1]}) != digest
    assert provenance.inputs_digest(entry | {"params": {}}) != digest
    assert provenance.inputs_digest({}) == ""
