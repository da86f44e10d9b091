"""The place of each stage's output in the checkout, by pipeline."""

import os
import time
from pathlib import Path

from classifier.support.errors import InputError

FOLDERS = {
    "download": "data/raw/{}",
    "split": "data/split/{}.csv",
    "normalize": "data/normalized/{}",
    "augment": "data/augmented/{}",
    "backbone": "data/weights/{}",
    "train": "models/{}",
    "evaluate": "reports/{}",
    "export": "exports/{}",
}

# What a stage writes besides, and the stage that does; the suspects are those of stages.suspects.
# The live ones are read while train runs; no stage reads them.
BESIDES = {
    "near_duplicates": "data/near_duplicates/{}",
    "overview": "data/overview/{}",
    "suspects": "data/suspects/{}",
    "live": "live/{}",
}
WRITTEN_BY = {"near_duplicates": "split", "overview": "normalize"}

BACKBONE, CARD = "backbone.keras", "card.json"  # files of the backbone stage
ANSWERS = "answers.npz"  # of the evaluate stage: what was fitted for the exported model's answers
BASE = "base.json"  # of the train stage: what the network began with
COMBINED = "combined"  # a key of BASE: the runs whose models this model was made of


def output(stage: str, pipeline: str) -> Path:
    """The folder (the table, for split) that ``stage`` writes for ``pipeline``.

    Args:
        stage: or a key of BESIDES, for what one writes besides.
    """
    return Path((FOLDERS | BESIDES)[stage].format(pipeline))


def needed(stage: str, pipeline: str, name: str = "") -> Path:
    """The output of ``stage``, or the file ``name`` in it, for a later stage to read.

    Raises:
        InputError: it does not exist; the message names the DVC target that makes it.
    """
    path = output(stage, pipeline) / name if name else output(stage, pipeline)
    if not path.exists():
        stage = WRITTEN_BY.get(stage, stage)
        raise InputError(f"{path} is missing: make it with 'dvc repro {stage}@{pipeline}'")
    return path


def checkpoints(key: str) -> Path:
    """The folder of an unfinished training's checkpoints, by its key."""
    return main_checkout() / ".dvc" / "tmp" / "trainings" / key


def run_folder(pipeline: str, progress: Path) -> Path:
    """The folder of one training for what shows it live; the same after an interruption.

    Args:
        progress: of :func:`checkpoints`, where the folder's name is kept.
    """
    file = progress / "live"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{progress.name[:6]}", "utf-8")
    return main_checkout() / output("live", pipeline) / "runs" / file.read_text("utf-8")


def located(path: str) -> Path:
    """The file or folder that a path of a dataset's YAML file means; ``~`` is the home folder.

    A relative path begins in the checkout. The copy of a queued experiment has only what git
    tracks: other photos are those of the main checkout.
    """
    here = Path(path).expanduser()
    return here if here.exists() else main_checkout() / here


def main_checkout() -> Path:
    """The checkout that the user works in: a queued DVC experiment runs in a copy of it.

    DVC names the original in ``DVC_ROOT``
    (https://dvc.org/doc/user-guide/env).
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()
