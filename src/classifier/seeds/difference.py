"""Whether two ways to train differ by more than other seeds and other test images explain.

A training with another seed is another model: Bouthillier et al., Accounting for variance in
machine learning benchmarks, 2021. So a test of two models says nothing about two ways to train.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind, ttest_rel

from classifier.apps.comparison import align
from classifier.support.errors import InputError

SIGNIFICANT = 0.05
LEVEL = 0.95  # of the confidence interval
RESAMPLES = 5000
AT_ONCE = 1 << 21  # numbers of resampled images in memory


class Difference(NamedTuple):
    """How much more often the second way to train is right than the first.

    Attributes:
        mean: the difference of the mean accuracies, -1..1.
        low, high: the ends of its confidence interval, of LEVEL.
        p_value: of the test over the seeds; None if a side has one seed.
        paired: whether both sides have the same seeds.
        seeds: their numbers.
        images: their number.
    """

    mean: float
    low: float
    high: float
    p_value: float | None
    paired: bool
    seeds: tuple[int, int]
    images: int

    @property
    def real(self) -> bool:
        """Whether the difference is beyond the spread of the seeds and that of the images."""
        beyond = self.low > 0 or self.high < 0
        return beyond and self.p_value is not None and self.p_value < SIGNIFICANT

    @property
    def test(self) -> str:
        """The name of the test over the seeds."""
        return "paired t-test" if self.paired else "Welch's t-test"


def correct_table(predictions: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Whether each seed's model is right: a row per image, by its id, and a column per seed.

    Args:
        predictions: tables of :func:`classifier.reporting.predictions.predictions_table` by seed.

    Raises:
        InputError: they were tested on other images, or have other classes.
    """
    first, *others = predictions.values()
    for other in others:
        check_same_classes(first, other)
    aligned = {seed: align(first, table)[1]["correct"] for seed, table in predictions.items()}
    return pd.DataFrame(aligned).astype(bool)


def check_same_classes(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Checks that two tables of predictions have the same classes.

    Raises:
        InputError: they have not.
    """
    one, other = (
        {str(name)[2:-1] for name in table if str(name).startswith("p(")}
        for table in (first, second)
    )
    if one != other:
        names = ", ".join(sorted(one ^ other)[:5])
        raise InputError(f"they have other classes: {names} is or are of one of them alone")


def difference(first: pd.DataFrame, second: pd.DataFrame, *, seed: int = 0) -> Difference:
    """The difference of two ways to train, the second minus the first.

    The test over the seeds is a t-test of the seeds' accuracies: the paired one where both sides
    have the same seeds, which then share what the seed decides; otherwise Welch's, of unequal
    variances (Welch, The generalization of Student's problem when several different population
    variances are involved, 1947). The interval is that of :func:`bootstrap_interval`.

    Args:
        first, second: of :func:`correct_table`, of the same images in the same order.
        seed: of the bootstrap.
    """
    paired = set(first) == set(second)
    if paired:
        second = second[list(first)]
    one, other = (table.to_numpy().T for table in (first, second))
    low, high = bootstrap_interval(one, other, paired=paired, seed=seed)
    mean = float(other.mean() - one.mean())
    counts = len(one), len(other)
    p_value = None
    if min(counts) > 1:
        p_value = _t_test(one.mean(axis=1), other.mean(axis=1), paired=paired)
    return Difference(mean, low, high, p_value, paired, counts, len(first))


def _t_test(first: np.ndarray, second: np.ndarray, *, paired: bool) -> float:
    """The p-value of the seeds' accuracies; without any spread, 1 for equal means, else 0."""
    spread = np.ptp(second - first) if paired else max(np.ptp(first), np.ptp(second))
    if spread < 1e-12:  # of one rounding
        return 1.0 if abs(second.mean() - first.mean()) < 1e-12 else 0.0
    if paired:
        return float(ttest_rel(second, first).pvalue)
    return float(ttest_ind(second, first, equal_var=False).pvalue)


def bootstrap_interval(
    first: np.ndarray,
    second: np.ndarray,
    *,
    paired: bool,
    seed: int = 0,
    samples: int = RESAMPLES,
) -> tuple[float, float]:
    """The confidence interval of the difference of mean accuracies, of LEVEL, by a bootstrap.

    Each resample draws seeds and, independently of them, images, both with replacement: every
    seed's model answers to the same images, so that the two are crossed (Owen, The pigeonhole
    bootstrap, 2007). The ends are percentiles (Efron and Tibshirani, An introduction to the
    bootstrap, 1993, chapter 13). Of few seeds, resamples show too little of the seeds' spread, two
    thirds of the variance for three: so a difference has to pass the test over the seeds, too.

    Args:
        first, second: bool (seeds, images), whether each model is right.
        paired: whether both draw the same seeds.
        samples: number of resamples.
    """
    rng = np.random.default_rng(seed)
    images = first.shape[1]
    sides = [side.T.astype(np.float32) for side in (first, second)]
    found = []
    at_once = max(1, AT_ONCE // images)
    for start in range(0, samples, at_once):
        count = min(at_once, samples - start)
        rows = rng.integers(images, size=(count, images)) + images * np.arange(count)[:, None]
        weights = np.bincount(rows.ravel(), minlength=count * images).reshape(count, images)
        # (resamples, seeds): the accuracy of each seed's model on the drawn images.
        accuracies = [weights.astype(np.float32) @ side / images for side in sides]
        drawn = [rng.integers(side.shape[1], size=(count, side.shape[1])) for side in sides]
        if paired:
            drawn[1] = drawn[0]
        means = [
            np.take_along_axis(values, chosen, axis=1).mean(axis=1)
            for values, chosen in zip(accuracies, drawn, strict=True)
        ]
        found.append(means[1] - means[0])
    low, high = np.quantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def verdict(first: str, second: str, found: Difference) -> str:
    """The difference in a sentence.

    Args:
        first, second: the names of the two ways to train.
    """
    points = (
        f"{second} minus {first}: {100 * found.mean:+.2f} points of accuracy, between "
        f"{100 * found.low:+.2f} and {100 * found.high:+.2f} with {100 * LEVEL:.0f} % confidence"
    )
    if found.p_value is None:
        single = " and ".join(
            name for name, count in zip((first, second), found.seeds, strict=True) if count == 1
        )
        each = "have one seed each" if set(found.seeds) == {1} else "has one seed"
        return (
            f"{points}; the seeds' spread is unknown, as {single} {each}: this is no verdict on "
            "the way to train"
        )
    p = f"p = {found.p_value:.2g}" if found.p_value >= 1e-6 else "p < 1e-6"
    over = f"{found.seeds[0]} seeds" if found.paired else f"{found.seeds[0]} and {found.seeds[1]}"
    over += "" if found.paired else " seeds"
    tested = f"{found.test} over {over}: {p}"
    if found.real:
        better = second if found.mean > 0 else first
        return f"{points}; {tested}: a real difference, {better} is better"
    reason = "other test images may turn it round"
    if found.p_value >= SIGNIFICANT:
        reason = "seeds alone differ as much"
    return f"{points}; {tested}: may be chance, as {reason}"
