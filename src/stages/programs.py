"""The programs of this virtual environment, also where it is not activated."""

import os
import sys
from pathlib import Path


def environment() -> dict[str, str]:
    """The environment for another process: its ``python`` and ``dvc`` are this virtual
    environment's, and no MLflow server is named.
    """
    variables = {key: text for key, text in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    before = variables.get("PATH", os.defpath)
    return variables | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{before}"}
