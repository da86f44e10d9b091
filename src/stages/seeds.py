"""Seeds: trains a pipeline with several seeds, as one experiment, and says how much they differ.

$ python -m stages.seeds flowers --seeds 7,8,9
$ python -m stages.seeds flowers --seeds 7,8,9 --name wider model.dropout=0.4    # a change
$ python -m stages.compare flowers seeds wider                                   # is it better?

Each training, and its evaluation, has a folder of its own: DVC's outputs stay as they are. The runs
are children of one MLflow run, which gets the mean, the spread, a table and a chart; each run keeps
its model and its predictions. The seed varies the training alone: the images stay divided as they
are. Overrides are those of the stages train and evaluate. A command that was broken off trains only
the seeds that it lacks.
"""

import argparse
import json
import logging
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd
from omegaconf import OmegaConf

from classifier.support.atomic import write_json
from classifier.support.errors import InputError
from stages.base import with_fixed_base
from stages.configuration import composed, pipeline_section
from stages.layout import main_checkout, needed
from stages.lock import locked
from stages.one_line import stops_in_one_line
from stages.programs import run_logged
from stages.sweep import SEEDS, seeds_folder

if TYPE_CHECKING:
    from classifier.tracking import EvaluatedRun

SEED = "train.seed"
SETTINGS = "settings.json"  # of the trainings in the folder
PANELS = 4  # of the chart


def train_seeds(pipeline: str, seeds: Sequence[int], name: str, overrides: Sequence[str]) -> None:
    """Trains and evaluates with the seeds that are missing, and prints and logs the tables.

    Args:
        name: of the experiment.
        overrides: of the stages train and evaluate.

    Raises:
        InputError: there is no such pipeline, images are missing, a value does not fit, the
            experiment has other values already, or a training fails.
    """
    from classifier import tracking
    from classifier.seeds.charts import draw_seeds
    from classifier.seeds.difference import correct_table
    from classifier.seeds.spread import seed_table, shown_metrics, spread, summary

    given = by_stage(pipeline, overrides)
    wanted = settings(pipeline, given)
    sweep = f"{SEEDS} {name}"
    split = composed(pipeline, "split")
    print(
        f"{pipeline}: the training's seed varies, {', '.join(map(str, seeds))}; the images stay "
        f"divided by split.seed {split.seed}",
        flush=True,
    )
    folder = seeds_folder(pipeline, name)
    with locked(folder):
        runs = trained(pipeline, sweep)
        for seed, run in runs.items():
            check_same(name, seed, run.params, wanted)
        forget_others(folder, wanted)
        for number, seed in enumerate(seeds, start=1):
            known, started = seed in runs, time.perf_counter()
            if not known:
                train_one(pipeline, name, seed, given, folder)
                runs |= trained(pipeline, sweep, seed)
                if seed not in runs:
                    raise InputError(f"seed {seed} was trained, but its run is not in MLflow")
                shutil.rmtree(folder / str(seed))
            took = "trained before" if known else f"{time.perf_counter() - started:.0f} s"
            accuracy = 100 * runs[seed].metrics["test.accuracy"]
            print(f"seed {seed}, {number} of {len(seeds)}: {accuracy:.2f} % ({took})", flush=True)
        if others := sorted(set(runs) - set(seeds)):
            print(f"trained before with this name: seed {', '.join(map(str, others))}; included")
        say_commits(runs)
        correct_table({seed: run.predictions for seed, run in runs.items()})  # of the same images
        table = seed_table({seed: run.metrics for seed, run in runs.items()})
        spreads, shown = spread(table), shown_metrics(map(str, table))
        with TemporaryDirectory() as temporary:
            files = [Path(temporary, "seeds.csv"), Path(temporary, "seeds.png")]
            table.to_csv(files[0], index=False, lineterminator="\n")
            title = f"{pipeline}, {name}: {len(table)} seed{'s' * (len(table) > 1)}"
            draw_seeds(table, panels(shown), files[1], title=title)
            place = tracking.log_to_sweep(main_checkout(), pipeline, sweep, files, summary(spreads))
    print(f"\n{printed(table[['seed', *shown]], spreads)}\n")
    print(sentence(spreads, len(table)))
    print(f"its chart: {place}/seeds.png")


def by_stage(pipeline: str, overrides: Sequence[str]) -> dict[str, list[str]]:
    """The overrides of train and of evaluate.

    Raises:
        InputError: one is of the pipeline or the seed, which the command line has otherwise.
    """
    pipeline_section(pipeline, "train")
    given: dict[str, list[str]] = {"train": [], "evaluate": []}
    for text in overrides:
        key = text.partition("=")[0].lstrip("+")
        stage = "evaluate" if key.startswith("evaluate.") else "train"
        if "=" not in text:
            raise InputError(f"'{text}' is no override: write <key>=<value>")
        if key.removeprefix("train.") in ("seed", "pipeline"):
            raise InputError(f"{text}: the seeds are those of --seeds, the pipeline comes first")
        given[stage].append(text)
    return given


def settings(pipeline: str, given: dict[str, list[str]]) -> dict[str, str]:
    """The parameters that each training's run will have, but for the seed.

    Raises:
        InputError: a value does not fit, or what the training reads is missing.
    """
    from classifier.tracking.records import flatten
    from stages.train import run_params

    composed(pipeline, "evaluate", given["evaluate"])
    config = composed(pipeline, "train", given["train"])
    needed("normalize", pipeline)
    needed("augment", pipeline)
    config.model = with_fixed_base(config)
    texts = {key: str(value) for key, value in flatten(run_params(config)).items()}
    return {key: text for key, text in texts.items() if key != SEED}


def check_same(name: str, seed: int, params: dict[str, str], wanted: dict[str, str]) -> None:
    """Checks that a training of before has the wanted parameters.

    Raises:
        InputError: it has others.
    """
    keys = sorted((params.keys() | wanted.keys()) - {SEED})
    differing = [key for key in keys if params.get(key) != wanted.get(key)]
    if differing:
        key = differing[0]
        more = f" and {len(differing) - 1} other values" if len(differing) > 1 else ""
        raise InputError(
            f"'{name}' has trainings with other values: seed {seed} with {key}="
            f"{params.get(key, 'none')}, now {wanted.get(key, 'none')}{more}: take another --name"
        )


def trained(pipeline: str, sweep: str, seed: int | None = None) -> "dict[int, EvaluatedRun]":
    """The evaluated runs of the experiment by their seeds, or that of one seed; of a seed, the
    latest."""
    from classifier import tracking

    params = {} if seed is None else {SEED: str(seed)}
    runs = tracking.evaluated_trials(main_checkout(), pipeline, sweep, params)
    return {int(run.params[SEED]): run for run in runs if SEED in run.params}


def forget_others(folder: Path, wanted: dict[str, str]) -> None:
    """Deletes trainings of other values, which were broken off before their evaluation."""
    file = folder / SETTINGS
    if folder.exists() and (not file.exists() or json.loads(file.read_text("utf-8")) != wanted):
        shutil.rmtree(folder)
    write_json(file, wanted)


def train_one(
    pipeline: str, name: str, seed: int, given: dict[str, list[str]], folder: Path
) -> None:
    """Trains with a seed, unless a command that was broken off has done so, and evaluates.

    Each is a process of its own, as by ``dvc repro``.
    """
    of_seed = {"train": [*given["train"], f"seed={seed}"], "evaluate": given["evaluate"]}
    for stage, values in of_seed.items():
        if stage == "train" and (folder / str(seed) / stage / "model.keras").exists():
            continue
        run_logged(
            [
                *(sys.executable, "-m", f"stages.{stage}", "--multirun", f"pipeline={pipeline}"),
                *values,
                f"hydra.sweep.dir='{folder}'",
                f"hydra.sweep.subdir='{seed}'",
            ],
            f"{name}, seed {seed}",
            folder.with_name(f"{name}-{seed}.log"),
        )


def say_commits(runs: "dict[int, EvaluatedRun]") -> None:
    """Prints a line if not all were trained by the same code."""
    commits: dict[str, list[str]] = {}
    for seed, run in sorted(runs.items()):
        dirty = " with changes" if run.tags.get("git.dirty") == "true" else ""
        commits.setdefault(run.tags.get("git.commit", "")[:7] + dirty, []).append(str(seed))
    if len(commits) > 1:
        each = "; ".join(f"{', '.join(of)} at {commit}" for commit, of in commits.items())
        print(f"trained at {len(commits)} states of the code: seeds {each}")


def panels(shown: list[str]) -> list[str]:
    """The metrics of the chart: those of choosing and of judging a model."""
    first = [name for name in shown if name in ("test.accuracy", "test.log_loss")]
    return [*first, *(name for name in shown if name.startswith("best_"))][:PANELS]


def printed(table: pd.DataFrame, spreads: pd.DataFrame) -> str:
    """The table of the seeds, with rows for the mean and the spread, as text."""
    rows = table.astype(object)
    if len(table) > 1:
        below = spreads.loc[table.columns[1:]].T.reset_index(names="seed")
        rows = pd.concat([rows, below.astype(object)], ignore_index=True)
    columns = {
        name: [
            f"{value:.0f}" if name == "training_seconds" else f"{value:.5f}" for value in rows[name]
        ]
        for name in table.columns[1:]
    }
    shown = pd.DataFrame({"seed": rows["seed"].map(str)} | columns)
    names = [name.removeprefix("test.").removeprefix("calibration.") for name in map(str, shown)]
    return shown.to_string(index=False, header=names)


def sentence(spreads: pd.DataFrame, seeds: int) -> str:
    """The accuracy with its spread."""
    mean, deviation, low, high = 100 * spreads.loc["test.accuracy", ["mean", "std", "min", "max"]]
    if seeds == 1:
        return f"accuracy: {mean:.2f} %, of one seed: how much seeds differ is unknown"
    return (
        f"accuracy: {mean:.2f} % ± {deviation:.2f} between {seeds} seeds (standard deviation; "
        f"{low:.2f} to {high:.2f})"
    )


def whole_numbers(text: str) -> list[int]:
    """Seeds of a command line, ``7,8,9``."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"'{text}': write whole numbers and commas, 7,8,9")
    numbers = [int(number) for number in text.split(",")]
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"'{text}' has a seed twice")
    return numbers


def main() -> None:
    logging.basicConfig(format="seeds: %(message)s")  # warnings of the library
    parser = argparse.ArgumentParser(
        prog="python -m stages.seeds",
        description="Trains a pipeline with several seeds, and says how much they differ",
    )
    parser.add_argument("pipeline")
    parser.add_argument("overrides", nargs="*", help="of train and evaluate: epochs=12")
    parser.add_argument(
        "--seeds",
        type=whole_numbers,
        metavar="7,8,9",
        help="default: train.seed and the two after it",
    )
    parser.add_argument("--name", default=SEEDS, help="of the experiment (default: seeds)")
    arguments = parser.parse_intermixed_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the training ends too
    with stops_in_one_line("seeds"):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", arguments.name):
            raise InputError(f"--name is '{arguments.name}': must be letters, digits, - and _")
        pipeline, seeds = arguments.pipeline, arguments.seeds
        if seeds is None:
            first = pipeline_section(pipeline, "train").get("seed")
            first = OmegaConf.load("conf/train.yaml").seed if first is None else first
            seeds = [first, first + 1, first + 2]
        try:
            train_seeds(pipeline, seeds, arguments.name, arguments.overrides)
        except KeyboardInterrupt:
            raise InputError("interrupted: the same command goes on") from None


if __name__ == "__main__":
    main()
