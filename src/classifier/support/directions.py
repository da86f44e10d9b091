"""The direction of each metric: whether more or less of it is better."""

from classifier.support.errors import InputError, nearest

HIGHER, LOWER = "higher is better", "lower is better"

DIRECTIONS = {
    "accuracy": HIGHER,
    "balanced_accuracy": HIGHER,
    "top_2_accuracy": HIGHER,
    "macro_f1": HIGHER,
    "micro_f1": HIGHER,
    "mean_average_precision": HIGHER,
    "pr_auc": HIGHER,
    "log_loss": LOWER,
    "loss": LOWER,
    "ece": LOWER,
    "brier": LOWER,
    "scaled_ece": LOWER,
    "scaled_log_loss": LOWER,
    "scaled_brier": LOWER,
    "aurc": LOWER,
    "accuracy_at_90": HIGHER,
}


def direction(metric: str) -> str:
    """HIGHER or LOWER.

    Args:
        metric: a key of DIRECTIONS, as Keras or MLflow may name it: after dots
            (``test.calibration.ece``), or after ``val_`` and ``best_`` (``best_val_loss``).

    Raises:
        InputError: the metric has no direction.
    """
    name = metric.rpartition(".")[2].removeprefix("best_").removeprefix("val_")
    if name not in DIRECTIONS:
        raise InputError(
            f"it is not known whether more or less of '{metric}' is better: "
            f"{nearest(name, DIRECTIONS)}"
        )
    return DIRECTIONS[name]


def has_direction(metric: str) -> bool:
    """Whether more or less of the metric is better: of its temperature, for example, neither is."""
    try:
        direction(metric)
    except InputError:
        return False
    return True


def higher_is_better(metric: str) -> bool:
    """Whether more of the metric is better; raises InputError as :func:`direction`."""
    return direction(metric) == HIGHER


def is_better(metric: str, value: float, other: float) -> bool:
    """Whether ``value`` is better than ``other``. False if one of them is NaN."""
    return value > other if higher_is_better(metric) else value < other
