"""Training: compile, fit, keep the best epoch and the last; go on where a killed one ended."""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from classifier.checkpoint import Checkpoint, discard_damaged
from classifier.data.feed import weighted
from classifier.errors import InputError
from classifier.fit_options import FitOptions
from classifier.freezing import unfreeze
from classifier.memory import check_memory
from classifier.phases import Phase
from classifier.saving import save_model
from classifier.strategies import (
    check_agreement,
    distribute,
    distributed_batches,
    images_at_once,
    no_worker_lost,
)


class StopOnNaN(keras.callbacks.Callback):
    """Stops when a step's loss is NaN or infinite, and remembers the step.

    With ``steps_per_execution``, the last step of those that were executed together.
    """

    def __init__(self) -> None:
        super().__init__()
        self.step: int | None = None  # counted from 1 over the whole training

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if self.step is None and logs and not np.isfinite(logs["loss"]):
            self.step = int(self.model.optimizer.iterations.numpy())
            self.model.stop_training = True


class KeepBest(keras.callbacks.Callback):
    """Saves the model, atomically, after each epoch whose monitored value is the best so far.

    Args:
        rows: the history, a row an epoch, before this one.
    """

    def __init__(self, file: Path, monitor: str, rows: Sequence[Mapping[str, float]]):
        super().__init__()
        self.file = file
        self.monitor = monitor
        self.rows = rows

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        as_good = operator.ge if _is_accuracy(self.monitor) else operator.le
        value = logs[self.monitor]
        if np.isfinite(value) and not any(as_good(row[self.monitor], value) for row in self.rows):
            save_model(self.model, self.file)


def fit(
    model: keras.Model,
    phases: Sequence[Phase],
    batches: Callable[..., tf.data.Dataset],
    validation: tf.data.Dataset,
    options: FitOptions,
    *,
    steps: int,
    class_weights: Mapping[int, float] | None,
    folder: Path,
    on_epoch: Callable[[int, Mapping[str, float]], None],
) -> pd.DataFrame:
    """Trains the model and leaves it at its last epoch.

    Loss is the cross-entropy with one-hot or mixed labels. An optimizer that averages weights
    (``use_ema``) has the averages validated and kept. A training that was killed goes on after
    its last finished epoch, if it is called with the same arguments, and ends with the same
    weights, bit for bit.

    Args:
        phases: of :func:`classifier.phases.plan`.
        batches: called with ``first_epoch`` and ``epochs``, gives the training batches of the
            epochs from the one up to the other; ``steps`` an epoch. Under a strategy, with
            ``context`` too: see :func:`classifier.strategies.distributed_batches`.
        class_weights: of :func:`class_weights`.
        folder: kept between calls: ``best.keras``, the epoch with the best monitored value, and
            the checkpoints to go on from.
        on_epoch: called after each epoch, counted from 1, with its metrics.

    Returns:
        A row an epoch: epoch, accuracy, loss, val_accuracy, val_loss, learning_rate, and kept,
        1 for the epoch with the best monitored value (the first of equal ones), 0 for others.

    Raises:
        InputError: the batch is too large for the memory; a worker is gone, or has other
            checkpoints; the loss became NaN or infinite, which names the step; or the monitored
            value was never a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    discard_damaged(folder)
    rows: list[dict[str, float]] = []
    for number, phase in enumerate(phases, 1):
        begin = len(rows)
        if phase.unfrozen:
            unfreeze(model, phase.unfrozen)
        model.compile(
            phase.optimizer,
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=options.label_smoothing),
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=options.jit_compile,
            steps_per_execution=_divisor(steps, options.steps_per_execution),
        )
        stop_on_nan = StopOnNaN()
        callbacks = [stop_on_nan, *_callbacks(phase, options, rows, folder, on_epoch)]
        checkpoint = Checkpoint(folder / f"phase{number}.npz", callbacks[:], rows)
        first = checkpoint.finished_epochs() or begin
        with no_worker_lost():
            check_agreement(first)
        epochs = range(first, begin + phase.epochs)
        images, spec = distributed_batches(partial(_batches_of, epochs, batches, class_weights))
        distribute(model, spec)
        if not options.jit_compile:  # XLA does not keep every layer's output
            check_memory(model, images_at_once(spec))
        with no_worker_lost():
            model.fit(
                images,
                initial_epoch=epochs.start,
                epochs=epochs.stop,
                steps_per_epoch=steps,
                validation_data=validation,
                callbacks=[*callbacks, checkpoint],
                shuffle=False,
            )
        if stop_on_nan.step is not None:
            raise InputError(
                f"the loss became NaN or infinite at step {stop_on_nan.step}, in epoch "
                f"{len(rows)}: try a smaller optimizer.learning_rate, or optimizer.clipnorm=1"
            )
    if not (folder / "best.keras").exists():
        raise InputError(f"{options.monitor} was a number in no epoch: choose another monitor")
    history = pd.DataFrame(rows)
    best = history[options.monitor] == best_value(history, options.monitor)
    return history.assign(kept=(best & (best.cumsum() == 1)).astype(int))


def _batches_of(
    epochs: range,
    batches: Callable[..., tf.data.Dataset],
    class_weights: Mapping[int, float] | None,
    **more: tf.distribute.InputContext,
) -> tf.data.Dataset:
    found = batches(first_epoch=epochs.start, epochs=epochs.stop, **more)
    return weighted(found, class_weights)


def _divisor(steps: int, largest: int) -> int:
    """The largest number up to ``largest`` that divides ``steps``.

    Keras rounds up the executions of an epoch otherwise, which then takes batches of the next.
    """
    return max(number for number in range(1, min(largest, steps) + 1) if steps % number == 0)


class KeepAverages(keras.callbacks.Callback):
    """Keeps the averaged weights in the model when a training stops before its last epoch.

    Keras lets ``SwapEMAWeights`` see to that in the last epoch alone; ``fit`` ends by copying the
    optimizer's averages to the model, and those are the unaveraged weights then. Comes after
    whatever may stop the training.
    """

    def __init__(self, averages: keras.callbacks.SwapEMAWeights):
        super().__init__()
        self.averages = averages

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if self.model.stop_training:
            self.averages._finalize_ema_values()


def _callbacks(
    phase: Phase,
    options: FitOptions,
    rows: list[dict[str, float]],
    folder: Path,
    on_epoch: Callable[[int, Mapping[str, float]], None],
) -> list[keras.callbacks.Callback]:
    found = KeepBest(folder / "best.keras", options.monitor, rows)

    def record(epoch: int, logs: Mapping[str, float]) -> None:
        rate = float(keras.ops.convert_to_numpy(phase.optimizer.learning_rate))
        row = {key: float(value) for key, value in sorted(logs.items())} | {"learning_rate": rate}
        rows.append({"epoch": epoch + 1, **row})
        on_epoch(epoch + 1, row)

    # The averages first: what is saved and stopped by is what they give.
    averages = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    callbacks: list[keras.callbacks.Callback] = [averages] if phase.optimizer.use_ema else []
    callbacks += [found, keras.callbacks.LambdaCallback(on_epoch_end=record), *phase.callbacks]
    if options.patience is not None:
        stopping = keras.callbacks.EarlyStopping(monitor=options.monitor, patience=options.patience)
        callbacks.append(stopping)
    if phase.optimizer.use_ema:
        callbacks.append(KeepAverages(averages))
    return callbacks


def best_value(history: pd.DataFrame, monitor: str) -> float:
    """The history's best value of ``monitor``: the highest accuracy, or the lowest loss."""
    return float(history[monitor].max() if _is_accuracy(monitor) else history[monitor].min())


def _is_accuracy(monitor: str) -> bool:
    return monitor.endswith("accuracy")


def class_weights(kind: str | None, labels: np.ndarray, classes: int) -> dict[int, float] | None:
    """Factors of the loss of each label's images.

    Args:
        kind: ``balanced`` lets every class count as much, N / (classes * images of the class);
            None gives None.
        labels: integers (N,).
    """
    if kind is None:
        return None
    counts = np.bincount(labels, minlength=classes)
    return {label: len(labels) / (classes * int(count)) for label, count in enumerate(counts)}


def summary(model: keras.Model) -> str:
    """What ``model.summary()`` prints."""
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100)
    return "\n".join(lines)
