"""Sweeps: several trainings that belong together, by Hydra's multirun or DVC's experiments."""

import logging
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from stages.configuration import pipelines
from stages.layout import main_checkout, output

log = logging.getLogger(__name__)


def sweep() -> str | None:
    """The name of what this run belongs to; None for a run of its own.

    That is the multirun's time of start, or the commit that DVC's experiments start from
    (``DVC_EXP_BASELINE_REV``, https://dvc.org/doc/user-guide/env).
    """
    if _multirun():
        return f"multirun {Path(HydraConfig.get().sweep.dir).name}"
    commit = os.environ.get("DVC_EXP_BASELINE_REV")
    return f"experiments of {commit[:7]}" if commit else None


def run_name(default: str) -> str:
    """The DVC experiment's name, or what a multirun's trial overrides, or ``default``."""
    if _multirun():
        choices = HydraConfig.get().overrides.task
        pipeline = next(text for text in choices if text.startswith("pipeline="))
        groups = pipelines()[pipeline.partition("=")[2]].get("train", {}).get("groups", {})
        usual = {pipeline, *(f"{group}={choice}" for group, choice in groups.items())}
        return " ".join(text for text in choices if text not in usual) or default
    return os.environ.get("DVC_EXP_NAME") or default


def report_sweep(pipeline: str, metric: str) -> None:
    """Gives the parent run a table of its children so far, and a chart; nothing without a sweep."""
    name = sweep()
    if name is None:
        return
    from classifier import tracking
    from classifier.charts import draw_sweep

    try:
        # Of two trials that end at once, the later one's table has both.
        lock = FileLock(main_checkout() / ".dvc" / "tmp" / "sweep.lock")
        with lock, TemporaryDirectory() as folder:
            table = tracking.sweep_table(main_checkout(), pipeline, name, metric)
            chart, sheet = Path(folder, "sweep.png"), Path(folder, "sweep.csv")
            draw_sweep(table, chart, metric=metric, title=f"{pipeline}: {name}")
            table.to_csv(sheet, index=False, lineterminator="\n")
            tracking.log_to_sweep(main_checkout(), pipeline, name, [sheet, chart])
    except tracking.STORE_ERRORS as error:  # the training's own result is safe by now
        log.warning("the table of %s could not be made: %s", name, tracking.reason(error))


def destination(stage: str, pipeline: str) -> Path:
    """The stage's output, or, in a multirun, a folder of the trial's own.

    What DVC knows of stays as it was.
    """
    if _multirun():
        return Path(HydraConfig.get().runtime.output_dir) / stage
    return output(stage, pipeline)


def _multirun() -> bool:
    return HydraConfig.get().mode is RunMode.MULTIRUN
