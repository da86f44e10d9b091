"""Sweeps: trainings that belong together, in a multirun of Hydra or as DVC experiments.

DVC does not tell a queued experiment which sweep it belongs to. With ``--name rates``, DVC calls
the trials of one ``dvc exp run --queue`` rates-1, rates-2, …: the name and the commit that they
start from are the sweep. Without, the sweep is the commit and the set of parameters that differ
from it. Another ``dvc exp run`` of the same parameters then continues it, and a grid of several
parameters that contains a committed value falls into several.

DVC does not train with the committed values again. The run of the commit is their row.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from ruamel.yaml import YAML

from classifier.support.errors import InputError
from stages import provenance
from stages.dvc_lock import hash_of_fingerprint, lock_at, weights_hash
from stages.git import git
from stages.layout import main_checkout, needed, output
from stages.params import groups_outside, pipelines

LONGEST = 150  # characters of a sweep's parameters in its name
SEEDS = "seeds"  # of stages.seeds: the folder, and the first word of the parent run's name
log = logging.getLogger(__name__)


class Sweep(NamedTuple):
    """The sweep that this trial belongs to, and what the trial is in it.

    ``values`` are by the keys of the pipeline's section, ``train.epochs``. ``commit`` is what a DVC
    experiment starts from; a multirun has none.
    """

    name: str
    values: dict[str, Any]
    commit: str | None


def sweep(pipeline: str) -> Sweep | None:
    """The sweep that this run belongs to; None if it belongs to none.

    A DVC experiment starts from ``DVC_EXP_BASELINE_REV`` and has the name ``DVC_EXP_NAME``
    (https://dvc.org/doc/user-guide/env). Without a changed parameter of the pipeline, it belongs
    to none.
    """
    if _multirun():
        kind = SEEDS if of_seeds() else "multirun"
        name = f"{kind} {Path(HydraConfig.get().sweep.dir).name}"
        return Sweep(name, _overrides(), None)
    commit = os.environ.get("DVC_EXP_BASELINE_REV")
    if not commit:
        return None
    from classifier.tracking.records import flatten

    now, before = flatten(pipelines()[pipeline]), _committed_params(commit, pipeline)
    values = {
        key: now.get(key)
        for key in sorted(now | before)
        if key not in before or key not in now or now[key] != before[key]
    }
    if not values:
        return None
    named = re.fullmatch(r"(.+)-\d+", os.environ.get("DVC_EXP_NAME", ""))
    if named:
        name = f"experiments {named[1]} of {commit[:7]}"
    else:
        name = f"experiments of {commit[:7]}: {_short(', '.join(values))}"
    return Sweep(name.replace("'", ""), values, commit)  # MLflow's filters have no escaped quote


def _short(keys: str) -> str:
    if len(keys) <= LONGEST:
        return keys
    return f"{keys[:LONGEST]}… {sha256(keys.encode()).hexdigest()[:8]}"


def _overrides() -> dict[str, Any]:
    """The values of the multirun's trial, by their keys in the pipeline's section."""
    values = {}
    for override in HydraConfig.get().overrides.task:
        key, _, text = override.lstrip("+~").partition("=")
        if key != "pipeline":
            values[f"train.groups.{key}" if Path("conf", key).is_dir() else f"train.{key}"] = text
    return values


def _committed_params(commit: str, pipeline: str) -> dict[str, Any]:
    """The pipeline's section of the commit's params.yaml, flat; empty if it has none."""
    from classifier.tracking.records import flatten

    try:
        params = YAML(typ="safe").load(git("show", f"{commit}:./params.yaml"))
    except InputError:
        return {}
    return flatten(params["pipelines"].get(pipeline) or {})


def _committed_run(commit: str, pipeline: str, metric: str) -> str | None:
    """The id of the run that trained the commit's model; None if the store does not have it."""
    from classifier import tracking

    try:
        lock = lock_at(commit)
    except InputError:
        return None
    inputs = provenance.inputs_digest(lock.get(f"train@{pipeline}", {}))
    weights = weights_hash(lock, pipeline)

    def of_inputs(tags: Mapping[str, str]) -> bool:
        return bool(inputs) and tags.get(provenance.INPUTS) == inputs

    def of_weights(tags: Mapping[str, str]) -> bool:  # a run of before has no digest of inputs
        # A trial can come to the same weights: another number of epochs, the same best epoch.
        of_trial = tracking.SWEEP_VALUES in tags
        return not of_trial and hash_of_fingerprint(tags.get(tracking.FINGERPRINT)) == weights

    runs = (
        tracking.finished_run(main_checkout(), pipeline, metric, wanted)
        for wanted in (of_inputs, of_weights)
    )
    return next(filter(None, runs), None)


def tags(belongs: Sweep | None) -> dict[str, str]:
    """The tags of a trial; empty for a run outside sweeps."""
    from classifier import tracking

    if belongs is None:
        return {}
    values = {tracking.SWEEP_VALUES: json.dumps(belongs.values)}
    number = HydraConfig.get().sweeper.get("trial") if _multirun() else None
    return values if number is None else values | {tracking.SWEEP_TRIAL: str(number)}


def on_main_line() -> bool:
    """Whether this run is neither a DVC experiment nor a trial of a multirun."""
    experiment = any(os.environ.get(name) for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"))
    return not (experiment or _multirun())


def run_name(default: str) -> str:
    """The name of the DVC experiment, or the overrides of the multirun's trial, or ``default``."""
    if _multirun():
        choices = HydraConfig.get().overrides.task
        pipeline = next(text for text in choices if text.startswith("pipeline="))
        section = pipelines()[pipeline.partition("=")[2]].get("train") or {}
        groups = groups_outside("train") | (section.get("groups") or {})
        usual = {pipeline, *(f"{group}={choice}" for group, choice in groups.items())}
        return " ".join(text for text in choices if text not in usual) or default
    return os.environ.get("DVC_EXP_NAME") or default


def report_sweep(pipeline: str, metric: str) -> None:
    """Logs a table and a chart of the sweep's finished runs, if this run belongs to a sweep, and
    prints the best value and where the table is.
    """
    belongs = sweep(pipeline)
    if belongs is None or of_seeds():  # of seeds, none is the best: stages.seeds has their table
        return
    from classifier import tracking
    from classifier.reporting.charts import draw_sweep

    name, root = belongs.name, main_checkout()
    try:
        # If two trials end at the same time, the table that is logged last has both.
        with FileLock(root / ".dvc" / "tmp" / "sweep.lock"), TemporaryDirectory() as folder:
            committed, usual = None, {}
            if belongs.commit:
                committed = _committed_run(belongs.commit, pipeline, metric)
                usual = _committed_params(belongs.commit, pipeline)
                if committed is None:
                    log.warning("%s: no run of the commit itself is in the table", name)
            table = tracking.sweep_table(root, pipeline, name, metric, committed, usual)
            chart, sheet = Path(folder, "sweep.png"), Path(folder, "sweep.csv")
            draw_sweep(table, chart, metric=metric, title=f"{pipeline}: {name}")
            table.to_csv(sheet, index=False, lineterminator="\n")
            place = tracking.log_to_sweep(root, pipeline, name, [sheet, chart])
    except tracking.STORE_ERRORS as error:  # the training's result is already written
        log.warning("the table of %s could not be made: %s", name, tracking.reason(error))
        return
    best = table.iloc[0]
    found = f"{best[metric]:.6g} ({best['run']})"
    log.info("%s: the best %s of %d runs is %s", name, metric, len(table), found)
    log.info("its table: %s/sweep.csv", place)


def destination(stage: str, pipeline: str) -> Path:
    """The output of the stage; in a multirun, a folder for this trial, which DVC does not track."""
    if _multirun():
        return Path(HydraConfig.get().runtime.output_dir) / stage
    return output(stage, pipeline)


def source(stage: str, pipeline: str, name: str = "") -> Path:
    """The output of an earlier stage, or the file ``name`` in it: in a multirun that of this trial,
    if it has one.

    Raises:
        InputError: it does not exist, as :func:`needed`.
    """
    path = destination(stage, pipeline) / name
    return path if path.exists() else needed(stage, pipeline, name)


def seeds_folder(pipeline: str, name: str) -> Path:
    """The folder of the trainings of stages.seeds that are not finished, by pipeline and name."""
    return main_checkout() / ".dvc" / "tmp" / SEEDS / pipeline / name


def of_seeds() -> bool:
    """Whether this run is one of the trainings of stages.seeds, in a folder of seeds_folder."""
    return _multirun() and Path(HydraConfig.get().sweep.dir).parent.parent.name == SEEDS


def _multirun() -> bool:
    return HydraConfig.get().mode is RunMode.MULTIRUN
