"""The programs of this virtual environment, also where it is not activated."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier.support.errors import InputError


def environment() -> dict[str, str]:
    """The environment for another process: its ``python`` and ``dvc`` are this virtual
    environment's, and no MLflow server is named.
    """
    variables = {key: text for key, text in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    before = variables.get("PATH", os.defpath)
    return variables | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{before}"}


def run_logged(command: Sequence[str], name: str, file: Path) -> None:
    """Runs a command; what it prints is in the file.

    Args:
        name: of what it does, for the message.

    Raises:
        InputError: it fails; has the line that says why.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as printed:
        end = subprocess.run(
            command,
            env=os.environ | {"PATH": environment()["PATH"]},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
    if end.returncode:
        lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
        refusals = [line for line in lines if re.match(r"[a-z]+: pipelines\.", line)]
        reason = (refusals or lines or ["no reason given"])[-1]
        raise InputError(f"{name} failed: {reason} (all that it printed: {file})")
