"""Checkpoints: a training that was killed continues after its last finished epoch.

Unlike ``keras.callbacks.BackupAndRestore``, a checkpoint also has the state of the callbacks (best
value so far, epochs waited, whether the averaged weights are in the model), so that the final
weights are the same, bit for bit, as those of a training without an interruption.
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

from classifier.saved.saving import fingerprint
from classifier.support.atomic import atomic_path
from classifier.support.checksum import sha256_of
from classifier.training.continuation import OptimizerState

State = dict[str, Any]
STATE = "state"  # its name in the .npz; the variables are called 0, 1, 2, …
# The packages whose code decides the weights: those that train depends on in dvc.yaml.
PACKAGES = ("augmentation", "layers", "models", "saved", "storage", "training")
log = logging.getLogger(__name__)


class Checkpoint(keras.callbacks.Callback):
    """Writes the whole state of a training after each epoch; comes last among its callbacks.

    Args:
        file: an ``.npz``, replaced in one rename after each epoch. The caller deletes it.
        others: the callbacks before this one.
        rows: the history, a row per epoch; it grows during the training.
        continued: what the optimizer knows from an earlier training; None for nothing.
    """

    def __init__(
        self,
        file: Path,
        others: list[keras.callbacks.Callback],
        rows: list[dict[str, float]],
        continued: OptimizerState | None = None,
    ):
        super().__init__()
        self.file = file
        self.others = others
        self.rows = rows
        self.continued = continued

    def finished_epochs(self) -> int:
        """Epochs that an earlier, interrupted training has finished; 0 for none."""
        if not self.file.exists():
            return 0
        with np.load(self.file) as values:
            return len(_state(values)["rows"])

    def restore(self, model: keras.Model) -> None:
        """Gives the compiled model the state of its last finished epoch."""
        self.set_model(model)
        self.on_train_begin()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        # Keras would create the slot variables in the first step, too late to restore them.
        self.model.optimizer.build(self.model.trainable_variables)
        if self.continued is not None:
            self.continued.give(self.model)
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
            return  # the resumed training repeats this epoch, and stops in it again
        values = {str(n): v.numpy() for n, v in enumerate(_variables(self.model))}
        state = {"rows": self.rows, "callbacks": [_plain(other) for other in self.others]}
        content = np.frombuffer(json.dumps(state).encode(), np.uint8)
        with atomic_path(self.file) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **{STATE: content}, **values)


@contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """Keeps the checkpoints in ``folder`` until the block ends without an error, then deletes."""
    folder.mkdir(parents=True, exist_ok=True)
    yield
    shutil.rmtree(folder)


def discard_damaged(folder: Path) -> None:
    """Deletes the checkpoints of a training if one is damaged or missing, as after a power failure.

    The training then starts from the beginning; it ends with the same weights, later.

    Args:
        folder: has a file per phase, and ``best.keras``.
    """
    best = folder / "best.keras"
    files = [*sorted(folder.glob("phase*.npz")), best]
    damaged = [file for file in files if not _intact(file)]
    if damaged and any(file.exists() for file in files):
        log.warning("%s is damaged: the training starts from the beginning", damaged[0])
    for file in files if damaged else []:
        file.unlink(missing_ok=True)


def _intact(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises errors of many types
        return False


def training_key(configuration: State, folders: Iterable[Path], model: keras.Model) -> str:
    """A hash of everything that decides the weights of a training.

    The code of :data:`PACKAGES`, the versions of Keras and TensorFlow and the number of replicas
    are part of it.

    Args:
        configuration: JSON-serializable.
        folders: the training reads the files in them.
        model: before training.

    Returns:
        16 hexadecimal digits.
    """
    files = sorted(file for folder in folders for file in folder.iterdir() if file.is_file())
    library = Path(__file__).parents[1]
    for package in PACKAGES:
        files += sorted((library / package).rglob("*.py"))
    contents = [sha256_of(file) for file in files]
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    context = [configuration, keras.__version__, tf.__version__, replicas]
    parts = [json.dumps(context, sort_keys=True), *contents, fingerprint(model)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _state(values: Any) -> State:
    state: State = json.loads(values[STATE].tobytes())
    return state


def _variables(model: keras.Model) -> list[Any]:
    # The seeds of dropout are variables, but not weights.
    return [*model.variables, *model.optimizer.variables]


def _plain(callback: keras.callbacks.Callback) -> State:
    plain: State = {}
    for name, value in vars(callback).items():
        if name == "min_delta":
            continue  # Keras changes its sign for a loss in on_train_begin
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            plain[name] = value
    return plain
