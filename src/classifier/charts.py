"""Charts as PNG files, the same bytes for the same data."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

METADATA = {"Software": None}  # no version of Matplotlib in the file


def draw_confusion(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """A confusion matrix: counts and, as the shade too, their shares of the true class.

    Args:
        counts: a row a true class, a column a predicted class.
    """
    rates = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    side = max(4.5, 1.5 + 0.6 * len(counts))
    figure, axes = plt.subplots(figsize=(side + 0.8, side), layout="constrained")
    shades = axes.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    for row, values in enumerate(counts.to_numpy()):
        for column, count in enumerate(values):
            ink = "white" if rates[row, column] > 0.5 else "#333333"
            rate = f"{100 * rates[row, column]:.1f} %"
            text = f"{count}\n{rate}" if count else "·"
            size = 8 if len(counts) <= 12 else 6
            axes.text(
                column, row, text, ha="center", va="center", color=ink, fontsize=size, linespacing=1
            )
    axes.set_xticks(range(len(counts)), counts.columns, rotation=45 if _long(counts) else 0)
    axes.set_yticks(range(len(counts)), counts.index)
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    figure.colorbar(shades, label="share of the true class", shrink=0.8)
    _write(figure, path)


def draw_history(history: pd.DataFrame, path: Path, *, title: str) -> None:
    """Loss and accuracy by epoch, training beside validation, the kept epoch marked.

    Args:
        history: a row an epoch: epoch, loss, val_loss, accuracy, val_accuracy, kept.
    """
    best = int(history["epoch"][history["kept"] == 1].iloc[0])
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        axes.plot(history["epoch"], history[name], color="#9aa7b5", label="training (augmented)")
        axes.plot(history["epoch"], history[f"val_{name}"], color="#1f5fa8", label="validation")
        axes.axvline(best, color="#c44", linewidth=1, linestyle=":", label=f"best epoch: {best}")
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    figure.suptitle(title)
    _write(figure, path)


def draw_reliability(tables: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Accuracy by confidence, a line a table, and below how many images have each confidence.

    Args:
        tables: of :func:`classifier.calibration.reliability_table`, by what to call them.
    """
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(5.4, 5.6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.plot([0, 1], [0, 1], color="#9aa7b5", linestyle=":", label="right as often as it says")
    for (name, table), colour in zip(tables.items(), ("#c44", "#1f5fa8"), strict=False):
        upper.plot(table["confidence"], table["accuracy"], marker="o", color=colour, label=name)
        widths = table["high"] - table["low"]
        lower.bar(
            table["low"], table["images"], widths, align="edge", color=colour, alpha=0.5, label=name
        )
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    lower.set(xlabel="probability of the predicted class", ylabel="images", yscale="log")
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
    upper.legend(frameon=False, loc="upper left")
    figure.suptitle(title)
    _write(figure, path)


def draw_sweep(table: pd.DataFrame, path: Path, *, metric: str, title: str) -> None:
    """A metric by each parameter that was varied, the best run marked.

    Args:
        table: of :func:`classifier.tracking.sweep_table`: run, parameters, metric; best first.
    """
    varied = [name for name in table if name not in ("run", metric)] or ["run"]
    width = max(5.0, 3.2 * len(varied))
    figure, panels = plt.subplots(
        1, len(varied), figsize=(width, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, name in zip(panels[0], varied, strict=True):
        number = pd.api.types.is_numeric_dtype(table[name])
        places = (table[name] if number else table[name].map(str)).to_numpy()
        axes.scatter(places, table[metric], color="#1f5fa8")
        axes.scatter(places[:1], table[metric][:1], color="#c44", label="best")
        if number and 0 < 8 * places.min() < places.max():
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel=name)
        axes.grid(alpha=0.25)
    panels[0][0].set(ylabel=metric)
    panels[0][0].legend(frameon=False)
    figure.suptitle(title)
    _write(figure, path)


def _long(counts: pd.DataFrame) -> bool:
    return max(len(str(name)) for name in counts.columns) > 4


def _write(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata=METADATA)
    plt.close(figure)
