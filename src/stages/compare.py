"""Compares runs of a pipeline: parameters, metrics, and the significance of the difference.

$ python -m stages.compare mnist                      # the two latest evaluated runs
$ python -m stages.compare mnist convnet rosy-gnat    # the first with each of the others

The arguments are names or ids of runs, as the MLflow UI shows them.
"""

import argparse
import sys

import pandas as pd

from classifier.apps.comparison import align, class_differences, mcnemar
from classifier.support.directions import direction, has_direction
from classifier.support.errors import InputError
from stages.configuration import pipeline_section
from stages.layout import main_checkout

SIGNIFICANT = 0.05


def compare(pipeline: str, names: list[str]) -> None:
    """Prints the comparison of the named runs.

    Raises:
        InputError: there is no such pipeline or run, or the runs have different test images.
    """
    from classifier import tracking

    pipeline_section(pipeline, "evaluate")
    first, *others = tracking.evaluated_runs(main_checkout(), pipeline, names)
    runs = [first, *others]
    params = pd.DataFrame([run.params for run in runs])
    differing = [
        name for name in sorted(map(str, params)) if params[name].nunique(dropna=False) > 1
    ]
    metrics = pd.DataFrame([run.metrics for run in runs])
    prefixes = ("test.", "model.", "training_")
    shown = [name for name in sorted(map(str, metrics)) if name.startswith(prefixes)]
    figures = metrics[shown].map(lambda value: "" if pd.isna(value) else f"{value:.6g}")
    table = pd.concat([params[differing], figures], axis=1).T
    table.columns = [run.name for run in runs]
    table[""] = [direction(name) if has_direction(name) else "" for name in map(str, table.index)]
    print(table.to_string(na_rep=""))
    for other in others:
        one, two = align(first.predictions, other.predictions)
        classes = class_differences(one, two).rename(
            columns={"first": first.name, "second": other.name}
        )
        print(f"\nrecall per class\n{classes.to_string(index=False, float_format='%.4f')}")
        test = mcnemar(one["correct"].to_numpy(), two["correct"].to_numpy())
        verdict = "a real difference" if test.p_value < SIGNIFICANT else "may be chance"
        print(
            f"\nonly {first.name} is right on {test.only_first} of {len(one):,} images, only "
            f"{other.name} on {test.only_second}: McNemar's p = {test.p_value:.2g}, {verdict}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="stages.compare", description="Compares runs of a pipeline"
    )
    parser.add_argument("pipeline")
    parser.add_argument("runs", nargs="*", help="names or ids; default: the two latest runs")
    arguments = parser.parse_args()
    try:
        if len(arguments.runs) == 1:
            raise InputError("one run alone: name two or more, or none to compare the two latest")
        compare(arguments.pipeline, arguments.runs)
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
