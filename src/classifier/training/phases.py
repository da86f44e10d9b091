"""The phases of a training: all layers at once, or first the head and then the top of a base."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from classifier.support.errors import InputError
from classifier.training.continuation import OptimizerState
from classifier.training.freezing import frozen_layers
from classifier.training.options import FitOptions

log = logging.getLogger(__name__)


class Phase(NamedTuple):
    """Epochs that are trained with one optimizer."""

    epochs: int
    optimizer: keras.optimizers.Optimizer
    callbacks: Sequence[keras.callbacks.Callback]  # of the learning-rate schedule
    unfrozen: int = 0  # layers of the base, counted from its top, that train from here on
    on_features: bool = False  # of the frozen base: the head trains alone
    loss: keras.losses.Loss = keras.losses.CategoricalCrossentropy()
    state: OptimizerState | None = None  # of an earlier training that this one continues


def plan(
    model: keras.Model,
    options: FitOptions,
    build: Callable[
        [float, int], tuple[keras.optimizers.Optimizer, Sequence[keras.callbacks.Callback]]
    ],
    *,
    continued: OptimizerState | None = None,
) -> list[Phase]:
    """One phase, and a second one if ``options.fine_tune_epochs`` asks for it.

    A training that continues another one begins with the second phase then: its head is trained.

    Args:
        build: returns an optimizer and the callbacks of its schedule, for a fraction of the
            learning rate and a number of epochs.
        continued: what the optimizer knows from the earlier training; None for a new training.

    Raises:
        InputError: a second phase would have nothing to unfreeze.
    """
    transferred = bool(frozen_layers(model))
    phases = [Phase(options.epochs, *build(1.0, options.epochs), on_features=transferred)]
    if options.fine_tune_epochs:
        if not transferred:
            raise InputError(
                f"fine_tune_epochs is {options.fine_tune_epochs}, but no layer of {model.name} "
                "is frozen: it is for model: transfer"
            )
        second = build(options.fine_tune_rate, options.fine_tune_epochs)
        phases.append(Phase(options.fine_tune_epochs, *second, options.fine_tune_layers))
    if continued is not None:
        if len(phases) > 1:
            log.info(
                "the head is trained: the %d epochs of the head alone are left out", options.epochs
            )
        phases = [phases[-1]._replace(state=continued)]
    return phases
