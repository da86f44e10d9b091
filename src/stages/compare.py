"""Compares runs of a pipeline: what was changed, what it changed, and whether by chance.

$ python -m stages.compare mnist                      # the latest evaluated run with the one before
$ python -m stages.compare mnist convnet rosy-gnat    # the first with each of the others

Runs are called by their names, or by their ids, as the MLflow UI shows them.
"""

import argparse
import sys

import pandas as pd

from classifier.comparison import align, class_differences, mcnemar
from classifier.errors import InputError
from stages.configuration import pipeline_section
from stages.layout import main_checkout

SIGNIFICANT = 0.05


def compare(pipeline: str, names: list[str]) -> None:
    """Prints the comparison of the named runs.

    Raises:
        InputError: there is no such pipeline or run, or they were tested on different images.
    """
    from classifier import tracking

    pipeline_section(pipeline, "evaluate")
    first, *others = tracking.evaluated_runs(main_checkout(), pipeline, names)
    runs = [first, *others]
    params = pd.DataFrame([run.params for run in runs])
    given = sorted({name for run in runs for name in run.params})
    differing = [name for name in given if params[name].nunique(dropna=False) > 1]
    metrics = pd.DataFrame([run.metrics for run in runs])
    measured = sorted({name for run in runs for name in run.metrics})
    shown = [name for name in measured if name.startswith(("test.", "model.", "training_"))]
    figures = metrics[shown].map(lambda value: "" if pd.isna(value) else f"{value:.6g}")
    table = pd.concat([params[differing], figures], axis=1).T
    table.columns = [run.name for run in runs]
    print(table.to_string(na_rep=""))
    for other in others:
        one, two = align(first.predictions, other.predictions)
        classes = class_differences(one, two).rename(
            columns={"first": first.name, "second": other.name}
        )
        print(f"\nrecall of each class\n{classes.to_string(index=False, float_format='%.4f')}")
        found = mcnemar(one["correct"].to_numpy(), two["correct"].to_numpy())
        verdict = "a real difference" if found.p_value < SIGNIFICANT else "may well be chance"
        print(
            f"\nonly {first.name} is right on {found.only_first} of {len(one):,} images, only "
            f"{other.name} on {found.only_second}: McNemar's p = {found.p_value:.2g}, {verdict}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="stages.compare", description="Compares runs of a pipeline"
    )
    parser.add_argument("pipeline")
    parser.add_argument("runs", nargs="*", help="names or ids; the two latest, for none")
    arguments = parser.parse_args()
    try:
        if len(arguments.runs) == 1:
            raise InputError("one run alone: name two or more, or none for the two latest")
        compare(arguments.pipeline, arguments.runs)
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
