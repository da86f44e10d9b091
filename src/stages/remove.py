"""remove: takes a pipeline out of the configuration.

$ python -m stages.remove mnist            # its section, its dataset's file, its part of dvc.lock
$ python -m stages.remove mnist --outputs  # and what its stages wrote

Recipes keep their sections of it, and MLflow its runs and registered versions.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifier.support.atomic import atomic_path, restored_on_error
from classifier.support.errors import InputError, nearest
from stages.layout import FOLDERS, output
from stages.lock import locked
from stages.one_line import stops_in_one_line
from stages.params import PARAMS, params_without, pipelines, used_by, value, write_params

LOCK = Path("dvc.lock")


def remove(name: str, *, outputs: bool, dry_run: bool) -> Iterator[str]:
    """Removes a pipeline; yields a line for each thing that was removed, or that stays.

    Raises:
        InputError: there is no such pipeline, it is the last one, or another begins with it.
    """
    known = pipelines()
    check_removable(name, known)
    dataset = Path("conf", "dataset", f"{name}.yaml")
    users = used_by(name)
    entries = _entries(name)
    verb = "would remove" if dry_run else "removed"
    if not dry_run:
        with restored_on_error(PARAMS, dataset, LOCK):
            write_params(params_without(name))
            if not users:
                dataset.unlink(missing_ok=True)
            if entries:
                _remove_entries(entries)
    yield f"{verb} pipelines.{name} of {PARAMS}"
    if users and dataset.exists():
        yield f"{dataset.as_posix()} stays: {', '.join(users)} uses it"
    elif not users and (dry_run or not dataset.exists()):
        yield f"{verb} {dataset.as_posix()}"
    if entries:
        yield f"{verb} {len(entries)} stages of {LOCK}: {', '.join(entries)}"
    yield from _outputs(name, outputs, dry_run)
    recipes = [file.stem for file in _recipes() if f"\n{name}:" in f"\n{file.read_text('utf-8')}"]
    if recipes:
        yield f"the sections of {name} in the recipes {', '.join(recipes)} stay"
    yield f"MLflow's runs and registered versions of {name} stay"


def check_removable(name: str, known: dict[str, Any]) -> None:
    if name not in known:
        raise InputError(f"{PARAMS} has no pipeline '{name}': {nearest(name, known)}")
    if len(known) == 1:
        raise InputError(f"'{name}' is the last pipeline of {PARAMS}, which needs one: add another")
    heirs = [
        other
        for other in known
        if other != name and value(known[other], "train", "model", "base") == name
    ]
    if heirs:
        raise InputError(f"{', '.join(heirs)} begins with the model of '{name}': remove that first")
    taught = [
        other
        for other in known
        if other != name and value(known[other], "train", "teacher", "source") == name
    ]
    if taught:
        raise InputError(
            f"{', '.join(taught)} learns from the model of '{name}': remove that first"
        )


def _recipes() -> list[Path]:
    return sorted(Path("conf", "recipe").glob("*.yaml"))


def _entries(name: str) -> list[str]:
    """The stages of the pipeline in dvc.lock."""
    if not LOCK.exists():
        return []
    from dvc.utils.serialize import parse_yaml

    stages = parse_yaml(LOCK.read_text("utf-8"), LOCK).get("stages") or {}
    return [stage for stage in stages if stage.endswith(f"@{name}")]


def _remove_entries(entries: list[str]) -> None:
    # DVC's own reader and writer: the other entries keep their bytes.
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    content = parse_yaml_for_update(LOCK.read_text("utf-8"), LOCK)
    for entry in entries:
        del content["stages"][entry]
    with atomic_path(LOCK) as temporary:
        temporary.write_text(dumps_yaml(content), encoding="utf-8", newline="\n")


def _outputs(name: str, wanted: bool, dry_run: bool) -> Iterator[str]:
    paths = [path for path in (output(stage, name) for stage in FOLDERS) if path.exists()]
    if not paths:
        return
    named = ", ".join(path.as_posix() for path in paths)
    if not wanted:
        yield f"its outputs stay, --outputs removes them: {named}"
        return
    if not dry_run:
        with locked(*paths):
            for path in paths:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    verb = "would remove" if dry_run else "removed"
    yield f"{verb} {named}; DVC's cache keeps copies until 'dvc gc --workspace'"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.remove", description="Takes a pipeline out of the configuration"
    )
    parser.add_argument("name", help="of the pipeline")
    parser.add_argument("--outputs", action="store_true", help="remove what its stages wrote, too")
    parser.add_argument("--dry-run", action="store_true", help="print, but remove nothing")
    arguments = parser.parse_args()
    with stops_in_one_line("remove"):
        for line in remove(arguments.name, outputs=arguments.outputs, dry_run=arguments.dry_run):
            print(line)


if __name__ == "__main__":
    main()
