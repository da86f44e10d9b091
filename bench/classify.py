"""Compares ``classify`` over many pictures with a plain Keras loop, in turn.

$ python bench/classify.py                        # after `dvc repro`: some minutes, alone
$ python bench/classify.py mnist --pictures 2000
$ python bench/classify.py flowers --megapixels 12 --pictures 64
$ python bench/classify.py mnist --alone 10000 100000    # the memory of classify alone

The loop is the usual one: ``keras.utils.load_img``, ``model.predict`` in batches of 64. The
pictures are those of the test split, repeated, and with ``--megapixels`` enlarged to a camera's
size. Each way runs in a process of its own, timed from its first picture to its last answer.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image

from checkout import ROOT
from pictures import test_pictures
from stages.programs import environment

TARGET = 4.0  # times as many pictures a second
WAYS = ("classify", "keras")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipeline", nargs="?", default="flowers")
    parser.add_argument("--root", type=Path, default=ROOT, help="a checkout with its outputs")
    parser.add_argument("--pictures", type=int, default=512, metavar="N")
    parser.add_argument("--megapixels", type=float, help="enlarge the pictures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", type=int, nargs="+", metavar="N", help="classify, N pictures")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)  # of a process of this one
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        measure(arguments.way, arguments.root, arguments.pipeline, arguments.folder)
        return
    print(f"{os.cpu_count()} CPUs; the load average before: {psutil.getloadavg()[0]:.1f}\n")
    with TemporaryDirectory(prefix="classify-", dir=os.environ.get("TMPDIR")) as temporary:
        pictures = test_pictures(arguments.root, arguments.pipeline)
        originals = list(islice(pictures, min(arguments.pictures, 2000)))
        if arguments.megapixels:
            originals = [enlarged(content, arguments.megapixels) for content in originals]
        if arguments.alone:
            alone(arguments, originals, Path(temporary))
        else:
            beside(arguments, originals, Path(temporary))


def beside(arguments: argparse.Namespace, originals: Sequence[bytes], temporary: Path) -> None:
    folder = repeated(originals, arguments.pictures, temporary / "pictures")
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(arguments.rounds):
        for way in WAYS:
            results[way].append(run(way, arguments, folder))
    rates = {way: [each["rate"] for each in of] for way, of in results.items()}
    ratios = np.divide(rates["classify"], rates["keras"])
    print("| | `classify` | a Keras loop | |\n|---|---|---|---|")
    ratio = float(np.median(ratios))
    met = "met" if ratio >= TARGET else f"missed: at least {TARGET:g} times"
    each = ", ".join(f"{value:.2f}" for value in ratios)
    for what, key, unit, verdict in (
        ("pictures a second", "rate", "", f"{ratio:.2f} times ({each}): {met}"),
        ("processor time a picture", "processor", " ms", ""),
        ("peak memory", "memory", " MB", ""),
    ):
        cells = [f"{np.median([e[key] for e in results[way]]):,.4g}{unit}" for way in WAYS]
        print(f"| {arguments.pipeline}: {what} | {' | '.join(cells)} | {verdict} |")
    agree(results)


def agree(results: dict[str, list[dict[str, float]]]) -> None:
    """Says how often the answers are the same: the loop has no crop and another resampling."""
    ours, theirs = (results[way][0]["classes"] for way in WAYS)
    same = np.mean(np.array(ours) == np.array(theirs))
    print(f"\nThe same class from both: {100 * same:.1f} %")


def alone(arguments: argparse.Namespace, originals: Sequence[bytes], temporary: Path) -> None:
    print("| pictures | seconds | a second | peak memory |\n|---|---|---|---|")
    for number in arguments.alone:
        folder = repeated(originals, number, temporary / str(number))
        result = run("classify", arguments, folder)
        cells = f"{number / result['rate']:,.1f} | {result['rate']:,.4g} | {result['memory']:,.4g}"
        print(f"| {number:,} | {cells} MB |", flush=True)


def enlarged(content: bytes, megapixels: float) -> bytes:
    """A JPEG of a picture in a camera's size."""
    with Image.open(io.BytesIO(content)) as picture:
        times = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
        size = round(times * picture.width), round(times * picture.height)
        large = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    large.save(file, "JPEG")
    return file.getvalue()


def repeated(originals: Sequence[bytes], number: int, folder: Path) -> Path:
    """A folder of so many names; each picture is on the disk once."""
    folder.mkdir()
    files: list[Path] = []
    for place, content in enumerate(originals[:number]):
        files.append(folder / f"{place:07d}.img.jpg")
        files[-1].write_bytes(content)
    for place, file in zip(range(len(files), number), cycle(files), strict=False):
        (folder / f"{place:07d}.img.jpg").hardlink_to(file)
    return folder


def run(way: str, arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    words = [sys.executable, __file__, arguments.pipeline, "--root", str(arguments.root.resolve())]
    words += ["--way", way, "--folder", str(folder)]
    ended = subprocess.run(
        words,
        env=environment() | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        sys.exit(f"classify: {' '.join(words)} failed: {ended.stderr[-500:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def measure(way: str, root: Path, pipeline: str, folder: Path) -> None:
    """Runs in a process of its own; prints what it took, as JSON."""
    seconds, processor, classes = (by_classify if way == "classify" else by_keras)(
        root, pipeline, folder
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    number = len(classes)
    result = {"rate": number / seconds, "processor": 1000 * processor / number, "memory": memory}
    print(json.dumps(result | {"classes": classes}))


def by_classify(root: Path, pipeline: str, folder: Path) -> tuple[float, float, list[str]]:
    """As the command does it, with a CSV file."""
    from classifier.apps.find_images import find_images, read_encoded, threads_to_read
    from classifier.apps.output import opened
    from classifier.apps.predictions import Prediction, classify
    from classifier.serving.loading import load_classifier

    classifier = load_classifier(root / "exports" / pipeline)
    classifier.answer(np.zeros((1, *classifier.shape), np.uint8))
    classes: list[str] = []
    output = folder.with_name(f"{folder.name}.csv")
    begun, before = time.perf_counter(), time.process_time()
    files = find_images([str(folder)]).files
    with opened(output, "csv", {}, {}, 3, resume=False) as (writer, _):
        workers = threads_to_read(files)
        for answer in classify(classifier, files, read_encoded, top=3, workers=workers):
            writer.write(answer)
            assert isinstance(answer, Prediction)
            classes.append(sys.intern(answer.top[0][0]))
    seconds, processor = time.perf_counter() - begun, time.process_time() - before
    output.unlink()
    return seconds, processor, classes


def by_keras(root: Path, pipeline: str, folder: Path) -> tuple[float, float, list[str]]:
    """As users write it."""
    import keras

    from classifier.saved.saving import load_model

    model = load_model(root / "models" / pipeline / "model.keras")
    height, width, channels = model.input_shape[1:]
    names = (root / "exports" / pipeline / "assets" / "classes.txt").read_text().splitlines()
    mode = "grayscale" if channels == 1 else "rgb"
    model.predict(np.zeros((64, height, width, channels), np.uint8), verbose=0)
    begun, before = time.perf_counter(), time.process_time()
    files = sorted(folder.iterdir())
    classes: list[str] = []
    for start in range(0, len(files), 64):
        images = [
            keras.utils.img_to_array(
                keras.utils.load_img(file, color_mode=mode, target_size=(height, width))
            )
            for file in files[start : start + 64]
        ]
        probabilities = model.predict(np.stack(images), verbose=0)
        classes += [names[at] for at in probabilities.argmax(axis=1)]
    return time.perf_counter() - begun, time.process_time() - before, classes


if __name__ == "__main__":
    main()
