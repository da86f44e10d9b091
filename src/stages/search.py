"""A search by Optuna, as a multirun of Hydra that a later process continues.

The command line of ``--multirun hydra/sweeper=optuna`` says what is searched, in Hydra's grammar.
The trials are in Optuna's storage. A trial's process finds the storage and the trial's number in
Hydra's configuration, also on another node of Ray.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig
from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from classifier.support.directions import higher_is_better
from classifier.support.errors import InputError
from classifier.support.limits import STRICT, Count, Seed
from stages.layout import checkpoints, main_checkout
from stages.lock import locked
from stages.params import check_names, pipelines
from stages.validation import one_line

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

PLUGIN = "hydra_plugins.optuna_sweeper.OptunaSweeper"
FOLDER = ".dvc/tmp/multirun"  # of the trials' outputs
SEARCHED, FIXED, IN_FILE = "searched ", "fixed ", "params.yaml "  # keys of what a sweep is of
Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]
log = logging.getLogger(__name__)


@dataclass(kw_only=True, config=STRICT)
class Options:
    """conf/hydra/sweeper/optuna.yaml explains them."""

    sampler: Any
    pruner: Any
    study_name: str
    storage: str | None
    n_trials: Count
    n_jobs: Count
    seed: Seed
    trial: int | None


def of_study(overrides: Sequence[str]) -> dict[str, str]:
    """Overrides of Hydra by their keys: the sweep's name, and a folder for each trial.

    Without a name on the command line, it is the pipeline and a digest of its section of
    params.yaml and of what is searched: the same command continues the same sweep.
    """
    given = dict(text.partition("=")[::2] for text in overrides)
    pipeline = given.get("pipeline", "")
    name = given.get("hydra.sweeper.study_name")
    if not name:
        task = sorted(text for text in overrides if not text.startswith(("hydra", "+hydra")))
        words = json.dumps([pipelines().get(pipeline), task], sort_keys=True, default=str)
        name = f"{pipeline}-{sha256(words.encode()).hexdigest()[:8]}"
    check_names([name], "the sweep has the name hydra.sweeper.study_name")
    return {
        "hydra.sweeper.study_name": name,
        "hydra.sweep.dir": f"'${{hydra.runtime.cwd}}/{FOLDER}/{name}'",
        "hydra.sweep.subdir": "'${hydra.sweeper.trial}'",
    }


def storage_url(given: str | None) -> str:
    """The URL of the storage: the one that is given, or that of .dvc/tmp/sweeps.db."""
    if given:
        return given
    folder = main_checkout() / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'sweeps.db'}"


def search(
    values: Mapping[str, Any], arguments: Sequence[str], config: DictConfig | None, launch: Launch
) -> None:
    """Runs the trials that the sweep still lacks, and logs what came out to its parent run.

    Args:
        values: of :class:`Options`.
        arguments: the overrides of the command line: what is fixed, and what is searched.
        config: composed without them.
        launch: runs trials, each with its overrides; the second argument is the first's number.

    Raises:
        InputError: a value is outside its limits, nothing is searched, or the storage has another
            sweep of this name; or what a trial raised.
    """
    try:
        options = Options(**values)
    except ValidationError as error:
        raise InputError(one_line(error, prefix="hydra.sweeper", schema=Options)) from None
    space, fixed = search_space(arguments)
    pipeline = fixed["pipeline"]
    monitor = fixed.get("monitor") or (config.get("monitor") if config else None)
    if not space:
        raise InputError(
            "nothing is searched: give a key an interval, optimizer.learning_rate="
            "interval(0.001,0.1), or values, epochs=3,6"
        )
    if monitor is None or "monitor" in space:
        raise InputError("only train is searched, for one monitor")
    from classifier.studies import study as studies

    limit = studies.combinations(options.sampler, space)
    total = options.n_trials if limit is None else min(limit, options.n_trials)
    storage, name = storage_url(options.storage), options.study_name
    of = identity(pipeline, str(monitor), space, fixed)
    study = studies.open_study(storage, name, of, higher=higher_is_better(str(monitor)))
    with locked(main_checkout() / FOLDER / name):
        killed = studies.mark_killed(study)
        before = len(studies.finished(study))
        if killed:
            numbers = ", ".join(map(str, killed))
            log.warning("sweep %s: trial %s was killed; it does not count", name, numbers)
            _end_runs(pipeline, name, killed)
        log.info("sweep %s: %d of %d trials are finished", name, before, total)
        while (left := total - len(studies.finished(study))) > 0:
            run_trials(study, space, fixed, options, min(left, options.n_jobs), launch)
        report(study, pipeline, name, str(monitor))


def search_space(
    arguments: Sequence[str],
) -> tuple[dict[str, "BaseDistribution"], dict[str, str]]:
    """What is searched, and the texts of the values that are fixed, by their keys.

    Raises:
        InputError: Hydra knows this kind of values, and Optuna does not.
    """
    space: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    for override in OverridesParser.create().parse_overrides(list(arguments)):
        key = override.get_key_element()
        space.pop(key, None)
        fixed.pop(key, None)  # the last one counts
        if override.is_sweep_override():
            space[key] = distribution(override)
        else:
            fixed[key] = override.get_value_element_as_str()
    return space, fixed


def distribution(override: Override) -> "BaseDistribution":
    """Optuna's distribution for ``choice``, ``range`` or ``interval`` of Hydra's grammar."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    value, place = override.value(), override.input_line
    try:
        if isinstance(value, IntervalSweep):
            low, high, in_logs = value.start, value.end, "log" in value.tags
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=in_logs)
            return FloatDistribution(float(low or 0), float(high or 0), log=in_logs)
        choices: list[Any] = list(override.sweep_iterator(Transformer.encode))
        if isinstance(value, RangeSweep) and not value.shuffle:
            low, high, step = min(map(float, choices)), max(map(float, choices)), abs(value.step)
            if all(isinstance(part, int) for part in (value.start, value.stop, step)):
                return IntDistribution(int(low), int(high), step=int(step))
            return FloatDistribution(low, high, step=float(step))
        return CategoricalDistribution(choices)
    except ValueError as error:
        raise InputError(f"{place}: {' '.join(str(error).split())}") from None


def identity(
    pipeline: str, monitor: str, space: Mapping[str, Any], fixed: Mapping[str, str]
) -> dict[str, str]:
    """What decides the values of a sweep's trials, as texts by dotted keys."""
    from classifier.tracking.records import flatten

    return {
        "pipeline": pipeline,
        "monitor": monitor,
        **{f"{SEARCHED}{key}": str(values) for key, values in space.items()},
        **{f"{FIXED}{key}": text for key, text in fixed.items()},
        **{f"{IN_FILE}{key}": str(value) for key, value in flatten(pipelines()[pipeline]).items()},
    }


def run_trials(
    study: "Study",
    space: dict[str, Any],
    fixed: Mapping[str, str],
    options: Options,
    number: int,
    launch: Launch,
) -> None:
    """Runs so many new trials at once.

    Raises:
        Exception: what a trial raised, after the others have ended. A later search does not try
            its values again.
    """
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    from classifier.studies import study as studies
    from classifier.tracking import Pruned

    trials = [studies.ask(study, space, options.sampler, options.seed, n) for n in range(number)]
    overrides = [
        [
            *(f"{key}={text}" for key, text in fixed.items()),
            *(f"{key}={value}" for key, value in trial.params.items()),
            f"hydra.sweeper.trial={trial.number}",
        ]
        for trial in trials
    ]
    try:
        returns = launch(overrides, trials[0].number)
    except BaseException:  # Ctrl-C, for example
        for trial in trials:
            studies.end_killed(study, trial)
        raise
    for trial, returned in zip(trials, returns, strict=True):
        result = returned._return_value  # an exception, if it failed
        if returned.status is JobStatus.COMPLETED:
            # The stage gives a value of which more is better.
            value = -result if study.direction is StudyDirection.MINIMIZE else result
            studies.tell(study, trial, value, TrialState.COMPLETE)
        elif isinstance(result, Pruned):
            studies.tell(study, trial, None, TrialState.PRUNED)
            log.info("trial %d was pruned: %s", trial.number, result)
        else:
            studies.tell(study, trial, None, TrialState.FAIL)
    for returned in returns:
        if not isinstance(returned._return_value, Pruned):
            returned.return_value  # noqa: B018  raises what the trial raised


@contextmanager
def reported_epochs(monitor: str) -> Iterator[None]:
    """A block of a trial, which reports each epoch to the study, and ends if it is pruned."""
    from classifier import tracking
    from classifier.studies.study import running_trial

    sweeper = HydraConfig.get().sweeper
    pruner, storage = instantiate(sweeper.pruner), storage_url(sweeper.storage)
    trial = running_trial(storage, sweeper.study_name, sweeper.trial, pruner)
    reported = set(trial.study.trials[trial.number].intermediate_values)

    def watch(epoch: int, logs: Mapping[str, float]) -> None:
        if epoch not in reported:  # by the process that was killed before
            trial.report(logs[monitor], epoch)
        if trial.should_prune():
            raise tracking.Pruned(f"after epoch {epoch}, {monitor} {logs[monitor]:.6g}")

    with tracking.watched(watch):
        try:
            yield
        except tracking.Pruned as pruned:
            for file in checkpoints("").glob("*/run"):  # it will not go on
                if file.read_text("utf-8") == pruned.run_id:
                    shutil.rmtree(file.parent)
            raise


def in_study(monitor: str | None) -> Any:
    """:func:`reported_epochs` in a trial of a search; a block without an effect elsewhere."""
    config = HydraConfig.get()
    searched = config.mode is RunMode.MULTIRUN and config.sweeper.get("_target_") == PLUGIN
    return reported_epochs(monitor) if searched and monitor else nullcontext()


def _end_runs(pipeline: str, name: str, killed: Sequence[int]) -> None:
    from classifier import tracking

    try:
        tracking.end_trials(main_checkout(), pipeline, f"multirun {name}", killed)
    except tracking.STORE_ERRORS as error:
        log.warning("the runs of killed trials still say RUNNING: %s", tracking.reason(error))


def report(study: "Study", pipeline: str, name: str, monitor: str) -> None:
    """Prints the best trial; logs Optuna's plots and the importances to the sweep's parent run."""
    from optuna.trial import TrialState

    from classifier import tracking
    from classifier.studies.plots import draw_study, importances

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    if not complete:
        log.warning("sweep %s: all %d trials were pruned", name, len(pruned))
        return
    shares = importances(study)
    try:
        with TemporaryDirectory() as folder:
            files = draw_study(study, Path(folder), value=f"best {monitor}")
            metrics = {f"importance.{key.lstrip('+')}": share for key, share in shares.items()}
            place = tracking.log_to_sweep(
                main_checkout(), pipeline, f"multirun {name}", files, metrics
            )
            log.info("its plots: %s", place)
    except tracking.STORE_ERRORS as error:
        log.warning("the plots of %s could not be logged: %s", name, tracking.reason(error))
    log.info("sweep %s: %d trained all epochs, %d pruned", name, *map(len, (complete, pruned)))
    for key, share in shares.items():
        log.info("importance of %s: %.2f", key, share)
    best = study.best_trial
    log.info("Best parameters: %s", best.params)
    log.info("Best value: %s (trial %d)", best.value, best.number)
    log.info("to keep them: python -m stages.apply %s %s", pipeline, name)
