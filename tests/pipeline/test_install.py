"""Installing: uv with pip's settings, pip where uv fails, and lock files that agree."""

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import install

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = sorted(ROOT.glob("requirements*.txt"))
LISTED = """\
:env:.extra-index-url='https://own/simple'
global.cert='/etc/own.pem'
global.extra-index-url='https://other/simple'
global.find-links='/wheels\\n/more'
global.index-url='https://pypi.own/simple'
install.index-url='https://mirror.own/simple'
"""
# Prints its arguments and fails.
FAILING = "#!/bin/sh\necho failing: $@\necho no such index >&2\nexit 2\n"


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    return write


def test_uv_is_told_of_pip_s_mirror() -> None:
    told = install.uv_environment(install.pip_options(LISTED), {"SSL_CERT_FILE": "/uv.pem"})
    assert told == {
        "UV_DEFAULT_INDEX": "https://mirror.own/simple",
        "UV_INDEX": "https://own/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/uv.pem",  # uv's own
    }


@pytest.mark.fault("uv fails to install the packages", "pip installs them; one line says so")
def test_pip_installs_where_uv_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: Callable[[str, str], Path],
) -> None:
    monkeypatch.setattr(install, "find_uv", lambda: str(program("uv", FAILING)))
    pip = program("pip", "#!/bin/sh\necho 'Collecting numpy==2'\necho pip: $@\n")
    monkeypatch.setattr(install, "PIP", [str(pip)])
    install.main(["requirements-uv.txt"])
    first, called, reason, failed, done = capsys.readouterr().out.splitlines()
    assert first == "Installing the packages of requirements-uv.txt"
    assert called.startswith(
        "failing: pip install --require-hashes -r requirements-uv.txt --python "
    )
    assert reason == "no such index"
    assert failed == "uv failed: pip installs, which takes longer"
    assert done == "pip: install --require-hashes -r requirements-uv.txt --progress-bar off"


@pytest.mark.fault("uv is not in the package index", "pip installs; one line says so")
def test_uv_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(install.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(install, "PIP", [str(program("pip", FAILING))])
    assert install.find_uv() is None
    assert capsys.readouterr().out == (
        "uv cannot be had (no such index): pip installs, which takes longer\n"
    )


@pytest.mark.fault("neither uv nor pip can install", "what pip printed, and its status")
def test_pip_fails_too(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: Callable[[str, str], Path],
) -> None:
    monkeypatch.setattr(install, "find_uv", lambda: None)
    monkeypatch.setattr(install, "PIP", [str(program("pip", FAILING))])
    with pytest.raises(SystemExit) as end:
        install.install("requirements-uv.txt")
    assert end.value.code == 2
    assert "no such index" in capsys.readouterr().out


def test_large_downloads_are_shown_and_small_ones_are_not(
    capsys: pytest.CaptureFixture[str], program: Callable[[str, str], Path]
) -> None:
    lines = """\
Downloading tensorflow (546.1MiB)
 + absl-py==2.3
Collecting numpy==2.3 (from -r requirements.txt (line 3))
  Downloading numpy-2.3-cp311.whl.metadata (62 kB)
  Downloading absl_py-2.3-py3-none-any.whl (135 kB)
  Downloading numpy-2.3-cp311.whl (16.6 MB)
Installing collected packages: numpy, absl-py
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES
"""
    assert install.shown([str(program("pip", f"#!/bin/sh\ncat << END\n{lines}END\n"))]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Downloading tensorflow (546.1MiB)",
        "  Downloading numpy-2.3-cp311.whl (16.6 MB)",
        "Installing collected packages",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES",
    ]


@pytest.mark.parametrize(
    ("file", "other"),
    [("requirements.txt", "tensorflow"), ("requirements-gpu.txt", "tensorflow-cpu")],
)
def test_another_tensorflow_is_removed_first(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    program: Callable[[str, str], Path],
    file: str,
    other: str,
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(install.sys, "platform", "linux")
    monkeypatch.setattr(install.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(install, "version", lambda name: "2")  # both are installed
    monkeypatch.setattr(install, "PIP", [str(program("pip", "#!/bin/sh\necho $@\n"))])
    install.remove_other_tensorflow(file)
    removing, called = capfd.readouterr().out.splitlines()
    assert removing == f"Removing {other}: {file} has another TensorFlow"
    assert called == f"uninstall --quiet --yes {other}"
    install.remove_other_tensorflow("requirements-app.txt")
    assert capfd.readouterr().out == ""


def pins(lock: Path) -> dict[str, set[str]]:
    """The versions of each package of a lock file: several, if they differ by Python."""
    found: dict[str, set[str]] = {}
    pattern = r"^([\w.\[\]-]+)==([^\s;]+).*\n    --hash="
    for name, version in re.findall(pattern, lock.read_text("utf-8"), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_every_group_has_a_lock_file() -> None:
    groups = {*PROJECT["dependency-groups"], "gpu"}
    assert {lock.stem for lock in LOCKS} == {"requirements", *(f"requirements-{g}" for g in groups)}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_files_agree_and_pin_hashes_and_name_no_index(lock: Path) -> None:
    pinned, text = pins(lock), lock.read_text("utf-8")
    assert pinned.keys() == set(re.findall(r"^[\w.\[\]-]+", text, re.MULTILINE)) != set()
    for other in LOCKS:
        for name, versions in pins(other).items():
            mine = pinned.get(name, versions)
            assert mine <= versions or versions <= mine, (name, other)
    assert "://" not in text
    assert "--index" not in text
