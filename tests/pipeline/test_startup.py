"""Start-up is a cost on every dvc repro: stages load only what they use."""

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ["tensorflow", "keras", "mlflow", "matplotlib", "sklearn", "ray"]
LOADED = """
import json, sys
from conftest import stage
stage({name!r}, "pipeline=tiny")
print(json.dumps([name for name in {slow} if name in sys.modules]), file=sys.stderr)
"""


def run_program(program: str, project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )


def loaded_by(name: str, project: Path) -> str:
    return run_program(LOADED.format(name=name, slow=SLOW), project).stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["download", "split", "normalize"])
def test_early_stages_load_neither_tensorflow_nor_mlflow(name: str, project: Path) -> None:
    for earlier in ["download", "split", "normalize"]:
        loaded = loaded_by(earlier, project)
        if earlier == name:
            break
    assert loaded == "[]"


def test_configuration_is_checked_before_tensorflow_loads(project: Path) -> None:
    program = (
        "import sys; from conftest import stage\n"
        "try: stage('train', 'pipeline=tiny', 'epochs=0')\n"
        "except SystemExit: print('tensorflow' in sys.modules, 'mlflow' in sys.modules)"
    )
    result = run_program(program, project)
    assert result.stdout == "False False\n"
    assert "epochs is 0: must be at least 1" in result.stderr
