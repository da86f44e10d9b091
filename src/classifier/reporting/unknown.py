"""Whether a model knows what it does not know: scores of pictures that show none of its classes."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from classifier.answers.answers import Fitted, score, score_of_features
from classifier.answers.distance import fit_distance
from classifier.answers.unknown import Kind, unknown_images
from classifier.reporting.calibration import apply_temperature
from classifier.reporting.predictions import Predictions
from classifier.saved.rounding import rounded, significant
from classifier.storage.splits import batches, read_split

TRAINED = 3000  # images of the training split, at most, from which the distance is fitted
SHARES = (0.9, 0.95, 0.97, 0.99)  # of validation images that are accepted
TEST = "test split"


def evaluate_unknown(
    both: keras.Model,
    normalized: Path,
    test: Predictions,
    validation: Predictions,
    temperature: float | None,
    *,
    kinds: Sequence[Kind],
    count: int,
    seed: int,
    batch_size: int,
) -> tuple[Fitted, pd.DataFrame]:
    """Fits the score that says how unlike the training data an image is, and tests it.

    Args:
        both: of :func:`classifier.answers.features.with_features`.
        normalized: the folder of the normalize stage.
        temperature: of :func:`classifier.reporting.metrics.evaluate_predictions`; None where an
            image may have several labels, and the score is of the features alone.
        kinds, count, seed: of the pictures of none of the classes, see
            :func:`classifier.answers.unknown.unknown_images`; ``count`` of each kind.

    Returns:
        What was fitted; and a row for the test split and each kind: kind, images, auroc (of the
        scores against those of the test split, 0..1; NaN for the test split itself), and the share
        that is accepted by the threshold for each of SHARES, such as ``accepted_at_0.97``.
    """
    only_features = keras.Model(both.inputs, both.outputs[1])
    trained = read_split(normalized, "train")[0]
    trained = trained[:: -(-len(trained) // TRAINED)]  # evenly, as they may be in order of class
    of_trained = [only_features.predict_on_batch(batch) for batch in batches(trained, batch_size)]
    distance = fit_distance(np.concatenate(of_trained), validation.features)

    def scores(probabilities: np.ndarray, values: np.ndarray) -> np.ndarray:
        if temperature is None:
            return score_of_features(values, distance)
        return score(apply_temperature(probabilities, temperature), values, distance)

    usual = np.sort(scores(validation.probabilities, validation.features))
    fitted = Fitted(temperature or 1.0, distance, _four_digits(usual), test.thresholds)
    known = rounded(scores(test.probabilities, test.features))
    tested: dict[str, np.ndarray] = {TEST: known}
    for kind in kinds:
        pictures = unknown_images(kind, test.images, count=count, seed=seed)
        answers = [both.predict_on_batch(batch) for batch in batches(pictures, batch_size)]
        probabilities, values = (np.concatenate(part) for part in zip(*answers, strict=True))
        tested[kind] = rounded(scores(probabilities, values))
    return fitted, unknown_table(tested, fitted)


def unknown_table(tested: dict[str, np.ndarray], fitted: Fitted) -> pd.DataFrame:
    """The table of :func:`evaluate_unknown`, from the scores by kind; TEST among them."""
    rows = []
    for kind, values in tested.items():
        both = np.concatenate([tested[TEST], values])
        unknown = np.repeat([False, True], [len(tested[TEST]), len(values)])
        auroc = float("nan") if kind == TEST else significant(roc_auc_score(unknown, both))
        shares = {
            f"accepted_at_{share}": significant(float((values <= fitted.threshold(share)).mean()))
            for share in SHARES
        }
        rows.append({"kind": kind, "images": len(values), "auroc": auroc, **shares})
    return pd.DataFrame(rows)


def _four_digits(scores: np.ndarray) -> np.ndarray:
    return np.array([significant(value, 4) for value in scores], np.float32)
