"""What the pretrained recipes are to reach, and whether they do: one table.

$ python bench/targets.py --log targets.jsonl        # three hours on two cores, alone

The recipes for the flowers and their peers (bench/accuracy.py), few photos (bench/few_photos.py), a
whole rerun of both pipelines (bench/rerun.py), and int8 LiteRT beside float LiteRT. With ``--log
FILE``, a stopped run goes on.
"""

import argparse
import statistics
from pathlib import Path

import pandas as pd

import accuracy
import few_photos
import rerun
from checkout import checkout, latest_run, run, use_recipe
from log import Log
from stages.layout import output

PROBE = {5: 72, 10: 78, 20: 83, 50: 88, 100: 89}  # %, by photos of each class
RERUN = 360  # seconds
INT8_LOSS, INT8_SPEED = 0.01, 1.5  # of the accuracy, 0..1; times as fast on one image


def at_least(value: float, bound: float, unit: str) -> str:
    return "met" if value >= bound else f"missed by {bound - value:.2f}{unit}"


def at_most(value: float, bound: float, unit: str) -> str:
    return "met" if value <= bound else f"missed by {value - bound:.2f}{unit}"


def recipes(log: Log) -> list[tuple[str, str, str, str]]:
    names = ["quick", "standard", "best"]
    results = accuracy.measure(["flowers"], names, [7, 8, 9], [7], log)
    rows = []
    for (pipeline, contender), of_seeds in results.items():
        mean = 100 * statistics.mean(result.accuracy for result in of_seeds)
        seconds = statistics.median(result.seconds for result in of_seeds)
        target = accuracy.TARGETS.get((pipeline, contender.strip("`").removeprefix("recipe `")))
        rows.append(
            (
                f"{contender}, {len(of_seeds)} seed(s)",
                f"at least {target[0]:g} % in {target[1]} s" if target else "a peer",
                f"{mean:.2f} % in {seconds:.0f} s",
                accuracy.verdict(mean, seconds, target) if target else "",
            )
        )
    return rows


def few(log: Log) -> list[tuple[str, str, str, str]]:
    table = few_photos.measure(list(PROBE), [1, 2, 3, 4, 5], log)
    means = table.groupby(["contender", "photos"])["accuracy"].mean()
    rows = []
    for photos, probe in PROBE.items():
        best, scratch = (means[f"recipe `{name}`"][photos] for name in ("standard", "scratch"))
        rows.append(
            (
                f"{photos} photos of each class, 5 draws",
                f"above {probe} %, and above `scratch`",
                f"{best:.1f} %, `scratch` {scratch:.1f} %",
                at_least(best, max(probe, scratch), " points"),
            )
        )
    return rows


def int8() -> dict[str, float]:
    """What int8 loses of the accuracy, 0..1, and how often as fast one image is as in float."""
    with checkout() as folder:
        use_recipe(folder, "standard", "flowers")
        run(folder, "dvc", "repro", "--quiet", "evaluate@flowers")
        words = ["runtimes=[litert,litert_int8]", "accuracy_loss=1"]
        run(folder, "python", "-m", "stages.export", "pipeline=flowers", *words)
        table = pd.read_csv(folder / output("export", "flowers") / "runtimes.csv")
        times = latest_run(folder, "flowers").data.metrics
    lost = table.set_index("runtime")["accuracy_lost"]["litert_int8"]
    of_one = {name: times[f"runtimes.{name}.ms_1_image"] for name in ("litert", "litert_int8")}
    return {"lost": float(lost), "times_as_fast": of_one["litert"] / of_one["litert_int8"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path)
    log = Log(parser.parse_args().log)
    rows = [*recipes(log), *few(log)]
    again = log.once({"what": "rerun"}, lambda: {"seconds": sum(rerun.measure()[0].values())})
    seconds = again["seconds"]
    rerun_row = f"at most {RERUN} s", f"{seconds:.0f} s", at_most(seconds, RERUN, " s")
    rows.append(("both pipelines again, all stages", *rerun_row))
    quantized = log.once({"what": "int8"}, int8)
    lost, fast = 100 * quantized["lost"], quantized["times_as_fast"]
    loss_row = f"at most {100 * INT8_LOSS:g} points lost", f"{lost:.2f} points"
    rows.append(("int8 LiteRT", *loss_row, at_most(lost, 100 * INT8_LOSS, " points")))
    speed_row = f"at least {INT8_SPEED:g} times as fast as float", f"{fast:.2f} times"
    rows.append(("int8 LiteRT, one image", *speed_row, at_least(fast, INT8_SPEED, " times")))
    print("| what | target | measured | |\n|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
