"""The chart of a rehearsal: the batch that is learned by heart, and the loss by learning rate."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib

from classifier.rehearsal.overfit import Overfit
from classifier.rehearsal.rate_range import RateRange

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def draw(
    path: Path, title: str, batch: Overfit, ranges: Mapping[str, tuple[RateRange, float]]
) -> None:
    """Draws a panel for the batch, and one for each phase, as a PNG file.

    Args:
        ranges: by the name of the phase, with the rate that is configured.
    """
    count = 1 + len(ranges)
    figure, grid = plt.subplots(
        1, count, figsize=(4.6 * count, 3.6), layout="constrained", squeeze=False
    )
    first, *others = grid[0]
    losses = batch.taken.losses
    first.plot(range(1, len(losses) + 1), losses, color="#1f5fa8")
    first.axhline(batch.floor, color="#888888", linestyle=":", label=f"floor: {batch.floor:.3g}")
    first.set(xlabel="step", ylabel="loss", title="one batch, again and again")
    first.legend(frameon=False)
    for axes, (name, (test, rate)) in zip(others, ranges.items(), strict=True):
        top = 2.5 * test.smoothed[0] if len(test.smoothed) else 1
        axes.plot(test.rates, test.taken.losses.clip(max=top), color="#c5ced8", label="each step")
        axes.plot(test.rates, test.smoothed, color="#1f5fa8", label="smoothed")
        lines = {
            "configured": (rate, "#cc4444", "-"),
            "steepest": (test.steepest, "#2a8a4a", "--"),
            "a tenth of the rise": (test.rises and test.rises / 10, "#d08a1d", "--"),
        }
        for label, (value, colour, style) in lines.items():
            if value:
                text = f"{label}: {value:.2g}"
                axes.axvline(value, color=colour, linestyle=style, linewidth=1.2, label=text)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=name)
        axes.legend(frameon=False, fontsize=8)
    for axes in figure.axes:
        axes.grid(alpha=0.25)
    figure.suptitle(title)
    figure.savefig(path, format="png", dpi=110)
    plt.close(figure)
