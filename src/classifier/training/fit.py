"""Training: compile, fit, keep the best epoch and the last; resume a training that was killed."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf

from classifier.support.directions import higher_is_better
from classifier.support.errors import InputError
from classifier.training.callbacks import Row, StopOnNaN, training_callbacks
from classifier.training.checkpoint import Checkpoint, discard_damaged
from classifier.training.execution import execute_together
from classifier.training.features import features_of, split_at_head
from classifier.training.feed import TrainingFeed
from classifier.training.freezing import unfreeze
from classifier.training.memory import check_memory
from classifier.training.options import FitOptions
from classifier.training.phases import Phase
from classifier.training.strategies import (
    check_agreement,
    distribute,
    distributed_batches,
    images_at_once,
    no_worker_lost,
)


def fit(
    model: keras.Model,
    phases: Sequence[Phase],
    feed: TrainingFeed,
    validation: tf.data.Dataset,
    options: FitOptions,
    folder: Path,
    on_epoch: Callable[[int, Row], None],
) -> pd.DataFrame:
    """Trains the model and leaves it at its last epoch.

    The loss is that of each phase, with one-hot or mixed labels. An optimizer that averages weights
    (``use_ema``) has the averages validated and kept. A training that was killed continues after
    its last finished epoch when it is called with the same arguments, and ends with the same
    weights, bit for bit.

    Args:
        phases: of :func:`classifier.training.phases.plan`.
        feed: the training batches of any range of epochs.
        validation: batches of :func:`classifier.training.feed.evaluation_batches`.
        folder: kept between calls: ``best.keras``, the epoch with the best monitored value, and
            the checkpoints.
        on_epoch: called after each epoch, counted from 1, with its metrics.

    Returns:
        A row per epoch: epoch, accuracy, loss, val_accuracy, val_loss, learning_rate, what
        ``monitor`` says (in training, of several replicas, the mean of theirs), and kept, 1 for the
        epoch with the best monitored value (the first of equal ones), 0 for the others.

    Raises:
        InputError: the batch is too large for the memory; a worker is lost, or has other
            checkpoints; the loss became NaN or infinite, with the step; or the monitored value
            was never a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    discard_damaged(folder)
    rows: list[Row] = []
    for number, phase in enumerate(phases, 1):
        begin = len(rows)
        if phase.unfrozen:
            unfreeze(model, phase.unfrozen)
        compile_for(model, phase, feed, options)
        stop_on_nan = StopOnNaN()
        others = training_callbacks(model, phase, options, rows, folder, on_epoch)
        callbacks = [stop_on_nan, *others]
        file = folder / f"phase{number}.npz"
        checkpoint = Checkpoint(file, callbacks[:], rows, phase.state)
        first = checkpoint.finished_epochs() or begin
        with no_worker_lost():
            check_agreement(first)
        epochs = range(first, begin + phase.epochs)
        trained, shown, checked = model, feed, validation
        if phase.on_features:
            base, trained = split_at_head(model)
            compile_for(trained, phase, feed, options)
            if not epochs:  # they ended before the training was killed
                checkpoint.restore(trained)
                continue
            shown, checked = features_of(base, feed, validation)
        batches, spec = distributed_batches(shown, epochs)
        execute_together(trained, shown.steps_per_epoch)
        distribute(trained, spec)
        if not options.jit_compile:  # XLA does not keep the output of every layer
            check_memory(trained, images_at_once(shown))
        with no_worker_lost():
            trained.fit(
                batches,
                initial_epoch=epochs.start,
                epochs=epochs.stop,
                steps_per_epoch=shown.steps_per_epoch,
                validation_data=checked,
                callbacks=[*callbacks, checkpoint],
                shuffle=False,
                # A progress bar, or a line an epoch where the output is no terminal.
                verbose=1 if sys.stdout.isatty() else 2,
            )
        if stop_on_nan.step is not None:
            raise InputError(
                f"the loss became NaN or infinite at step {stop_on_nan.step}, in epoch "
                f"{len(rows)}: try a smaller optimizer.learning_rate, or optimizer.clipnorm=1"
            )
    if not (folder / "best.keras").exists():
        raise InputError(f"{options.monitor} was NaN in every epoch: choose another monitor")
    history = pd.DataFrame(rows)
    best = history[options.monitor] == best_value(history, options.monitor)
    return history.assign(kept=(best & (best.cumsum() == 1)).astype(int))


def compile_for(model: keras.Model, phase: Phase, feed: TrainingFeed, options: FitOptions) -> None:
    """Compiles the model, or the head alone, for a phase."""
    model.compile(
        phase.optimizer,
        loss=phase.loss,
        metrics=feed.task.metrics(feed.classes, options.monitor.removeprefix("val_")),
        jit_compile=options.jit_compile,
        steps_per_execution=min(feed.steps_per_epoch, options.steps_per_execution),
    )


def best_value(history: pd.DataFrame, monitor: str) -> float:
    """The best value of ``monitor`` in the history: the highest accuracy, or the lowest loss."""
    return float(history[monitor].max() if higher_is_better(monitor) else history[monitor].min())
