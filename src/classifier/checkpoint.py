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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from classifier.atomic import atomic_path
from classifier.data.checksum import sha256_of
from classifier.saving import fingerprint

State = dict[str, Any]
STATE = "state"  # its name beside the variables' numbers
log = logging.getLogger(__name__)


class Checkpoint(keras.callbacks.Callback):
    """Writes the whole state of a training after each epoch; the last among its callbacks.

    Args:
        file: an ``.npz``, replaced in one rename after each epoch; deleted by whoever no longer
            needs it.
        others: the callbacks before this one.
        rows: the history, a row an epoch; grows while training.
    """

    def __init__(
        self,
        file: Path,
        others: list[keras.callbacks.Callback],
        rows: list[dict[str, float]],
    ):
        super().__init__()
        self.file = file
        self.others = others
        self.rows = rows

    def finished_epochs(self) -> int:
        """Epochs that an earlier, broken-off training has finished; 0 for none."""
        if not self.file.exists():
            return 0
        with np.load(self.file) as values:
            return len(_state(values)["rows"])

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        # Keras makes its slots in the first step otherwise, after they would be restored.
        self.model.optimizer.build(self.model.trainable_variables)
        if not self.file.exists():
            return
        with np.load(self.file) as values:
            state = _state(values)
            for number, variable in enumerate(_variables(self.model)):
                variable.assign(values[str(number)])
        self.rows[:] = state["rows"]
        for callback, attributes in zip(self.others, state["callbacks"], strict=True):
            vars(callback).update(attributes)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.model.stop_training:
            return  # so that the epoch is trained again, and stops again
        values = {str(n): v.numpy() for n, v in enumerate(_variables(self.model))}
        state = {"rows": self.rows, "callbacks": [_plain(other) for other in self.others]}
        content = np.frombuffer(json.dumps(state).encode(), np.uint8)
        with atomic_path(self.file) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **{STATE: content}, **values)


@contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """Keeps a training's checkpoints in ``folder`` until the block ends well, which deletes it."""
    folder.mkdir(parents=True, exist_ok=True)
    yield
    shutil.rmtree(folder)


def discard_damaged(folder: Path) -> None:
    """Deletes a training's checkpoints if one of them is damaged or missing, as a power failure
    leaves them.

    Training then begins anew; it ends with the same weights, later.

    Args:
        folder: a file a phase, and ``best.keras``.
    """
    best = folder / "best.keras"
    files = [*sorted(folder.glob("phase*.npz")), best]
    damaged = [file for file in files if not _intact(file)]
    if damaged and any(file.exists() for file in files):
        log.warning("%s is damaged: training begins anew", damaged[0])
    for file in files if damaged else []:
        file.unlink(missing_ok=True)


def _intact(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises what it stumbles on
        return False


def training_key(configuration: State, folders: Iterable[Path], model: keras.Model) -> str:
    """A name for what a training is a function of; another key, another training.

    This library's code, Keras's and TensorFlow's versions and the number of replicas are part
    of it.

    Args:
        configuration: JSON-ready.
        folders: what it reads, the files in them.
        model: before training.
    """
    files = sorted(file for folder in folders for file in folder.iterdir() if file.is_file())
    files += sorted(Path(__file__).parent.rglob("*.py"))
    contents = [sha256_of(file) for file in files]
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    context = [configuration, keras.__version__, tf.__version__, replicas]
    parts = [json.dumps(context, sort_keys=True), *contents, fingerprint(model)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _state(values: Any) -> State:
    state: State = json.loads(values[STATE].tobytes())
    return state


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
