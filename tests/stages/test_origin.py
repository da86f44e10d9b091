"""origin: the commit that a model was made from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import command, commit_all
from stages import origin
from stages.programs import environment

# Like the system's programs: they say who they are.
STRANGER = '#!/bin/sh\necho "$0 of the system" >&2\nexit 1\n'


@pytest.fixture
def not_activated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH names another ``python`` and ``dvc`` than this virtual environment's."""
    system = tmp_path / "system"
    system.mkdir()
    for name in ("python", "dvc"):
        (system / name).write_text(STRANGER)
        (system / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{system}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("not_activated")
def test_programs_are_those_of_this_virtual_environment() -> None:
    words = ["python", "-c", "import sys; print(sys.prefix)"]
    printed = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert printed.stdout.strip() == sys.prefix


@pytest.mark.slow
@pytest.mark.usefixtures("not_activated")
@pytest.mark.fault(
    "`origin --remake` without an activated environment", "the programs of its own environment run"
)
def test_remake_runs_the_stages_with_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkout"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    write = "import sys, pathlib; pathlib.Path('made').write_text(sys.prefix)"
    (folder / "dvc.yaml").write_text(
        "stages:\n  export:\n    foreach: [tiny]\n    do:\n"
        f'      cmd: python -c "{write}"\n      outs: [made]\n'
    )
    monkeypatch.chdir(folder)
    (folder / ".gitignore").write_text("/made\n/.dvc/tmp\n/.dvc/cache\n")
    commit_all(folder)
    command(sys.executable, "-m", "dvc", "repro", cwd=folder)
    commit_all(folder)
    head = command("git", "rev-parse", "HEAD", cwd=folder).stdout.strip()
    assert (folder / "made").read_text() == sys.prefix
    assert origin.remake(head, "tiny") == []
