"""The functions and classes that a ``_target_`` of conf/ names, read without importing them."""

import ast
import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from classifier.support import limits

Definition = ast.FunctionDef | ast.ClassDef


class Target(NamedTuple):
    signature: str
    summary: str  # the first line of the docstring
    hints: dict[str, Any]  # the types of the arguments, where they are known


def target(name: str) -> Target:
    """What a full name stands for, as ``keras.optimizers.Adam``."""
    module, node = definition(name)
    summary = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    called = initializer(node)
    names = namespace(module)
    hints = {}
    for argument in arguments(called):
        with contextlib.suppress(Exception):  # a type of another library, as keras.layers.Layer
            hints[argument.arg] = evaluated(argument.annotation, names)
    for callee in taking_options(called):
        hints |= target(resolved(module, callee)).hints
    return Target(f"{node.name}{signature(called)}", summary, hints)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def file_of(module: str) -> Path:
    """The file of a module, which is not imported."""
    package, *rest = module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"no package {package}")
    path = Path(next(iter(spec.submodule_search_locations)), *rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def definition(name: str) -> tuple[ast.Module, Definition]:
    """The module that defines what a full name stands for, and the definition."""
    place, _, word = name.rpartition(".")
    module = parsed(file_of(place))
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == word:
            return module, node
    return definition(resolved(module, word))


def resolved(module: ast.Module, word: str) -> str:
    """The full name of what a module imports as ``word``."""
    for node in module.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if word == (alias.asname or alias.name):
                    return f"{node.module}.{alias.name}"
    raise LookupError(f"no import of {word}")


def initializer(node: Definition) -> Definition:
    """``__init__`` of a class that has one; else the definition itself."""
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.FunctionDef) and child.name == "__init__":
                return child
    return node


def arguments(node: Definition) -> Iterator[ast.arg]:
    """The arguments of a function, or the fields of a dataclass."""
    if isinstance(node, ast.FunctionDef):
        yield from node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    else:
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield ast.arg(field.target.id, field.annotation)


def signature(node: Definition) -> str:
    """The arguments in brackets: in one line, or in a line each if that is too long."""
    if isinstance(node, ast.ClassDef):
        words = [ast.unparse(field) for field in node.body if isinstance(field, ast.AnnAssign)]
        return f"({', '.join(words)})"
    given, star = node.args, []
    if given.vararg:
        star = [f"*{ast.unparse(given.vararg)}"]
    elif given.kwonlyargs:
        star = ["*"]
    without: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    positional = with_defaults(given.args, [*without, *given.defaults])
    words = [word for word in positional if word != "self"] + star
    words += with_defaults(given.kwonlyargs, given.kw_defaults)
    words += [f"**{ast.unparse(given.kwarg)}"] if given.kwarg else []
    end = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"({', '.join(words)}){end}"
    return line if len(line) < 60 else "(\n" + "".join(f"    {w},\n" for w in words) + f"){end}"


def with_defaults(given: list[ast.arg], defaults: Sequence[ast.expr | None]) -> Iterator[str]:
    for argument, default in zip(given, defaults, strict=True):
        equals = " = " if argument.annotation else "="
        yield ast.unparse(argument) + (equals + ast.unparse(default) if default else "")


def namespace(module: ast.Module) -> dict[str, Any]:
    """What the types of a module's arguments are made of."""
    names = vars(limits) | {"Sequence": Sequence, "Literal": Literal, "Any": Any}
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(Exception):  # most assignments are no types
                names[node.targets[0].id] = evaluated(node.value, names)
    return names


def evaluated(node: ast.expr | None, names: dict[str, Any]) -> Any:
    if node is None:
        raise LookupError("no type")
    return eval(ast.unparse(node), dict(names))


def taking_options(node: Definition) -> Iterator[str]:
    """The names of what a function calls with its own ``**options``."""
    if isinstance(node, ast.FunctionDef) and node.args.kwarg:
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                for word in call.keywords:
                    if word.arg is None and ast.unparse(word.value) == node.args.kwarg.arg:
                        yield call.func.id
