"""check: a minute or two before a long training: will it learn, how fast, and what limits it?

$ python -m stages.check pets

It composes the configurations of all stages, lets the network learn one batch by heart, looks for a
learning rate, times the parts of the training, and says how long it will take. It needs the images
of the stage normalize, and writes one chart, reports/<pipeline>/check.png. Exit status 0: one batch
was learned. 2: it was not. 1: the training cannot begin.
"""

import argparse
import logging
import resource
import sys
import time
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ruamel.yaml import YAML

from classifier.rehearsal.estimate import PhaseTime, shares, spelled, total
from classifier.support.atomic import atomic_path
from classifier.support.errors import InputError
from classifier.support.startup_lines import import_tensorflow
from stages.base import with_fixed_base
from stages.configuration import composed, pipeline_section
from stages.layout import FOLDERS, needed, output
from stages.one_line import stops_in_one_line
from stages.schemas import SCHEMAS, Train
from stages.trained import with_fixed_models

CHART = "check.png"
DOES_NOT_LEARN = 2  # the exit status
SECONDS = 100.0  # of all parts, on a machine on which TensorFlow starts within 15
# Of these, the most that each part gets. What makes graphs and reads the images takes the rest.
PARTS = {"feed": 4.0, "network": 8.0, "range": 22.0, "overfit": 14.0, "head": 3.0, "fixed": 4.0}
RANGE_STEPS, OVERFIT_STEPS = 100, 300
NOISY = 40  # range steps, below which other batches would blur what the rates do
FED = 6  # steps that are timed with the feed, where the range test is without it
# Git has some of the files of these stages: a file that it does not have.
FILES = {"train": "model.keras", "evaluate": "answers.npz"}
HEAD_BATCH, WHOLE_BATCH = 64, 256  # images at once: of features, of validation


class Setting(NamedTuple):
    """What is trained, as the stage train puts it together."""

    config: Train
    model: Any
    feed: Any
    phases: list[Any]
    validation: int  # images
    budget: dict[str, float]  # seconds, by part


class Measured(NamedTuple):
    """What the steps of a phase have shown."""

    time: PhaseTime
    rate: float  # the learning rate that is configured
    test: Any  # RateRange; None if there was no time for one
    one_batch: bool  # it had one batch, again and again


def check(pipeline: str, seconds: float) -> bool:
    """Prints what it finds, line by line, and draws the chart; whether one batch was learned.

    Raises:
        InputError: a configuration does not fit, images are missing, or the memory is too small.
    """
    begin = time.perf_counter()
    config = compose_all(pipeline)
    say("outputs", outputs(pipeline))
    need(pipeline, config)
    import_tensorflow()
    from classifier.rehearsal.chart import draw
    from classifier.rehearsal.pace import feed_rate

    setting = assembled(config, {part: share * seconds / SECONDS for part, share in PARTS.items()})
    feed, start = setting.feed, time.perf_counter() - begin
    size = " x ".join(map(str, feed.images.shape[1:]))
    say(
        "trains on",
        f"{len(feed.images):,} images of {size}: {feed.steps_per_epoch:,} steps of "
        f"{feed.images_per_step} in an epoch; {setting.validation:,} to validate",
    )
    images = feed_rate(feed, setting.budget["feed"])
    measured, batch = [], None
    for one, learned in rehearsed(setting):
        measured.append(one)
        batch = batch or learned
        say("learning rate", learning_rate(one, setting.budget["range"]))
        say("a step", f"{one.time.name}: {step(one.time)}")
    assert batch is not None  # of the first phase
    say("feed", f"{images:,.0f} images a second, read and augmented, with nothing else to do")
    say("memory", memory(setting))
    chart = output("evaluate", pipeline) / CHART
    with atomic_path(chart) as temporary:
        tests = {one.time.name: (one.test, one.rate) for one in measured if one.test}
        draw(temporary, f"{pipeline}: before the training", batch, tests)
    say("chart", str(chart))
    for line in estimate([one.time for one in measured], config, start):
        say("estimate", line)
    return batch.verdict != "does not learn"


def say(label: str, text: str) -> None:
    print(f"{label:<15}{text}", flush=True)


def compose_all(pipeline: str) -> Train:
    """Composes and validates each stage's configuration, and gives that of the training.

    Raises:
        InputError: some of them do not fit. All mistakes but the last are printed.
    """
    pipeline_section(pipeline, "train")
    mistakes, found = [], {}
    for stage in SCHEMAS:
        try:
            found[stage] = composed(pipeline, stage)
        except InputError as error:
            mistakes.append(f"pipelines.{pipeline}.{stage}: {error}")
    for mistake in mistakes[:-1]:
        print(f"check: {mistake}", file=sys.stderr)
    if mistakes:
        raise InputError(mistakes[-1])
    say("configuration", f"of {', '.join(SCHEMAS)}: valid")
    config: Train = found["train"]
    return config


def outputs(pipeline: str) -> str:
    """Which stages have outputs, and of which dvc.lock has other parameters than params.yaml."""
    file = Path("dvc.lock")
    lock = YAML(typ="safe").load(file) if file.exists() else {}
    there = [
        stage for stage in FOLDERS if (output(stage, pipeline) / FILES.get(stage, "")).exists()
    ]
    old = []
    for stage in there:
        entry = lock.get("stages", {}).get(f"{stage}@{pipeline}", {})
        key = f"pipelines.{pipeline}.{stage}"
        recorded = entry.get("params", {}).get("params.yaml", {}).get(key)
        now = YAML(typ="safe").load(Path("params.yaml"))["pipelines"][pipeline].get(stage)
        if recorded is not None and recorded != now:
            old.append(stage)
    missing = [stage for stage in FOLDERS if stage not in there]
    text = f"there: {', '.join(there) or 'none'}; not yet: {', '.join(missing) or 'none'}"
    return f"{text}; made with other parameters: {', '.join(old)}" if old else text


def need(pipeline: str, config: Train) -> None:
    """Checks that there is what the training reads.

    Raises:
        InputError: something is missing; says the command that makes all of it.
    """
    makers = {"normalize": "augment", "augment": "augment"}
    if "base" in config.model and config.model["base"] is None:
        makers["backbone"] = "backbone"
    missing = [stage for stage in makers if not output(stage, pipeline).exists()]
    if missing:
        paths = " and ".join(str(output(stage, pipeline)) for stage in missing)
        targets = " ".join(dict.fromkeys(f"{makers[stage]}@{pipeline}" for stage in missing))
        are = "is" if len(missing) == 1 else "are"
        raise InputError(f"{paths} {are} missing: run 'dvc repro {targets}'")


def assembled(config: Train, budget: dict[str, float]) -> Setting:
    """What the stage train would train, in one process."""
    from classifier.training import session
    from classifier.training.strategies import single
    from classifier.training.training_set import read_training_set
    from stages.configuration import choice
    from stages.train import assemble

    name = config.pipeline
    composed(name, "train")  # the choices of this stage
    session.begin(config)
    if choice("strategy") != "single":
        say("strategy", f"{choice('strategy')}: measured here with one process and one device")
    config.model = with_fixed_base(config)
    given = with_fixed_models(config)
    data = read_training_set(needed("normalize", name), needed("augment", name))
    model, feed, phases = assemble(config, single(), data, given)
    feed.report()
    return Setting(config, model, feed, phases, len(data.validation[0]), budget)


def rehearsed(setting: Setting) -> Any:
    """Measures phase after phase; gives of each what was measured, and of the first the batch."""
    from classifier.rehearsal.pace import pass_through
    from classifier.training.features import split_at_head
    from classifier.training.freezing import unfreeze
    from classifier.training.memory import check_features

    config, model, feed, phases, validation, budget = setting
    rate = config.optimizer["learning_rate"]
    first, *later = phases
    if first.unfrozen:  # a training that goes on
        unfreeze(model, first.unfrozen)
        rate *= config.fine_tune_rate
    if first.on_features:
        base, trained = split_at_head(model)
        check_features(len(feed.images), base.output_shape[1])
        passed = pass_through(base, feed, HEAD_BATCH, budget["network"])
        labels = feed.task.labels(passed.targets)
        parts = {"images": passed.outputs, "labels": labels, "sampling": "natural"}
        shown = replace(feed, **parts, layers=(), mixing=None)
        features, validated = (len(feed.images) + validation) / passed.rate, np.inf
    else:
        trained, shown, features = model, feed, 0.0
        passed = pass_through(model, feed, WHOLE_BATCH, budget["network"])
        validated = passed.rate
    name = phase_name(first, model)
    one = measure(setting, name, first, trained, shown, rate, validated)
    one = one._replace(time=one.time._replace(features=features))
    yield one, learned_by_heart(setting, first, trained, shown, rate, one.test)
    for phase in later:
        train_head(trained, first, shown, rate, budget["head"])
        unfreeze(model, phase.unfrozen)
        smaller = rate * config.fine_tune_rate
        yield (
            measure(setting, phase_name(phase, model), phase, model, feed, smaller, passed.rate),
            None,
        )


def phase_name(phase: Any, model: Any) -> str:
    """What trains in a phase."""
    from classifier.training.freezing import frozen_layers

    if phase.unfrozen:
        return f"top {phase.unfrozen} layers"
    return "head" if phase.on_features or frozen_layers(model) else "all layers"


def measure(
    setting: Setting, name: str, phase: Any, model: Any, feed: Any, rate: float, validated: float
) -> Measured:
    """Takes steps of a phase, at rates that grow, and times what the training does besides.

    Args:
        model: of the phase, the head alone or the whole one.
        feed: its training batches.
        rate: the learning rate that is configured.
        validated: images a second that go through the model.
    """
    from classifier.rehearsal.pace import FOREVER, epoch_end, steady, together
    from classifier.rehearsal.rate_range import FEWEST, rate_range
    from classifier.rehearsal.steps import Steps, taken, weights_restored
    from classifier.training.memory import check_memory

    config, budget = setting.config, setting.budget
    if not config.jit_compile:
        check_memory(model, feed.images_per_step)
    dataset = feed.batches(FOREVER)
    steps, batches = Steps(model, phase, dataset.element_spec, config.jit_compile), iter(dataset)
    fixed = next(batches)
    again = repeat(fixed)
    with weights_restored(model):
        warm = taken(list(steps.take(again, [1e-9] * 3)))
        first, quick = warm.seconds[0], warm.seconds[1:].mean()
        more = int(np.clip(budget["fixed"] / quick, 2, 20))
        network = taken(list(steps.take(again, [1e-9] * more))).seconds
    count = min(RANGE_STEPS, int(budget["range"] / network.mean()))
    low, high = (rate / 1000, rate * 1000) if count >= NOISY else (rate / 100, rate * 100)
    used, test = batches if count >= NOISY else again, None
    if count >= FEWEST:
        test = rate_range(model, steps, used, low, high, count)
    if test and used is batches:
        seconds = test.taken.seconds
    else:
        with weights_restored(model):
            seconds = taken(list(steps.take(batches, [1e-9] * FED))).seconds
    last = epoch_end(model, setting.model, fixed[:2], setting.validation, validated)
    step = steady(seconds)
    alone = min(1.0, float(np.median(network)) / step)
    if config.steps_per_execution > 1:
        with weights_restored(model):
            first, step = together(model, phase, feed, config, budget["fixed"])
    times = PhaseTime(
        name=name,
        epochs=phase.epochs,
        steps=setting.feed.steps_per_epoch,
        first=first + last.once,
        step=step,
        network=step * alone,
        validation=last.validation,
        # The first epochs are often the best so far, later ones seldom.
        saving=last.checkpoint + last.saving * min(1.0, 2 / np.sqrt(phase.epochs)),
    )
    return Measured(times, rate, test, used is again)


def learned_by_heart(
    setting: Setting, phase: Any, model: Any, feed: Any, rate: float, test: Any
) -> Any:
    """Lets the model learn one batch, and prints whether it does."""
    from classifier.rehearsal.overfit import likely_causes, overfit
    from classifier.rehearsal.pace import unchanged
    from classifier.training.distillation import by_labels_alone

    batch = next(iter(unchanged(feed).batches(range(1))))
    seconds, compiled = setting.budget["overfit"], setting.config.jit_compile
    with by_labels_alone(model):  # what a teacher says of the batch is no loss near 0
        result = overfit(
            model, phase, batch, rate, steps=OVERFIT_STEPS, seconds=seconds, jit_compile=compiled
        )
    losses = result.taken.losses
    text = f"{result.verdict}: "
    if len(losses):
        cut = ", cut short" if result.cut_short else ""
        text += (
            f"the loss of {len(batch[0])} images went from {losses[0]:.3g} to {losses[-1]:.3g} in "
            f"{len(losses)} steps{cut} (the lowest possible: {result.floor:.2g})"
        )
    say("one batch", text)
    if result.verdict != "learns":
        for cause in likely_causes(result, model, batch, rate, test):
            say("", f"perhaps: {cause}")
    return result


def train_head(model: Any, phase: Any, feed: Any, rate: float, seconds: float) -> None:
    """Trains the head for a few seconds: the next phase begins with a head that is trained."""
    from classifier.rehearsal.pace import FOREVER
    from classifier.rehearsal.steps import Steps

    dataset = feed.batches(FOREVER)
    steps = Steps(model, phase, dataset.element_spec, jit_compile=False)
    deadline = None
    for _ in steps.take(iter(dataset), repeat(rate)):
        deadline = deadline or time.perf_counter() + seconds
        if time.perf_counter() > deadline:
            break


def learning_rate(one: Measured, seconds: float) -> str:
    """What the range test says of the rate that is configured."""
    place = f"{one.time.name}: {one.rate:.3g}"
    if one.test is None:
        return f"{place} was not tested: {seconds:.0f} s are too few for steps this slow"
    told = [f"the loss falls fastest at {one.test.steepest:.2g}"] if one.test.steepest else []
    told += [f"rises from {one.test.rises:.2g} on"] if one.test.rises else []
    batches = " of one batch" if one.one_batch else ""
    facts = (
        f"{' and '.join(told) or 'the loss did not change'} ({len(one.test.rates)} steps{batches})"
    )
    verdict = one.test.verdict(one.rate)
    if verdict == "unknown":
        return f"{place}: {facts}"
    if verdict == "fits":
        return f"{place} fits: {facts}"
    low, high = (f"{value:.2g}" for value in one.test.suggested)
    wanted = low if low == high else f"{low} to {high}"
    return f"{place} looks {verdict}, try {wanted}: {facts}"


def step(phase: PhaseTime) -> str:
    return f"{spelled(phase.step)}, with a batch that is there already {spelled(phase.network)}"


def memory(setting: Setting) -> str:
    """The memory that was used, and what is free."""
    from classifier.training.memory import free_bytes, step_bytes

    fixed, image = step_bytes(setting.model)
    least = fixed + setting.feed.images_per_step * image
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    free = free_bytes(Path("/sys/fs/cgroup"))
    return (
        f"{peak / 1e9:.1f} GB at most until now, of which a step holds {least / 1e9:.2g} GB or "
        f"more; {free / 1e9:.1f} GB are free"
    )


def estimate(phases: list[PhaseTime], config: Train, start: float) -> list[str]:
    """How long the training will take, and what it goes to."""
    seconds = total(phases)
    epochs = sum(phase.epochs for phase in phases)
    most = " at most: it may stop earlier (patience)" if config.patience is not None else ""
    named = [f"{phase.name} {spelled(phase.seconds - phase.features)}" for phase in phases]
    if phases[0].features:
        named.insert(0, f"features {spelled(phases[0].features)}")
    parts = shares(phases, start)
    whole = sum(parts.values())
    (limit, largest), *others = parts.items()
    rest = ", ".join(f"{name} {100 * part / whole:.0f} %" for name, part in others)
    return [
        f"{spelled(seconds)} for {epochs} epochs{most}: {', '.join(named)}",
        f"{spelled(whole)} with start-up; limited by {limit} ({100 * largest / whole:.0f} %; "
        f"{rest})",
    ]


def main() -> None:
    logging.basicConfig(format="check: %(message)s")  # warnings of the library
    parser = argparse.ArgumentParser(
        prog="python -m stages.check",
        description="Says before a training whether it will learn, how long it takes, and why",
    )
    parser.add_argument("pipeline")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help=f"for all that is measured, about (default: {SECONDS:.0f})",
    )
    arguments = parser.parse_args()
    with stops_in_one_line("check"):
        if not arguments.seconds > 0:
            raise InputError("--seconds must be above 0")
        if not check(arguments.pipeline, arguments.seconds):
            sys.exit(DOES_NOT_LEARN)


if __name__ == "__main__":
    main()
