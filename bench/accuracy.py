"""Compares both pipelines with the published examples: one run on one machine, in turn.

$ python bench/accuracy.py                                  # standard recipes, 3 seeds: an hour
$ python bench/accuracy.py --recipes best --seeds 7 --peer-seeds    # the long ones, once, alone

Each contender trains in its own process, on the same files. The test split is read once per
training, at its end. Prints a table: the medians of the times over the seeds, the mean accuracy
with the smallest and the largest, and whether they meet the recipe's target. "To goal" is the time
until the validation accuracy is 99.2 % (digits) or 75 % (flowers); a seed that never reaches it
counts as the slowest. With ``--log FILE`` each result is appended to the file as a line of JSON,
and a stopped run continues after the last one.
"""

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from checkout import ROOT, Result, checkout, run, set_params, train, use_recipe
from classifier.catalog.manifest import SPLITS, read_manifest
from classifier.catalog.raw import read_raw
from log import Log
from stages.layout import BACKBONE

PEERS = {  # by pipeline: names, and scripts of bench/peers/
    "mnist": {"Keras example, mnist_convnet": "mnist_convnet"},
    "flowers": {
        "TensorFlow tutorial, image classification": "flowers_tutorial",
        "Keras guide, transfer learning": "transfer_guide",
    },
}
HEADER = (
    "| data | contender | seeds | test accuracy | training | to goal | images/s | parameters "
    "| target | |"
)
# By pipeline and recipe: at least this mean test accuracy in %, in at most these seconds.
TARGETS = {
    ("mnist", "best"): (99.7, 600),
    ("flowers", "quick"): (93.0, 75),
    ("flowers", "standard"): (95.5, 180),
    ("flowers", "best"): (97.0, 900),
}
GOALS = {"mnist": 0.992, "flowers": 0.75}  # validation accuracies: the table has the time to them


@cache  # the same for every seed
def peer_data(folder: Path, pipeline: str) -> Path:
    """What the peers read: MNIST's file, or a folder of flowers per split and class."""
    run(folder, "dvc", "repro", "--quiet", f"split@{pipeline}")
    raw = folder / "data" / "raw" / pipeline
    source = json.loads((raw / "source.json").read_text("utf-8"))
    if pipeline == "mnist":
        return raw / source["file"]
    table = read_manifest(folder / "data" / "split" / f"{pipeline}.csv").set_index("id")
    photos = folder / "photos"
    for image in read_raw(raw / source["file"], source["format"], source["classes"]):
        if table["split"][image.id] in SPLITS:
            path = photos / table["split"][image.id] / image.class_name / Path(image.id).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.content)
    run(folder, "dvc", "repro", "--quiet", f"backbone@{pipeline}")
    shutil.copy(folder / "data" / "weights" / pipeline / BACKBONE, photos)
    return photos


def peer(script: str, data: Path, seed: int) -> Result:
    command = [sys.executable, str(ROOT / "bench" / "peers" / f"{script}.py"), str(data), str(seed)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Result(**json.loads(output.splitlines()[-1]))


def time_to(result: Result, goal: float) -> float:
    """Seconds until the validation accuracy is ``goal``; infinite if it never is."""
    return next((seconds for seconds, value in result.validation if value >= goal), math.inf)


def verdict(accuracy: float, seconds: float, target: tuple[float, int]) -> str:
    """``met``, or by how much the accuracy (in %) or the seconds of training miss the target."""
    missed = []
    if accuracy < target[0]:
        missed.append(f"{target[0] - accuracy:.2f} points")
    if seconds > target[1]:
        missed.append(f"{seconds - target[1]:.0f} s")
    return f"missed by {' and '.join(missed)}" if missed else "met"


def row(pipeline: str, name: str, results: list[Result], recipe: str | None) -> str:
    accuracies = [100 * result.accuracy for result in results]
    spread = f" ({min(accuracies):.2f} to {max(accuracies):.2f})" if len(results) > 1 else ""
    goal = statistics.median(time_to(result, GOALS[pipeline]) for result in results)
    mean, seconds = statistics.mean(accuracies), statistics.median(r.seconds for r in results)
    target = TARGETS.get((pipeline, recipe or ""))
    cells = [
        pipeline,
        name,
        str(len(results)),
        f"{mean:.2f} %{spread}",
        f"{seconds:.0f} s",
        "never" if goal == math.inf else f"{goal:.0f} s",
        f"{statistics.median(result.images / result.seconds for result in results):,.0f}",
        f"{results[0].parameters:,}",
        f"at least {target[0]:g} % in {target[1]} s" if target else "",
        verdict(mean, seconds, target) if target else "",
    ]
    return f"| {' | '.join(cells)} |"


def trained(
    folder: Path, pipeline: str, contender: str, recipe: str | None, seed: int
) -> dict[str, Any]:
    """The fields of the Result of a recipe; without one, of the peer of that name."""
    if recipe is None:
        return peer(PEERS[pipeline][contender], peer_data(folder, pipeline), seed)._asdict()
    use_recipe(folder, recipe, pipeline)
    changes = {"train.seed": seed, "evaluate.corruption_images": 0}
    set_params(folder, {f"{pipeline}.{name}": new for name, new in changes.items()})
    return train(folder, pipeline)._asdict()


def measure(
    pipelines: list[str], recipes: list[str], seeds: list[int], peer_seeds: list[int], log: Log
) -> dict[tuple[str, str], list[Result]]:
    """The results of all seeds, by pipeline and contender: those of the log, or new ones."""
    results: dict[tuple[str, str], list[Result]] = {}
    named = {f"recipe `{recipe}`": recipe for recipe in recipes}
    with checkout() as folder:
        for pipeline in pipelines:
            peers = PEERS[pipeline]
            for seed, contender in product(seeds, [*named, *peers]):
                if contender in peers and seed not in peer_seeds:
                    continue
                key = {"data": pipeline, "contender": contender, "seed": seed}
                chosen = named.get(contender)
                run_one = partial(trained, folder, pipeline, contender, chosen, seed)
                result = Result(**log.once(key, run_one))
                results.setdefault((pipeline, contender), []).append(result)
                title = f"{contender}, seed {seed}"
                print(row(pipeline, title, [result], chosen), file=sys.stderr)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipelines", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--recipes", nargs="+", default=["standard"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[7, 8, 9])
    parser.add_argument(
        "--peer-seeds", nargs="*", type=int, help="those of --seeds; none: no peers"
    )
    parser.add_argument("--log", type=Path)
    words = parser.parse_args()
    peer_seeds = words.seeds if words.peer_seeds is None else words.peer_seeds
    results = measure(words.pipelines, words.recipes, words.seeds, peer_seeds, Log(words.log))
    recipes = {f"recipe `{recipe}`": recipe for recipe in words.recipes}
    print(HEADER)
    print(f"|{'---|' * HEADER.count(' | ')}---|")
    for (pipeline, contender), of_seeds in results.items():
        print(row(pipeline, contender, of_seeds, recipes.get(contender)))


if __name__ == "__main__":
    main()
