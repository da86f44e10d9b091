"""Charts of trainings with several seeds, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from classifier.reporting.charts import save_figure
from classifier.seeds.difference import LEVEL, Difference
from classifier.support.directions import direction, has_direction

matplotlib.use("Agg")
from matplotlib import pyplot as plt

POINT, MEAN, BAND = "#1f5fa8", "#c44444", "#dfe7f0"
REAL, CHANCE = "#2a8a4a", "#8894a3"


def draw_seeds(table: pd.DataFrame, metrics: Sequence[str], path: Path, *, title: str) -> None:
    """Draws a panel for each metric: a point per seed, the mean, and a standard deviation around.

    Args:
        table: of :func:`classifier.seeds.spread.seed_table`.
        metrics: columns of it.
    """
    figure, panels = plt.subplots(
        1, len(metrics), figsize=(3.4 * len(metrics), 3.6), squeeze=False, layout="constrained"
    )
    seeds = table["seed"].astype(str)
    for axes, name in zip(panels[0], metrics, strict=True):
        values = table[name].astype(float)
        mean, deviation = values.mean(), values.std()
        if len(values) > 1:
            axes.axhspan(
                mean - deviation, mean + deviation, color=BAND, label="± standard deviation"
            )
        axes.axhline(mean, color=MEAN, linewidth=1.2, label=f"mean: {mean:.4g}")
        axes.scatter(seeds, values, color=POINT, zorder=3)
        better = f"\n{direction(name)}" if has_direction(name) else ""
        axes.set(xlabel="seed", title=f"{name}{better}")
        axes.margins(x=0.15, y=0.2)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.grid(alpha=0.25)
        axes.legend(
            frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2
        )
    figure.suptitle(title)
    save_figure(figure, path, dpi=110)
    plt.close(figure)


def draw_differences(
    accuracies: Mapping[str, Mapping[int, float]],
    differences: Mapping[str, Difference],
    path: Path,
    *,
    title: str,
) -> None:
    """Draws the accuracy of each seed by group, and each difference with its interval.

    Args:
        accuracies: 0..1, by group and seed; the first group is the one that all are compared with.
        differences: of the other groups, by their names.
    """
    first, *others = accuracies
    figure, (left, right) = plt.subplots(
        1,
        2,
        figsize=(10.5, max(3.4, 1.6 + 0.7 * len(accuracies))),
        width_ratios=(3, 2),
        layout="constrained",
    )
    rows = {name: -place for place, name in enumerate(accuracies)}
    for name, by_seed in accuracies.items():
        values = 100 * np.array(list(by_seed.values()))
        # Equal accuracies lie one above the other.
        order = pd.Series(values).groupby(np.round(values, 9)).cumcount().to_numpy()
        left.scatter(values, rows[name] + 0.12 * order, color=POINT, s=34, zorder=3)
        left.plot([values.mean()] * 2, [rows[name] - 0.3, rows[name] + 0.3], color=MEAN, zorder=2)
    names = [f"{name}\n{len(by)} seed{'s' * (len(by) > 1)}" for name, by in accuracies.items()]
    left.set(yticks=list(rows.values()), yticklabels=names, xlabel="accuracy, %")
    left.set_title("each seed, and the mean (red)", fontsize=10)
    right.axvline(0, color="#333333", linewidth=1)
    for name in others:
        found = differences[name]
        colour = REAL if found.real else CHANCE
        ends = [100 * found.low, 100 * found.high]
        right.plot(ends, [rows[name]] * 2, color=colour, linewidth=3, solid_capstyle="butt")
        right.scatter([100 * found.mean], [rows[name]], color=colour, s=60, zorder=3)
        unknown = "seeds' spread unknown" if found.p_value is None else "may be chance"
        label = f"{100 * found.mean:+.2f}: {'real' if found.real else unknown}"
        right.annotate(
            label,
            (100 * found.mean, rows[name]),
            (0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    right.set(yticks=[rows[name] for name in others], yticklabels=others)
    right.set(xlabel=f"points of accuracy more than {first}")
    right.set_title(f"difference, {100 * LEVEL:.0f} % interval", fontsize=10)
    right.margins(x=0.2)
    for axes in (left, right):
        axes.set_ylim(min(rows.values()) - 0.6, 0.6 if axes is left else rows[others[0]] + 0.6)
        axes.grid(alpha=0.25)
    figure.suptitle(title)
    save_figure(figure, path, dpi=110)
    plt.close(figure)
