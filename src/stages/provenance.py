"""The tags of a run: the commit, the stage's inputs and the data that it was made from.

``git.commit`` is the commit that was checked out, and ``git.dirty`` says whether the files
differed from it: by tracked files that changed, or by files that git neither tracks nor ignores.
``dvc.inputs`` is a digest of what dvc.lock records of the stage ``dvc.stage`` before it runs: its
dependencies and its parameters. It finds the commit whose dvc.lock has them
(:mod:`stages.origin`), also where the outputs were committed later. Without git, or if DVC does
not run the stage, these tags are left out.
"""

import json
import logging
import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from classifier.support.addresses import without_credentials
from stages import git
from stages.layout import needed

STAGE, INPUTS = "dvc.stage", "dvc.inputs"
log = logging.getLogger(__name__)


def tags(pipeline: str) -> dict[str, str]:
    """Tags with the origin of a model. Tags without a value are left out."""
    source = json.loads(needed("download", pipeline, "source.json").read_text("utf-8"))
    commit = git.head()
    stage = os.environ.get("DVC_STAGE", "")  # https://dvc.org/doc/user-guide/env
    inputs = inputs_digest(_entry(stage)) if stage.endswith(f"@{pipeline}") else ""
    values = {
        "pipeline": pipeline,
        "data.source": source["source"],
        "data.location": source["location"],
        "data.sha256": source["sha256"],
        "data.drawn": str(source["drawn"]).lower(),
        "git.commit": commit or "",
        "git.dirty": str(bool(git.uncommitted())).lower() if commit else "",
        STAGE: stage if inputs else "",
        INPUTS: inputs,
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
    }
    return {key: value for key, value in values.items() if value}


def uncommitted() -> str:
    """How the files differ from ``git.commit``, without credentials; empty if they do not."""
    return without_credentials(git.uncommitted()) if git.head() else ""


def inputs_digest(entry: Mapping[str, Any]) -> str:
    """The SHA-256 of a stage's inputs in dvc.lock; empty if it has none.

    Args:
        entry: of the stage in dvc.lock. Only the paths and hashes of its dependencies and the
            values of its parameters count.
    """
    if not entry:
        return ""
    hashes = {item["path"]: item.get(item.get("hash", "md5")) for item in entry.get("deps", ())}
    inputs = {"deps": hashes, "params": entry.get("params", {})}
    return sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


def _entry(stage: str) -> Mapping[str, Any]:
    """The stage's entry of dvc.lock as DVC will write it, from the files as they are now."""
    # Imported late: DVC runs a stage for every pipeline, and most need none of its packages.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.serialize import to_single_stage_lockfile

    try:
        with Repo() as repo:
            (found,) = repo.stage.collect(stage)
            found.save_deps()
            found.outs = []
            entry: Mapping[str, Any] = to_single_stage_lockfile(found)
    except DvcException as error:
        log.warning("the run has no digest of its inputs: %s", " ".join(str(error).split()))
        return {}
    return entry
