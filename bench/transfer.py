"""What a trained base saves: new classes, on its features and from scratch.

$ python bench/transfer.py        # 25 minutes

A base trained on the digits 0 to 4 serves a task of the digits 5 to 9; one trained on daisies,
dandelions and roses serves a task of sunflowers and tulips. Each task has three contenders, once
with all its images and once with few: a new head on the frozen base; the same, and then the base's
last layers at a tenth of the learning rate; the base's architecture from scratch. Base and task
share no class, hence no image. Prints a table.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from checkout import Result, checkout, copy_pipeline, train, use_recipe


class Task(NamedTuple):
    pipeline: str  # the pattern: its data and its training
    base: list[str]  # the base's classes
    new: list[str]  # the task's classes
    base_epochs: int
    epochs: int  # per contender, with all images
    few: int  # images of all classes together
    few_epochs: int


TASKS = [
    Task("mnist", list("01234"), list("56789"), 4, 4, few=100, few_epochs=40),
    Task("flowers", ["daisy", "dandelion", "roses"], ["sunflowers", "tulips"], 20, 20, 100, 40),
]
FINE_TUNED = 8  # the base's last layers with weights


def contenders(base: str, epochs: int) -> dict[str, dict[str, Any]]:
    """Each contender's changes of the train section; all train for the same number of epochs."""
    on_base = {"groups.model": "transfer", "model": {"base": base}}
    head = max(1, epochs // 4)
    thawed = {"fine_tune_epochs": epochs - head, "fine_tune_layers": FINE_TUNED}
    return {
        "head on the base": on_base | {"epochs": epochs},
        f"head, then {FINE_TUNED} layers too": on_base | {"epochs": head} | thawed,
        "from scratch": {"epochs": epochs},
    }


def row(task: str, images: int, contender: str, result: Result) -> str:
    accuracy, seconds = f"{100 * result.accuracy:.2f} %", f"{result.seconds:.0f} s"
    return f"| {task} | {images:,} | {contender} | {accuracy} | {seconds} |"


def run_task(folder: Path, task: Task) -> list[str]:
    base = f"{task.pipeline}_base"
    changes = {"split.classes": task.base, "train.epochs": task.base_epochs}
    copy_pipeline(folder, task.pipeline, base, changes)
    result = train(folder, base)
    count = result.images // task.base_epochs
    rows = [row(", ".join(task.base), count, "the base", result)]
    for size, epochs in ((None, task.epochs), (task.few, task.few_epochs)):
        for number, (contender, changes) in enumerate(contenders(base, epochs).items()):
            name = f"{task.pipeline}_{size or 'all'}_{number}"
            changed = {f"train.{key}": value for key, value in changes.items()}
            changed["split.classes"] = task.new
            if size:
                changed |= {"split.train": size, "train.batch_size": 16}
            copy_pipeline(folder, task.pipeline, name, changed)
            result = train(folder, name)
            count = result.images // epochs
            rows.append(row(", ".join(task.new), count, contender, result))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipelines", nargs="+", default=[task.pipeline for task in TASKS])
    chosen = parser.parse_args().pipelines
    rows = []
    with checkout() as folder:
        use_recipe(folder, "scratch", "flowers")
        for task in TASKS:
            if task.pipeline in chosen:
                rows += run_task(folder, task)
    print("| classes | images to train | contender | test accuracy | training |")
    print("|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
