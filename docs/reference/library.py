"""The pages of the library: one for each package of src/classifier, from its docstrings."""

import ast
from pathlib import Path

from reference.docstrings import markdown
from reference.tables import head, row, text

PACKAGE = Path(__file__).parents[2] / "src" / "classifier"
HEAD = """\
# Library

The stages call plain functions on arrays, tables and Keras objects, which you can import too.
Each package has what runs again together: a change in it makes DVC run the stages that use it.

"""


def packages(folder: Path = PACKAGE) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/__init__.py"))


def modules(package: str, folder: Path = PACKAGE) -> list[str]:
    """The public modules of a package."""
    names = sorted(path.stem for path in folder.joinpath(package).glob("*.py"))
    return [name for name in names if not name.startswith("_")]


def docstring(*place: str) -> str:
    path = PACKAGE.joinpath(*place).with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def index() -> str:
    """The page with a row for each package."""
    rows = [
        row(
            f"[classifier.{name}](library/{name}.md)",
            text(docstring(name, "__init__").split("\n\n")[0]),
        )
        for name in packages()
    ]
    return HEAD + "\n".join([*head("Package", "What is in it"), *rows]) + "\n"


def page(package: str) -> str:
    """The page of a package: its docstring, then a section for each module."""
    parts = [f"# classifier.{package}\n\n{markdown(docstring(package, '__init__'))}\n\n"]
    for module in modules(package):
        parts.append(f"::: classifier.{package}.{module}\n    options:\n      heading_level: 2\n\n")
    return "".join(parts)
