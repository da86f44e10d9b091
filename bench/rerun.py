"""Where a full rerun spends its time: every stage of both pipelines, forced.

$ python bench/rerun.py        # takes as long as the first `dvc repro`, alone

Prints the seconds of each stage, from DVC's line that announces it to the line of the next stage:
they include the time in which DVC hashes and caches the outputs. For train, also prints the time of
the training alone, from MLflow. Data work is download, split, normalize and augment.
"""

import subprocess
import sys
import time

from checkout import checkout, latest_run
from stages.programs import environment

DATA_WORK = ("download", "split", "normalize", "augment", "backbone")


def measure() -> tuple[dict[str, float], dict[str, float]]:
    """The seconds by stage, DVC's start among them; and those of the trainings alone."""
    with checkout() as folder:
        begun = time.perf_counter()
        seconds = {"DVC's start": 0.0}
        stage, since = "DVC's start", begun
        process = subprocess.Popen(
            ["dvc", "repro", "--force"],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Running stage "):
                seconds[stage] = time.perf_counter() - since
                stage, since = line.split("'")[1], time.perf_counter()
        if process.wait():
            sys.exit("rerun: a stage failed")
        seconds[stage] = time.perf_counter() - since
        training = {
            name: latest_run(folder, name.split("@")[1]).data.metrics["training_seconds"]
            for name in seconds
            if name.startswith("train@")
        }
    return seconds, training


def main() -> None:
    seconds, training = measure()
    whole = sum(seconds.values())
    print("| stage | seconds | share |\n|---|---|---|")
    for name, spent in seconds.items():
        inner = f", training {training[name]:.1f}" if name in training else ""
        print(f"| {name} | {spent:.1f}{inner} | {100 * spent / whole:.1f} % |")
    data = sum(spent for name, spent in seconds.items() if name.split("@")[0] in DATA_WORK)
    outside = whole - data - sum(training.values())
    print(f"| all | {whole:.1f} | |")
    print(f"| outside of data work and training | {outside:.1f} | {100 * outside / whole:.1f} % |")


if __name__ == "__main__":
    main()
