"""The learning-rate range test: the rate grows from step to step until the loss does.

Smith, Cyclical learning rates for training neural networks, 2017 (https://arxiv.org/abs/1506.01186).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from scipy.ndimage import gaussian_filter1d

from classifier.rehearsal.steps import Steps, Taken, taken, weights_restored

FEWEST = 12  # steps from which something can be told
BEGINNING = 5  # steps whose mean is the loss before the test
NEAR = 4.0  # times smaller or larger than what the test suggests: that fits still


class RateRange(NamedTuple):
    """The loss by the learning rate.

    Attributes:
        rates: of each step, float64 (N,), growing by the same factor.
        taken: the steps.
        smoothed: the losses without their noise, float64 (N,).
        steepest: the rate at which the loss falls fastest; None if it does not fall.
        rises: the rate from which on the loss rises; None if it does not rise.
    """

    rates: np.ndarray
    taken: Taken
    smoothed: np.ndarray
    steepest: float | None
    rises: float | None

    @property
    def suggested(self) -> tuple[float, float] | None:
        """The lowest and the highest of what is suggested: the rate of the steepest fall, and a
        tenth of that from which on the loss rises. None if there is neither.
        """
        found = [self.steepest] if self.steepest else []
        found += [self.rises / 10] if self.rises else []
        return (min(found), max(found)) if found else None

    def verdict(self, rate: float) -> str:
        """``fits``, ``small``, ``large`` or ``unknown``, of the rate that is configured."""
        if self.suggested is None:
            return "unknown"
        low, high = self.suggested
        if rate > NEAR * high or (self.rises and rate >= self.rises):
            return "large"
        return "small" if rate < low / NEAR else "fits"


def rate_range(
    model: keras.Model, steps: Steps, batches: Iterator[Any], lowest: float, highest: float, n: int
) -> RateRange:
    """Takes ``n`` steps, or fewer: it stops where the loss has become twice what it was.

    The model has its former weights afterwards; its optimizer keeps its state.

    Args:
        steps: of the model.
        batches: training batches.
        lowest, highest: the rates of the first and the last step.
    """
    rates = np.geomspace(lowest, highest, n)
    done: list[tuple[float, float]] = []
    average = 0.0
    with weights_restored(model):
        for number, (loss, seconds) in enumerate(steps.take(batches, rates.tolist()), 1):
            done.append((loss, seconds))
            average = 0.7 * average + 0.3 * loss
            before = np.mean([loss for loss, _ in done[:BEGINNING]])
            # Divided: an average that begins with 0 is too small by this (Kingma and Ba, 2015).
            if not average / (1 - 0.7**number) <= 2 * before:  # NaN, too
                break
    return found(rates[: len(done)], taken(done), n)


def found(rates: np.ndarray, steps: Taken, planned: int) -> RateRange:
    """What the losses say: see :class:`RateRange`.

    Args:
        planned: steps of the whole test, which decide how much the losses are smoothed.
    """
    losses = steps.losses
    if len(losses) < min(FEWEST, planned):
        return RateRange(rates, steps, losses, None, rates[-1] if len(losses) < planned else None)
    before = float(np.nanmean(losses[:BEGINNING]))
    # One huge last loss would hide in the smoothed ones where the rise begins.
    bounded = np.nan_to_num(losses, nan=3 * before, posinf=3 * before).clip(max=3 * before)
    smoothed = gaussian_filter1d(bounded, max(1.0, planned / 30), mode="nearest")
    best = int(smoothed.argmin())
    noise = float(np.std((bounded - smoothed)[: max(best, FEWEST)]))
    start, bottom = smoothed[0], smoothed[best]
    steepest = None
    if best >= 2 and start - bottom > max(2 * noise, 0.1 * abs(start)):
        slopes = np.gradient(smoothed[: best + 1], np.log(rates[: best + 1]))
        steepest = float(rates[slopes.argmin()])
    # A network that is good already has nothing to fall: a small loss moves by a part of itself.
    much = 0.25 * (start - bottom) if steepest else 0.5 * abs(bottom)
    risen = smoothed[best:] > bottom + max(much, 3 * noise)
    rises = float(rates[best + risen.argmax()]) if risen.any() else None
    return RateRange(rates, steps, smoothed, steepest, rises)
