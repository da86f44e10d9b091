"""Recipes: the sections of params.yaml that belong together, put there by one command.

$ python -m stages.recipe best            # of every pipeline that conf/recipe/best.yaml names
$ python -m stages.recipe best flowers    # of one

A recipe reaches across stages: a larger image is normalize's, more epochs are train's. It
replaces the sections that it names, whole; DVC then runs the stages whose values changed.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from classifier.atomic import atomic_path
from classifier.errors import InputError, nearest

PARAMS = Path("params.yaml")


def apply_recipe(recipe: str, chosen: list[str]) -> list[str]:
    """Puts the recipe's sections into params.yaml, whose comments stay.

    Args:
        recipe: a file of conf/recipe/, without its ending.
        chosen: pipelines; all that the recipe names, for none.

    Returns:
        A line for each section that changed.

    Raises:
        InputError: there is no such recipe or params.yaml, or one has no such pipeline.
    """
    if not PARAMS.exists():
        raise InputError(f"no {PARAMS} in {Path.cwd()}: run this in the checkout's root")
    recipes = [path.stem for path in Path("conf", "recipe").glob("*.yaml")]
    if recipe not in recipes:
        raise InputError(f"no recipe '{recipe}': {nearest(recipe, recipes)}")
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        params = yaml.load(PARAMS)
    except YAMLError as error:
        raise InputError(f"{PARAMS} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(params, dict) or not isinstance(params.get("pipelines"), dict):
        raise InputError(f"{PARAMS} has no pipelines")
    sections = yaml.load(Path("conf", "recipe", f"{recipe}.yaml"))
    changed = []
    for pipeline in chosen or list(sections):
        for place, known in {
            "params.yaml": params["pipelines"],
            f"recipe {recipe}": sections,
        }.items():
            if pipeline not in known:
                raise InputError(
                    f"{place} has no pipeline '{pipeline}': {nearest(pipeline, known)}"
                )
        for stage, section in sections[pipeline].items():
            if not _equal(params["pipelines"][pipeline].get(stage), section):
                params["pipelines"][pipeline][stage] = section
                changed.append(f"pipelines.{pipeline}.{stage}")
    with atomic_path(PARAMS) as temporary:
        yaml.dump(params, temporary)
    return changed


def _equal(one: Any, other: Any) -> bool:
    """Whether both say the same; the keys' order, which the file keeps, says nothing."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="stages.recipe", description="Puts a recipe into params.yaml"
    )
    parser.add_argument("recipe", help="a file of conf/recipe/, without its ending")
    parser.add_argument("pipelines", nargs="*", help="all that the recipe names, for none")
    arguments = parser.parse_args()
    try:
        changed = apply_recipe(arguments.recipe, arguments.pipelines)
    except InputError as error:
        print(f"recipe: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"changed {', '.join(changed)}" if changed else "nothing to change")


if __name__ == "__main__":
    main()
