"""Whether two sets of pictures differ: a test and an effect for each measure."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import kolmogi
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from classifier.drift.observations import MEASURES

FEW = 20  # pictures; the comparison of fewer says how little it can find
DRAWS = 9_999  # random tables
FEWEST = 5  # pictures that are expected in each cell, for the chi-squared distribution (Cochran)
DRIFTED, LITTLE, ALIKE = "drifted", "differs little", "alike"


class Difference(NamedTuple):
    """How a measure differs.

    Attributes:
        effect: a difference of shares, 0..1.
        p: how probable so large a difference is by chance, 0..1.
    """

    effect: float
    p: float


def compare(
    reference: pd.DataFrame, new: pd.DataFrame, *, alpha: float, effect: float
) -> pd.DataFrame:
    """Tests each measure that both tables have. The pictures count as independent of each other.

    A measure has drifted if the difference is more than chance explains, and large enough to
    matter. The effect is the same kind of number for all measures, a difference of shares, and
    does not depend on the number of pictures:

    - ``class``: the chi-squared test; where few pictures are expected in a cell, by random tables
      with the same sums. The effect is the total variation distance: the share of the pictures
      that would need another class for the shares to be equal.
    - ``accepted``: Fisher's exact test. The effect is the difference of the two shares.
    - all others: the two-sample Kolmogorov-Smirnov test; with equal values, it is cautious. The
      effect is its statistic: the largest difference between the shares below any one value.

    The values of p are corrected for the number of tests (S. Holm: A simple sequentially rejective
    multiple test procedure, 1979): without drift, the probability that any measure drifts is at
    most ``alpha``. S. Rabanser et al.: Failing loudly, 2019 (https://arxiv.org/abs/1810.11953)
    compare such tests of images, with a similar correction.

    Args:
        reference, new: a row per picture, columns of MEASURES. Values that are missing are passed
            over.
        alpha: of all tests together, 0..1.
        effect: the smallest one that matters, 0..1.

    Returns:
        A row per measure, in the order of MEASURES: measure, reference and new (texts: a median, a
        share, or that of the class which changes most), effect, p, corrected, verdict (DRIFTED,
        LITTLE or ALIKE).
    """
    names = comparable(reference, new)
    columns = {name: (reference[name].dropna(), new[name].dropna()) for name in names}
    found = [difference(name, *sides) for name, sides in columns.items()]
    texts = [_typical(name, *sides) for name, sides in columns.items()]
    table = pd.DataFrame(
        {
            "measure": names,
            "reference": [before for before, _ in texts],
            "new": [now for _, now in texts],
            "effect": [each.effect for each in found],
            "p": [each.p for each in found],
        }
    )
    table["corrected"] = holm(table["p"].to_numpy(float))
    unlikely = table["corrected"] < alpha
    large = table["effect"] >= effect
    table["verdict"] = np.where(unlikely & large, DRIFTED, np.where(unlikely, LITTLE, ALIKE))
    return table


def comparable(reference: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """The measures that both tables have values of, in the order of MEASURES."""
    return [
        name
        for name in MEASURES
        if all(name in table and table[name].notna().any() for table in (reference, new))
    ]


def difference(name: str, reference: pd.Series, new: pd.Series) -> Difference:
    """The difference of one measure; neither column is empty."""
    if name == "class":
        return _of_classes(reference, new)
    if name == "accepted":
        before, now = int(reference.sum()), int(new.sum())
        table = [[before, len(reference) - before], [now, len(new) - now]]
        effect = abs(before / len(reference) - now / len(new))
        return Difference(effect, float(fisher_exact(table)[1]))
    # The exact test takes long, and changes nothing, with many pictures.
    method = "auto" if len(reference) * len(new) < 10**7 else "asymp"
    result = ks_2samp(reference.to_numpy(float), new.to_numpy(float), method=method)
    return Difference(float(result.statistic), float(result.pvalue))


def _of_classes(reference: pd.Series, new: pd.Series) -> Difference:
    counts = class_counts(reference, new).to_numpy()
    shares = counts / counts.sum(axis=1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    if counts.shape[1] == 1:
        return Difference(0.0, 1.0)
    result = chi2_contingency(counts, correction=False)
    if result.expected_freq.min() >= FEWEST:
        return Difference(effect, float(result.pvalue))
    generator = np.random.default_rng(0)  # the same pictures give the same p
    total, size = counts.sum(axis=0), int(counts[1].sum())
    drawn = generator.multivariate_hypergeometric(total, size, DRAWS, method="marginals")
    expected = result.expected_freq
    statistics = (np.square(drawn - expected[1]) * (1 / expected).sum(axis=0)).sum(axis=1)
    as_large = int((statistics >= result.statistic * (1 - 1e-9)).sum())
    return Difference(effect, (1 + as_large) / (1 + DRAWS))


def class_counts(reference: pd.Series, new: pd.Series) -> pd.DataFrame:
    """Numbers of pictures: rows ``reference`` and ``new``, a column per class that one has."""
    counts = {"reference": reference.value_counts(), "new": new.value_counts()}
    return pd.DataFrame(counts).fillna(0).astype(int).sort_index().T


def _typical(name: str, reference: pd.Series, new: pd.Series) -> tuple[str, str]:
    if name == "class":
        counts = class_counts(reference, new)
        before, now = (counts.loc[row] / counts.loc[row].sum() for row in ("reference", "new"))
        most = str((now - before).abs().idxmax())
        return f"{most} {100 * before[most]:.1f} %", f"{most} {100 * now[most]:.1f} %"
    if name == "accepted":
        return f"{100 * reference.mean():.1f} %", f"{100 * new.mean():.1f} %"
    return _figure(reference.median()), _figure(new.median())


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def holm(p: np.ndarray) -> np.ndarray:
    """Values of p, (N,), corrected for their number by Holm's method, 0..1."""
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return corrected


def detectable(reference: int, new: int, *, tests: int, alpha: float) -> float:
    """The smallest effect of one measure that so many pictures can show; above 1 for none.

    It is that of the Kolmogorov-Smirnov test, by its limit distribution, where no other measure
    differs.
    """
    return float(kolmogi(alpha / tests) * np.sqrt((reference + new) / (reference * new)))


def drifted(table: pd.DataFrame) -> list[str]:
    """The measures that drifted, of a table of :func:`compare`, the largest effect first."""
    rows = table[table["verdict"] == DRIFTED].sort_values("effect", ascending=False, kind="stable")
    return rows["measure"].tolist()


def left_out(table: pd.DataFrame, without: Iterable[str]) -> list[str]:
    """The measures that were not compared, but for those that should not be."""
    return [name for name in MEASURES if name not in {*table["measure"], *without}]
