"""The effect of each choice alone: every file of the groups and every option, in one table.

$ python bench/choices.py                                    # all, on few digits
$ python bench/choices.py --pipelines mnist flowers --groups model     # the model families

One row per choice: the pipeline's recipe for training from scratch with that one value changed, on
fewer images and for fewer epochs. Prints the best validation accuracy (the test split must not
decide a choice), the training time, and the model's parameters and multiply-adds per image.
"""

import argparse
import subprocess
from collections.abc import Iterator
from typing import Any

from checkout import ROOT, checkout, latest_run, run, set_params, use_recipe

SMALL = {
    "mnist": {"split.train": 10000, "train.epochs": 3},
    "flowers": {"train.epochs": 12},
}
SCRATCH = {"mnist": "standard", "flowers": "scratch"}  # recipes without a backbone
STAGES = {
    "model": "train",
    "loss": "train",
    "optimizer": "train",
    "schedule": "train",
    "mixing": "train",
    "policy": "augment",
}
ELSEWHERE = {"transfer"}  # needs a base: bench/transfer.py
OPTIONS: dict[str, list[Any]] = {
    "normalize.method": ["rescale", "standardize", "per_image", "local_contrast"],
    "train.model.activation": ["relu", "elu", "tanh", "gelu", "swish"],
    "train.model.normalization": ["batch", "layer", "group", "none"],
    "train.model.dropout": [0.0, 0.3],
    "train.model.weight_decay": [0.0, 0.0005],
    "train.label_smoothing": [0.0, 0.1],
    "train.optimizer.use_ema": [False, True],
    "train.optimizer.clipnorm": [None, 1.0],
    "train.class_weight": [None, "balanced"],
    "train.sampling": ["natural", "balanced"],
    "train.precision": ["float32", "mixed_bfloat16"],
    "train.jit_compile": [False, True],
    "train.steps_per_execution": [1, 10],
}


def choices(names: list[str]) -> Iterator[tuple[str, Any]]:
    """Yields a key of a pipeline's section and a value, for each value to try."""
    for name in names:
        if name in OPTIONS:
            yield from ((name, value) for value in OPTIONS[name])
            continue
        for file in sorted((ROOT / "conf" / name).glob("*.yaml")):
            if file.stem not in ELSEWHERE:
                yield f"{STAGES[name]}.groups.{name}", file.stem


def measure(pipeline: str, key: str, value: Any) -> str:
    """Trains with that one value changed; returns a row of the table."""
    with checkout() as folder:
        changes = SMALL[pipeline] | {key: value}
        if key in ("train.groups.model", "train.groups.schedule"):
            changes[key.replace(".groups", "")] = {}  # the defaults of that file
        use_recipe(folder, SCRATCH[pipeline], pipeline)
        set_params(folder, {f"{pipeline}.{name}": new for name, new in changes.items()})
        name = [pipeline, key.rpartition("groups.")[2].removeprefix("train."), str(value)]
        try:
            run(folder, "dvc", "repro", "--quiet", f"train@{pipeline}")
        except subprocess.CalledProcessError:  # such as a policy for colours on grey digits
            return f"| {' | '.join([*name, 'refused', '', '', ''])} |"
        metrics = latest_run(folder, pipeline).data.metrics
    cells = [
        *name,
        f"{100 * metrics['best_val_accuracy']:.2f} %",
        f"{metrics['training_seconds']:.0f} s",
        f"{metrics['model.parameters']:,.0f}",
        f"{metrics['model.multiply_adds'] / 1e6:.1f} million",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = [*STAGES, *OPTIONS]
    parser.add_argument("--pipelines", nargs="+", default=["mnist"], choices=list(SMALL))
    parser.add_argument("--groups", nargs="+", default=every, choices=every, metavar="GROUP")
    arguments = parser.parse_args()
    print("| data | what | choice | validation accuracy | training | parameters | multiply-adds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for pipeline in arguments.pipelines:
        for key, value in choices(arguments.groups):
            print(measure(pipeline, key, value), flush=True)


if __name__ == "__main__":
    main()
