"""drift: compares new pictures with the test split, by the exported model's answers and by looks.

$ python -m stages.drift flowers holiday/        # pictures: files, folders, globs, buckets
$ python -m stages.drift flowers answers.jsonl   # the server's log, or a table of classify

Exit status 0: no drift was found. 2: the pictures drifted. 1: they could not be compared. The page
is reports/<pipeline>/drift.html; MLflow gets it, too, as a run of the pipeline's experiment. A log
has answers alone, so that the pictures' looks are not compared.
"""

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, NoReturn

import numpy as np
import pandas as pd
from tqdm import tqdm

from classifier.apps.find_images import find_images, read_encoded
from classifier.catalog.manifest import read_manifest
from classifier.drift.answer_tables import is_answer_table, read_answers
from classifier.drift.detection import FEW, comparable, compare, detectable, drifted, left_out
from classifier.drift.observations import MEASURES, observe_files, observe_split
from classifier.drift.page import Unlike, described, most_unlike, nearest_usual, write_page
from classifier.formats.image_files import SKIPPED
from classifier.images.pixels import ImageError
from classifier.images.preprocessing import PREPROCESSING, read_preprocessing
from classifier.serve.exported import digest
from classifier.serving.loading import SavedClassifier, load_classifier
from classifier.storage.splits import Images, read_split
from classifier.support.errors import InputError
from stages.configuration import pipeline_section
from stages.layout import main_checkout, needed, output
from stages.lock import locked
from stages.one_line import stops_in_one_line

PAGE = "drift.html"
DRIFT = 2  # the exit status
UNLIKE = 12  # pictures on the page
NAMED = 3  # pictures that cannot be read
log = logging.getLogger(__name__)


class Options(NamedTuple):
    """What the command line sets: see :func:`main`."""

    alpha: float
    effect: float
    without: Sequence[str]
    output: Path | None


class New(NamedTuple):
    """What is compared with the test split.

    Attributes:
        rows: the columns of MEASURES that are known, and ``file``; a row per picture.
        told: lines about them.
        pictures: whether there are pictures, not only answers.
    """

    rows: pd.DataFrame
    told: list[str]
    pictures: bool


def drift(pipeline: str, words: Sequence[str], options: Options) -> bool:
    """Compares, prints the table, writes the page, and logs both; whether the pictures drifted.

    Raises:
        InputError: there is no such pipeline, it has no exported model, or there is nothing to
            compare.
    """
    pipeline_section(pipeline, "evaluate")
    tables = [word for word in words if is_answer_table(word)]
    if tables and len(tables) < len(words):
        raise InputError("give pictures or tables of answers, not both")
    normalized = needed("normalize", pipeline)
    folder = needed("export", pipeline)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if tables:
        folder, new = answers_of(pipeline, tables, folder, normalized)
        classifier = load_classifier(folder)
    else:
        classifier = load_classifier(folder)
        new = pictures_of(classifier, pipeline, words)
    preprocessing = read_preprocessing(needed("normalize", pipeline, PREPROCESSING))
    if preprocessing != classifier.preprocessing:
        raise InputError(
            f"{folder} takes other images than {normalized} has: make it with 'dvc repro "
            f"export@{pipeline}'"
        )
    images, _ = read_split(normalized, "test")
    reference = observe_split(classifier, images, sizes_of(pipeline))
    return report(pipeline, words, options, classifier, images, reference, new)


def pictures_of(classifier: SavedClassifier, pipeline: str, words: Sequence[str]) -> New:
    """Answers and measures the pictures that the words name.

    Raises:
        InputError: there are none, or none can be read.
    """
    files, skipped = find_images(words)
    told = []
    if skipped:
        told.append(f"skipped files in folders: {skipped:,} ({SKIPPED})")
    if not files:
        raise InputError(f"no images in {', '.join(words)}")
    unreadable: list[tuple[str, str]] = []
    progress = tqdm(files, unit="image", disable=None, leave=False)
    rows = observe_files(classifier, progress, read_encoded, unreadable)
    if unreadable:
        first = "; ".join(f"{file}: {reason}" for file, reason in unreadable[:NAMED])
        told.append(f"{len(unreadable):,} of {len(files):,} images cannot be read ({first})")
    if not len(rows):
        raise InputError(told[-1])
    if repeated := len(rows) - rows["sha256"].nunique():
        told.append(f"{repeated:,} pictures are the same as another one, and count again")
    return New(rows, [*told, *known_pictures(pipeline, rows["sha256"])], pictures=True)


def known_pictures(pipeline: str, hashes: pd.Series) -> list[str]:
    """A line if new pictures are in the dataset: a model is surer of those that it has seen."""
    file = output("split", pipeline)
    if not file.exists():
        return []
    manifest = read_manifest(file).drop_duplicates("sha256").set_index("sha256")["split"]
    if counts := Counter(hashes.map(manifest).dropna()):
        where = ", ".join(f"{count:,} in {split}" for split, count in sorted(counts.items()))
        return [f"{counts.total():,} of the new pictures are in the dataset itself: {where}"]
    return []


def answers_of(
    pipeline: str, tables: Sequence[str], folder: Path, normalized: Path
) -> tuple[Path, New]:
    """The folder of the model that gave the latest answers, and its answers.

    Raises:
        InputError: there are none, or the model is not here.
    """
    classes = (normalized / "classes.txt").read_text("utf-8").splitlines()
    rows, passed_over = read_answers(tables, pipeline, classes)
    told = [f"{count:,} lines {reason} are passed over" for reason, count in passed_over.items()]
    if not len(rows):
        raise InputError(f"no answers of {pipeline} in {', '.join(tables)}: " + "; ".join(told))
    versions = rows["version"]
    if (version := versions.iloc[-1]) is None:
        told.append("the table does not say which version of the model answered")
    else:
        folder = folder_of(pipeline, version, folder)
        if others := int((versions != version).sum()):
            told.append(
                f"{others:,} answers of other versions than the latest, {version}, are passed over"
            )
        rows = rows[versions == version].reset_index(drop=True)
    if unscored := int(rows["score"].isna().sum()):
        told.append(f"{unscored:,} answers have no score")
    return folder, New(rows, told, pictures=False)


def folder_of(pipeline: str, version: str, exported: Path) -> Path:
    """The folder of a version that the server names: of the files exported last, or of MLflow.

    Raises:
        InputError: it is neither.
    """
    here = digest(exported)
    if version == here:
        return exported
    if not version.isdecimal() or len(version) == len(here):
        raise InputError(
            f"the latest answers are of version {version} of {pipeline}, but {exported} has "
            f"version {here}: compare answers of one and the same model"
        )
    from classifier import tracking

    return tracking.registered_saved_model(main_checkout(), f"models:/{pipeline}/{version}")


def sizes_of(pipeline: str) -> pd.DataFrame:
    """Width and height of the originals of the test split, in the order of its images."""
    index = read_manifest(needed("normalize", pipeline, "index.csv"))
    measured = read_manifest(needed("overview", pipeline, "images.csv")).set_index("id")
    return measured.loc[index["id"][index["split"] == "test"], ["width", "height"]]


def report(
    pipeline: str,
    words: Sequence[str],
    options: Options,
    classifier: SavedClassifier,
    images: Images,
    reference: pd.DataFrame,
    new: New,
) -> bool:
    """Compares, prints, writes and logs; whether the pictures drifted."""
    compared = reference.drop(columns=list(options.without), errors="ignore")
    if not comparable(compared, new.rows):
        raise InputError("no measure is left to compare")
    table = compare(compared, new.rows, alpha=options.alpha, effect=options.effect)
    before, now = len(reference), len(new.rows)
    smallest = detectable(before, now, tests=len(table), alpha=options.alpha)
    told = [
        f"{now:,} new pictures, {before:,} of the test split",
        *new.told,
        *reach(before, now, smallest),
    ]
    if options.without:
        told.append(f"left out, as asked: {', '.join(options.without)}")
    if missing := left_out(table, options.without):
        told.append(f"not compared, as it is not known of both: {', '.join(missing)}")
    if classifier.drawn:
        told.append("the model was trained on drawings, which the pipeline made itself")
    found = drifted(table)
    verdict = f"drift in {', '.join(found)}" if found else "no drift found"
    for line in told:
        print(f"{pipeline}: {line}")
    print(printed(table))
    page = options.output or output("evaluate", pipeline) / PAGE
    with locked(page):
        write_page(
            page,
            title=f"{pipeline}: new pictures beside the test split",
            verdict=f"{verdict[0].upper()}{verdict[1:]}.",
            told=[f"{line[0].upper()}{line[1:]}." for line in told],
            table=table,
            reference=reference,
            new=new.rows,
            unlike=unlike_pictures(classifier, images, reference, new),
            alpha=options.alpha,
            effect=options.effect,
        )
        log_to_mlflow(pipeline, words, table, now, page)
    print(f"{pipeline}: {verdict}; {page} shows it")
    return bool(found)


def reach(reference: int, new: int, smallest: float) -> list[str]:
    """A line about what so few pictures can show; none if they are enough."""
    if min(reference, new) >= FEW:
        return []
    few = f"{new} new pictures" if new <= reference else f"a test split of {reference} images"
    what = f"an effect below {smallest:.2f}" if smallest < 1 else "any drift"
    return [f"{few} can hardly show {what}: compare {FEW} or more, better hundreds"]


def printed(table: pd.DataFrame) -> str:
    """The table as text."""
    shown = pd.DataFrame(
        {
            "measure": table["measure"],
            "test split": table["reference"],
            "new": table["new"],
            "effect": table["effect"].map("{:.2f}".format),
            "corrected p": [f"{p:.2g}" if p >= 1e-6 else "< 1e-6" for p in table["corrected"]],
            "verdict": table["verdict"],
        }
    )
    return shown.to_string(index=False)


def unlike_pictures(
    classifier: SavedClassifier, images: Images, reference: pd.DataFrame, new: New
) -> list[Unlike]:
    """The most unlike new pictures, each with the usual one that looks most like it."""
    rows = most_unlike(new.rows, UNLIKE).to_dict("records")
    if not new.pictures:
        return [Unlike(row["file"], described(row)) for row in rows]
    shown: list[tuple[dict, np.ndarray]] = []
    for row in rows:
        try:
            shown.append((row, classifier.preprocessing(read_encoded(row["file"]))))
        except ImageError:
            log.warning("%s is gone: the page does not show it", row["file"])
    classes = [row["class"] for row, _ in shown]
    usual = nearest_usual([pixels for _, pixels in shown], classes, images, reference)
    return [
        Unlike(
            row["file"],
            described(row),
            pixels,
            np.asarray(images[at]),
            described(reference.iloc[at].to_dict()),
        )
        for (row, pixels), at in zip(shown, usual, strict=True)
    ]


def log_to_mlflow(
    pipeline: str, words: Sequence[str], table: pd.DataFrame, pictures: int, page: Path
) -> None:
    """Logs a run with the effects, the values of p, and the page. If the store fails, it is kept
    for ``python -m stages.upload``."""
    from classifier import tracking

    found = drifted(table)
    by_measure = table.set_index("measure")
    metrics = {
        "pictures": pictures,
        "drifted": len(found),
        "effect": by_measure["effect"].to_dict(),
        "p": by_measure["corrected"].to_dict(),
    }
    tags = {"drift": ", ".join(found) or "none", "drift.of": " ".join(words)[:500]}
    with TemporaryDirectory() as folder:
        remembered = Path(folder) / "run"  # nothing continues this run
        try:
            with tracking.resumed_run(
                main_checkout(), pipeline, "drift", {}, tags, remembered, "postpone"
            ) as run:
                run.log_metrics({"drift": metrics})
                run.log_file(page, "drift")
        except InputError as error:
            log.warning("MLflow does not have this comparison: %s", error)


class Parser(argparse.ArgumentParser):
    """Ends with status 1 where argparse would with 2, which says that pictures drifted."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"drift: {message}; see --help\n")


def share(text: str) -> float:
    """A number above 0 and below 1."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be above 0 and below 1")
    return number


def main() -> None:
    logging.basicConfig(format="drift: %(message)s")  # warnings of the library
    parser = Parser(
        prog="python -m stages.drift",
        description="Compares new pictures with the test split; exit status 2 where they drifted",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("pipeline")
    parser.add_argument(
        "new",
        nargs="+",
        help="pictures (files, folders, globs, buckets), or logs of answers (.jsonl, .csv)",
    )
    parser.add_argument(
        "--alpha",
        type=share,
        default=0.01,
        help="the probability of a false alarm, of all measures together",
    )
    parser.add_argument(
        "--effect", type=share, default=0.1, help="the smallest difference of shares that matters"
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=list(MEASURES),
        metavar="MEASURE",
        help=f"leaves one out: {' | '.join(MEASURES)}; may be repeated",
    )
    parser.add_argument(
        "--output", type=Path, help="the page's file (default: reports/<pipeline>/drift.html)"
    )
    arguments = parser.parse_args()
    options = Options(arguments.alpha, arguments.effect, arguments.without, arguments.output)
    with stops_in_one_line("drift"):
        found = drift(arguments.pipeline, arguments.new, options)
    sys.exit(DRIFT if found else 0)


if __name__ == "__main__":
    main()
