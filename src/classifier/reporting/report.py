"""The report: one HTML file with its pictures inside, which opens from disk without a network."""

import base64
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from classifier.catalog.manifest import find_conflicts, find_duplicates
from classifier.reporting.failures import describe_failures
from classifier.support.directions import direction
from classifier.support.templates import templates

PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "scikit-learn")  # the figures depend on them


def packages() -> dict[str, str]:
    """The versions of the packages that the figures depend on, as pinned in requirements.txt."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return version(f"{name}-cpu")  # TensorFlow without CUDA


def environment() -> dict[str, str]:
    """The versions of Python and of :func:`packages`."""
    return {"Python": platform.python_version()} | packages()


def count_repeated(manifest: pd.DataFrame) -> dict[str, int]:
    """How many images repeat one of their class (duplicates) or of several (conflicts)."""
    return {
        "duplicates": len(find_duplicates(manifest)),
        "conflicts": len(find_conflicts(manifest)),
    }


def leaked_images(predictions: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, float]:
    """What the accuracy is without the test images that other splits have near-duplicates of.

    Args:
        predictions: of the test split, with id and correct.
        pairs: of :func:`classifier.catalog.near_duplicates.read_near_duplicates`.

    Returns:
        images, the number of those; without, the number of the others; accuracy_without, 0..1,
        NaN for none.
    """
    leaked: set[str] = set()
    for side, other in (("first", "second"), ("second", "first")):
        of_others = pairs[f"{other}_split"].isin(["train", "validation"])
        leaked |= set(pairs[side][(pairs[f"{side}_split"] == "test") & of_others])
    without = predictions[~predictions["id"].isin(leaked)]
    return {
        "images": len(predictions) - len(without),
        "without": len(without),
        "accuracy_without": float(without["correct"].mean()),
    }


def summarize(metrics: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> str:
    """The result in a sentence or two of Markdown.

    Args:
        metrics: of :func:`classifier.reporting.metrics.evaluate_predictions`, and drawn.
        tables: of :func:`classifier.reporting.tables.evaluation_tables`.
    """
    intervals = tables["intervals"].set_index("metric")
    low, high = (float(intervals[end]["accuracy"]) for end in ("low", "high"))
    if "mean_average_precision" in metrics:
        low, high = (float(intervals[end]["mean_average_precision"]) for end in ("low", "high"))
        return (
            f"Mean average precision **{metrics['mean_average_precision']:.4f}** ({low:.4f} to "
            f"{high:.4f} with 95 % confidence) of {len(tables['classes'])} labels; all labels of "
            f"{100 * metrics['accuracy']:.2f} % of {metrics['images']:,} test images are right. "
            "More in the artifact `evaluation/report.html`."
        )
    drawn = " **These images are drawings.**" if metrics["drawn"] else ""
    return (
        f"**{100 * metrics['accuracy']:.2f} %** of {metrics['images']:,} test images are right "
        f"({100 * low:.2f} to {100 * high:.2f} with 95 % confidence); calibration error "
        f"{100 * metrics['calibration']['ece']:.2f} %. More in the artifact "
        f"`evaluation/report.html`.{drawn}"
    )


def render_report(
    folder: Path,
    *,
    title: str,
    model: str,
    shape: Sequence[int],
    source: Mapping[str, Any],
    base: Mapping[str, Any],
    metrics: Mapping[str, Any],
    size: Mapping[str, int],
    tables: Mapping[str, pd.DataFrame],
    counts: Counter[str],
    repeated: Mapping[str, int],
    left_out: Mapping[str, int],
    leaked: Mapping[str, float],
    overview: str,
    origin: Mapping[str, str],
    template: str = "report.html.jinja",
) -> str:
    """The report as HTML.

    Args:
        folder: with the pictures of :func:`classifier.reporting.pictures.draw_pictures`.
        model: the model's name.
        shape: height, width and channels of its images.
        source: of ``source.json``; a banner warns of drawn images.
        base: of ``base.json``, what the network began with; its name is None for random weights.
        metrics: of :func:`classifier.reporting.metrics.evaluate_predictions` and
            :func:`classifier.reporting.failures.find_failures`.
        size: of :func:`classifier.saved.model_size.model_size`.
        tables: of :func:`classifier.reporting.tables.evaluation_tables` and
            :func:`classifier.reporting.failures.find_failures`, and ``unknown`` of
            :func:`classifier.reporting.unknown.evaluate_unknown`.
        counts: images per split.
        repeated: of :func:`count_repeated`.
        left_out: of :func:`classifier.catalog.manifest.left_out`.
        leaked: of :func:`leaked_images`.
        overview: HTML, the section of :func:`classifier.overview.page.write_overview`.
        origin: commands, versions and hashes by name, which produced the model.
        template: of the task, see :mod:`classifier.reporting.judging`.
    """
    pages = templates("classifier.reporting")
    pages.filters["percent"] = lambda share: "–" if isnan(share) else f"{100 * share:.2f} %"
    pages.filters["four"] = lambda number: "–" if isnan(number) else f"{number:.4f}"
    pages.filters["direction"] = direction
    pictures = {
        path.stem: base64.b64encode(path.read_bytes()).decode("ascii")
        for path in sorted(folder.glob("*.png"))
    }
    return pages.get_template(template).render(
        title=title,
        model=model,
        shape=shape,
        source=source,
        base=base,
        metrics=metrics,
        size=size,
        classes=tables["classes"].to_dict("records"),
        intervals=tables["intervals"].set_index("metric").to_dict("index"),
        counts=counts,
        repeated=repeated,
        left_out=left_out,
        leaked=leaked,
        overview=overview,
        unknown=tables["unknown"].to_dict("records"),
        shares=[name.removeprefix("accepted_at_") for name in tables["unknown"].columns[3:]],
        suspicious=len(tables["suspicious"]),
        failures=describe_failures(tables, metrics),
        pictures=pictures,
        origin=origin,
    )
