"""Combine: one model of several trained ones, evaluated and exported as any other.

$ python -m stages.seeds flowers --seeds 7,8,9
$ python -m stages.combine flowers --runs seeds --how soup
$ classify exports/flowers-soup ~/photos/unknown/*.jpg

soup: the mean of the weights of those models that make it better, added from the best on; the
validation split decides. uniform: the mean of the weights of all. ensemble: the mean of the
probabilities, which takes as long as all models together. A soup takes as long as one model. Where
the trainings began with other random weights, a mean of weights is often worse than each: a soup
that is worse than its best member, on the validation split, is not exported.

The result is exports/<pipeline>-<how>, and a version in MLflow without an alias. Its card names the
runs that it was made of. DVC's outputs stay as they are.
"""

import argparse
import logging
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from classifier.support.atomic import atomic_folder, write_json
from classifier.support.errors import InputError
from classifier.support.startup_lines import import_tensorflow
from stages import provenance
from stages.base import base_card
from stages.configuration import pipeline_section
from stages.layout import BASE, COMBINED, main_checkout, needed, output
from stages.lock import locked
from stages.one_line import stops_in_one_line
from stages.params import pipelines
from stages.programs import run_logged
from stages.seeds import SEED

if TYPE_CHECKING:
    from classifier.tracking import EvaluatedRun

HOW = {"soup": "a greedy soup", "uniform": "a uniform soup", "ensemble": "an ensemble"}
BATCH = 256  # images at once


def combine(pipeline: str, names: Sequence[str], how: str) -> None:
    """Makes the model, evaluates and exports it, and prints how good it is.

    Args:
        names: of experiments of several seeds, or of runs that keep their models.
        how: a key of HOW.

    Raises:
        InputError: there is no such pipeline or run, the models do not fit together, or a soup is
            worse than its best member.
    """
    pipeline_section(pipeline, "train")
    target = exported(pipeline, how)
    runs = members(pipeline, names)
    check_classes(pipeline, runs)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import_tensorflow()
    folder = main_checkout() / ".dvc" / "tmp" / "combined" / pipeline / how
    with locked(folder, target):
        model, kept = made(pipeline, runs, how)
        place = write_model(pipeline, names, how, model, kept, folder)
        for stage in ("evaluate", "export"):
            command = [sys.executable, "-m", f"stages.{stage}", "--multirun"]
            command += [f"pipeline={pipeline}", f"hydra.sweep.dir='{folder}'"]
            log = folder.with_name(f"{how}-{stage}.log")
            run_logged([*command, "hydra.sweep.subdir=model"], f"{stage} of the {how}", log)
        for line in told(log):
            print(line)
        with atomic_folder(target) as new:
            shutil.copytree(place / "export", new, dirs_exist_ok=True)
        shutil.rmtree(folder)
    say_accuracy(pipeline, names, how, kept)
    print(f"{target} has the SavedModel")


def exported(pipeline: str, how: str) -> Path:
    """The folder of the export.

    Raises:
        InputError: it is that of a pipeline.
    """
    name = f"{pipeline}-{how}"
    if name in pipelines():
        raise InputError(
            f"{output('export', name)} belongs to the pipeline {name}: rename that one"
        )
    return output("export", name)


def members(pipeline: str, names: Sequence[str]) -> "list[EvaluatedRun]":
    """The runs that the names mean.

    Raises:
        InputError: there is no such run, or it is one run alone.
    """
    from classifier import tracking

    runs: list[EvaluatedRun] = []
    for name in names:
        trials = tracking.evaluated_trials(main_checkout(), pipeline, name)
        runs += trials or tracking.evaluated_runs(main_checkout(), pipeline, [name])
    unique = {run.id: run for run in runs}
    if len(unique) < 2:
        raise InputError(
            f"{', '.join(names)} is one run alone: name an experiment of several seeds, or runs"
        )
    return list(unique.values())


def check_classes(pipeline: str, runs: "Sequence[EvaluatedRun]") -> None:
    """Checks that all runs know the classes of the pipeline's images.

    Raises:
        InputError: one does not.
    """
    classes = needed("normalize", pipeline, "classes.txt").read_text("utf-8").splitlines()
    for run in runs:
        known = [str(name)[2:-1] for name in run.predictions if str(name).startswith("p(")]
        if known != classes:
            raise InputError(
                f"'{shown(run)}' has other classes than {pipeline} now: {', '.join(known)}"
            )


def shown(run: "EvaluatedRun") -> str:
    """The name of a run and its seed."""
    return run.name if "seed=" in run.name else f"{run.name} seed={run.params.get(SEED, '?')}"


def made(pipeline: str, runs: "list[EvaluatedRun]", how: str) -> "tuple[Any, list[EvaluatedRun]]":
    """The model, and the runs that it is made of. Prints the accuracies on the validation split.

    Raises:
        InputError: the models do not fit together, or the soup is worse than its best member.
    """
    from classifier import tracking
    from classifier.layers.ensemble import ensemble
    from classifier.saved.saving import load_model
    from classifier.seeds.combination import (
        check_same_architecture,
        check_same_outputs,
        greedy_soup,
        uniform_soup,
    )

    names = [shown(run) for run in runs]
    accuracies = [float(tracking.validation_predictions(run)["correct"].mean()) for run in runs]
    with TemporaryDirectory() as folder:
        models = [
            load_model(tracking.kept_model(run, Path(folder, str(number))))
            for number, run in enumerate(runs)
        ]
    check_same_outputs(models, names)

    def accuracy_of(model: Any) -> float:
        return validation_accuracy(pipeline, model)

    kept = list(range(len(models)))
    if how == "ensemble":
        model = ensemble(models, f"{models[0].name}_ensemble_of_{len(models)}")
    else:
        check_same_architecture(models, names)
        if how == "uniform":
            model = uniform_soup(models)
        else:
            model, kept = greedy_soup(models, accuracies, accuracy_of)
        model.name = f"{models[0].name}_soup_of_{len(kept)}"
    for name, accuracy in zip(names, accuracies, strict=True):
        print(f"{name}: {100 * accuracy:.2f} % of the validation images")
    best = max(range(len(models)), key=lambda at: accuracies[at])
    accuracy = accuracy_of(model)
    used = f" of {len(kept)} of {len(models)} models"
    line = f"{HOW[how]}{used}: {100 * accuracy:.2f} %"
    if accuracy < accuracies[best]:
        line += f", WORSE than its best member, {names[best]}"
    print(line, flush=True)
    if kept == [best]:
        raise InputError(
            f"with any other model, the mean is worse than '{names[best]}' alone: nothing is "
            "exported; take --how ensemble"
        )
    if how != "ensemble" and accuracy < accuracies[best]:
        raise InputError(
            f"{HOW[how]} is worse than its best member, '{names[best]}', and is not exported: take "
            "--how soup, which leaves out what harms, or --how ensemble"
        )
    return model, [runs[at] for at in kept]


def validation_accuracy(pipeline: str, model: Any) -> float:
    """The share of the validation images whose class the model predicts."""
    from classifier.answers.features import with_features
    from classifier.reporting.predictions import predict_split

    images = needed("normalize", pipeline)
    found = predict_split(with_features(model), images, "validation", batch_size=BATCH)
    return float(found.table["correct"].mean())


def write_model(
    pipeline: str,
    names: Sequence[str],
    how: str,
    model: Any,
    runs: "Sequence[EvaluatedRun]",
    folder: Path,
) -> Path:
    """Writes the model where the stages evaluate and export find it, and begins its MLflow run.

    Returns:
        The folder of the stages' outputs.
    """
    from classifier import tracking
    from classifier.saved.saving import fingerprint, load_model, save_model

    place = folder / "model"
    card = began_with(pipeline, runs)
    made_of = [{"name": shown(run), "id": run.id} for run in runs]
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_folder(place / "train") as new:
        save_model(model, new / "model.keras")
        write_json(new / BASE, card | {COMBINED: {"how": HOW[how], "runs": made_of}})
    tags = provenance.tags(pipeline) | {
        "model": model.name,
        "combined.how": how,
        "combined.runs": " ".join(run.id for run in runs),
    }
    # As the stages will load it: Keras gives the weights other paths then.
    weights = fingerprint(load_model(place / "train" / "model.keras"))
    with tracking.resumed_run(
        main_checkout(),
        pipeline,
        f"{how} of {' and '.join(names)}",
        {},
        tags | {tracking.FINGERPRINT: weights},
        folder / "run",
        "stop",
    ):
        pass
    return place


def began_with(pipeline: str, runs: "Sequence[EvaluatedRun]") -> dict[str, Any]:
    """The card of what the trainings began with, or their names if they began with several."""
    cards = []
    for run in runs:
        base = run.params.get("train.model.base")  # texts; a network without a base has no such key
        model = {} if base is None else {"base": None if base == "None" else base}
        card = base_card(pipeline, model)
        if card not in cards:
            cards.append(card)
    if len(cards) == 1:
        return cards[0]
    return {"name": " and ".join(str(card["name"] or "random weights") for card in cards)}


def told(log: Path) -> list[str]:
    """The line of the export that says which version is registered."""
    lines = log.read_text("utf-8").splitlines()
    return [line for line in lines if line.startswith("models:/")]


def say_accuracy(
    pipeline: str, names: Sequence[str], how: str, kept: "Sequence[EvaluatedRun]"
) -> None:
    """Prints the accuracy on the test split, beside that of the models that it is made of."""
    from classifier import tracking

    name = f"{how} of {' and '.join(names)}"
    (run,) = tracking.evaluated_runs(main_checkout(), pipeline, [name])
    of_members = [each.metrics["test.accuracy"] for each in kept]
    mean = sum(of_members) / len(of_members)
    print(
        f"test images: {100 * run.metrics['test.accuracy']:.2f} % are right, of its members "
        f"{100 * mean:.2f} % on average, {100 * min(of_members):.2f} to "
        f"{100 * max(of_members):.2f}"
    )


def main() -> None:
    logging.basicConfig(format="combine: %(message)s")  # warnings of the library
    parser = argparse.ArgumentParser(
        prog="python -m stages.combine",
        description="Makes one model of several trained ones, and evaluates and exports it",
    )
    parser.add_argument("pipeline")
    parser.add_argument(
        "--runs",
        nargs="+",
        required=True,
        help="experiments of stages.seeds, or runs of them, by name or id",
    )
    parser.add_argument(
        "--how", choices=list(HOW), default="soup", help="see above (default: soup)"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    with stops_in_one_line("combine"):
        try:
            combine(arguments.pipeline, arguments.runs, arguments.how)
        except KeyboardInterrupt:
            raise InputError("interrupted: nothing was exported") from None


if __name__ == "__main__":
    main()
