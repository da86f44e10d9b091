"""What a run is tagged with: which commit, which lock, which data made it."""

import json
import os
import subprocess
from pathlib import Path

from classifier.data.checksum import sha256_of
from stages.layout import main_checkout, needed


def tags(pipeline: str) -> dict[str, str]:
    """Tags that say where a model comes from; a missing one is left out."""
    source = json.loads(needed("download", pipeline, "source.json").read_text("utf-8"))
    found = {
        "pipeline": pipeline,
        "data.source": source["source"],
        "data.location": source["location"],
        "data.sha256": source["sha256"],
        "data.drawn": str(source["drawn"]).lower(),
        "git.commit": _git_commit(),
        "dvc.lock.sha256": sha256_of(lock) if (lock := Path("dvc.lock")).exists() else "",
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
    }
    return {key: value for key, value in found.items() if value}


def _git_commit() -> str:
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=main_checkout(), capture_output=True, text=True
    )
    return result.stdout.strip() if result.returncode == 0 else ""
