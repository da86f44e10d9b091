"""Cross-validation: trains a pipeline on each fold, with each seed, and says how much they differ.

$ python -m stages.folds flowers --folds 5 --seeds 3

The images are divided into folds. Each training leaves out another fold, and is tested on it. All
trainings are DVC experiments of the commit, and children of one MLflow run. That run gets two
tables: folds.csv, with a row per training, and out_of_fold.csv, with a prediction per image and
seed. A command that was broken off goes on where it stopped.
"""

import argparse
import re
import sys
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from classifier.support.errors import InputError
from stages.configuration import pipeline_section
from stages.git import RECORD, git
from stages.layout import main_checkout
from stages.one_line import stops_in_one_line
from stages.programs import run_logged

if TYPE_CHECKING:
    from classifier.apps.cross_validation import Choice
    from classifier.tracking.evaluated import EvaluatedRun

FOLDS, FOLD, SEED = "split.folds", "split.fold", "train.seed"


def cross_validate(pipeline: str, folds: int, seeds: int, name: str) -> None:
    """Trains what is not trained yet, and prints and logs the tables.

    Args:
        seeds: the number of trainings of each fold: train.seed and those after it. The seed of the
            split stays as it is.
        name: DVC calls the experiments <name>-1, <name>-2, …

    Raises:
        InputError: there is no such pipeline, the checkout has changes without a commit, or an
            experiment fails.
    """
    from classifier import tracking
    from classifier.apps.cross_validation import fold_table, out_of_fold, summarize

    section = pipeline_section(pipeline, "train")
    first = section.get("seed", OmegaConf.load("conf/train.yaml").seed)
    if git("diff", "--name-only", "HEAD", "--", ".", RECORD):
        raise InputError("the folds are experiments of a commit: commit your changes first")
    sweep = f"experiments {name} of {git('rev-parse', 'HEAD').strip()[:7]}"
    choices = list(product(range(1, folds + 1), range(first, first + seeds)))
    runs = trained(pipeline, sweep, folds)
    for number, choice in enumerate(choices, start=1):
        known, started = choice in runs, time.perf_counter()
        if not known:
            experiment(pipeline, f"{name}-{number}", folds, *choice)
            runs |= trained(pipeline, sweep, folds, choice)
            if choice not in runs:
                raise InputError(f"{name}-{number} ended, but its run is not in MLflow")
        took = "trained before" if known else f"{time.perf_counter() - started:.0f} s"
        accuracy = 100 * runs[choice].metrics["test.accuracy"]
        line = f"fold {choice[0]} of {folds}, seed {choice[1]}: {accuracy:.2f} % ({took})"
        print(line, flush=True)
    table = fold_table({choice: runs[choice].metrics for choice in choices})
    predictions = out_of_fold({choice: runs[choice].predictions for choice in choices})
    figures = summarize(table)
    with TemporaryDirectory() as folder:
        files = [Path(folder, "folds.csv"), Path(folder, "out_of_fold.csv")]
        for content, file in zip((table, predictions), files, strict=True):
            content.to_csv(file, index=False, lineterminator="\n")
        place = tracking.log_to_sweep(main_checkout(), pipeline, sweep, files, figures)
    print(f"\n{table.to_string(index=False, float_format='%.4f')}\n")
    spread = f"± {100 * figures['folds_std']:.2f} between {folds} folds"
    if "seeds_std" in figures:
        spread += f", ± {100 * figures['seeds_std']:.2f} between {seeds} seeds"
    print(f"accuracy: {100 * figures['accuracy']:.2f} % ({spread}; standard deviations)")
    print(f"the predictions out of fold: {place}/out_of_fold.csv")


def trained(
    pipeline: str, sweep: str, folds: int, choice: "Choice | None" = None
) -> "dict[Choice, EvaluatedRun]":
    """The evaluated runs of the sweep with this number of folds, by fold and seed.

    Args:
        choice: only those of this fold and seed; None for all.
    """
    from classifier import tracking

    params = {FOLDS: str(folds)}
    if choice is not None:
        params |= {FOLD: str(choice[0]), SEED: str(choice[1])}
    runs = tracking.evaluated_trials(main_checkout(), pipeline, sweep, params)
    return {(int(run.params[FOLD]), int(run.params[SEED])): run for run in runs}


def experiment(pipeline: str, name: str, folds: int, fold: int, seed: int) -> None:
    """Runs one training as a DVC experiment in a copy of the commit; what it prints is in a log.

    Raises:
        InputError: it fails.
    """
    values = {FOLDS: folds, FOLD: fold, SEED: seed}
    settings = [f"++pipelines.{pipeline}.{key}={value}" for key, value in values.items()]
    words = [word for setting in settings for word in ("--set-param", setting)]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--force", "--name", name]
    file = main_checkout() / ".dvc" / "tmp" / "folds" / f"{pipeline}-{name}.log"
    run_logged([*command, *words, f"evaluate@{pipeline}"], name, file)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.folds",
        description="Cross-validation of a pipeline, over folds and seeds",
    )
    parser.add_argument("pipeline")
    parser.add_argument("--folds", type=int, default=5, help="2 or more (default: 5)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each fold (default: 1)")
    parser.add_argument("--name", default="folds", help="of the experiments (default: folds)")
    arguments = parser.parse_args()
    with stops_in_one_line("folds"):
        if arguments.folds < 2 or arguments.seeds < 1:
            raise InputError("--folds must be 2 or more, and --seeds 1 or more")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", arguments.name):
            raise InputError(f"--name is '{arguments.name}': must be letters, digits, - and _")
        cross_validate(arguments.pipeline, arguments.folds, arguments.seeds, arguments.name)


if __name__ == "__main__":
    main()
