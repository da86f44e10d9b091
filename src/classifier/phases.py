"""The phases of a training: all of it, or the head first and then the top of a base too."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from classifier.errors import InputError
from classifier.fit_options import FitOptions
from classifier.freezing import frozen_layers


class Phase(NamedTuple):
    """Epochs that are trained with one optimizer."""

    epochs: int
    optimizer: keras.optimizers.Optimizer
    callbacks: Sequence[keras.callbacks.Callback]  # of its learning rate's schedule
    unfrozen: int = 0  # layers of the base, from its top, that train from here on


def plan(
    model: keras.Model,
    options: FitOptions,
    build: Callable[
        [float, int], tuple[keras.optimizers.Optimizer, Sequence[keras.callbacks.Callback]]
    ],
) -> list[Phase]:
    """One phase, and a second one if ``options.fine_tune_epochs`` asks for it.

    Args:
        build: an optimizer, and the callbacks of its schedule, for a share of the learning rate
            and a number of epochs.

    Raises:
        InputError: a second phase would have nothing to unfreeze.
    """
    phases = [Phase(options.epochs, *build(1.0, options.epochs))]
    if options.fine_tune_epochs:
        if not frozen_layers(model):
            raise InputError(
                f"fine_tune_epochs is {options.fine_tune_epochs}, but no layer of {model.name} "
                "is frozen: it is for model: transfer"
            )
        second = build(options.fine_tune_rate, options.fine_tune_epochs)
        phases.append(Phase(options.fine_tune_epochs, *second, options.fine_tune_layers))
    return phases
