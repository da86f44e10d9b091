"""Callbacks of a training: stop on NaN, keep the best epoch and averaged weights, record epochs."""

import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from classifier.layers.keras_private import assign_averages
from classifier.saved.saving import save_model
from classifier.support.directions import higher_is_better
from classifier.training.options import FitOptions
from classifier.training.phases import Phase

Row = dict[str, float]  # of the history: an epoch's metrics by name


class StopOnNaN(keras.callbacks.Callback):
    """Stops the training when the loss of a step is NaN or infinite, and remembers the step.

    With ``steps_per_execution``, it is the last step of those that were executed together.
    """

    def __init__(self) -> None:
        super().__init__()
        self.step: int | None = None  # counted from 1 over the whole training

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if self.step is None and logs and not np.isfinite(logs["loss"]):
            self.step = int(self.model.optimizer.iterations.numpy())
            self.model.stop_training = True


class KeepBest(keras.callbacks.Callback):
    """Saves the model, atomically, after each epoch with the best monitored value so far.

    Args:
        whole: the model to save, of which the head may train alone.
        file: a ``.keras`` file.
        monitor: a metric of the history.
        rows: the history before the epoch, a row per epoch.
    """

    def __init__(self, whole: keras.Model, file: Path, monitor: str, rows: Sequence[Row]):
        super().__init__()
        self.whole = whole
        self.file = file
        self.monitor = monitor
        self.rows = rows

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        as_good = operator.ge if higher_is_better(self.monitor) else operator.le
        value = logs[self.monitor]
        if np.isfinite(value) and not any(as_good(row[self.monitor], value) for row in self.rows):
            save_model(self.whole, self.file)


class KeepAverages(keras.callbacks.Callback):
    """Keeps the averaged weights in the model when a training stops before its last epoch.

    ``SwapEMAWeights`` copies them to the optimizer in the last epoch alone; ``fit`` ends by copying
    the optimizer's averages to the model, which would be the unaveraged weights. This callback has
    to come after every callback that may stop the training.
    """

    def __init__(self, averages: keras.callbacks.SwapEMAWeights):
        super().__init__()
        self.averages = averages

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if self.model.stop_training:
            assign_averages(self.averages)


def training_callbacks(
    model: keras.Model,
    phase: Phase,
    options: FitOptions,
    rows: list[Row],
    folder: Path,
    on_epoch: Callable[[int, Row], None],
) -> list[keras.callbacks.Callback]:
    """The callbacks of a phase, in the order in which they have to be called.

    Args:
        model: the whole one, to save.
        rows: the history; a row per epoch is appended.
        folder: ``best.keras`` is written there.
        on_epoch: called after each epoch, counted from 1, with its metrics.
    """

    def record(epoch: int, logs: Mapping[str, float]) -> None:
        rate = float(keras.ops.convert_to_numpy(phase.optimizer.learning_rate))
        row = {key: float(value) for key, value in sorted(logs.items())} | {"learning_rate": rate}
        rows.append({"epoch": epoch + 1, **row})
        on_epoch(epoch + 1, row)

    # The averages come first: the model is saved, and stopped, by what they give.
    averages = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    callbacks: list[keras.callbacks.Callback] = [averages] if phase.optimizer.use_ema else []
    callbacks.append(KeepBest(model, folder / "best.keras", options.monitor, rows))
    callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=record))
    callbacks += phase.callbacks
    if options.patience is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor=options.monitor,
                patience=options.patience,
                mode="max" if higher_is_better(options.monitor) else "min",
            )
        )
    if phase.optimizer.use_ema:
        callbacks.append(KeepAverages(averages))
    return callbacks
