"""What a report shows of a model: metrics, tables and pictures of its answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from classifier import evaluation
from classifier.architecture import draw_architecture
from classifier.calibration import (
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
    reliability_table,
)
from classifier.charts import draw_confusion, draw_history, draw_reliability
from classifier.data.manifest import find_conflicts, find_duplicates
from classifier.explanation import grad_cam, overlay, saliency
from classifier.pictures import write_grid
from classifier.predictions import Predictions
from classifier.views import network_of

COLUMNS = 8  # pictures in a row of a grid


def measure(test: Predictions, validation: Predictions) -> dict[str, Any]:
    """The metrics of the test split, and its calibration before and after temperature scaling.

    The temperature is fitted on the validation split.
    """
    temperature = fit_temperature(validation.labels, validation.probabilities)
    scaled = apply_temperature(test.probabilities, temperature)
    return evaluation.compute_metrics(test.labels, test.probabilities) | {
        "calibration": {
            "ece": expected_calibration_error(test.labels, test.probabilities),
            "temperature": temperature,
            "scaled_ece": expected_calibration_error(test.labels, scaled),
            "scaled_log_loss": evaluation.compute_metrics(test.labels, scaled)["log_loss"],
        }
    }


def tabulate(
    test: Predictions,
    validation: Predictions,
    *,
    temperature: float,
    seed: int,
    samples: int,
    count: int,
) -> dict[str, pd.DataFrame]:
    """The tables by their file's name: predictions, classes, confusion, intervals, calibration
    and suspicious.

    Args:
        temperature: of :func:`measure`.
        seed, samples: of the bootstrap.
        count: suspicious labels, at most, of the validation and test splits.
    """
    both = pd.concat([validation.table, test.table], ignore_index=True)
    reliability = {
        "as trained": test.probabilities,
        "scaled": apply_temperature(test.probabilities, temperature),
    }
    calibration = [
        reliability_table(test.labels, probabilities).assign(probabilities=name)
        for name, probabilities in reliability.items()
    ]
    confusion = evaluation.confusion_table(test.labels, test.probabilities, test.classes)
    return {
        "predictions": test.table,
        "classes": evaluation.class_table(test.labels, test.probabilities, test.classes),
        "confusion": confusion.reset_index(),
        "intervals": evaluation.bootstrap_intervals(
            test.labels, test.probabilities, seed=seed, samples=samples
        ),
        "calibration": pd.concat(calibration, ignore_index=True),
        "suspicious": evaluation.suspicious_labels(both, count),
    }


def describe(metrics: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> str:
    """What came out, in a sentence or two of Markdown."""
    interval = tables["intervals"].set_index("metric")
    low, high = (float(interval[end]["accuracy"]) for end in ("low", "high"))
    drawn = " **These images are drawings.**" if metrics["drawn"] else ""
    return (
        f"**{100 * metrics['accuracy']:.2f} %** of {metrics['images']:,} test images are right "
        f"({100 * low:.2f} to {100 * high:.2f} with 95 % confidence); calibration error "
        f"{100 * metrics['calibration']['ece']:.2f} %. More in the artifact "
        f"`evaluation/report.html`.{drawn}"
    )


def repeated_images(manifest: pd.DataFrame) -> dict[str, int]:
    """How many images the data has more than once, under one class and under several."""
    return {
        "duplicates": len(find_duplicates(manifest)),
        "conflicts": len(find_conflicts(manifest)),
    }


def draw(
    folder: Path,
    model: keras.Model,
    test: Predictions,
    validation: Predictions,
    tables: Mapping[str, pd.DataFrame],
    history: pd.DataFrame,
    *,
    title: str,
    count: int,
) -> None:
    """Writes the pictures, a PNG file each.

    Args:
        tables: of :func:`tabulate`.
        history: a row an epoch.
        count: pictures of mistakes, and of least certain images, at most.
    """
    draw_architecture(
        network_of(model), folder / "architecture.png", title=f"{title}: {model.name}"
    )
    draw_history(history, folder / "history.png", title=f"{title}: training")
    confusion = tables["confusion"].set_index("class")
    draw_confusion(confusion, folder / "confusion.png", title=f"{title}: test split")
    reliability = {str(name): part for name, part in tables["calibration"].groupby("probabilities")}
    draw_reliability(reliability, folder / "calibration.png", title=f"{title}: calibration")
    mistakes = evaluation.worst_mistakes(test.table, count)
    _grid(folder / "mistakes.png", test.images[mistakes.index], mistakes, f"{title}: mistakes")
    uncertain = evaluation.least_certain(test.table, count)
    _grid(folder / "uncertain.png", test.images[uncertain.index], uncertain, f"{title}: uncertain")
    first = len(validation.images)  # rows of the validation split, then of the test split
    images = [
        test.images[row - first] if row >= first else validation.images[row]
        for row in tables["suspicious"].index
    ]
    pixels = np.array(images, np.uint8).reshape(-1, *test.images.shape[1:])
    _grid(folder / "suspicious.png", pixels, tables["suspicious"], f"{title}: suspicious labels")
    _draw_explanations(folder / "explanations.png", model, test, mistakes, title)


def _grid(path: Path, images: np.ndarray, rows: pd.DataFrame, title: str) -> None:
    shares = (100 * rows["probability"]).round().astype(int).astype(str)
    verdict = np.where(rows["correct"], "is ", "not ")
    captions = rows["predicted"] + " " + shares + " %\n" + verdict + rows["class"]
    write_grid(
        path,
        images,
        columns=COLUMNS,
        captions=captions.tolist(),
        title=f"{title}: what they were taken for, and what they are",
    )


def _draw_explanations(
    path: Path, model: keras.Model, test: Predictions, mistakes: pd.DataFrame, title: str
) -> None:
    """The surest right answers of the first classes and the worst mistakes, with what spoke for
    the predicted class below: Grad-CAM, then saliency."""
    right = test.table[test.table["correct"]].sort_values(
        ["probability", "id"], ascending=[False, True]
    )
    surest = right.drop_duplicates("class").sort_values("class").head(COLUMNS // 2)
    chosen = pd.concat([surest, mistakes.head(COLUMNS - len(surest))])
    images = np.asarray(test.images[chosen.index])
    labels = chosen["predicted"].map({name: at for at, name in enumerate(test.classes)}).to_numpy()
    # A few pixels have most of the slope: the root shows the others.
    maps = [grad_cam(model, images, labels), np.sqrt(saliency(model, images, labels))]
    rows = [images, *(overlay(images, found) for found in maps if found is not None)]
    rows = [np.broadcast_to(row, (*row.shape[:3], 3)) for row in rows]
    names = (chosen["predicted"] + "\nis " + chosen["class"]).tolist()
    write_grid(
        path,
        np.concatenate(rows),
        columns=len(chosen),
        captions=names * len(rows),
        title=f"{title}: the image; where the answer came from, by Grad-CAM; by saliency",
    )
