"""Learning-rate schedules over the steps of a training, built from those of Keras.

Each function takes the peak learning rate and the number of steps of the whole training, and
returns the learning rate for the optimizer with the callbacks that change it, if any.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import keras
from keras.optimizers import schedules

from classifier.support.limits import (
    Count,
    Fraction,
    FractionAbove0,
    FractionBelow1,
    FractionBetween,
    Positive,
    checked,
)


class Rate(NamedTuple):
    """What the optimizer takes as its learning rate, and the callbacks that it needs."""

    value: float | schedules.LearningRateSchedule
    callbacks: Sequence[keras.callbacks.Callback] = ()


@checked
def constant(learning_rate: Positive, steps: Count) -> Rate:
    """The same learning rate at every step."""
    return Rate(learning_rate)


@checked
def step(
    learning_rate: Positive, steps: Count, *, at: Sequence[Fraction], factor: FractionBetween
) -> Rate:
    """The learning rate times ``factor`` at each fraction ``at`` of the steps (He et al., 2016).

    Args:
        at: fractions of the training, increasing.
        factor: what each drop leaves.
    """
    boundaries = [round(fraction * steps) for fraction in at]
    rates = [learning_rate * factor**drops for drops in range(len(at) + 1)]
    return Rate(schedules.PiecewiseConstantDecay(boundaries, rates))


@checked
def exponential(learning_rate: Positive, steps: Count, *, final: FractionAbove0) -> Rate:
    """The learning rate falls by the same factor at every step.

    Args:
        final: the last learning rate, as a fraction of the first.
    """
    return Rate(schedules.ExponentialDecay(learning_rate, steps, final))


@checked
def cosine(
    learning_rate: Positive, steps: Count, *, warmup: FractionBelow1, final: Fraction
) -> Rate:
    """Linear warm-up from 0, then half a cosine down (Loshchilov and Hutter, SGDR, 2017).

    Args:
        learning_rate: the peak.
        warmup: the fraction of the steps that warms up.
        final: the last learning rate, as a fraction of the peak.
    """
    return Rate(_warmup_and_cosine(learning_rate, steps, 0.0, warmup, final))


@checked
def one_cycle(
    learning_rate: Positive,
    steps: Count,
    *,
    initial: Fraction,
    warmup: FractionBelow1,
    final: Fraction,
) -> Rate:
    """A long rise from a low learning rate, then half a cosine down to almost 0.

    Smith and Topin, Super-convergence, 2018, with the decrease of fast.ai's version and without
    the opposite cycle of the momentum.

    Args:
        learning_rate: the peak.
        initial, final: the first and the last learning rate, as fractions of the peak.
        warmup: the fraction of the steps that rises.
    """
    return Rate(_warmup_and_cosine(learning_rate, steps, initial, warmup, final))


@checked
def plateau(
    learning_rate: Positive,
    steps: Count,
    *,
    watch: Literal["val_accuracy", "val_loss", "accuracy", "loss"],
    factor: FractionBetween,
    wait: Count,
    lowest: Fraction,
) -> Rate:
    """The learning rate times ``factor`` whenever ``watch`` has not improved for ``wait`` epochs.

    Args:
        watch: a metric of the history.
        factor: what each drop leaves.
        lowest: the learning rate falls no further, as a fraction of the first.
    """
    reduce = keras.callbacks.ReduceLROnPlateau(
        monitor=watch, factor=factor, patience=wait, min_lr=lowest * learning_rate
    )
    return Rate(learning_rate, [reduce])


def _warmup_and_cosine(
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
