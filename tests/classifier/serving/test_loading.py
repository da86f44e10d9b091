"""Answers of exported models, those of before among them."""

import numpy as np
import pytest

from classifier.serving.outputs import as_answers


@pytest.mark.fault(
    "a model that was exported without a score", "it answers: all accepted, score not a number"
)
def test_a_model_without_a_score_accepts_everything() -> None:
    answers = as_answers({"probabilities": np.full((3, 2), 0.5, np.float32)})
    assert answers.accepted.tolist() == [True] * 3
    assert np.isnan(answers.score).all()
