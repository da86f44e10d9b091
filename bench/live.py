"""Loggers: what showing a training while it runs costs.

$ python bench/live.py mnist 90 both

The history of a trained pipeline is shown once more, by a choice of conf/logger/. Prints the
seconds of the processor that the beginning, the first epoch and the end take, those of each other
epoch, all together, and their share of the seconds that the training took (here 90). A logger does
its work between two epochs, so that this is all that it adds.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from hydra.utils import instantiate
from omegaconf import OmegaConf

from classifier.saved.saving import load_model
from stages.layout import needed


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Appends the seconds of the processor that the block takes."""
    begin = time.process_time()
    yield
    seconds.append(time.process_time() - begin)


def show(choice: str, model: Any, history: pd.DataFrame, preview: Path) -> list[float]:
    """The seconds of the beginning, of each epoch and of the end."""
    from classifier.tracking.loggers import watched_by

    nodes: Any = OmegaConf.load(Path("conf", "logger", f"{choice}.yaml"))
    seconds: list[float] = []
    with TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        with timed(seconds):
            loggers = [instantiate(nodes[key], folder, folder / "run", preview) for key in nodes]
            watched = watched_by(loggers, model)
            on_epoch = watched.__enter__()
        for epoch, row in history.set_index("epoch").iterrows():
            with timed(seconds):
                on_epoch(int(str(epoch)), dict(row))
        with timed(seconds):
            watched.__exit__(None, None, None)
    return seconds


def main(pipeline: str, trained: float, logger: str) -> None:
    model = load_model(needed("train", pipeline, "last.keras"))
    history = pd.read_csv(needed("train", pipeline, "history.csv")).drop(columns="kept")
    preview = needed("augment", pipeline, "preview.png")
    first, *epochs, last = show(logger, model, history, preview)
    total = first + sum(epochs) + last
    print(
        f"{logger}: once {first + epochs[0] + last:.2f} s, each other epoch "
        f"{sum(epochs[1:]) / len(epochs[1:]):.3f} s, together {total:.2f} s, "
        f"{total / trained:.2%} of {trained:.0f} s"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipeline", help="a trained one")
    parser.add_argument("seconds", type=float, help="that its training took")
    parser.add_argument("logger", help="a choice of conf/logger")
    arguments = parser.parse_args()
    main(arguments.pipeline, arguments.seconds, arguments.logger)
