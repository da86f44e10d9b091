"""Promotion: whether a new model replaces the champion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from classifier.support.directions import has_direction, higher_is_better, is_better
from classifier.support.errors import InputError, nearest

DRAWN = "data.drawn"  # the tag of a model of drawings: true


class Score(NamedTuple):
    """A model's accuracy on a test split, and the digest of the split's images and labels.

    ``drawn`` says that the images are drawings, made where no source of photographs was reached.
    """

    accuracy: float
    data: str
    drawn: bool = False

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a model version, for :meth:`of_tags`."""
        return {
            "test.accuracy": str(self.accuracy),
            "test.data": self.data,
            DRAWN: str(self.drawn).lower(),
        }

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> "Score":
        """The score of a tagged version. Without tags: not a number, on unknown data."""
        return cls(
            float(tags.get("test.accuracy", "nan")),
            tags.get("test.data", ""),
            tags.get(DRAWN) == "true",
        )


def check_thresholds(metrics: Mapping[str, Any], thresholds: Mapping[str, float]) -> None:
    """Checks that the metrics have a number for each threshold, and that it has a direction.

    Args:
        metrics: of the new model, nested.
        thresholds: by metric; dots join the keys, as in ``calibration.ece``.

    Raises:
        InputError: there is no such metric.
    """
    names = [name for name in _numbers(metrics) if has_direction(name)]
    for name in thresholds:
        if name not in names:
            raise InputError(f"thresholds: no metric '{name}': {nearest(name, names)}")


def _numbers(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            numbers |= _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[prefix + name] = value
    return numbers


def check_evaluated(file: Path, weights: str) -> None:
    """Checks that the metrics are those of this model.

    Args:
        file: with the fingerprint of the evaluated model, in the folder of the metrics.
        weights: of :func:`classifier.saved.saving.fingerprint`.

    Raises:
        InputError: the metrics are those of another model.
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

    It must reach each threshold. If there is a champion, it must be at least as accurate, on the
    same test images. A model of drawings is never champion, and a champion of drawings, which
    earlier versions of this project made, is replaced without a comparison.

    Args:
        metrics: of the new model, nested.
        thresholds: the worst value allowed, by metric: the lowest accuracy, the highest log_loss.
            Dots join the keys. A NaN reaches no threshold.
    """
    if new.drawn:
        return "it was trained on drawings, and is a candidate only"
    numbers = _numbers(metrics)
    for name, worst in thresholds.items():
        value = numbers[name]
        if not (value == worst or is_better(name, value, worst)):
            side = "below" if higher_is_better(name) else "above"
            return f"its {name} is {value:.4f}, {side} the threshold of {worst:.4f}"
    if champion is None or champion.drawn:
        return None
    if champion.data != new.data:
        return "the champion was tested on other images, so that the two cannot be compared"
    if is_better("accuracy", champion.accuracy, new.accuracy):
        return f"its accuracy is {new.accuracy:.4f}, the champion's {champion.accuracy:.4f}"
    return None
