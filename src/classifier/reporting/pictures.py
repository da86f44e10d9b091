"""The pictures of an evaluation, each a PNG file."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from classifier.images.grids import write_grid
from classifier.layers.views import network_of
from classifier.reporting.architecture import draw_architecture
from classifier.reporting.charts import (
    draw_confusion,
    draw_history,
    draw_precision_recall,
    draw_reliability,
)
from classifier.reporting.explanation import grad_cam, overlay, saliency
from classifier.reporting.precision_recall import rarest_curves
from classifier.reporting.predictions import (
    Predictions,
    images_of_rows,
    least_certain,
    worst_mistakes,
)

COLUMNS = 8  # of a grid of images


def draw_pictures(
    folder: Path,
    model: keras.Model,
    test: Predictions,
    validation: Predictions,
    tables: Mapping[str, pd.DataFrame],
    history: pd.DataFrame | None,
    *,
    title: str,
    count: int,
) -> None:
    """Writes the pictures to ``folder``: architecture, history, confusion, precision_recall,
    calibration, mistakes, uncertain, suspicious, explanations.

    Args:
        tables: of :func:`classifier.reporting.tables.evaluation_tables`.
        history: a row per epoch, as for :func:`classifier.reporting.charts.draw_history`; None
            for a model that was not trained itself, which has no picture of it.
        count: the most images of mistakes, and of uncertain predictions.
    """
    draw_architecture(
        network_of(model), folder / "architecture.png", title=f"{title}: {model.name}"
    )
    if history is not None:
        draw_history(history, folder / "history.png", title=f"{title}: training")
    confusion = tables["confusion"].set_index("class")
    draw_confusion(confusion, folder / "confusion.png", title=f"{title}: test split")
    curves = rarest_curves(test.labels, test.probabilities, tables["classes"])
    draw_precision_recall(
        curves, folder / "precision_recall.png", title=f"{title}: the classes with fewest images"
    )
    reliability = {str(name): rows for name, rows in tables["calibration"].groupby("probabilities")}
    draw_reliability(reliability, folder / "calibration.png", title=f"{title}: calibration")
    mistakes = worst_mistakes(test.table, count)
    _draw_grid(folder / "mistakes.png", test.images[mistakes.index], mistakes, f"{title}: mistakes")
    uncertain = least_certain(test.table, count)
    _draw_grid(
        folder / "uncertain.png", test.images[uncertain.index], uncertain, f"{title}: uncertain"
    )
    pixels = images_of_rows(tables["suspicious"].index, validation, test)
    _draw_grid(
        folder / "suspicious.png", pixels, tables["suspicious"], f"{title}: suspicious labels"
    )
    _draw_explanations(folder / "explanations.png", model, test, mistakes, title)


def _draw_grid(path: Path, images: np.ndarray, rows: pd.DataFrame, title: str) -> None:
    percent = (100 * rows["probability"]).round().astype(int).astype(str)
    verdict = np.where(rows["correct"], "is ", "not ")
    captions = rows["predicted"] + " " + percent + " %\n" + verdict + rows["class"]
    write_grid(
        path,
        images,
        columns=COLUMNS,
        captions=captions.tolist(),
        title=f"{title}: predicted class and probability; true class",
    )


def _draw_explanations(
    path: Path, model: keras.Model, test: Predictions, mistakes: pd.DataFrame, title: str
) -> None:
    """Draws the most probable correct predictions and the worst mistakes: the images, their
    Grad-CAM, their saliency."""
    correct = test.table[test.table["correct"]].sort_values(
        ["probability", "id"], ascending=[False, True]
    )
    best = correct.drop_duplicates("class").sort_values("class").head(COLUMNS // 2)
    rows = pd.concat([best, mistakes.head(COLUMNS - len(best))])
    images = np.asarray(test.images[rows.index])
    labels = rows["predicted"].map({name: at for at, name in enumerate(test.classes)}).to_numpy()
    # A few pixels have most of the gradient: the root makes the others visible.
    maps = [grad_cam(model, images, labels), np.sqrt(saliency(model, images, labels))]
    shown = [images, *(overlay(images, values) for values in maps if values is not None)]
    colour = [np.broadcast_to(pixels, (*pixels.shape[:3], 3)) for pixels in shown]
    captions = (rows["predicted"] + "\nis " + rows["class"]).tolist()
    write_grid(
        path,
        np.concatenate(colour),
        columns=len(rows),
        captions=captions * len(colour),
        title=f"{title}: the image; where the network looked, by Grad-CAM; by saliency",
    )
