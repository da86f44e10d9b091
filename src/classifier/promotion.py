"""Whether a new model takes the champion's place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from classifier.errors import InputError, nearest


class Score(NamedTuple):
    """A model's accuracy on a test split, and what identifies the split's images and labels."""

    accuracy: float
    data: str

    @property
    def tags(self) -> dict[str, str]:
        """What :meth:`of_tags` reads, to tag a model's version with."""
        return {"test.accuracy": str(self.accuracy), "test.data": self.data}

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> "Score":
        """The score of a tagged version; a version without the tags was tested on nothing known."""
        return cls(float(tags.get("test.accuracy", "nan")), tags.get("test.data", ""))


def check_thresholds(metrics: Mapping[str, Any], thresholds: Mapping[str, float]) -> None:
    """Checks that each threshold is one of a number among the metrics.

    Raises:
        InputError: there is no such metric.
    """
    numbers = [
        name
        for name, value in metrics.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    for name in thresholds:
        if name not in numbers:
            raise InputError(f"thresholds: no metric '{name}': {nearest(name, numbers)}")


def check_evaluated(file: Path, weights: str) -> None:
    """Checks that the metrics are of this model.

    Args:
        file: with the evaluated model's fingerprint, beside the metrics.
        weights: of :func:`classifier.saving.fingerprint`.

    Raises:
        InputError: they are of another one.
    """
    if file.read_text("utf-8").strip() != weights:
        raise InputError(f"{file.parent} is of another model than the trained one: evaluate again")


def refusal(
    new: Score,
    champion: Score | None,
    metrics: Mapping[str, Any],
    thresholds: Mapping[str, float],
) -> str | None:
    """Why the new model does not become champion; None if it does.

    It has to reach each threshold, and to be at least as accurate as the present champion, if
    there is one, on the same test images.

    Args:
        metrics: of the new model.
        thresholds: the least value of each metric.
    """
    for name, least in thresholds.items():
        if metrics[name] < least:
            return f"its {name} is {metrics[name]:.4f}, below the threshold of {least:.4f}"
    if champion is None:
        return None
    if champion.data != new.data:
        return "the champion was tested on other images, so that the two cannot be compared"
    if new.accuracy < champion.accuracy:
        return f"its accuracy is {new.accuracy:.4f}, the champion's {champion.accuracy:.4f}"
    return None
