"""The time before any work: `dvc repro` with nothing to do, and the start of a stage."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from checkout import ROOT, checkout, run, use_recipe
from contest import Contest, at_most, at_most_more
from stages.layout import FOLDERS
from stages.programs import environment

LIBRARIES = "import hydra, numpy, omegaconf, pandas"
# Ends the process just before Keras traces its first step.
FIRST_STEP = """
import os, runpy, sys
import keras

def fit_until_a_step(*arguments, callbacks, **options):
    end = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: os._exit(0))
    fit(*arguments, callbacks=[*callbacks, end], **options)

fit, keras.Model.fit = keras.Model.fit, fit_until_a_step
sys.argv = ["stages.train", "pipeline=flowers"]
runpy.run_module("stages.train", run_name="__main__", alter_sys=True)
sys.exit("no step was begun")
"""


def seconds(folder: Path, *words: str) -> float:
    begun = time.perf_counter()
    quiet = environment() | {"DVC_NO_ANALYTICS": "true"}
    subprocess.run(words, cwd=folder, env=quiet, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def write_bare_pipeline(folder: Path) -> None:
    """Writes seven stages for each of two pipelines, which copy a file, and runs them once."""
    lines = ["stages:"]
    before = "params.yaml"
    for stage in FOLDERS:
        lines += [
            f"  {stage}:",
            "    foreach: [mnist, flowers]",
            "    do:",
            f"      cmd: cp {before} {stage}.${{item}}",
            f"      deps: ['{before}']",
            f"      outs: ['{stage}.${{item}}']",
        ]
        before = f"{stage}.${{item}}"
    (folder / "params.yaml").write_text("seed: 7\n")
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    for words in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"], ["dvc", "repro"]):
        seconds(folder, *words)


def contests() -> Iterator[Contest]:
    with TemporaryDirectory() as temporary:
        bare = Path(temporary)
        write_bare_pipeline(bare)
        yield Contest(
            "`dvc repro` with nothing to do",
            "a pipeline of seven stages that copy a file",
            "s",
            lambda: seconds(ROOT, "dvc", "repro"),
            lambda: seconds(bare, "dvc", "repro"),
            at_most(1.15),
        )
    stage = [sys.executable, "-m", "stages.split", "pipeline=flowers", "--cfg", "job"]
    yield Contest(
        "a stage without TensorFlow composes its configuration",
        f"`{LIBRARIES}`",
        "s",
        lambda: seconds(ROOT, *stage),
        lambda: seconds(ROOT, sys.executable, "-c", LIBRARIES),
        at_most_more(0.5),
    )
    with checkout() as folder:
        use_recipe(folder, "scratch", "flowers")
        run(folder, "dvc", "repro", "--quiet", "augment@flowers", "backbone@flowers")
        yield Contest(
            "a training of the flowers begins its first step",
            "`import tensorflow`",
            "s",
            lambda: seconds(folder, sys.executable, "-c", FIRST_STEP),
            lambda: seconds(folder, sys.executable, "-c", "import tensorflow"),
            at_most_more(3),
        )
