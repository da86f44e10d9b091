"""What an exported model answers, from its outputs in any runtime."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

THRESHOLDS = "thresholds.json"  # by class; models of several labels an image alone have this file


class Answers(NamedTuple):
    """What an exported model answers to N images.

    Attributes:
        probabilities: float32 (N, classes), 0..1; calibrated, unless ``export.calibrate`` was off.
        score: how unlike the training data an image is, float32 (N,): 0 or more, 1 for a usual
            image. NaN of a model that was exported without.
        accepted: whether the score is below the threshold, bool (N,). If not, the image shows none
            of the classes, as far as the model can tell. True of a model without a score.
    """

    probabilities: np.ndarray
    score: np.ndarray
    accepted: np.ndarray


def read_thresholds(file: Path) -> np.ndarray:
    """The threshold of each class, float32 (classes,), of a file of the classes in their order."""
    return np.array([*json.loads(file.read_text("utf-8")).values()], np.float32)


def as_answers(outputs: Mapping[str, Any]) -> Answers:
    """Answers of a model's outputs by name, arrays or tensors."""
    probabilities = np.asarray(outputs["probabilities"])
    count = len(probabilities)
    score = outputs.get("score", np.full(count, np.nan, np.float32))
    accepted = outputs.get("accepted", np.ones(count, bool))
    return Answers(probabilities, np.asarray(score), np.asarray(accepted))
