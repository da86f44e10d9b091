"""Training: compile, fit, keep the best epoch and the last."""

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf

from classifier.errors import InputError


def fit(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    batches: tf.data.Dataset,
    validation: tf.data.Dataset,
    *,
    steps: int,
    epochs: int,
    best: Path,
    monitor: str,
    patience: int | None,
    label_smoothing: float,
    jit_compile: bool,
    steps_per_execution: int,
    on_epoch: Callable[[int, Mapping[str, float]], None],
) -> pd.DataFrame:
    """Trains the model and leaves it at its last epoch.

    Loss is the cross-entropy with one-hot labels. An optimizer that averages weights
    (``use_ema``) has the averages validated and kept.

    Args:
        batches: of :func:`classifier.data.feed.training_batches`, with its ``steps`` an epoch.
        best: a ``.keras`` file to write at each epoch whose ``monitor`` is better than before.
        patience: epochs without a better ``monitor`` before training stops; None never stops.
        on_epoch: called after each epoch, counted from 1, with its metrics.

    Returns:
        A row an epoch: epoch, accuracy, loss, val_accuracy, val_loss, learning_rate.

    Raises:
        InputError: the loss became NaN or infinite.
    """
    smoothed = keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    model.compile(
        optimizer,
        loss=smoothed,
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
        steps_per_execution=min(steps_per_execution, steps),
    )
    rows: list[dict[str, float]] = []

    def record(epoch: int, logs: Mapping[str, float]) -> None:
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        row = {key: float(value) for key, value in sorted(logs.items())} | {"learning_rate": rate}
        rows.append({"epoch": epoch + 1, **row})
        on_epoch(epoch + 1, row)

    callbacks: list[keras.callbacks.Callback] = [keras.callbacks.TerminateOnNaN()]
    if optimizer.use_ema:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    callbacks.append(keras.callbacks.ModelCheckpoint(best, monitor=monitor, save_best_only=True))
    callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=record))
    if patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping(monitor=monitor, patience=patience))
    model.fit(
        batches,
        epochs=epochs,
        steps_per_epoch=steps,
        validation_data=validation,
        callbacks=callbacks,
        shuffle=False,
    )
    history = pd.DataFrame(rows)
    if not rows or not best.exists() or history["loss"].isna().any():
        raise InputError(
            f"the loss became NaN in epoch {len(rows) + 1}: try a smaller optimizer.learning_rate, "
            "or optimizer.clipnorm=1"
        )
    return history


def summary(model: keras.Model) -> str:
    """What ``model.summary()`` prints."""
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100)
    return "\n".join(lines)
