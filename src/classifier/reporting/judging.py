"""How a model is judged, by the task of its data: what differs from task to task in a report."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from classifier.catalog.several_labels import label_counts
from classifier.reporting.label_pictures import draw_label_pictures
from classifier.reporting.metrics import evaluate_predictions
from classifier.reporting.multi_label import answered, fit_thresholds, label_metrics, label_tables
from classifier.reporting.pictures import draw_pictures
from classifier.reporting.predictions import Predictions
from classifier.reporting.tables import evaluation_tables


class Judged(NamedTuple):
    """The predictions with their tables, and what was found in them.

    ``temperature`` is that of the probabilities of one class an image; None of several labels.
    """

    test: Predictions
    validation: Predictions
    metrics: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    temperature: float | None


class Judging(NamedTuple):
    """How to judge.

    Attributes:
        judge: of test and validation split, images to train by class, and the keywords of
            :func:`classifier.reporting.tables.evaluation_tables`: what was found.
        draw: as :func:`classifier.reporting.pictures.draw_pictures`.
        counts: images by class, of the manifest's classes of images.
        template: of the report.
    """

    judge: Callable[..., Judged]
    draw: Callable[..., None]
    counts: Callable[[Iterable[str]], Mapping[str, int]]
    template: str


def judging(separator: str | None) -> Judging:
    """How to judge a model.

    Args:
        separator: between the labels of an image, which may have several; None where it has one.
    """
    if separator is None:
        return Judging(_judge_classes, draw_pictures, Counter, "report.html.jinja")
    return Judging(
        partial(_judge_labels, separator=separator),
        partial(draw_label_pictures, separator=separator),
        partial(label_counts, separator=separator),
        "multi_label.html.jinja",
    )


def _judge_classes(
    test: Predictions, validation: Predictions, trained: Mapping[str, int], **options: Any
) -> Judged:
    metrics = evaluate_predictions(test, validation)
    temperature = metrics["calibration"]["temperature"]
    tables = evaluation_tables(
        test, validation, trained=trained, temperature=temperature, **options
    )
    return Judged(test, validation, metrics, tables, temperature)


def _judge_labels(
    test: Predictions,
    validation: Predictions,
    trained: Mapping[str, int],
    *,
    separator: str,
    **options: Any,
) -> Judged:
    thresholds = fit_thresholds(validation.labels, validation.probabilities)
    test, validation = (answered(part, thresholds, separator) for part in (test, validation))
    tables = label_tables(test, validation, trained=trained, **options)
    return Judged(test, validation, label_metrics(test), tables, None)
