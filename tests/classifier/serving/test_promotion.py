"""A new model becomes champion: it reaches the thresholds, and is as good as the champion."""

from pathlib import Path

import pytest

from classifier.serving.promotion import Score, check_evaluated, check_thresholds, refusal
from classifier.support.errors import InputError

METRICS = {
    "accuracy": 0.9,
    "log_loss": 0.3,
    "calibration": {"ece": 0.02, "temperature": 1.1},
    "images": 543,
    "source": "mirror",
    "drawn": False,
}


@pytest.mark.parametrize(
    ("champion", "thresholds", "reason"),
    [
        (None, {}, None),
        (None, {"accuracy": 0.9}, None),
        (None, {"accuracy": 0.91}, "its accuracy is 0.9000, below the threshold of 0.9100"),
        (None, {"log_loss": 0.5, "calibration.ece": 0.02}, None),
        (None, {"log_loss": 0.25}, "its log_loss is 0.3000, above the threshold of 0.2500"),
        (None, {"accuracy": float("nan")}, "its accuracy is 0.9000, below the threshold of nan"),
        (Score(0.9, "a"), {}, None),  # as accurate as the champion is enough
        (Score(0.91, "a"), {}, "its accuracy is 0.9000, the champion's 0.9100"),
        (Score(0.1, "b"), {}, "the champion was tested on other images"),
    ],
)
def test_reasons_not_to_promote_a_model(
    champion: Score | None, thresholds: dict[str, float], reason: str | None
) -> None:
    text = refusal(Score(0.9, "a"), champion, METRICS, thresholds)
    assert text == reason or (reason and text and text.startswith(reason))


@pytest.mark.parametrize("drawn", [False, True])
def test_a_score_can_be_read_from_its_tags(drawn: bool) -> None:
    score = Score(0.1 + 0.2, "a", drawn)
    assert Score.of_tags(score.tags | {"model": "convnet"}) == score


@pytest.mark.fault("the images are drawings", "the model is a candidate, never the champion")
@pytest.mark.parametrize("champion", [None, Score(0.1, "a"), Score(0.1, "a", drawn=True)])
def test_a_model_of_drawings_is_no_champion(champion: Score | None) -> None:
    text = refusal(Score(0.9, "a", drawn=True), champion, METRICS, {})
    assert text == "it was trained on drawings, and is a candidate only"


@pytest.mark.fault(
    "a champion of drawings, in an old store", "the first model of photographs replaces it"
)
def test_a_model_of_photographs_replaces_a_champion_of_drawings() -> None:
    drawings = Score(1.0, "b", drawn=True)
    assert refusal(Score(0.9, "a"), drawings, METRICS, {}) is None
    assert refusal(Score(0.9, "a"), drawings, METRICS, {"accuracy": 0.95}) is not None


def test_a_champion_without_a_score_cannot_be_compared() -> None:
    text = refusal(Score(0.9, "a"), Score.of_tags({}), METRICS, {})
    assert text is not None
    assert text.startswith("the champion was tested on other images")


@pytest.mark.fault("a threshold of an unknown metric", "the nearest name, before any work")
@pytest.mark.parametrize(
    "name", ["acuracy", "source", "drawn", "images", "calibration", "calibration.temperature"]
)
def test_thresholds_of_unknown_metrics_are_refused(name: str) -> None:
    check_thresholds(METRICS, {"accuracy": 0.5, "log_loss": 0.5, "calibration.ece": 0.1})
    with pytest.raises(InputError, match=f"no metric '{name}': "):
        check_thresholds(METRICS, {name: 0.5})


def test_a_metric_that_is_not_a_number_reaches_no_threshold() -> None:
    metrics = {"accuracy": float("nan"), "log_loss": float("nan")}
    for name in metrics:
        assert refusal(Score(0.9, "a"), None, metrics, {name: 0.5}) is not None


def test_metrics_of_another_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.sha256").write_text("1\n")
    check_evaluated(tmp_path / "weights.sha256", "1")
    with pytest.raises(InputError, match="is of another model than the trained one"):
        check_evaluated(tmp_path / "weights.sha256", "2")
