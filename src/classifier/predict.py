"""Classifies pictures with a trained model, from the command line.

$ python -m classifier.predict flowers rose.jpg holiday/        # a pipeline's name
$ python -m classifier.predict models:/mnist/3 'scans/*.png' --like-mnist --format csv
$ cat rose.jpg | python -m classifier.predict exports/flowers - --top 1

Pictures of any size, mode and orientation. Those that cannot be read are named at the end, and
the exit status is 1 then; the others are classified all the same.
"""

import argparse
import csv
import glob
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from classifier.data.handwriting import to_digit
from classifier.data.images import ImageError, to_pixels
from classifier.errors import InputError
from classifier.serving import SavedClassifier, load_classifier

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}  # taken of folders
BATCH = 64


class Answer(NamedTuple):
    """A picture's most probable classes, the first one first."""

    file: str
    top: list[tuple[str, float]]


def find_pictures(words: Sequence[str]) -> list[str]:
    """Files of the command line's words: files, folders with what is below them, globs, ``-``."""
    found: list[str] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.suffix.lower() in ENDINGS]
            found += sorted(map(str, files))
        elif word == "-" or path.exists():
            found.append(word)
        else:
            # Path.glob knows no absolute patterns.
            found += sorted(glob.glob(word, recursive=True)) or [word]  # noqa: PTH207
    return found


def read_picture(file: str, shape: Sequence[int], *, fit: str, mnist: bool) -> np.ndarray:
    """The picture as uint8 of ``shape``; ``-`` is standard input.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from None
    height, _, channels = shape
    pixels = to_digit(content) if mnist else content
    return to_pixels(pixels, size=height, channels=channels, fit=fit)


def classify(
    classifier: SavedClassifier,
    files: Iterable[str],
    read: Callable[[str], np.ndarray],
    *,
    top: int,
    unreadable: list[tuple[str, str]],
) -> Iterator[Answer]:
    """Answers in the files' order, a batch at a time.

    Args:
        unreadable: gets each file that cannot be read, and why.
    """
    pictures: list[tuple[str, np.ndarray]] = []
    for file in files:
        try:
            pictures.append((file, read(file)))
        except ImageError as error:
            unreadable.append((file, str(error)))
        if len(pictures) == BATCH:
            yield from _answers(classifier, pictures, top)
            pictures = []
    if pictures:
        yield from _answers(classifier, pictures, top)


def _answers(
    classifier: SavedClassifier, pictures: Sequence[tuple[str, np.ndarray]], top: int
) -> Iterator[Answer]:
    found = classifier.predict(np.stack([pixels for _, pixels in pictures]))
    for (file, _), probabilities in zip(pictures, found, strict=True):
        order = np.argsort(-probabilities, kind="stable")[:top]
        yield Answer(file, [(classifier.classes[at], float(probabilities[at])) for at in order])


def write_table(answers: Iterable[Answer]) -> None:
    for answer in answers:
        found = "   ".join(f"{name} {100 * share:.1f} %" for name, share in answer.top)
        print(f"{answer.file}   {found}")


def write_csv(answers: Iterable[Answer]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "rank", "class", "probability"])
    for answer in answers:
        for rank, (name, share) in enumerate(answer.top, 1):
            writer.writerow([answer.file, rank, name, f"{share:.6f}"])


def write_json(answers: Iterable[Answer]) -> None:
    rows = [
        {
            "file": answer.file,
            "top": [{"class": name, "probability": share} for name, share in answer.top],
        }
        for answer in answers
    ]
    print(json.dumps(rows, indent=2, ensure_ascii=False))


FORMATS = {"table": write_table, "csv": write_csv, "json": write_json}


def exported(word: str) -> Path:
    """The exported model's folder: ``word`` itself, or what MLflow has under a name or a URI.

    Raises:
        InputError: MLflow has no such model.
    """
    if Path(word).is_dir():
        return Path(word)
    from classifier import tracking

    return tracking.registered_saved_model(Path.cwd(), word)


def predict(arguments: argparse.Namespace) -> int:
    """Prints the answers; gives the number of pictures that could not be read.

    Raises:
        InputError: there is no such model, or no picture.
    """
    files = find_pictures(arguments.pictures)
    if not files:
        raise InputError(f"no picture in {', '.join(arguments.pictures)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    classifier = load_classifier(exported(arguments.model))
    unreadable: list[tuple[str, str]] = []
    answers = classify(
        classifier,
        tqdm(files, unit="picture", disable=None, leave=False),
        lambda file: read_picture(
            file, classifier.shape, fit=arguments.fit, mnist=arguments.like_mnist
        ),
        top=arguments.top,
        unreadable=unreadable,
    )
    FORMATS[arguments.format](answers)
    for file, reason in unreadable:
        print(f"predict: {file} cannot be read: {reason}", file=sys.stderr)
    return len(unreadable)


def main() -> None:
    parser = argparse.ArgumentParser(prog="classifier.predict", description="Classifies pictures")
    parser.add_argument("model", help="a pipeline's name, an MLflow model URI, or a folder")
    parser.add_argument(
        "pictures", nargs="+", help="files, folders, globs, or - for standard input"
    )
    parser.add_argument("--top", type=int, default=3, metavar="K", help="classes a picture (3)")
    parser.add_argument("--format", choices=list(FORMATS), default="table")
    parser.add_argument(
        "--fit", choices=["crop", "pad"], default="crop", help="how to make it square"
    )
    parser.add_argument(
        "--like-mnist",
        action="store_true",
        help="one digit on paper or screen, dark or light: made like MNIST's first",
    )
    try:
        unreadable = predict(parser.parse_args())
    except InputError as error:
        print(f"predict: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(1 if unreadable else 0)


if __name__ == "__main__":
    main()
