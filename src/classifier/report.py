"""The report: one HTML file that opens from disk, without a network, with its pictures inside."""

import base64
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "scikit-learn")  # that shape the figures


def packages() -> dict[str, str]:
    """The versions of the packages that shape the figures, which requirements.txt has locked."""
    return {name: version(name) for name in PACKAGES}


def environment() -> dict[str, str]:
    """The versions of Python and of :func:`packages`."""
    return {"Python": platform.python_version()} | packages()


def render_report(
    folder: Path,
    *,
    title: str,
    model: str,
    shape: Sequence[int],
    source: Mapping[str, Any],
    metrics: Mapping[str, Any],
    size: Mapping[str, int],
    tables: Mapping[str, pd.DataFrame],
    counts: Counter[str],
    repeated: Mapping[str, int],
    origin: Mapping[str, str],
) -> str:
    """The report as HTML.

    Args:
        folder: with the pictures of :func:`classifier.evidence.draw`, which are put inside.
        model, shape: the model's name, and height, width and channels of its images.
        source: of ``source.json``; drawn images are announced in a banner.
        metrics, tables, repeated: of :mod:`classifier.evidence`.
        size: of :func:`classifier.model_size.model_size`.
        counts: images by split.
        origin: what made it, by name: commands, versions, hashes.
    """
    templates = Environment(
        loader=PackageLoader("classifier", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    templates.filters["four"] = lambda number: f"{number:.4f}"
    templates.filters["count"] = lambda number: f"{number:,}"
    pictures = {
        path.stem: base64.b64encode(path.read_bytes()).decode("ascii")
        for path in sorted(folder.glob("*.png"))
    }
    return templates.get_template("report.html.jinja").render(
        title=title,
        model=model,
        shape=shape,
        source=source,
        metrics=metrics,
        size=size,
        classes=tables["classes"].to_dict("records"),
        intervals=tables["intervals"].set_index("metric").to_dict("index"),
        counts=counts,
        repeated=repeated,
        suspicious=len(tables["suspicious"]),
        pictures=pictures,
        origin=origin,
    )
