"""Learning-rate schedules over a training's steps, built of Keras's own.

Each function takes the peak rate and the number of steps of the whole training, and gives the
rate to hand to an optimizer with the callbacks that change it, if any.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
from keras.optimizers import schedules


class Rate(NamedTuple):
    """A learning rate: what the optimizer takes, and the callbacks that it needs."""

    value: float | schedules.LearningRateSchedule
    callbacks: Sequence[keras.callbacks.Callback] = ()


def constant(learning_rate: float, steps: int) -> Rate:
    """The same rate at every step."""
    return Rate(learning_rate)


def step(learning_rate: float, steps: int, *, at: Sequence[float], factor: float) -> Rate:
    """The rate times ``factor`` at each share ``at`` of the steps (He et al., 2016).

    Args:
        at: shares of the training, rising, each between 0 and 1.
        factor: what each drop leaves, above 0.
    """
    _check_factor(factor)
    boundaries = [round(share * steps) for share in at]
    rates = [learning_rate * factor**drops for drops in range(len(at) + 1)]
    return Rate(schedules.PiecewiseConstantDecay(boundaries, rates))


def exponential(learning_rate: float, steps: int, *, final: float) -> Rate:
    """The rate falls by the same share at every step.

    Args:
        final: the last rate as a share of the first, above 0.
    """
    if final <= 0:
        raise ValueError(f"final is {final}: an exponential never falls to 0, must be above 0")
    return Rate(schedules.ExponentialDecay(learning_rate, max(1, steps), final))


def cosine(learning_rate: float, steps: int, *, warmup: float, final: float) -> Rate:
    """Linear warm-up from nothing, then half a cosine down (Loshchilov and Hutter, SGDR, 2017).

    Args:
        learning_rate: the peak.
        warmup: the share of the steps that warms up.
        final: the last rate, as a share of the peak.
    """
    return Rate(_risen_cosine(learning_rate, steps, 0.0, warmup, final))


def one_cycle(
    learning_rate: float, steps: int, *, initial: float, warmup: float, final: float
) -> Rate:
    """A long rise from a low rate, then half a cosine to nearly nothing.

    Smith and Topin, Super-convergence, 2018, with the fall of fast.ai's version and without
    its opposite cycle of the momentum.

    Args:
        learning_rate: the peak.
        initial, final: the first and the last rate, as shares of the peak.
        warmup: the share of the steps that rises.
    """
    return Rate(_risen_cosine(learning_rate, steps, initial, warmup, final))


def plateau(
    learning_rate: float, steps: int, *, watch: str, factor: float, wait: int, lowest: float
) -> Rate:
    """The rate times ``factor`` whenever ``watch`` has not improved for ``wait`` epochs.

    Args:
        watch: a metric, as in the history.
        factor: what each drop leaves, above 0 and below 1.
        lowest: the rate falls no further, as a share of the first.
    """
    _check_factor(factor)
    reduce = keras.callbacks.ReduceLROnPlateau(
        monitor=watch, factor=factor, patience=wait, min_lr=lowest * learning_rate
    )
    return Rate(learning_rate, [reduce])


def _check_factor(factor: float) -> None:
    if not 0 < factor < 1:
        raise ValueError(f"factor is {factor}: each drop must leave a share between 0 and 1")


def _risen_cosine(
    peak: float, steps: int, initial: float, warmup: float, final: float
) -> schedules.CosineDecay:
    rising = round(warmup * steps)
    return schedules.CosineDecay(
        initial_learning_rate=initial * peak if rising else peak,
        decay_steps=max(1, steps - rising),
        alpha=final,
        warmup_target=peak if rising else None,
        warmup_steps=rising,
    )
