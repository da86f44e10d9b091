"""A study in Optuna's storage: what it is of, its trials, and the sampler of the next one.

The seed of a trial's sampler comes from the number of trials before it, and the samplers look at
finished trials alone. So a study that was broken off chooses the same values as an unbroken one.
"""

import platform
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, BruteForceSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from classifier.support.addresses import without_credentials
from classifier.support.errors import InputError, nearest

OF = "of"  # an attribute of a study: what it is of, as texts by their keys
HOST, KILLED = "host", "killed"  # attributes of a trial
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STORAGE_ERRORS = (
    SQLAlchemyError,
    ImportError,  # the database's driver
    ValueError,
    optuna.exceptions.StorageInternalError,
)

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # the grid's


def open_study(storage: str, name: str, of: Mapping[str, str], *, higher: bool) -> Study:
    """The study of this name, which is created if it is new.

    Args:
        storage: a URL that Optuna takes, ``sqlite:///…`` for example.
        of: what decides the values of its trials, by dotted keys.
        higher: whether a higher value is better.

    Raises:
        InputError: the storage cannot be used, or has a study of this name that is of something
            else.
    """
    place = f"the sweep '{name}' in {without_credentials(storage)}"
    other = "give this one another name, hydra.sweeper.study_name=…"
    direction = StudyDirection.MAXIMIZE if higher else StudyDirection.MINIMIZE
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, direction=direction, load_if_exists=True
        )
        if not study.user_attrs and not study.trials:
            study.set_user_attr(OF, dict(of))
        known = study.user_attrs.get(OF)
    except STORAGE_ERRORS as error:
        raise InputError(_unusable(storage, error)) from error
    if known is None:
        raise InputError(f"{place} was made by another program: {other}")
    for key in sorted(known | of):
        if known.get(key) != of.get(key):
            here, there = (values.get(key, "nothing") for values in (of, known))
            raise InputError(f"{place} is another: {key} is {here} here, {there} there: {other}")
    return study


def existing_study(storage: str, name: str | None, key: str, text: str) -> Study:
    """The study of this name; without one, of those whose OF has this ``text``, the one that was
    begun last.

    Raises:
        InputError: the storage cannot be used, or has no such study.
    """
    place = without_credentials(storage)
    try:
        found = optuna.get_all_study_summaries(storage)
        ours = [one for one in found if one.user_attrs.get(OF, {}).get(key) == text]
        if not ours:
            raise InputError(f"{place} has no sweep of {key} {text}")
        if name is None:
            name = max(ours, key=lambda one: one.datetime_start or datetime.min).study_name
        names = [one.study_name for one in ours]
        if name not in names:
            raise InputError(f"{place} has no sweep '{name}' of {text}: {nearest(name, names)}")
        return optuna.load_study(storage=storage, study_name=name)
    except STORAGE_ERRORS as error:
        raise InputError(_unusable(storage, error)) from error


def _unusable(storage: str, error: Exception) -> str:
    reason = without_credentials(" ".join(str(error).split()))
    return f"the storage {without_credentials(storage)} cannot be used: {reason[:300]}"


def running_trial(storage: str, name: str, number: int, pruner: Any) -> Trial:
    """The trial of this number, for the process that trains it to report to."""
    study = optuna.load_study(storage=storage, study_name=name, pruner=pruner)
    return Trial(study, study.trials[number]._trial_id)


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that have a value, and those that were pruned."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def best_trial(study: Study) -> FrozenTrial:
    """The trial with the best value.

    Raises:
        InputError: no trial has one yet.
    """
    try:
        return study.best_trial
    except ValueError:
        raise InputError(f"no trial of the sweep '{study.study_name}' was finished yet") from None


def mark_killed(study: Study) -> list[int]:
    """Marks the trials that run on this machine as failed; returns their numbers.

    The caller has to be the one process of this machine that works on the study.
    """
    here = platform.node()
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    killed = [trial for trial in running if trial.user_attrs.get(HOST, here) == here]
    for trial in killed:
        end_killed(study, trial)
    return [trial.number for trial in killed]


def end_killed(study: Study, trial: Trial | FrozenTrial) -> None:
    """Marks a trial as failed because its process ended, not because of its values."""
    number = trial.number
    Trial(study, trial._trial_id).set_user_attr(KILLED, True)
    study.tell(number, state=TrialState.FAIL)


def ask(
    study: Study,
    space: dict[str, BaseDistribution],
    sampler: Callable[..., BaseSampler],
    seed: int,
    ahead: int,
) -> Trial:
    """A new trial with its values.

    It takes over what a killed trial of the same values has reported: its training goes on after
    the last finished epoch.

    Args:
        space: the distributions of the values by their keys.
        sampler: makes a sampler from a ``seed``.
        seed: of the study.
        ahead: trials that were asked for before this one and run now.
    """
    trials = study.get_trials(deepcopy=False)
    ended = [trial for trial in trials if trial.state.is_finished() and not _killed(trial)]
    words = np.random.SeedSequence([seed, len(ended) + ahead]).generate_state(1)
    study.sampler = sampler(seed=int(words[0]))
    trial = study.ask(space)
    trial.set_user_attr(HOST, platform.node())
    for other in trials:
        if _killed(other) and other.params == trial.params:
            for step, value in other.intermediate_values.items():
                if step not in study.trials[trial.number].intermediate_values:
                    trial.report(value, step)
    return trial


def _killed(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(KILLED))


def tell(study: Study, trial: Trial, value: float | None, state: TrialState) -> None:
    """Ends a trial."""
    try:
        study.tell(trial, value, state)
    except RuntimeError:
        # A sampler that has no more values asks to stop a loop of Optuna's own; ours counts.
        if study.trials[trial.number].state is not state:
            raise


def combinations(
    sampler: Callable[..., BaseSampler], space: Mapping[str, BaseDistribution]
) -> int | None:
    """How many trials a sampler of all combinations has; None for another sampler.

    Raises:
        InputError: there is no end of them.
    """
    if not isinstance(sampler(seed=0), BruteForceSampler):
        return None
    total = 1
    for key, values in space.items():
        if isinstance(values, CategoricalDistribution):
            total *= len(values.choices)
            continue
        step = getattr(values, "step", None)
        if step is None:
            raise InputError(
                f"{key}: a grid has no interval of real numbers: use choice(…), or range(…)"
            )
        low, high = getattr(values, "low", 0), getattr(values, "high", 0)
        total *= round((high - low) / step) + 1
    return total
