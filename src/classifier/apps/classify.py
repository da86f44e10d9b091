"""Classifies images with a trained model, from the command line.

$ python -m classifier.apps.classify flowers rose.jpg holiday/        # the name of a pipeline
$ python -m classifier.apps.classify models:/mnist/3 'scans/*.png' --like-mnist --format csv
$ python -m classifier.apps.classify flowers s3://photos/holiday/ --output holiday.csv --resume
$ cat rose.jpg | python -m classifier.apps.classify exports/flowers - --top 1

Images may have any size, mode and orientation. Images that cannot be read do not stop the others:
they are listed at the end, and the exit status is 1.
"""

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from tqdm import tqdm

from classifier.apps.find_images import find_images, read_encoded, threads_to_read
from classifier.apps.handwriting import to_digit
from classifier.apps.output import check_new, digest, opened
from classifier.apps.predictions import Unreadable, classify
from classifier.apps.rows import FORMATS, printable
from classifier.formats.image_files import SKIPPED
from classifier.images.pixels import Fit
from classifier.images.preprocessing import Preprocessing
from classifier.serving.loading import SavedClassifier, load_classifier
from classifier.support.errors import InputError, refused_by_the_machine

LISTED = 20  # images that cannot be read, by name


def choose_fit(preprocessing: Preprocessing, fit: Fit | None) -> Preprocessing:
    """The model's preprocessing, with ``fit`` in place of its own; a line says so."""
    if fit is None or fit == preprocessing.fit:
        return preprocessing
    say(f"--fit {fit} overrides the model's own, {preprocessing.fit}")
    return replace(preprocessing, fit=fit)


def say(line: str) -> None:
    print(f"classify: {line}", file=sys.stderr)


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


def as_prepared(
    classifier: SavedClassifier, fit: Fit | None, *, like_mnist: bool
) -> tuple[SavedClassifier, Callable[[str], bytes | np.ndarray]]:
    """The model with the preprocessing that the user wants, and the function that reads a file."""
    preprocessing = choose_fit(classifier.preprocessing, fit)
    if not like_mnist:
        return classifier._replace(preprocessing=preprocessing), read_encoded
    # The digit's pixels are 0..255, whatever the range of the model's files.
    preprocessing = replace(preprocessing, value_range=None)
    return (
        classifier._replace(preprocessing=preprocessing),
        lambda file: to_digit(read_encoded(file)),
    )


def remaining(files: list[str], done: Counter[str]) -> Iterator[str]:
    """The files without those that are done, as often as they are."""
    left = done.copy()
    for file in files:
        if left[printable(file)]:
            left[printable(file)] -= 1
        else:
            yield file


def predict(arguments: argparse.Namespace) -> int:
    """Writes the predictions, and returns the number of images that cannot be read.

    Raises:
        InputError: the model does not exist, there are no images, or the output is another one's.
    """
    check_new(arguments.output, resume=arguments.resume)
    files, skipped = find_images(arguments.images)
    if skipped:
        say(f"skipped files in folders: {skipped:,} ({SKIPPED})")
    if not files:
        raise InputError(f"no images in {', '.join(arguments.images)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    exported = find_exported(arguments.model)
    classifier = load_classifier(exported.folder)
    drawn = exported.drawn or classifier.drawn
    drawings = ", trained on drawings, which say nothing about photographs" if drawn else ""
    say(f"answers come from {exported.title}{drawings}")
    if classifier.thresholds is not None and arguments.resume and arguments.format == "csv":
        raise InputError(
            "the model answers any number of labels, so that the rows of CSV do not say which "
            "image is whole: use --format jsonl or parquet with --resume"
        )
    options = {name: getattr(arguments, name) for name in ("format", "top", "fit", "like_mnist")}
    options["sha256"] = digest(exported.folder) if arguments.output else ""
    classifier, read = as_prepared(classifier, arguments.fit, like_mnist=arguments.like_mnist)
    ranks = min(arguments.top, len(classifier.classes))
    described = exported.description | {"drawn": drawn}
    unreadable = 0
    listed: list[Unreadable] = []
    with opened(
        arguments.output, arguments.format, described, options, ranks, resume=arguments.resume
    ) as (writer, done):
        if count := done.files.total():
            files = list(remaining(files, done.files))
            say(f"{arguments.output} has {count:,} images already: {len(files):,} are left")
        answers = classify(
            classifier, files, read, top=arguments.top, workers=threads_to_read(files)
        )
        for answer in tqdm(answers, total=len(files), unit="image", disable=None, leave=False):
            writer.write(answer)
            if isinstance(answer, Unreadable):
                unreadable += 1
                if len(listed) < LISTED:
                    listed.append(answer)
    for file, reason in listed:
        say(f"{printable(file)} cannot be read: {reason}")
    if unreadable > len(listed):
        say(f"{unreadable - len(listed):,} more cannot be read")
    if arguments.output:
        total = done.unreadable + unreadable
        say(f"{arguments.output}: {done.files.total() + len(files):,} images, {total:,} unreadable")
    return done.unreadable + unreadable


def format_of(output: Path | None) -> str:
    """The format that a file's suffix names, else a table."""
    suffix = output.suffix.lower().removeprefix(".") if output else ""
    return suffix if suffix in FORMATS else "table"


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    logging.basicConfig(format="classify: %(message)s")  # warnings of the library
    parser = argparse.ArgumentParser(prog="classify", description="Classifies images")
    parser.add_argument("model", help="the name of a pipeline, an MLflow model URI, or a folder")
    parser.add_argument(
        "images",
        nargs="+",
        help="files, folders, globs, folders in buckets (s3://…), or - for standard input",
    )
    parser.add_argument(
        "--top",
        type=positive,
        default=3,
        metavar="K",
        help="classes per image (3); a model of several labels answers all above their thresholds",
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="of the output (its suffix, else a table)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="a new file, for Parquet a folder of files"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the output of a run that was broken off"
    )
    parser.add_argument(
        "--fit", choices=get_args(Fit), help="gives images their shape otherwise than for training"
    )
    parser.add_argument(
        "--like-mnist",
        action="store_true",
        help="for one digit on paper or screen, dark or light: first make it like MNIST's",
    )
    arguments = parser.parse_args()
    arguments.format = arguments.format or format_of(arguments.output)
    if arguments.format == "parquet" and not arguments.output:
        parser.error("Parquet needs --output")
    if arguments.resume and (arguments.format == "table" or not arguments.output):
        parser.error("--resume needs --output of the format csv, jsonl or parquet")
    try:
        unreadable = predict(arguments)
    except InputError as error:
        say(str(error))
        sys.exit(1)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        reason = refused_by_the_machine(error)
        if reason is None:
            raise
        say(reason)
        sys.exit(1)
    except KeyboardInterrupt:
        say("stopped" + (": --resume goes on" if arguments.output else ""))
        sys.exit(130)
    sys.exit(1 if unreadable else 0)


if __name__ == "__main__":
    main()
