"""Risk and coverage: how right the model is on the images that it is surest of.

El-Yaniv and Wiener, On the foundations of noise-free selective classification, 2010
(https://jmlr.org/papers/v11/el-yaniv10a.html); Geifman and El-Yaniv, Selective classification for
deep neural networks, 2017 (https://arxiv.org/abs/1705.08500). The images are ordered by the
probability of the predicted class, rounded to three decimals. Of images with the same probability,
each is as likely as another to be answered first, and the figures are what is expected then.
"""

import numpy as np
import pandas as pd

from classifier.saved.rounding import significant

STEPS = 20  # rows of the table


def coverage_table(correct: np.ndarray, confidence: np.ndarray) -> pd.DataFrame:
    """The accuracy by the share of the images that are answered.

    Args:
        correct: whether the answers are right, bool (N,).
        confidence: the probability of each answer, 0..1, (N,), with three decimals.

    Returns:
        A row for each twentieth of the images: coverage (the share answered, from 1 down),
        images, probability (the smallest one that is answered), accuracy, and ideal, which the
        accuracy would be if all mistakes had the smallest probabilities. The last two have six
        significant digits.
    """
    wrong = expected_mistakes(correct, confidence)
    surest = np.sort(confidence)[::-1]
    images = np.array(
        [max(1, round(len(correct) * step / STEPS)) for step in range(STEPS, 0, -1)], int
    )
    least = np.maximum(0, images - (len(correct) - round(wrong[-1])))
    return pd.DataFrame(
        {
            "coverage": [step / STEPS for step in range(STEPS, 0, -1)],
            "images": images,
            "probability": surest[images - 1],
            "accuracy": [significant(share) for share in 1 - wrong[images - 1] / images],
            "ideal": [significant(share) for share in 1 - least / images],
        }
    )


def coverage_metrics(correct: np.ndarray, confidence: np.ndarray) -> dict[str, float]:
    """Figures of :func:`coverage_table` with six significant digits.

    Returns:
        aurc, the area under the curve of risk (the share of wrong answers) by coverage: the mean
        risk of the k surest images, over all k, 0 is best; ideal_aurc, the smallest one with as
        many mistakes; accuracy_at_90, the accuracy of the 90 % that are surest.
    """
    wrong = expected_mistakes(correct, confidence)
    answered = np.arange(1, len(correct) + 1)
    least = np.maximum(0, answered - (len(correct) - round(wrong[-1])))
    most = max(1, round(0.9 * len(correct)))
    return {
        "aurc": significant(float((wrong / answered).mean())),
        "ideal_aurc": significant(float((least / answered).mean())),
        "accuracy_at_90": significant(float(1 - wrong[most - 1] / most)),
    }


def expected_mistakes(correct: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The number of mistakes among the k surest images, for k from 1 to N; float64 (N,)."""
    wrong = pd.Series(~correct)
    share = wrong.groupby(confidence).transform("mean")  # of those with the same probability
    ordered = share.to_numpy(float)[np.argsort(-confidence, kind="stable")]
    return np.cumsum(ordered)
