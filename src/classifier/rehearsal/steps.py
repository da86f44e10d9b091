"""Training steps at rates of one's own, with the loss and the seconds of each."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

from classifier.layers.keras_private import build_from_batches
from classifier.training.phases import Phase


class Taken(NamedTuple):
    """Steps that were taken, in their order.

    Attributes:
        losses: of each step, with the penalties of the weights; NaN and infinite ones too.
        seconds: of each step, with the time that it waited for its batch.
    """

    losses: np.ndarray
    seconds: np.ndarray


class Steps:
    """The training step of a phase, with the phase's loss and a copy of its optimizer.

    Args:
        model: it is compiled here, and its weights change.
        batch_spec: of a batch, as ``tf.data.Dataset.element_spec`` has it.
        jit_compile: compile the step with XLA.
    """

    def __init__(self, model: keras.Model, phase: Phase, batch_spec: Any, jit_compile: bool):
        # A schedule would refuse another rate.
        values = phase.optimizer.get_config() | {"learning_rate": 1.0}
        self._optimizer = type(phase.optimizer).from_config(values)
        self._model = model
        model.compile(self._optimizer, loss=phase.loss, jit_compile=jit_compile)
        build_from_batches(model, batch_spec)
        model.make_train_function()

    def take(self, batches: Iterator[Any], rates: Iterable[float]) -> Iterator[tuple[float, float]]:
        """Takes a step for each rate; gives its loss and its seconds.

        The first step ever takes longer: TensorFlow makes the graph.
        """
        for rate in rates:
            begin = time.perf_counter()
            self._optimizer.learning_rate = rate
            self._model.reset_metrics()
            loss = float(self._model.train_function(batches)["loss"])
            yield loss, time.perf_counter() - begin

    def penalty(self) -> float:
        """The part of the loss that the weights alone decide, such as that of ``weight_decay``."""
        return float(sum(map(float, self._model.losses)))


def taken(steps: list[tuple[float, float]]) -> Taken:
    """The steps of :meth:`Steps.take` as arrays."""
    losses, seconds = np.array(steps, float).reshape(-1, 2).T
    return Taken(losses, seconds)


@contextmanager
def weights_restored(model: keras.Model) -> Iterator[None]:
    """A block after which the model has the weights that it had before."""
    before = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(before)
