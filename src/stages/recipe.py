"""Recipes: files of sections of params.yaml that one command puts into params.yaml.

$ python -m stages.recipe best            # for every pipeline in conf/recipe/best.yaml
$ python -m stages.recipe best flowers    # for one pipeline

A recipe sets several stages together, such as the image size of normalize and the epochs of
train. It replaces whole sections. DVC then runs the stages that have new values.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from classifier.support.errors import InputError, nearest
from stages.one_line import stops_in_one_line
from stages.params import read_params, round_trip, write_params
from stages.prepare import completed


def apply_recipe(recipe: str, only: list[str]) -> list[str]:
    """Replaces sections of params.yaml by those of a recipe, and keeps the comments.

    What a section of the recipe leaves out and DVC needs is added, as `make repro` does.

    Args:
        recipe: the name of a file in conf/recipe/, without its suffix.
        only: names of pipelines. An empty list means all pipelines of the recipe.

    Returns:
        The keys of the sections that changed.

    Raises:
        InputError: the recipe or params.yaml does not exist or cannot be read, or does not have
            one of these pipelines.
    """
    params = read_params()
    recipes = [path.stem for path in Path("conf", "recipe").glob("*.yaml")]
    if recipe not in recipes:
        raise InputError(f"no recipe '{recipe}': {nearest(recipe, recipes)}")
    sections = round_trip().load(Path("conf", "recipe", f"{recipe}.yaml"))
    changed = []
    # A pipeline that was removed is still in the recipes.
    there = [pipeline for pipeline in sections if pipeline in params["pipelines"]]
    others = [pipeline for pipeline in sections if pipeline not in there]
    if there and others and not only:
        print(f"passed over {', '.join(others)}: not in params.yaml")
    for pipeline in only or there or list(sections):
        files = {"params.yaml": params["pipelines"], f"recipe {recipe}": sections}
        for file, pipelines in files.items():
            if pipeline not in pipelines:
                raise InputError(
                    f"{file} has no pipeline '{pipeline}': {nearest(pipeline, pipelines)}"
                )
        for stage, chosen in sections[pipeline].items():
            section, _ = completed(pipeline, stage, chosen, params["pipelines"])
            if not _equal(params["pipelines"][pipeline].get(stage), section):
                params["pipelines"][pipeline][stage] = section
                changed.append(f"pipelines.{pipeline}.{stage}")
    write_params(params)
    return changed


def _equal(one: Any, other: Any) -> bool:
    """Compares two sections; ruamel.yaml's own comparison depends on the order of the keys."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.recipe", description="Puts the sections of a recipe into params.yaml"
    )
    parser.add_argument("recipe", help="the name of a file in conf/recipe/, without its suffix")
    parser.add_argument("pipelines", nargs="*", help="default: all pipelines of the recipe")
    arguments = parser.parse_args()
    with stops_in_one_line("recipe"):
        changed = apply_recipe(arguments.recipe, arguments.pipelines)
    print(f"changed {', '.join(changed)}" if changed else "nothing to change")


if __name__ == "__main__":
    main()
