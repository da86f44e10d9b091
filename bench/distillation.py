"""Distillation: what a teacher gives a network of a tenth of its size.

$ python bench/distillation.py        # hours: 180 epochs on photos of 224 pixels

The flowers' pretrained network (recipe `standard`) teaches a small network of separable
convolutions, which is trained from scratch, and from scratch without a teacher for comparison. All
have the same images. The validation accuracy chooses the epoch, and among several temperatures and
shares (`--temperatures`, `--alphas`) those of the teacher; the test split is read once for each row
of the table, at the end. Prints accuracies, parameters, and the time of LiteRT for an image. With
``--log FILE``, a stopped run goes on. ``--images`` is for a trial with few images.
"""

import argparse
import json
import sys
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from checkout import checkout, copy_pipeline, run, set_params, use_recipe
from classifier import tracking
from log import Log

TEACHER, STUDENT = "flowers", "student"
FILTERS = [32, 64, 128, 256, 320]  # a tenth of the teacher's parameters
GROUPS = {
    "model": "separable",
    "loss": "crossentropy",
    "optimizer": "sgd",
    "schedule": "cosine",
    "mixing": "none",
    "views": "none",
    "strategy": "single",
}
Setting = tuple[float, float] | None  # temperature and share of the teacher; None for no teacher


def section(setting: Setting, seed: int, epochs: int) -> dict[str, Any]:
    """The student's train section."""
    common = {
        "groups": GROUPS | {"teacher": "model" if setting else "none"},
        "seed": seed,
        "epochs": epochs,
        "batch_size": 32,
        "label_smoothing": 0.1,
        "model": {"filters": FILTERS},
        "depends_on": f"models/{TEACHER}/model.keras" if setting else "conf/train.yaml",
    }
    if setting is None:
        return common
    temperature, alpha = setting
    return common | {"teacher": {"source": TEACHER, "temperature": temperature, "alpha": alpha}}


def validated(folder: Path, pipeline: str, train: dict[str, Any] | None) -> dict[str, float]:
    """Trains the pipeline, unless DVC has its model; the validation accuracy of the best epoch.

    Args:
        train: the student's section; None for the teacher.
    """
    if train:
        set_params(folder, {f"{STUDENT}.train": train})
    run(folder, "dvc", "repro", "--quiet", f"train@{pipeline}")
    history = pd.read_csv(folder / "models" / pipeline / "history.csv")
    return {"validation": float(history["val_accuracy"][history["kept"] == 1].iloc[0])}


def tested(folder: Path, pipeline: str, train: dict[str, Any] | None) -> dict[str, float]:
    """Tests and exports what :func:`validated` trains."""
    found = validated(folder, pipeline, train)
    for stage in ("evaluate", "export"):  # times are in MLflow alone, and not in DVC's cache
        run(folder, "dvc", "repro", "--quiet", "--force", "--single-item", f"{stage}@{pipeline}")
    reports = folder / "reports" / pipeline
    weights = (reports / "weights.sha256").read_text("utf-8").strip()
    logged = tracking.metrics_of_model(folder, pipeline, weights)
    return found | {
        "test": json.loads((reports / "metrics.json").read_text("utf-8"))["accuracy"],
        "parameters": logged["model.parameters"],
        "ms": logged["runtimes.litert.ms_1_image"],
    }


def row(contender: str, results: list[dict[str, float]]) -> str:
    """A row of the table: means over the seeds, and their standard deviations."""

    def percent(key: str) -> str:
        values = 100 * np.array([result[key] for result in results])
        return f"{values.mean():.2f} %" + (
            f" ± {values.std(ddof=1):.2f}" if values[1:].size else ""
        )

    parameters = f"{results[0]['parameters']:,.0f}"
    time = f"{np.median([result['ms'] for result in results]):.2f} ms"
    return f"| {contender} | {percent('validation')} | {percent('test')} | {parameters} | {time} |"


def measure(arguments: argparse.Namespace, log: Log) -> list[str]:
    rows = []
    epochs, seeds = arguments.epochs, arguments.seeds
    with checkout() as folder:
        use_recipe(folder, "standard", TEACHER)
        parts = ("train", "validation", "test") if arguments.images else ()
        few = {f"split.{part}": arguments.images for part in parts}
        exported = {"export.runtimes": ["litert"], "export.thresholds": {}}
        set_params(folder, {f"{TEACHER}.{key}": value for key, value in (few | exported).items()})
        scratch = {"backbone": {"groups": {"backbone": "none"}}}
        copy_pipeline(folder, TEACHER, STUDENT, scratch | {"train": section(None, 7, epochs)})
        run(folder, sys.executable, "-m", "stages.prepare")
        common = {"epochs": epochs, "images": arguments.images}

        def test(contender: str, pipeline: str, seed: int, setting: Setting) -> dict[str, float]:
            train = section(setting, seed, epochs) if pipeline == STUDENT else None
            key = common | {"contender": contender, "seed": seed, "setting": setting and [*setting]}
            return log.once(key, partial(tested, folder, pipeline, train))

        def validation(setting: tuple[float, float]) -> float:
            found = []
            for seed in seeds:
                key = common | {"tried": [*setting], "seed": seed}
                train = section(setting, seed, epochs)
                found.append(
                    log.once(key, partial(validated, folder, STUDENT, train))["validation"]
                )
            print(f"{setting}: {100 * np.mean(found):.2f} %", file=sys.stderr, flush=True)
            return float(np.mean(found))

        rows.append(row("the teacher", [test("teacher", TEACHER, 7, None)]))
        settings = list(product(arguments.temperatures, arguments.alphas))
        best = max(settings, key=validation) if settings[1:] else settings[0]
        taught = f"with the teacher (temperature {best[0]:g}, {best[1]:g} of the loss)"
        for name, setting in {
            "the student, from scratch": None,
            f"the student, {taught}": best,
        }.items():
            results = [test("student", STUDENT, seed, setting) for seed in seeds]
            rows.append(row(name, results))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--temperatures", nargs="+", type=float, default=[4.0])
    parser.add_argument("--alphas", nargs="+", type=float, default=[0.9])
    parser.add_argument("--seeds", nargs="+", type=int, default=[7])
    parser.add_argument("--images", type=int, help="of each split; default: all")
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments, Log(arguments.log))
    print("| | validation accuracy | test accuracy | parameters | LiteRT, one image |")
    print("|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
