"""The metrics of trainings with several seeds, and how much they differ."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

# Of MLflow, in this order, if the runs have them.
SHOWN = (
    "test.accuracy",
    "test.balanced_accuracy",
    "test.macro_f1",
    "test.log_loss",
    "test.calibration.scaled_log_loss",
)


def seed_table(metrics: Mapping[int, Mapping[str, float]]) -> pd.DataFrame:
    """A row per seed, in their order, and a column per metric that every training has.

    Args:
        metrics: of each seed's run in MLflow, ``test.accuracy`` for example.

    Returns:
        The column seed; SHOWN and the best validation figures; ``training_seconds``; then all
        others of the test split.
    """
    common = set.intersection(*(set(of_run) for of_run in metrics.values()))
    names = [name for name in SHOWN if name in common]
    names += sorted(name for name in common if name.startswith("best_"))
    names += [name for name in ("training_seconds",) if name in common]
    names += sorted(name for name in common if name.startswith("test.") and name not in names)
    return pd.DataFrame(
        {"seed": seed} | {name: metrics[seed][name] for name in names} for seed in sorted(metrics)
    )


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation, smallest and largest value of each metric over the seeds.

    Args:
        table: of :func:`seed_table`.

    Returns:
        A row per metric, with the columns mean, std, min and max. The standard deviation is that
        of a sample (n - 1), and NaN for one seed.
    """
    figures = table.drop(columns="seed").astype(float)
    return figures.agg(["mean", "std", "min", "max"]).T


def summary(spreads: pd.DataFrame) -> dict[str, float]:
    """The figures of :func:`spread` by name, ``test.accuracy.mean`` for example, without NaN."""
    return {
        f"{metric}.{figure}": float(value)
        for metric, figures in spreads.to_dict("index").items()
        for figure, value in figures.items()
        if not np.isnan(value)
    }


def shown_metrics(names: Iterable[str]) -> list[str]:
    """Those of the metrics that a table on the console has."""
    return [
        name
        for name in names
        if name in SHOWN or name.startswith("best_") or name == "training_seconds"
    ]
