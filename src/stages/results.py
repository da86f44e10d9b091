"""Prints how good each pipeline's model is, where its report is, and what to do next.

$ python -m stages.results
"""

import argparse
import json
import logging
from typing import Any

import pandas as pd

from classifier.support.errors import InputError
from stages.layout import BASE, main_checkout, output
from stages.one_line import stops_in_one_line
from stages.params import pipelines

NEXT = """\
git add --all && git commit     keep these results, to compare others with them and to come back
make ui      compare the runs and their curves: http://127.0.0.1:5000
make app     classify pictures in the browser: http://127.0.0.1:7860
python -m stages.new pets ~/photos/pets     a pipeline for photos of your own"""
log = logging.getLogger(__name__)


def results() -> str:
    """The table of all pipelines, and a line for each that is not evaluated yet.

    Raises:
        InputError: params.yaml cannot be read.
    """
    rows, missing = [], []
    for name, sections in pipelines().items():
        if output("evaluate", name).joinpath("report.html").is_file():
            rows.append(row(name, sections))
        else:
            missing.append(f"{name} is not evaluated yet: dvc repro export@{name}")
    table = [pd.DataFrame(rows).to_string(index=False, justify="left")] if rows else []
    return "\n".join([*table, *missing])


def row(name: str, sections: dict[str, Any]) -> dict[str, str]:
    """The result of a pipeline's model, as texts."""
    folder = output("evaluate", name)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    base = json.loads((output("train", name) / BASE).read_text("utf-8"))["name"]
    interval = pd.read_csv(folder / "intervals.csv", index_col="metric").loc["accuracy"]
    low, high = 100 * interval["low"], 100 * interval["high"]
    seconds = training_seconds(name, (folder / "weights.sha256").read_text("utf-8").strip())
    model = sections["train"]["groups"]["model"]
    return {
        "pipeline": name,
        "test accuracy": f"{100 * metrics['accuracy']:.2f} % ({low:.2f} to {high:.2f})",
        "test images": f"{metrics['images']:,}" + (" DRAWINGS" if metrics["drawn"] else ""),
        "training": "" if seconds is None else f"{seconds:.0f} s",
        "model": f"{model} of {base}" if base else model,
        "report": (folder / "report.html").as_posix(),
    }


def training_seconds(pipeline: str, weights: str) -> float | None:
    """What the run of the model says; None where MLflow does not have it, or cannot be reached."""
    from classifier import tracking

    try:
        metrics = tracking.metrics_of_model(main_checkout(), pipeline, weights)
    except InputError as error:
        log.warning("the seconds of training are not known: %s", error)
        return None
    return metrics.get("training_seconds")


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m stages.results",
        description="Prints how good each pipeline's model is, and what to do next",
    ).parse_args()
    logging.basicConfig(format="results: %(message)s")
    with stops_in_one_line("results"):
        print(f"\nResults, with 95 % confidence:\n\n{results()}\n\nNext:\n\n{NEXT}")


if __name__ == "__main__":
    main()
