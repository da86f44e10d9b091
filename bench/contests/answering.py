"""Latency for one image: the exported model in each runtime, and ``keras.Model.predict``."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from checkout import ROOT
from classifier.answers.answers import answering, read_fitted
from classifier.saved.saving import load_model
from classifier.serving.loading import load_saved_model
from classifier.serving.runtimes import RUNTIMES
from classifier.storage.splits import read_split
from contest import Contest, at_most

# The time to call for, and the least calls: the 99th percentile of few calls is the slowest one.
SECONDS, CALLS = 2.0, 100


def milliseconds(
    percentile: float, answer: Callable[[np.ndarray], Any], image: np.ndarray
) -> float:
    """A percentile of the times of ``answer(image)``."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < CALLS:
        begun = time.perf_counter()
        answer(image)
        times.append(1000 * (time.perf_counter() - begun))
    return float(np.percentile(times, percentile))


def contests() -> Iterator[Contest]:
    model = load_model(ROOT / "models" / "mnist" / "model.keras")
    images, _ = read_split(ROOT / "data" / "normalized" / "mnist", "train")
    image = np.asarray(images[:1])
    with TemporaryDirectory() as temporary:
        fitted = read_fitted(ROOT / "reports" / "mnist" / "answers.npz")
        exported = answering(model, fitted, calibrate=True, threshold=fitted.threshold(0.97))
        served = load_saved_model(ROOT / "exports" / "mnist")
        answers = {"the SavedModel's signature": (served.answer, 50)}
        for name, runtime in RUNTIMES.items():
            file = Path(temporary, runtime.file)
            runtime.write(exported, file, images)
            answers[name] = (runtime.load(file), 500)
        predict = partial(model.predict, verbose=0)
        for name, (answer, times_faster) in answers.items():
            for percentile in (50, 99):
                yield Contest(
                    f"one digit, {name}, p{percentile}",
                    "`keras.Model.predict`",
                    "ms",
                    partial(milliseconds, percentile, answer, image),
                    partial(milliseconds, percentile, predict, image),
                    at_most(1 / times_faster, f"1/{times_faster}"),
                )
