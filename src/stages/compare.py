"""Compares runs of a pipeline: parameters, metrics, and the significance of the difference.

$ python -m stages.compare mnist                      # the two latest evaluated runs
$ python -m stages.compare mnist convnet rosy-gnat    # the first with each of the others
$ python -m stages.compare pets folds wider           # two cross-validations of stages.folds
$ python -m stages.compare flowers seeds wider        # two experiments of stages.seeds

The arguments are names or ids of runs, as the MLflow UI shows them, or names of cross-validations
or of experiments of several seeds. McNemar's test of two runs counts that other images might have
been tested. It does not count that another seed trains another model: a comparison of experiments
of several seeds, or of cross-validations, does. Of several seeds, reports/<pipeline>/compare.html
is the page with a chart.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from classifier.apps.comparison import align, class_differences, mcnemar
from classifier.apps.cross_validation import corrected_t_test, differences, out_of_fold
from classifier.support.directions import direction, has_direction
from classifier.support.errors import InputError
from stages.configuration import pipeline_section
from stages.layout import main_checkout, output
from stages.one_line import stops_in_one_line
from stages.seeds import SEED

if TYPE_CHECKING:
    from classifier.tracking.evaluated import EvaluatedRun

SIGNIFICANT = 0.05
PAGE = "compare.html"
Group = dict[int, "EvaluatedRun"]  # by seed


def compare(pipeline: str, names: list[str]) -> None:
    """Prints the comparison of the named runs.

    Raises:
        InputError: there is no such pipeline or run, or the runs have different test images.
    """
    from classifier import tracking

    pipeline_section(pipeline, "evaluate")
    trials = {name: tracking.evaluated_trials(main_checkout(), pipeline, name) for name in names}
    groups = {name: by_seed(runs) for name, runs in trials.items() if of_several_seeds(runs)}
    if groups:
        if len(trials) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"'{twice}' is named twice")
        singles = [name for name, runs in trials.items() if not runs]
        if unlike := [name for name in trials if name not in groups and name not in singles]:
            raise InputError(
                f"the runs of '{unlike[0]}' differ in more than the seed, those of "
                f"'{next(iter(groups))}' do not: compare like with like"
            )
        of_names = tracking.evaluated_runs(main_checkout(), pipeline, singles) if singles else []
        groups |= {name: by_seed([run]) for name, run in zip(singles, of_names, strict=True)}
        compare_groups(pipeline, {name: groups[name] for name in names})
        return
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


def of_several_seeds(runs: "list[EvaluatedRun]") -> bool:
    """Whether runs that belong together differ in the seed of the training alone."""
    params = [{key: text for key, text in run.params.items() if key != SEED} for run in runs]
    return bool(runs) and all(
        SEED in run.params and each == params[0] for run, each in zip(runs, params, strict=True)
    )


def by_seed(runs: "list[EvaluatedRun]") -> Group:
    """Runs by the seeds of their trainings; of a seed, the last one. 0 is an unknown seed."""
    return {int(run.params.get(SEED, 0)): run for run in runs}


def compare_groups(pipeline: str, groups: dict[str, Group]) -> None:
    """Prints how much each group differs from the first, draws it, and writes the page.

    Raises:
        InputError: they were tested on different images, or have other classes.
    """
    from classifier.seeds.charts import draw_differences
    from classifier.seeds.difference import (
        check_same_classes,
        correct_table,
        difference,
        verdict,
    )
    from classifier.seeds.page import write_page
    from classifier.seeds.spread import seed_table, shown_metrics, spread

    predictions = {
        name: {seed: run.predictions for seed, run in sorted(of_seed.items())}
        for name, of_seed in groups.items()
    }
    one_each = {name: next(iter(of_seed.values())) for name, of_seed in predictions.items()}
    first, *others = groups
    for name in others:
        check_same_classes(one_each[first], one_each[name])
        align(one_each[first], one_each[name])
    correct = {name: correct_table(of_seed) for name, of_seed in predictions.items()}
    found = {name: difference(correct[first], correct[name]) for name in others}
    verdicts = [(verdict(first, name, found[name]), found[name].real) for name in others]
    tables = {
        name: seed_table({seed: run.metrics for seed, run in of_seed.items()})
        for name, of_seed in groups.items()
    }
    spreads = {name: spread(table) for name, table in tables.items()}
    shown = shown_metrics(
        name
        for name in spreads[first].index
        if all(name in each.index for each in spreads.values())
    )
    metrics = spread_table(shown, spreads)
    recalls = recall_table(correct, one_each[first])
    told = [
        f"{name}: {len(of_seed)} seed{'s' * (len(of_seed) > 1)}, "
        f"{', '.join(map(str, sorted(of_seed)))}"
        for name, of_seed in groups.items()
    ]
    told.append(f"{len(correct[first]):,} test images")
    told += differing_params(groups)
    sections = [
        ("metrics, mean ± standard deviation of the seeds", metrics),
        ("recall per class, mean of the seeds", recalls),
    ]
    page = output("evaluate", pipeline) / PAGE
    with TemporaryDirectory() as folder:
        chart = Path(folder, "compare.png")
        title = f"{pipeline}: {', '.join(groups)}"
        accuracies = {name: dict(table.mean()) for name, table in correct.items()}
        draw_differences(accuracies, found, chart, title=title)
        write_page(page, title=title, verdicts=verdicts, told=told, tables=sections, chart=chart)
    print(*told, sep="\n")
    for title, table in sections:
        print(f"\n{title}\n{table.to_string(index=False)}")
    print()
    print(*(text for text, _ in verdicts), sep="\n")
    print(f"{page} shows it")


def spread_table(names: list[str], spreads: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per metric, with mean and standard deviation of each group, as texts."""

    def cell(mean: float, deviation: float) -> str:
        return f"{mean:.5g}" if pd.isna(deviation) else f"{mean:.5g} ± {deviation:.2g}"

    columns = {
        group: [cell(*table.loc[name, ["mean", "std"]]) for name in names]
        for group, table in spreads.items()
    }
    better = [direction(name) if has_direction(name) else "" for name in names]
    return pd.DataFrame({"metric": names} | columns | {"": better})


def recall_table(correct: dict[str, pd.DataFrame], first: pd.DataFrame) -> pd.DataFrame:
    """A row per class: images, and the mean recall of each group, as texts.

    Args:
        correct: tables of :func:`classifier.seeds.difference.correct_table`.
        first: predictions, which have the classes of the images.
    """
    classes = first.set_index("id")["class"]
    recalls = pd.DataFrame(
        {name: table.mean(axis=1).groupby(classes).mean() for name, table in correct.items()}
    )
    shown = recalls.map("{:.4f}".format)
    shown.insert(0, "images", classes.value_counts().reindex(recalls.index))
    return shown.reset_index(names="class")


def differing_params(groups: dict[str, Group]) -> list[str]:
    """A line per parameter, but for the seed, in which the groups differ."""
    params = {name: next(iter(of_seed.values())).params for name, of_seed in groups.items()}
    keys = sorted({key for each in params.values() for key in each} - {SEED})
    lines = []
    for key in keys:
        values = {name: each.get(key, "") for name, each in params.items()}
        if len(set(values.values())) > 1:
            lines.append(f"{key}: {', '.join(f'{text} ({name})' for name, text in values.items())}")
    return lines


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
    parser.add_argument(
        "runs",
        nargs="*",
        help="names or ids, or names of experiments of several seeds; default: the two latest runs",
    )
    arguments = parser.parse_args()
    with stops_in_one_line("compare"):
        if len(arguments.runs) == 1:
            raise InputError("one run alone: name two or more, or none to compare the two latest")
        compare(arguments.pipeline, arguments.runs)


if __name__ == "__main__":
    main()
