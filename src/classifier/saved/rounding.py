"""Figures with as many digits as two kinds of CPU agree on.

The same weights give other last bits of a float32 on a CPU with other instructions: oneDNN and
Eigen add up in another order. With AVX2 in place of AVX-512, probabilities differed by 1e-6 at
most, and of 100,000 probabilities of MNIST's test split some 70 had another sixth decimal, 13
another fifth, one another fourth, none another third. A mean over many images differs by 1e-8.
What has a threshold, a bin or an order is computed from rounded figures, so that it is the same.
"""

from functools import partial
from math import log10

import numpy as np
import pandas as pd

DIGITS = 6  # significant, of a figure that is computed from rounded ones
TRAINING_DIGITS = 4  # significant, of a float32 that a training gives: hundreds of them
PROBABILITY = 3  # decimals, of one image
MEAN_LOSS = 5  # decimals, of a mean over a split


def significant(figure: float, digits: int = DIGITS) -> float:
    """The figure with so many significant digits; 0, NaN and infinity stay as they are."""
    return float(f"{figure:.{digits}g}")


def significant_table(table: pd.DataFrame, digits: int = DIGITS) -> pd.DataFrame:
    """The table with so many significant digits in each column of floats."""
    floats = table.select_dtypes("float")
    return table.assign(**floats.map(partial(significant, digits=digits)))


def rounded(figures: np.ndarray, decimals: int = PROBABILITY) -> np.ndarray:
    """The figures in float64 with so many decimals, those of a probability by default."""
    return figures.astype(np.float64).round(decimals)


def order_of_magnitude(figure: float) -> float:
    """The nearest power of ten, on a logarithmic scale: 0.001 for 0.002.

    It is 1e-06 for all that is smaller: two ways to compute a probability in float32 differ
    by so much.
    """
    return float(f"1e{round(log10(max(figure, 1e-6)))}")
