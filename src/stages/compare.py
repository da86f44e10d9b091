"""Compares runs of a pipeline: parameters, metrics, and the significance of the difference.

$ python -m stages.compare mnist                      # the two latest evaluated runs
$ python -m stages.compare mnist convnet rosy-gnat    # the first with each of the others
$ python -m stages.compare pets folds wider           # two cross-validations of stages.folds

The arguments are names or ids of runs, as the MLflow UI shows them, or names of cross-validations.
McNemar's test of two runs counts that other images might have been tested. It does not count that
another seed trains another model: a comparison of cross-validations does.
"""

import argparse
from typing import TYPE_CHECKING

import pandas as pd

from classifier.apps.comparison import align, class_differences, mcnemar
from classifier.apps.cross_validation import corrected_t_test, differences, out_of_fold
from classifier.support.directions import direction, has_direction
from classifier.support.errors import InputError
from stages.configuration import pipeline_section
from stages.layout import main_checkout
from stages.one_line import stops_in_one_line

if TYPE_CHECKING:
    from classifier.tracking.evaluated import EvaluatedRun

SIGNIFICANT = 0.05


def compare(pipeline: str, names: list[str]) -> None:
    """Prints the comparison of the named runs.

    Raises:
        InputError: there is no such pipeline or run, or the runs have different test images.
    """
    from classifier import tracking

    pipeline_section(pipeline, "evaluate")
    trials = {name: tracking.evaluated_trials(main_checkout(), pipeline, name) for name in names}
    if any(trials.values()):
        compare_cross_validations(trials)
        return
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
        verdict = "the two models differ" if test.p_value < SIGNIFICANT else "may be chance"
        print(
            f"\nonly {first.name} is right on {test.only_first} of {len(one):,} images, only "
            f"{other.name} on {test.only_second}: McNemar's {shown_p(test.p_value)}, {verdict}"
        )


def shown_p(value: float) -> str:
    """The probability as text. Below the smallest float64 it is 0, which it never is."""
    return f"p = {value:.2g}" if value >= 1e-6 else "p < 1e-6"


def compare_cross_validations(trials: "dict[str, list[EvaluatedRun]]") -> None:
    """Prints the accuracies by fold of cross-validations, and tests the first with each other.

    Raises:
        InputError: one of them is no cross-validation, or their folds differ.
    """
    tables = {}
    for name, runs in trials.items():
        choices = {
            (int(run.params["split.fold"]), int(run.params["train.seed"])): run.predictions
            for run in runs
            if "split.fold" in run.params
        }
        if not choices:
            raise InputError(f"'{name}' is no cross-validation: make one with stages.folds")
        tables[name] = out_of_fold(choices)
    first, *others = tables
    accuracies = pd.DataFrame(
        {name: table.groupby("fold")["correct"].mean() for name, table in tables.items()}
    )
    print(accuracies.to_string(float_format="%.4f"))
    for other in others:
        by_fold = differences(tables[first], tables[other])
        p_value = corrected_t_test(by_fold)
        verdict = "a real difference" if p_value < SIGNIFICANT else "may be chance"
        print(
            f"\n{other} minus {first}: {100 * by_fold.mean():+.2f} points, between "
            f"{100 * by_fold.min():+.2f} and {100 * by_fold.max():+.2f} by fold; "
            f"corrected t-test's p = {p_value:.2g}, {verdict}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.compare", description="Compares runs of a pipeline"
    )
    parser.add_argument("pipeline")
    parser.add_argument("runs", nargs="*", help="names or ids; default: the two latest runs")
    arguments = parser.parse_args()
    with stops_in_one_line("compare"):
        if len(arguments.runs) == 1:
            raise InputError("one run alone: name two or more, or none to compare the two latest")
        compare(arguments.pipeline, arguments.runs)


if __name__ == "__main__":
    main()
