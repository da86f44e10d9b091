"""Classifies images with a trained model, from the command line.

$ python -m classifier.apps.classify flowers rose.jpg holiday/        # the name of a pipeline
$ python -m classifier.apps.classify models:/mnist/3 'scans/*.png' --like-mnist --format csv
$ cat rose.jpg | python -m classifier.apps.classify exports/flowers - --top 1

Images may have any size, mode and orientation. Images that cannot be read do not stop the others:
they are listed at the end, and the exit status is 1.
"""

import argparse
import csv
import glob
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from tqdm import tqdm

from classifier.apps.handwriting import to_digit
from classifier.formats.image_files import SKIPPED, is_image_file
from classifier.images.pixels import Fit, ImageError
from classifier.images.preprocessing import Preprocessing
from classifier.serving.loading import NONE_OF_THESE, SavedClassifier, load_classifier
from classifier.support.errors import InputError

BATCH = 64  # images


class Prediction(NamedTuple):
    """The most probable classes of an image, with their probabilities, in decreasing order; and
    the score, and whether the image is accepted: :class:`classifier.serving.outputs.Answers`."""

    file: str
    top: list[tuple[str, float]]
    score: float
    accepted: bool


def find_images(words: Sequence[str]) -> tuple[list[str], int]:
    """The files that the words of the command line name: files, folders, globs, and ``-``.

    A folder stands for all image files in it and its sub-folders, sorted.

    Returns:
        The files, and the number of other files in the folders, which are skipped.
    """
    files: list[str] = []
    skipped: set[Path] = set()
    for word in words:
        if word == "-" or Path(word).exists():
            named = [word]
        else:
            # Path.glob does not accept absolute patterns.
            named = sorted(glob.glob(word, recursive=True)) or [word]  # noqa: PTH207
        of_word: list[str] = []
        for name in named:
            folder = Path(name)
            if name == "-" or not folder.is_dir():
                of_word.append(name)
                continue
            inside = {file for file in folder.rglob("*") if file.is_file()}
            images = {file for file in inside if is_image_file(file.relative_to(folder))}
            of_word += sorted(map(str, images))
            skipped |= inside - images
        files += dict.fromkeys(of_word)  # a glob may match a folder and the files in it
    return files, len(skipped)


def read_image(file: str, preprocessing: Preprocessing, *, mnist: bool) -> np.ndarray:
    """Reads an image as uint8 (H, W, C), as for training. ``-`` is the standard input.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from None
    return preprocessing(to_digit(content) if mnist else content)


def choose_fit(preprocessing: Preprocessing, fit: Fit | None) -> Preprocessing:
    """The model's preprocessing, with ``fit`` in place of its own; a line says so."""
    if fit is None or fit == preprocessing.fit:
        return preprocessing
    print(f"classify: --fit {fit} overrides the model's own, {preprocessing.fit}", file=sys.stderr)
    return replace(preprocessing, fit=fit)


def classify(
    classifier: SavedClassifier,
    files: Iterable[str],
    read: Callable[[str], np.ndarray],
    *,
    top: int,
    unreadable: list[tuple[str, str]],
) -> Iterator[Prediction]:
    """Yields predictions in the order of the files, and predicts batch by batch.

    Args:
        read: returns the pixels of a file, uint8 (H, W, C).
        top: number of classes per image.
        unreadable: each file that cannot be read is appended, with the reason.
    """
    images: list[tuple[str, np.ndarray]] = []
    for file in files:
        try:
            images.append((file, read(file)))
        except ImageError as error:
            unreadable.append((file, str(error)))
        if len(images) == BATCH:
            yield from _predictions(classifier, images, top)
            images = []
    if images:
        yield from _predictions(classifier, images, top)


def _predictions(
    classifier: SavedClassifier, images: Sequence[tuple[str, np.ndarray]], top: int
) -> Iterator[Prediction]:
    answers = classifier.answer(np.stack([pixels for _, pixels in images]))
    for (file, _), *answer in zip(images, *answers, strict=True):
        probabilities, score, accepted = answer
        order = np.argsort(-probabilities, kind="stable")[:top]
        classes = [(classifier.classes[at], float(probabilities[at])) for at in order]
        yield Prediction(file, classes, float(score), bool(accepted))


def write_table(predictions: Iterable[Prediction], model: Mapping[str, Any]) -> None:
    for prediction in predictions:
        top = "   ".join(
            f"{name} {100 * probability:.1f} %" for name, probability in prediction.top
        )
        unknown = "" if prediction.accepted else f"{NONE_OF_THESE}   "
        print(f"{prediction.file}   {unknown}{top}")


def write_csv(predictions: Iterable[Prediction], model: Mapping[str, Any]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "rank", "class", "probability", "score", "accepted"])
    for prediction in predictions:
        for rank, (name, probability) in enumerate(prediction.top, 1):
            score = "" if isnan(prediction.score) else f"{prediction.score:.4f}"
            accepted = str(prediction.accepted).lower()
            writer.writerow([prediction.file, rank, name, f"{probability:.6f}", score, accepted])


def write_json(predictions: Iterable[Prediction], model: Mapping[str, Any]) -> None:
    rows = [
        {
            "file": prediction.file,
            "top": [{"class": name, "probability": share} for name, share in prediction.top],
            "score": None if isnan(prediction.score) else prediction.score,
            "accepted": prediction.accepted,
            "model": model,
        }
        for prediction in predictions
    ]
    print(json.dumps(rows, indent=2, ensure_ascii=False))


FORMATS = {"table": write_table, "csv": write_csv, "json": write_json}


class Exported(NamedTuple):
    """An exported model: its folder, its name for the user, and the same as JSON.

    ``drawn`` says that the store knows it as a model of drawings.
    """

    folder: Path
    title: str
    description: dict[str, Any]
    drawn: bool = False


def find_exported(word: str) -> Exported:
    """The exported model in the folder ``word``, or the MLflow model of that name or URI.

    Raises:
        InputError: MLflow does not have the model.
    """
    if Path(word).is_dir():
        return Exported(Path(word), word, {"folder": word})
    from classifier import tracking

    found = tracking.named_version(Path.cwd(), word)
    described = {"uri": found.uri, "name": found.name, "version": found.version}
    folder = tracking.registered_saved_model(Path.cwd(), found.uri)
    return Exported(folder, found.title, described | {"aliases": found.aliases}, found.drawn)


def predict(arguments: argparse.Namespace) -> int:
    """Prints the predictions, and returns the number of images that cannot be read.

    Raises:
        InputError: the model does not exist, or there are no images.
    """
    files, skipped = find_images(arguments.images)
    if skipped:
        print(f"classify: skipped files in folders: {skipped:,} ({SKIPPED})", file=sys.stderr)
    if not files:
        raise InputError(f"no images in {', '.join(arguments.images)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    exported = find_exported(arguments.model)
    classifier = load_classifier(exported.folder)
    drawn = exported.drawn or classifier.drawn
    drawings = ", trained on drawings, which say nothing about photographs" if drawn else ""
    print(f"classify: answers come from {exported.title}{drawings}", file=sys.stderr)
    preprocessing = choose_fit(classifier.preprocessing, arguments.fit)
    unreadable: list[tuple[str, str]] = []
    predictions = classify(
        classifier,
        tqdm(files, unit="image", disable=None, leave=False),
        lambda file: read_image(file, preprocessing, mnist=arguments.like_mnist),
        top=arguments.top,
        unreadable=unreadable,
    )
    FORMATS[arguments.format](predictions, exported.description | {"drawn": drawn})
    for file, reason in unreadable:
        print(f"classify: {file} cannot be read: {reason}", file=sys.stderr)
    return len(unreadable)


def main() -> None:
    logging.basicConfig(format="classify: %(message)s")  # warnings of the library
    parser = argparse.ArgumentParser(prog="classify", description="Classifies images")
    parser.add_argument("model", help="the name of a pipeline, an MLflow model URI, or a folder")
    parser.add_argument("images", nargs="+", help="files, folders, globs, or - for standard input")
    parser.add_argument("--top", type=int, default=3, metavar="K", help="classes per image (3)")
    parser.add_argument("--format", choices=list(FORMATS), default="table")
    parser.add_argument(
        "--fit", choices=get_args(Fit), help="gives images their shape otherwise than for training"
    )
    parser.add_argument(
        "--like-mnist",
        action="store_true",
        help="for one digit on paper or screen, dark or light: first make it like MNIST's",
    )
    try:
        unreadable = predict(parser.parse_args())
    except InputError as error:
        print(f"classify: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(1 if unreadable else 0)


if __name__ == "__main__":
    main()
