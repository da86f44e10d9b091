"""Charts as PNG files, the same bytes for the same data."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")
from matplotlib import font_manager
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from classifier.images.fonts import bundled_font, fonts_for

METADATA = {"Software": None}  # without the version of Matplotlib


def draw_confusion(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draws a confusion matrix: numbers of images, and their shares of the true class.

    Args:
        counts: a row per true class, a column per predicted class.
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    side = max(4.5, 1.5 + 0.6 * len(counts))
    figure, axes = plt.subplots(figsize=(side + 0.8, side), layout="constrained")
    display = ConfusionMatrixDisplay(shares, display_labels=counts.columns).plot(
        ax=axes,
        cmap="Blues",
        colorbar=False,
        xticks_rotation=45 if _has_long_names(counts) else 0,
        im_kw={"vmin": 0, "vmax": 1},
        text_kw={"fontsize": 8 if len(counts) <= 12 else 6, "linespacing": 1},
    )
    for text, count, share in zip(
        display.text_.flat, counts.to_numpy().flat, shares.flat, strict=True
    ):
        text.set_text(f"{count}\n{100 * share:.1f} %" if count else "·")
        text.set_color("white" if share > 0.5 else "#333333")
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    figure.colorbar(display.im_, label="share of the true class", shrink=0.8)
    _write(figure, path)


def draw_history(
    history: pd.DataFrame, path: Path, *, title: str, panels: Sequence[str] = ("loss", "accuracy")
) -> None:
    """Draws loss and accuracy of training and validation by epoch, and marks the best epoch.

    Args:
        history: a row per epoch: epoch, loss, val_loss, accuracy, val_accuracy, and kept, which
            is 1 for the best epoch.
        panels: the metrics, each a panel.
    """
    best = int(history["epoch"][history["kept"] == 1].iloc[0])
    figure, places = plt.subplots(
        1, len(panels), figsize=(5 * len(panels), 3.6), layout="constrained"
    )
    for axes, name in zip(places, panels, strict=True):
        axes.plot(history["epoch"], history[name], color="#9aa7b5", label="training")
        axes.plot(history["epoch"], history[f"val_{name}"], color="#1f5fa8", label="validation")
        axes.axvline(best, color="#c44", linewidth=1, linestyle=":", label=f"best epoch: {best}")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    figure.suptitle(title)
    _write(figure, path)


def draw_reliability(
    tables: Mapping[str, pd.DataFrame],
    path: Path,
    *,
    title: str,
    names: tuple[str, str, str] = ("probability of the predicted class", "accuracy", "images"),
) -> None:
    """Draws accuracy by confidence, a line per table, and below it a histogram of confidence.

    Args:
        tables: of :func:`classifier.reporting.calibration.reliability_table`, by legend text.
        names: of the columns confidence, accuracy and images.
    """
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(5.4, 5.6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.plot([0, 1], [0, 1], color="#9aa7b5", linestyle=":", label="perfect calibration")
    for (name, table), colour in zip(tables.items(), ("#c44", "#1f5fa8"), strict=False):
        upper.plot(table["confidence"], table["accuracy"], marker="o", color=colour, label=name)
        widths = table["high"] - table["low"]
        lower.bar(
            table["low"], table["images"], widths, align="edge", color=colour, alpha=0.5, label=name
        )
    upper.set(ylabel=names[1], xlim=(0, 1), ylim=(0, 1.02))
    lower.set(xlabel=names[0], ylabel=names[2], yscale="log")
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
    upper.legend(frameon=False, loc="upper left")
    figure.suptitle(title)
    _write(figure, path)


def draw_precision_recall(curves: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Draws precision by recall, a line per class.

    Args:
        curves: of :func:`classifier.reporting.precision_recall.rarest_curves`, by legend text.
    """
    figure, axes = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
    for name, curve in curves.items():
        axes.plot(curve["recall"], curve["precision"], drawstyle="steps-post", label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02), title=title)
    axes.grid(alpha=0.25)
    figure.legend(frameon=False, loc="outside lower center")
    _write(figure, path)


def draw_label_counts(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draws for each class how many images with it are found and missed, and the false alarms.

    Args:
        counts: of :func:`classifier.reporting.multi_label.count_table`.
    """
    height = 1.6 + 0.42 * len(counts)
    figure, axes = plt.subplots(figsize=(7.2, height), layout="constrained")
    places = range(len(counts))
    bars = (
        ("found", "found", counts["found"] * 0, "#1f5fa8"),
        ("missed", "missed", counts["found"], "#a9cbee"),
        ("false_alarms", "false alarms", -counts["false_alarms"], "#c44"),
    )
    for column, name, left, colour in bars:
        drawn = axes.barh(places, counts[column], left=left, color=colour, label=name)
        shown = [f"{number:,}" if number else "" for number in counts[column]]
        ink = "#333333" if column == "missed" else "white"
        axes.bar_label(drawn, shown, label_type="center", color=ink, fontsize=8)
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.set(yticks=places, yticklabels=counts["class"], xlabel="test images", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axes.invert_yaxis()
    figure.legend(frameon=False, loc="outside lower center", ncols=3)
    _write(figure, path)


def draw_label_curves(curves: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Draws precision by recall, a line per class, and a dot at the threshold of each.

    Args:
        curves: of :func:`classifier.reporting.label_pictures.label_curves`, by legend text.
    """
    height = 4.8 + 0.22 * len(curves)
    figure, axes = plt.subplots(figsize=(6.4, height), layout="constrained")
    for name, curve in curves.items():
        (line,) = axes.plot(curve["recall"], curve["precision"], drawstyle="steps-post", label=name)
        chosen = curve[curve["chosen"]]
        axes.scatter(chosen["recall"], chosen["precision"], color=line.get_color(), zorder=3)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02), title=title)
    axes.grid(alpha=0.25)
    figure.legend(frameon=False, loc="outside lower center")
    _write(figure, path)


def draw_sweep(table: pd.DataFrame, path: Path, *, metric: str, title: str) -> None:
    """Draws a metric by each parameter of a sweep, and marks the best run.

    Args:
        table: of :func:`classifier.tracking.sweep_table`: run, parameters, metric; the best
            run first.
    """
    parameters = [name for name in table if name not in ("run", metric)] or ["run"]
    width = max(5.0, 3.2 * len(parameters))
    figure, panels = plt.subplots(
        1, len(parameters), figsize=(width, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, name in zip(panels[0], parameters, strict=True):
        is_number = pd.api.types.is_numeric_dtype(table[name])
        values = (table[name] if is_number else table[name].map(str)).to_numpy()
        axes.scatter(values, table[metric], color="#1f5fa8")
        axes.scatter(values[:1], table[metric][:1], color="#c44", label="best")
        if is_number and 0 < 8 * values.min() < values.max():
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


def draw_corruptions(table: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draws accuracy by corruption, a dot per strength, the corruption that costs most on top.

    Args:
        table: of :func:`classifier.reporting.corruptions.corruption_table`.
    """
    unchanged, changed = table.iloc[0], table.iloc[1:]
    wide = changed.pivot(index="corruption", columns="strength", values="accuracy")
    wide = wide.sort_values(["strong", "medium", "mild"], ascending=False)
    strong = changed[changed["strength"] == "strong"].set_index("corruption").loc[wide.index]
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    places = range(len(wide))
    axes.axvline(unchanged["accuracy"], color="#c44", linestyle=":", label="unchanged")
    axes.hlines(places, strong["low"], strong["high"], color="#c9d3de", linewidth=5, zorder=1)
    colours = {"mild": "#a9cbee", "medium": "#5b94d0", "strong": "#12437c"}
    for strength, colour in colours.items():
        axes.scatter(wide[strength], places, s=46, color=colour, label=strength, zorder=2)
    axes.set(xlabel="accuracy", xlim=(0, 1.02), yticks=places, yticklabels=wide.index)
    axes.grid(alpha=0.25)
    axes.set_title(title)
    figure.legend(frameon=False, loc="outside lower center", ncols=4)
    _write(figure, path)


def draw_coverage(table: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draws the accuracy by the share of the images that are answered.

    Args:
        table: of :func:`classifier.reporting.coverage.coverage_table`.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    axes.plot(table["coverage"], table["ideal"], color="#9aa7b5", linestyle=":", label="at best")
    axes.plot(table["coverage"], table["accuracy"], color="#1f5fa8", marker=".", label="this model")
    axes.set(xlabel="share of the images answered", ylabel="accuracy", xlim=(0, 1.02), title=title)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    _write(figure, path)


def _has_long_names(counts: pd.DataFrame) -> bool:
    return max(len(str(name)) for name in counts.columns) > 4


def _write(figure: Figure, path: Path) -> None:
    save_figure(figure, path, dpi=110)
    plt.close(figure)


def save_figure(figure: Figure, path: Path, *, dpi: int) -> None:
    """Writes a PNG file. Text that DejaVu Sans cannot show gets fonts of the system beside it."""
    for axes in figure.axes:  # the texts of the ticks are set when they are asked for
        axes.get_xticklabels()
        axes.get_yticklabels()
    for text in figure.findobj(Text):
        if not text.get_text().isascii():
            text.set_fontfamily(_families(text.get_text()))
    with warnings.catch_warnings():  # one line of fonts_for says it
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(path, dpi=dpi, metadata=METADATA)


def _families(text: str) -> list[str]:
    """The font families of the text, the bundled one first."""
    families = [font_manager.get_font(bundled_font()).family_name]
    for path in filter(None, fonts_for(text)):
        name = font_manager.get_font(path).family_name
        if name not in families:
            font_manager.fontManager.addfont(path)
            families.append(name)
    return families
