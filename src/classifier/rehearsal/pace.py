"""How fast the parts of a training are on this machine."""

import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from classifier.saved.saving import save_model
from classifier.training.checkpoint import Checkpoint
from classifier.training.execution import execute_together
from classifier.training.feed import TrainingFeed
from classifier.training.fit import compile_for
from classifier.training.options import FitOptions
from classifier.training.phases import Phase

FOREVER = range(1_000_000)  # epochs of a feed that is broken off


class Passed(NamedTuple):
    """Images that went through a network.

    Attributes:
        outputs: float32 (N, …), of the images that were not yet seen.
        targets: one-hot, float32 (N, classes), of the same images.
        rate: images a second.
    """

    outputs: np.ndarray
    targets: np.ndarray
    rate: float


def feed_rate(feed: TrainingFeed, seconds: float) -> float:
    """Images a second that the feed gives, when nothing else is done with them."""
    batches = iter(feed.batches(FOREVER))
    for _ in range(2 * feed.workers + 1):  # those that were prepared while the first one was
        next(batches)
    begin, images = time.perf_counter(), 0
    while not images or time.perf_counter() < begin + seconds:
        images += len(next(batches)[0])
    return images / (time.perf_counter() - begin)


def pass_through(model: keras.Model, feed: TrainingFeed, batch_size: int, seconds: float) -> Passed:
    """Computes what the model gives for training images, without training it.

    Args:
        feed: whose images are taken in a random order, unchanged.
        batch_size: images that go through together.
        seconds: it stops when they are over, or when each image was seen, after two batches at
            least.
    """
    compute = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    batches = unchanged(feed).batches(FOREVER).unbatch().batch(batch_size).prefetch(2)
    outputs, targets, begin, images = [], [], 0.0, 0
    for number, (pixels, labels) in enumerate(batches):
        outputs.append(tf.cast(compute(pixels), tf.float32).numpy())
        targets.append(labels.numpy())
        now = time.perf_counter()
        if number == 0:  # it made the graph
            begin = now
            continue
        images += len(labels)
        if now > begin + seconds or images + batch_size >= len(feed.images):
            break
    rate = images / (now - begin)
    seen = slice(len(feed.images))
    return Passed(np.concatenate(outputs)[seen], np.concatenate(targets)[seen], rate)


def unchanged(feed: TrainingFeed) -> TrainingFeed:
    """The feed without augmentation, mixing and weights."""
    values = {name: getattr(feed, name) for name in ("images", "labels", "classes", "batch_size")}
    return TrainingFeed(**values, seed=feed.seed, workers=feed.workers)


class Stopwatch(keras.callbacks.Callback):
    """Stops the training when the seconds are over, and times its calls.

    Attributes:
        ends: the time at the end of each call of TensorFlow, and the steps until then.
    """

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds
        self.ends: list[tuple[float, int]] = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        now = time.perf_counter()
        self.ends.append((now, int(self.model.optimizer.iterations.numpy())))
        if len(self.ends) > 2 and now > self.ends[0][0] + self.seconds:
            self.model.stop_training = True


def together(
    model: keras.Model, phase: Phase, feed: TrainingFeed, options: FitOptions, seconds: float
) -> tuple[float, float]:
    """Seconds of the first call, and of a step, where calls have ``steps_per_execution`` steps."""
    compile_for(model, phase, feed, options)
    execute_together(model, feed.steps_per_epoch)
    watch, begin = Stopwatch(seconds), time.perf_counter()
    model.fit(
        feed.batches(FOREVER),
        epochs=FOREVER.stop,
        steps_per_epoch=feed.steps_per_epoch,
        callbacks=[watch],
        shuffle=False,
        verbose=0,
    )
    (start, before), *_, (end, after) = watch.ends
    return start - begin, (end - start) / (after - before)


def steady(seconds: np.ndarray) -> float:
    """The mean of the later half of some steps: the first one made the graph, and batches were
    ready for those after it.
    """
    return float(seconds[len(seconds) // 2 :].mean())


class EpochEnd(NamedTuple):
    """Seconds of what comes after the steps of an epoch.

    Attributes:
        once: to make the graph of validation.
        validation: of each epoch.
        checkpoint: of each epoch.
        saving: of each epoch that is the best so far, for the model.
    """

    once: float
    validation: float
    checkpoint: float
    saving: float


def epoch_end(
    model: keras.Model, whole: keras.Model, examples: tuple[Any, Any], images: int, rate: float
) -> EpochEnd:
    """Times the end of an epoch.

    Args:
        model: compiled, with an optimizer that has taken a step.
        whole: what is saved, of which ``model`` may be the head.
        examples: a few inputs of the model and their one-hot labels.
        images: of the validation split.
        rate: images a second that go through the model.
    """
    batches, times = tf.data.Dataset.from_tensors(examples), []
    for _ in range(2):
        begin = time.perf_counter()
        model.evaluate(batches, verbose=0)
        times.append(time.perf_counter() - begin)
    first, again = times
    rest = max(0, images - len(examples[0])) / rate
    with TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder, "phase.npz"), [], [])
        checkpoint.set_model(model)
        model.stop_training = False
        saves = []
        for _ in range(2):  # the first time takes longer than later ones
            begin = time.perf_counter()
            save_model(whole, Path(folder, "best.keras"))
            saved = time.perf_counter()
            checkpoint.on_epoch_end(0)
            saves.append((saved - begin, time.perf_counter() - saved))
        saving, kept = saves[-1]
    return EpochEnd(max(0.0, first - again), again + rest, kept, saving)
