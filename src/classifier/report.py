"""The report: one HTML file that opens from disk, without a network, with its pictures inside."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined


def render_report(
    *,
    title: str,
    source: Mapping[str, Any],
    metrics: Mapping[str, Any],
    size: Mapping[str, int],
    by_class: pd.DataFrame,
    counts: Mapping[str, int],
    pictures: Sequence[tuple[str, Path]],
) -> str:
    """The report as HTML.

    Args:
        source: of ``source.json``; drawn images are announced in a banner.
        metrics: of :func:`classifier.evaluation.compute_metrics`.
        size: of :func:`classifier.model_size.model_size`.
        by_class: of :func:`classifier.evaluation.class_table`.
        counts: images by split.
        pictures: caption and PNG file of each picture, in order.
    """
    environment = Environment(
        loader=PackageLoader("classifier", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    embedded = [
        (caption, base64.b64encode(path.read_bytes()).decode("ascii")) for caption, path in pictures
    ]
    return environment.get_template("report.html.jinja").render(
        title=title,
        source=source,
        metrics=metrics,
        size=size,
        by_class=by_class.to_dict("records"),
        counts=counts,
        pictures=embedded,
    )
