"""dvc.lock as it was in a commit: the inputs and outputs that DVC recorded of each stage."""

from hashlib import md5
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.git import git
from stages.layout import output

Lock = dict[str, Any]  # the entry of each stage in dvc.lock


def lock_at(commit: str, folder: Path | None = None) -> Lock:
    """The entries of the commit's dvc.lock; empty if it has none, or deleted it.

    Args:
        folder: of the repository, by default the working directory.

    Raises:
        InputError: git has no such commit, or is not installed.
    """
    if not git("ls-tree", "--name-only", commit, "--", "dvc.lock", folder=folder):
        return {}
    text = git("show", f"{commit}:./dvc.lock", folder=folder)
    return (YAML(typ="safe").load(text) or {}).get("stages", {})


def outputs(lock: Lock) -> dict[str, str]:
    """The path and the hash of each output."""
    return {out["path"]: out["md5"] for entry in lock.values() for out in entry.get("outs", ())}


def weights_hash(lock: Lock, pipeline: str) -> str | None:
    """The hash of the file with the fingerprint of the pipeline's weights; None without one."""
    return outputs(lock).get((output("evaluate", pipeline) / "weights.sha256").as_posix())


def hash_of_fingerprint(fingerprint: str | None) -> str:
    """The hash that :func:`weights_hash` has for a model with this fingerprint."""
    return md5(f"{fingerprint}\n".encode()).hexdigest()
