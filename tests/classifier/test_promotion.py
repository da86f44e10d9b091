"""The champion's place: thresholds first, then the champion on the same images."""

from pathlib import Path

import pytest

from classifier.errors import InputError
from classifier.promotion import Score, check_evaluated, check_thresholds, refusal

METRICS = {"accuracy": 0.9, "log_loss": 0.3, "source": "mirror", "drawn": False}


@pytest.mark.parametrize(
    ("champion", "thresholds", "reason"),
    [
        (None, {}, None),
        (None, {"accuracy": 0.9}, None),
        (None, {"accuracy": 0.91}, "its accuracy is 0.9000, below the threshold of 0.9100"),
        (Score(0.9, "a"), {}, None),  # as good is good enough
        (Score(0.91, "a"), {}, "its accuracy is 0.9000, the champion's 0.9100"),
        (Score(0.1, "b"), {}, "the champion was tested on other images"),
    ],
)
def test_what_keeps_a_model_from_it(
    champion: Score | None, thresholds: dict[str, float], reason: str | None
) -> None:
    found = refusal(Score(0.9, "a"), champion, METRICS, thresholds)
    assert found == reason or (reason and found and found.startswith(reason))


def test_a_score_is_found_again_in_its_tags() -> None:
    score = Score(0.1 + 0.2, "a")
    assert Score.of_tags(score.tags | {"model": "convnet"}) == score


def test_a_champion_by_hand_without_a_score_cannot_be_compared() -> None:
    found = refusal(Score(0.9, "a"), Score.of_tags({}), METRICS, {})
    assert found is not None
    assert found.startswith("the champion was tested on other images")


@pytest.mark.parametrize("name", ["acuracy", "source", "drawn"])
def test_thresholds_are_of_numbers_that_there_are(name: str) -> None:
    check_thresholds(METRICS, {"accuracy": 0.5})
    with pytest.raises(InputError, match=f"no metric '{name}': "):
        check_thresholds(METRICS, {name: 0.5})


def test_metrics_of_another_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.sha256").write_text("1\n")
    check_evaluated(tmp_path / "weights.sha256", "1")
    with pytest.raises(InputError, match="is of another model than the trained one"):
        check_evaluated(tmp_path / "weights.sha256", "2")
