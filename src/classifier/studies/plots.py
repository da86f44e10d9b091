"""Optuna's plots of a study, and how much each parameter decides, as files."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import optuna

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from optuna.importance import get_param_importances
from optuna.study import Study
from optuna.trial import TrialState
from optuna.visualization import matplotlib as visualization

log = logging.getLogger(__name__)


def importances(study: Study) -> dict[str, float]:
    """The share of the values' variance that each parameter explains; the largest first.

    Empty where it cannot be said: fewer than two trials, or all have the same value.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in trials}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(get_param_importances(study, evaluator=evaluator))


def draw_study(study: Study, folder: Path, *, value: str) -> list[Path]:
    """Writes Optuna's plots as PNG files, and a table of all trials as ``trials.csv``.

    A plot that Optuna cannot draw of these trials is left out, and a line says so.

    Args:
        value: the name of what the trials are measured by.
    """
    plots: dict[str, Callable[[], Any]] = {
        "history": lambda: visualization.plot_optimization_history(study, target_name=value),
        "slice": lambda: visualization.plot_slice(study, target_name=value),
        "parallel": lambda: visualization.plot_parallel_coordinate(study, target_name=value),
        "epochs": lambda: visualization.plot_intermediate_values(study),
    }
    if importances(study):
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        plots["importances"] = lambda: visualization.plot_param_importances(
            study, evaluator=evaluator, target_name=value
        )
    table = folder / "trials.csv"
    study.trials_dataframe().to_csv(table, index=False, lineterminator="\n")
    files = [table]
    for name, plot in plots.items():
        file = folder / f"{name}.png"
        try:
            with plt.rc_context():  # Optuna sets a style
                plot()
                plt.gcf().savefig(file, dpi=110, bbox_inches="tight")  # long names would be cut
            files.append(file)
        except (ValueError, RuntimeError) as error:
            log.warning("no plot %s: %s", name, " ".join(str(error).split()))
        finally:
            plt.close("all")
    return files
