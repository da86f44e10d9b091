"""The pictures of an evaluation of several labels an image, each a PNG file."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from sklearn import metrics as sk

from classifier.formats.label_sets import names_of
from classifier.images.grids import write_grid
from classifier.layers.views import network_of
from classifier.reporting.architecture import draw_architecture
from classifier.reporting.charts import (
    draw_history,
    draw_label_counts,
    draw_label_curves,
    draw_reliability,
)
from classifier.reporting.explanation import grad_cam, overlay, saliency
from classifier.reporting.predictions import (
    Predictions,
    images_of_rows,
    least_certain,
    worst_mistakes,
)
from classifier.saved.rounding import rounded

COLUMNS, TILE = 7, 128  # of a grid of images
LETTERS = 20  # of a line below an image
CURVES = 10  # classes of which a curve is drawn


def draw_label_pictures(
    folder: Path,
    model: keras.Model,
    test: Predictions,
    validation: Predictions,
    tables: Mapping[str, pd.DataFrame],
    history: pd.DataFrame | None,
    *,
    title: str,
    count: int,
    separator: str,
) -> None:
    """Writes the pictures to ``folder``, as
    :func:`classifier.reporting.pictures.draw_pictures`.

    Args:
        tables: of :func:`classifier.reporting.multi_label.label_tables`.
        separator: between labels in the tables.
    """
    draw_architecture(
        network_of(model), folder / "architecture.png", title=f"{title}: {model.name}"
    )
    if history is not None:
        panels = ("loss", "pr_auc", "accuracy")
        draw_history(history, folder / "history.png", title=f"{title}: training", panels=panels)
    draw_label_counts(tables["confusion"], folder / "confusion.png", title=f"{title}: test split")
    draw_label_curves(
        label_curves(test, tables["classes"]),
        folder / "precision_recall.png",
        title=f"{title}: precision by recall, and the threshold of each class",
    )
    reliability = {"each label of each image": tables["calibration"]}
    draw_reliability(
        reliability,
        folder / "calibration.png",
        title=f"{title}: calibration",
        names=("probability of a label", "share that has it", "labels"),
    )
    mistakes = worst_mistakes(test.table, count)
    uncertain = least_certain(test.table, count)
    for name, rows in (("mistakes", mistakes), ("uncertain", uncertain)):
        _draw_grid(folder / f"{name}.png", test.images[rows.index], rows, name, title, separator)
    pixels = images_of_rows(tables["suspicious"].index, validation, test)
    _draw_grid(
        folder / "suspicious.png",
        pixels,
        tables["suspicious"],
        "suspicious labels",
        title,
        separator,
    )
    _draw_explanations(folder / "explanations.png", model, test, mistakes, title, separator)


def label_curves(test: Predictions, classes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The curve of each class by a text for a legend, the CURVES with the fewest images to train.

    Each has recall and precision, 0..1, and ``chosen``, which is true at the class's threshold.
    """
    scores, curves = rounded(test.probabilities), {}
    rarest = classes.sort_values("trained", kind="stable").head(CURVES)
    for at, row in zip(rarest.index.to_numpy(int), rarest.to_dict("records"), strict=True):
        has = test.labels[:, at].astype(bool)
        precision, recall, cuts = sk.precision_recall_curve(has, scores[:, at])
        above = np.append(cuts >= row["threshold"], True)
        name = f"{row['class']}: average precision {row['average_precision']:.3f}"
        curves[name] = pd.DataFrame(
            {"recall": recall, "precision": precision, "chosen": above & ~np.roll(above, 1)}
        )
        if above.all():
            curves[name].loc[0, "chosen"] = True
    return curves


def caption(row: Mapping[Any, str], separator: str) -> str:
    """What was answered of an image, and what is wrong with it, in lines of LETTERS."""
    has, answer = (set(names_of(row[name], separator)) for name in ("class", "predicted"))
    parts = {"missed": has - answer, "wrong": answer - has, "right": has & answer}
    lines = [f"{name}: {', '.join(sorted(names))}" for name, names in parts.items() if names]
    return "\n".join(
        part for line in lines or ["no label"] for part in textwrap.wrap(line, LETTERS)
    )


def _draw_grid(
    path: Path, images: np.ndarray, rows: pd.DataFrame, name: str, title: str, separator: str
) -> None:
    write_grid(
        path,
        images,
        columns=COLUMNS,
        captions=[caption(row, separator) for row in rows.to_dict("records")],
        title=f"{title}: {name}: labels that were missed, answered by mistake, and right",
        tile=TILE,
    )


def _draw_explanations(
    path: Path,
    model: keras.Model,
    test: Predictions,
    mistakes: pd.DataFrame,
    title: str,
    separator: str,
) -> None:
    """Draws right answers and the worst mistakes: the images, and where the network looked for
    their most probable class, by Grad-CAM and by saliency."""
    correct = test.table[test.table["correct"]]
    correct = correct.sort_values(["probability", "id"], ascending=[False, True])
    best = correct.drop_duplicates("class").head(COLUMNS // 2)
    rows = pd.concat([best, mistakes.head(COLUMNS - len(best))])
    images = np.asarray(test.images[rows.index])
    labels = rounded(test.probabilities)[rows.index].argmax(axis=1)
    # A few pixels have most of the gradient: the root makes the others visible.
    maps = [grad_cam(model, images, labels), np.sqrt(saliency(model, images, labels))]
    shown = [images, *(overlay(images, values) for values in maps if values is not None)]
    colour = [np.broadcast_to(pixels, (*pixels.shape[:3], 3)) for pixels in shown]
    captions = [
        "\n".join(
            textwrap.wrap(
                f"{test.classes[at]}; is {', '.join(names_of(text, separator)) or 'none'}", LETTERS
            )
        )
        for at, text in zip(labels, rows["class"], strict=True)
    ]
    write_grid(
        path,
        np.concatenate(colour),
        columns=len(rows),
        captions=captions * len(colour),
        title=f"{title}: the image; where the network looked for its most probable class",
        tile=TILE,
    )
