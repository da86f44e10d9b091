"""Stages import only the packages they use: every start adds to the time of `dvc repro`."""

import subprocess
import sys
from pathlib import Path

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


def test_early_stages_load_neither_tensorflow_nor_mlflow(project: Path) -> None:
    for name in ("download", "split", "normalize"):
        assert loaded_by(name, project) == "[]", name


def test_configuration_is_checked_before_tensorflow_loads(project: Path) -> None:
    program = (
        "import sys; from conftest import stage\n"
        "try: stage('train', 'pipeline=tiny', 'epochs=0')\n"
        "except SystemExit: print('tensorflow' in sys.modules, 'mlflow' in sys.modules)"
    )
    result = run_program(program, project)
    assert result.stdout == "False False\n"
    assert "epochs is 0: must be at least 1" in result.stderr
