"""The page of a comparison of groups: one HTML file with its chart inside."""

import base64
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from classifier.support.atomic import atomic_path
from classifier.support.templates import templates


def write_page(
    file: Path,
    *,
    title: str,
    verdicts: Sequence[tuple[str, bool]],
    told: Sequence[str],
    tables: Sequence[tuple[str, pd.DataFrame]],
    chart: Path,
) -> None:
    """Writes the page, atomically.

    Args:
        verdicts: a sentence per difference, and whether it is real.
        told: lines about what was compared.
        tables: of texts, with their titles.
        chart: of :func:`classifier.seeds.charts.draw_differences`.
    """
    content = (
        templates("classifier.seeds")
        .get_template("groups.html.jinja")
        .render(
            title=title,
            verdicts=verdicts,
            told=told,
            tables=[(name, table.columns, table.to_numpy().tolist()) for name, table in tables],
            chart=base64.b64encode(chart.read_bytes()).decode("ascii"),
        )
    )
    with atomic_path(file) as temporary:
        temporary.write_text(content, "utf-8")
