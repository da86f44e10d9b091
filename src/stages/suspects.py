"""suspects: lists the images whose label may be wrong, for a person to decide about.

$ python -m stages.folds flowers      # first, for the whole dataset: each image is predicted once
$ python -m stages.suspects flowers   # writes data/suspects/flowers/suspects.csv, and pictures

Without folds, it lists those of the validation and test splits that the stage evaluate found. The
page (make app) shows them, with keep, relabel and drop. Or write one of these words into the column
``decision``, and run this again: ``relabel`` gives the class in ``suggested``, which you may
change. What is decided goes to the file of ``split.corrections``, and is not listed again.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.catalog.corrections import DROP, read_corrections, write_corrections
from classifier.catalog.manifest import read_manifest
from classifier.formats.tables import read_table
from classifier.images.pillow import to_pillow
from classifier.overview.reader import reader
from classifier.reporting.label_errors import label_errors
from classifier.support.atomic import atomic_folder, write_json
from classifier.support.errors import InputError
from stages.configuration import pipeline_section
from stages.folds import FOLDS
from stages.layout import main_checkout, needed, output
from stages.lock import locked
from stages.one_line import stops_in_one_line

DECISIONS = ("keep", "relabel", DROP)
TABLE, ABOUT = "suspects.csv", "about.json"  # as classifier.apps.wrong_labels reads them


def list_suspects(pipeline: str, name: str, most: int) -> None:
    """Takes over what was decided, and writes the folder of the suspects anew.

    Args:
        name: of the cross-validation.
        most: suspects, at most.

    Raises:
        InputError: there is no such pipeline, it was not evaluated, its images may have several
            labels, or a decision is no such word.
    """
    given = pipeline_section(pipeline, "split").get("corrections")
    labels = needed("normalize", pipeline, "test_labels.npy")
    if np.load(labels, mmap_mode="r").ndim == 2:
        raise InputError(
            f"the images of {pipeline} may have several labels, and corrections are for one: look "
            f"at {output('evaluate', pipeline) / 'suspicious.csv'}, and correct the table"
        )
    target = output("suspects", pipeline)
    with locked(target):
        path = Path(given or f"corrections/{pipeline}.csv")
        corrections = read_corrections(path) if path.exists() else {}
        if new := decisions(target / TABLE):
            corrections |= new
            write_corrections(path, corrections)
            print(f"{path}: {len(new):,} decisions from {target / TABLE}")
        index = read_manifest(needed("normalize", pipeline, "index.csv"))
        suspects, where = found(pipeline, name, index)
        left = suspects[~suspects["id"].isin(list(corrections))]
        with atomic_folder(target) as folder:
            write(folder, pipeline, left[:most], index)
            about = {
                "pipeline": pipeline,
                "classes": [name[2:-1] for name in probabilities(suspects)],
                "corrections": path.as_posix(),
            }
            write_json(folder / ABOUT, about)
    decided = len(suspects) - len(left)
    print(f"{pipeline}: {len(suspects):,} labels may be wrong, {where}; {decided:,} are decided")
    if len(left):
        shown = f", the {most:,} most suspicious ones" if len(left) > most else ""
        print(f"{target / TABLE} has the others{shown}: decide there, or on the page (make app)")
    if corrections and given is None:
        print(f"in params.yaml, set pipelines.{pipeline}.split.corrections to {path}")


def decisions(file: Path) -> dict[str, str]:
    """What a person wrote into the table of suspects: the class, or ``drop``, by id.

    Raises:
        InputError: it cannot be read, or a decision is none of the words.
    """
    if not file.exists():
        return {}
    content = file.read_bytes()
    if len(content.splitlines()) < 2:
        return {}  # nothing was suspicious
    table = read_table(str(file), content)
    chosen = {}
    columns = ("id", "class", "suggested", "decision")
    for name in columns:
        if name not in table.columns:
            raise InputError(f"{file} has no column {name}: delete the file, which makes it anew")
    for image, label, suggested, decision in zip(*map(table.column, columns), strict=True):
        if decision not in ("", *DECISIONS):
            raise InputError(
                f"{file}: the decision of '{image}' is '{decision}': must be empty or one of "
                f"{' | '.join(DECISIONS)}"
            )
        if decision:
            chosen[image] = {"keep": label, "relabel": suggested, DROP: DROP}[decision]
    return chosen


def found(pipeline: str, name: str, index: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The images whose label may be wrong, and a word on where they were looked for.

    Args:
        name: of the cross-validation.
        index: the normalized images, with the classes that they have now.

    Returns:
        id, class, and a column ``p(<class>)`` per class, the most suspicious first.
    """
    from classifier import tracking

    runs = [
        run
        for run in tracking.evaluated_trials(main_checkout(), pipeline, name)
        if run.params.get(FOLDS) not in (None, "None")
    ]
    if runs:
        # An image has a prediction for each seed of the folds.
        every = pd.concat([run.predictions for run in runs], ignore_index=True)
        table = every.groupby("id")[probabilities(every)].mean().reset_index()
        table = with_classes(table, index)
        where = f"of {len(table):,} images, predicted out of fold by {len(runs)} trainings"
        return label_errors(table), where
    file = needed("evaluate", pipeline, "suspicious.csv")
    table = pd.read_csv(file, dtype={"id": str, "class": str}, keep_default_na=False)
    # evaluate has found them: only those whose class has changed since are no longer suspects.
    known = with_classes(table[["id", *probabilities(table)]], index)
    same = known.merge(table[["id", "class"]], on=["id", "class"])
    return same, f"of the validation and test splits, as {file} says"


def probabilities(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if str(name).startswith("p(")]


def with_classes(table: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """The table with the classes that the images have now, without those that are gone."""
    now = table["id"].map(index.set_index("id")["class"])
    known = now.isin([name[2:-1] for name in probabilities(table)])
    if gone := int((~known).sum()):
        print(f"{gone:,} predicted images are passed over: they are no longer in the splits")
    table = table[known].reset_index(drop=True)
    table.insert(1, "class", now[known].to_numpy())
    return table


def write(folder: Path, pipeline: str, suspects: pd.DataFrame, index: pd.DataFrame) -> None:
    """Writes the table of suspects, and the picture of each as the network gets it."""
    names = probabilities(suspects)
    values = suspects[names].to_numpy(float).reshape(-1, len(names))
    best = values.argmax(axis=1)
    classes = np.array([name[2:-1] for name in names])
    labels = pd.Index(classes).get_indexer(suspects["class"])
    rows = np.arange(len(suspects))
    read = reader(output("normalize", pipeline), index)
    table = pd.DataFrame(
        {
            "id": suspects["id"].to_numpy(),
            "class": suspects["class"].to_numpy(),
            "probability_of_class": values[rows, labels].round(3),
            "suggested": classes[best],
            "probability": values[rows, best].round(3),
            "decision": "",
            "picture": [f"{number:04d}.png" for number in rows],
        }
    )
    table.to_csv(folder / TABLE, index=False, lineterminator="\n")
    for name, picture in zip(table["id"], table["picture"], strict=True):
        pixels = read(name)
        to_pillow(pixels).save(folder / picture)


def main() -> None:
    logging.basicConfig(format="suspects: %(message)s")  # warnings of the library
    parser = argparse.ArgumentParser(
        prog="python -m stages.suspects",
        description="Lists the images whose label may be wrong, and takes over what was decided",
    )
    parser.add_argument("pipeline")
    parser.add_argument(
        "--name", default="folds", help="of the cross-validation of stages.folds (default: folds)"
    )
    parser.add_argument(
        "--most", type=int, default=500, help="suspects that are listed, at most (default: 500)"
    )
    arguments = parser.parse_args()
    with stops_in_one_line("suspects"):
        if arguments.most < 1:
            raise InputError("--most must be 1 or more")
        list_suspects(arguments.pipeline, arguments.name, arguments.most)


if __name__ == "__main__":
    main()
