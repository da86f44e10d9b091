"""Checkpoints: a training that was killed goes on after its last finished epoch.

Unlike ``keras.callbacks.BackupAndRestore``, the callbacks' own state (best value so far, epochs
waited, whose turn the averaged weights have) is kept too, so that the weights end bit for bit as
if there had been no break.
"""

import hashlib
import json
import logging
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classifier.atomic import atomic_folder
from classifier.data.checksum import sha256_of
from classifier.saving import fingerprint

State = dict[str, Any]
STATE_FILE, VARIABLES_FILE = "state.json", "variables.npz"
log = logging.getLogger(__name__)


class Checkpoint(keras.callbacks.Callback):
    """Writes the whole state of a training after each epoch; the last among its callbacks.

    Args:
        folder: replaced in one rename after each epoch; deleted by whoever no longer needs it.
        others: the callbacks before this one.
        rows: the history, a row an epoch; grows while training.
    """

    def __init__(
        self,
        folder: Path,
        others: list[keras.callbacks.Callback],
        rows: list[dict[str, float]],
    ):
        super().__init__()
        self.folder = folder
        self.others = others
        self.rows = rows

    def finished_epochs(self) -> int:
        """Epochs that an earlier, broken-off training has finished; 0 for none."""
        file = self.folder / STATE_FILE
        return len(json.loads(file.read_text("utf-8"))["rows"]) if file.exists() else 0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        # Keras makes its slots in the first step otherwise, after they would be restored.
        self.model.optimizer.build(self.model.trainable_variables)
        if not self.finished_epochs():
            return
        state = json.loads((self.folder / STATE_FILE).read_text("utf-8"))
        with np.load(self.folder / VARIABLES_FILE) as values:
            for number, variable in enumerate(_variables(self.model)):
                variable.assign(values[str(number)])
        self.rows[:] = state["rows"]
        for callback, attributes in zip(self.others, state["callbacks"], strict=True):
            vars(callback).update(attributes)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.model.stop_training:
            return  # so that the epoch is trained again, and stops again
        with atomic_folder(self.folder) as folder:
            values = {str(n): v.numpy() for n, v in enumerate(_variables(self.model))}
            np.savez(folder / VARIABLES_FILE, **values)
            state = {"rows": self.rows, "callbacks": [_plain(other) for other in self.others]}
            (folder / STATE_FILE).write_text(json.dumps(state), "utf-8")


def discard_damaged(folder: Path) -> None:
    """Deletes a training's checkpoints if one of them is damaged, as a power failure leaves them.

    Training then begins anew; it ends with the same weights, later.

    Args:
        folder: a folder a phase, and ``best.keras``.
    """
    phases = list(folder.glob("phase*"))
    files = [phase / name for phase in phases for name in (STATE_FILE, VARIABLES_FILE)]
    files += folder.glob("best.keras")
    damaged = [file for file in files if not _intact(file)]
    if not damaged:
        return
    log.warning("%s is damaged: training begins anew", damaged[0])
    for phase in phases:
        shutil.rmtree(phase)
    (folder / "best.keras").unlink(missing_ok=True)


def _intact(file: Path) -> bool:
    try:
        if file.suffix == ".json":
            return bool(json.loads(file.read_text("utf-8")))
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises what it stumbles on
        return False


def training_key(configuration: State, folders: Iterable[Path], model: keras.Model) -> str:
    """A name for what a training is a function of; another key, another training.

    Args:
        configuration: JSON-ready.
        folders: what it reads, the files in them.
        model: before training; its first weights stand for the code that built it.
    """
    files = sorted(file for folder in folders for file in folder.iterdir() if file.is_file())
    contents = [sha256_of(file) for file in files]
    parts = [json.dumps(configuration, sort_keys=True), *contents, fingerprint(model)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _variables(model: keras.Model) -> list[Any]:
    # Seeds of dropout are among the variables, but not among the weights.
    return [*model.variables, *model.optimizer.variables]


def _plain(callback: keras.callbacks.Callback) -> State:
    plain: State = {}
    for name, value in vars(callback).items():
        if name == "min_delta":
            continue  # whose sign Keras's callbacks turn for a loss when they begin
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            plain[name] = value
    return plain
