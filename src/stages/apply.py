"""Apply: the values of a sweep's best trial, written into params.yaml.

$ python -m stages.apply mnist rates
$ dvc repro

What the sweep's command line fixed for all trials is written too. Comments stay. Without a name, it
is the pipeline's latest sweep.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from ruamel.yaml.comments import CommentedMap

from classifier.support.errors import InputError, nearest
from stages.one_line import stops_in_one_line
from stages.params import pipelines, read_params, write_params
from stages.prepare import completed
from stages.search import FIXED, storage_url


def apply_best(pipeline: str, name: str | None = None, storage: str | None = None) -> list[str]:
    """Writes the values of a sweep's best trial into params.yaml.

    Args:
        name: of the sweep; by default, the pipeline's latest.
        storage: URL of the database with the trials; by default, .dvc/tmp/sweeps.db.

    Returns:
        A line for the trial, then one for each key that changed.

    Raises:
        InputError: there is no such pipeline or sweep, no trial of it was finished, or a value has
            no place in params.yaml.
    """
    params = read_params()
    if pipeline not in params["pipelines"]:
        raise InputError(
            f"params.yaml has no pipeline '{pipeline}': {nearest(pipeline, pipelines())}"
        )
    from classifier.studies.study import OF, best_trial, existing_study

    study = existing_study(storage_url(storage), name, "pipeline", pipeline)
    best, of = best_trial(study), study.user_attrs[OF]
    lines = [
        f"sweep {study.study_name}: the best {of['monitor']} is {best.value:.6g}, of trial "
        f"{best.number}"
    ]
    texts = {key.removeprefix(FIXED): of[key] for key in of if key.startswith(FIXED)}
    sections = params["pipelines"][pipeline]
    section = sections.get("train")
    if section is None:
        section = CommentedMap()
    for key, value in placed(texts | best.params):
        before = set_below(section, key, value)
        if before != value:
            lines.append(f"pipelines.{pipeline}.train.{key}: {shown(before)} → {shown(value)}")
    sections["train"], added = completed(pipeline, "train", section, params["pipelines"])
    if len(lines) > 1 or added:
        write_params(params)
    return lines + added


def placed(texts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys in the train section, with dots, and their values.

    Args:
        texts: values in Hydra's grammar, by the keys of the command line.
    """
    for key, text in texts.items():
        if key == "pipeline":
            continue
        if key.startswith("~"):
            raise InputError(f"the sweep has {key}: params.yaml cannot take a key away")
        (override,) = OverridesParser.create().parse_overrides([f"{key}={text}"])
        plain = key.lstrip("+")
        yield f"groups.{plain}" if Path("conf", plain).is_dir() else plain, override.value()


def set_below(section: Any, key: str, value: Any) -> Any:
    """Sets the value of a key with dots; returns the one before, None if there was none."""
    *parents, last = key.split(".")
    for parent in parents:
        if not isinstance(section.get(parent), dict):
            section[parent] = CommentedMap()
            section[parent].fa.set_flow_style()
        section = section[parent]
    before = section.get(last)
    if before != value:
        section[last] = value
    return before


def shown(value: Any) -> str:
    return "its default" if value is None else json.dumps(value, default=str)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.apply",
        description="Writes the values of a sweep's best trial into params.yaml",
    )
    parser.add_argument("pipeline", help="its name in params.yaml")
    parser.add_argument("sweep", nargs="?", help="its name; default: the pipeline's latest sweep")
    parser.add_argument("--storage", help="URL of the trials; default: .dvc/tmp/sweeps.db")
    arguments = parser.parse_args()
    with stops_in_one_line("apply"):
        print(*apply_best(arguments.pipeline, arguments.sweep, arguments.storage), sep="\n")


if __name__ == "__main__":
    main()
