"""How a model fails: on changed images, on parts of the test images, and how well it knows."""

from collections.abc import Mapping
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from classifier.images.grids import write_grid
from classifier.reporting.charts import draw_corruptions, draw_coverage
from classifier.reporting.corruptions import (
    CORRUPTIONS,
    STRENGTHS,
    UNCHANGED,
    Predict,
    corrupted_examples,
    corruption_table,
)
from classifier.reporting.coverage import coverage_metrics, coverage_table
from classifier.reporting.predictions import Predictions
from classifier.reporting.slices import FEWEST, MEASURES, NAMES, slice_table, too_small
from classifier.saved.rounding import significant
from classifier.tasks.of_labels import task_of

SHOWN = 40  # slices in the report
SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)  # of the images answered, in the report
OFF = "corruptions: not tried, evaluate.corruption_images is 0"


class Failures(NamedTuple):
    """What :func:`find_failures` finds.

    Attributes:
        metrics: coverage, of :func:`classifier.reporting.coverage.coverage_metrics`; corruptions:
            images, unchanged (their accuracy as they are) and accuracy (the mean over all
            corruptions and strengths), six significant digits, missing where none were tried;
            slices: tested, worse and too_small, their numbers.
        tables: corruptions, slices and coverage, by file name.
    """

    metrics: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def find_failures(
    predict: Predict,
    test: Predictions,
    features: pd.DataFrame,
    *,
    corruption_images: int,
    batch_size: int,
    seed: int,
) -> Failures:
    """Evaluates the test images under corruptions, by slices, and by how sure the model is.

    Args:
        predict: of :func:`classifier.reporting.corruptions.corruption_table`.
        features: of :func:`classifier.reporting.slices.features`.
        corruption_images: test images that are corrupted, at most; 0 for none.
    """
    correct = test.table["correct"].to_numpy(bool)
    corruptions = corruption_table(
        test.images,
        test.labels,
        correct,
        predict,
        count=corruption_images,
        batch_size=batch_size,
        seed=seed,
        right=partial(task_of(test.labels).right, thresholds=test.thresholds),
    )
    slices = slice_table(correct, features)
    confidence = test.table["probability"].to_numpy()
    metrics: dict[str, Any] = {"coverage": coverage_metrics(correct, confidence)}
    if len(corruptions):
        unchanged, changed = corruptions.iloc[0], corruptions.iloc[1:]
        metrics["corruptions"] = {
            "images": int(unchanged["images"]),
            "unchanged": significant(unchanged["accuracy"]),
            "accuracy": significant(changed["accuracy"].mean()),
        }
    metrics["slices"] = {
        "tested": len(slices),
        "worse": int(slices["worse"].sum()),
        "too_small": too_small(features),
    }
    coverage = coverage_table(correct, confidence)
    return Failures(metrics, {"corruptions": corruptions, "slices": slices, "coverage": coverage})


def draw_failures(
    folder: Path, test: Predictions, tables: Mapping[str, pd.DataFrame], *, title: str, seed: int
) -> None:
    """Writes the pictures to ``folder``: corruptions, corrupted and coverage.

    Args:
        tables: of :func:`find_failures`.
        seed: of what is random in the corruptions.
    """
    if len(tables["corruptions"]):
        draw_corruptions(
            tables["corruptions"], folder / "corruptions.png", title=f"{title}: changed images"
        )
        surest = test.table.sort_values(["probability", "id"], ascending=[False, True]).index[0]
        images, captions = corrupted_examples(np.asarray(test.images[surest]), [seed, int(surest)])
    else:  # DVC expects the files all the same
        images, captions = np.empty((0, *test.images.shape[1:]), np.uint8), []
        write_grid(folder / "corruptions.png", images, columns=6, title=OFF)
    write_grid(
        folder / "corrupted.png",
        images,
        columns=len(CORRUPTIONS),
        captions=captions,
        title=f"{title}: one test image, changed" if captions else OFF,
    )
    draw_coverage(
        tables["coverage"], folder / "coverage.png", title=f"{title}: accuracy by share answered"
    )


def describe_failures(
    tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """What the report's section says: sentences, and the rows of its tables.

    Args:
        tables: of :func:`find_failures`.
        metrics: with those of :func:`find_failures`.
    """
    slices, coverage = tables["slices"], tables["coverage"]
    shown = slices.sort_values("worse", ascending=False, kind="stable").head(SHOWN)
    return {
        "corruptions": _by_strength(tables["corruptions"]),
        "of_corruptions": describe_corruptions(tables["corruptions"]),
        "slices": shown.to_dict("records"),
        "of_slices": describe_slices(slices, metrics["slices"]["too_small"]),
        "hidden": len(slices) - len(shown),
        "meanings": MEASURES | NAMES,
        "coverage": coverage[coverage["coverage"].isin(SHARES)].to_dict("records"),
        "of_coverage": describe_coverage(coverage, metrics["coverage"]),
    }


def _by_strength(corruptions: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per corruption, the worst first: its name, and its cases from mild to strong."""
    cases = [
        {"name": str(name), "cases": rows.to_dict("records")}
        for name, rows in corruptions.groupby("corruption", sort=False)
        if name != UNCHANGED
    ]
    return sorted(cases, key=lambda case: [row["accuracy"] for row in reversed(case["cases"])])


def describe_corruptions(corruptions: pd.DataFrame) -> str:
    """A sentence or two: how far the accuracy falls, and under what; empty for no rows."""
    if not len(corruptions):
        return ""
    first, *changed = corruptions.to_dict("records")
    unchanged = first["accuracy"]
    strong, mild = (
        min((row for row in changed if row["strength"] == strength), key=itemgetter("accuracy"))
        for strength in (STRENGTHS[-1], STRENGTHS[0])
    )
    if min(strong["accuracy"], mild["accuracy"]) >= unchanged:
        return f"No change lowers the accuracy of {_percent(unchanged)} on the images as they are."
    text = (
        f"The accuracy falls from {_percent(unchanged)} on the images as they are to "
        f"{_percent(strong['accuracy'])} under {strong['corruption']} (strong), which costs most. "
    )
    if mild["accuracy"] >= unchanged:
        return text + "No mild change costs anything."
    return text + (
        f"Of the mild changes, {mild['corruption']} costs most: {_percent(mild['accuracy'])} are "
        "right."
    )


def describe_slices(slices: pd.DataFrame, small: int) -> str:
    """One or two sentences: how many slices are worse, the worst one, and what was left out."""
    worse = slices[slices["worse"]]
    if not len(slices):
        text = "The images are alike in all of these, or too few: there is nothing to compare."
    elif not len(worse):
        text = f"No slice of {len(slices):,} is worse than chance would explain."
    else:
        row = worse.sort_values("p", kind="stable").to_dict("records")[0]
        text = (
            f"{len(worse):,} of {len(slices):,} slices are worse than chance would explain. Look "
            f"first at {row['feature']} {row['slice']}: {_percent(row['accuracy'])} of "
            f"{row['images']:,} images are right, and {_percent(row['accuracy_of_others'])} of the "
            "others."
        )
    if small:
        text += f" Sources and groups with fewer than {FEWEST} test images are left out: {small:,}."
    return text


def describe_coverage(coverage: pd.DataFrame, metrics: Mapping[str, float]) -> str:
    """Two sentences: what leaving the least sure images to a person would bring."""
    row_of = {row["coverage"]: row for row in coverage.to_dict("records")}
    return (
        f"The model is right on {100 * row_of[1.0]['accuracy']:.2f} % of all images. If it answers "
        f"only the 90 % that it is surest of, those with a probability of "
        f"{row_of[0.9]['probability']:.3f} or more, it is right on "
        f"{100 * metrics['accuracy_at_90']:.2f} % of them."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
