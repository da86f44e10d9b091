"""The page of messages: each text that the code raises, exits with, or logs as a warning."""

import ast
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from reference.tables import code, head, row

SRC = Path(__file__).parents[2] / "src"
HEAD = """\
# Messages

Every error and warning that this project can print, made from its code. A message says what is
wrong, where, and what to do. Search this page for two or three words of the message that you see:
a part in angle brackets, such as `<pipeline>`, stands for what differs from case to case. A stage
puts its own name in front: `train: pipelines.flowers.train: `.
"""
# Functions whose results are messages: of pydantic's, Hydra's and the system's errors.
MAKERS = ("check_names", "explain", "nearest", "one_line", "refused_by_the_machine")
LEVELS = ("error", "warning")
# What they return has the name of what they are called with.
THROUGH = (
    *("Path", "abs", "int", "len", "list", "max", "min", "repr", "round", "set", "sorted", "str"),
    *("sum", "tuple", "type", "without_credentials"),
)
MODULES = ("Path", "np", "os", "shlex", "tracking")


class Message(NamedTuple):
    kind: str  # error | warning
    text: str
    file: str  # below src/
    function: str


def page(src: Path = SRC) -> str:
    """The Markdown page: a section per package, a table of its messages in each."""
    found = messages(src)
    lines = [HEAD]
    for package in dict.fromkeys(package_of(message.file) for message in found):
        lines += [f"## {package}", ""]
        for kind, title in (("error", "Error"), ("warning", "Warning")):
            rows = sorted(
                {m for m in found if package_of(m.file) == package and m.kind == kind},
                key=lambda message: (message.file, message.text.lower()),
            )
            if rows:
                lines += head(title, "Comes from")
                lines += [
                    row(code(one.text), f"`{Path(one.file).name}`: `{one.function}`")
                    for one in rows
                ]
                lines.append("")
    return "\n".join(lines)


def package_of(file: str) -> str:
    return ".".join(Path(file).parent.parts)


def messages(src: Path = SRC) -> list[Message]:
    """The messages of all modules, in the order of the files."""
    modules = {path: ast.parse(path.read_text("utf-8")) for path in sorted(src.rglob("*.py"))}
    own = exceptions(list(modules.values()))
    values = constants(list(modules.values()))
    found = []
    for path, module in modules.items():
        for function, node in with_function(module):
            for kind, text in said(node, own, function):
                text = " ".join(text.replace("<…>", "").split())
                for name, value in values.items():
                    text = text.replace(f"<{name}>", value)
                words = without_placeholders(text)
                # `compare: <error>` is what a program makes of the message of another row.
                if any(map(str.isalpha, words)) and not re.fullmatch(r"\w+: ", words):
                    place = function.name if function else path.stem
                    found.append(Message(kind, text, path.relative_to(src).as_posix(), place))
    return found


def constants(modules: list[ast.Module]) -> dict[str, str]:
    """What the constants of the modules look like in a message, by their names."""
    found = {}
    for module in modules:
        for node in module.body:
            for target, value in assignments(node):
                with contextlib.suppress(ValueError):
                    found[target.id] = shown(value_of(value))
    return {name: value for name, value in found.items() if name.isupper() and value}


def assignments(node: ast.stmt) -> Iterator[tuple[ast.Name, ast.expr]]:
    """Each name that a statement sets, and what it sets it to."""
    if isinstance(node, ast.Assign):
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        yield from ((name, value) for name, value in pairs if isinstance(name, ast.Name))


def value_of(node: ast.expr) -> Any:
    """The value of a literal, or of a ``Path`` of literals."""
    if isinstance(node, ast.Call) and name_of(node.func) == "Path":
        return "/".join(ast.literal_eval(argument) for argument in node.args)
    return ast.literal_eval(node)


def shown(value: object) -> str:
    if isinstance(value, dict):
        # The values of validation.LIMITS are templates: "above {gt:g}".
        texts = (re.sub(r"\{(\w+).*?\}", r"<\1>", str(text)) for text in value.values())
        return " | ".join(dict.fromkeys(texts))
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:,}" if type(value) is int else str(value)


def exceptions(modules: list[ast.Module]) -> set[str]:
    """The names of the exception classes that the modules define."""
    names = {"Exception"}
    classes = [node for module in modules for node in module.body if isinstance(node, ast.ClassDef)]
    for _ in classes:
        names |= {
            node.name
            for node in classes
            if any(isinstance(base, ast.Name) and base.id in names for base in node.bases)
        }
    return names - {"Exception"}


def with_function(
    node: ast.AST, function: ast.FunctionDef | None = None
) -> Iterator[tuple[ast.FunctionDef | None, ast.AST]]:
    """Each node below ``node``, with the innermost function that it is in."""
    for child in ast.iter_child_nodes(node):
        yield function, child
        yield from with_function(child, child if isinstance(child, ast.FunctionDef) else function)


def said(
    node: ast.AST, own: set[str], function: ast.FunctionDef | None
) -> Iterator[tuple[str, str]]:
    """The kind and text of each message that the node itself makes."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        if name_of(node.exc.func) not in own and node.exc.args:
            yield from (("error", t) for t in texts(node.exc.args[0], function))
    elif isinstance(node, ast.Return) and function and function.name in MAKERS and node.value:
        yield from (("error", text) for text in texts(node.value, function))
    elif isinstance(node, ast.Call) and node.args:
        name = name_of(node.func)
        if name in own or name == "exit":
            yield from (("error", text) for text in texts(node.args[0], function))
        elif name == "print" and any(word.arg == "file" for word in node.keywords):
            yield from (("warning", text) for text in texts(node.args[0], function))
        elif name == "_stop":
            yield from (("error", text) for text in texts(node.args[2], function))
        elif name in LEVELS and isinstance(node.func, ast.Attribute):
            for text in texts(node.args[0], function):
                yield ("warning" if name == "warning" else "error"), filled(text, node.args[1:])


def texts(node: ast.expr, function: ast.FunctionDef | None) -> list[str]:
    """The texts that an expression can be; none if it has no text of its own."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        parts = (
            part.value if isinstance(part, ast.Constant) else f"<{placeholder(part)}>"
            for part in node.values
        )
        return ["".join(map(str, parts))]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, function), *texts(node.orelse, function)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left = texts(node.left, function) or [f"<{placeholder(node.left)}>"]
        right = texts(node.right, function) or [f"<{placeholder(node.right)}>"]
        return [one + other for one in left for other in right]
    if isinstance(node, ast.Name) and function:
        assigned = [
            assignment.value
            for assignment in ast.walk(function)
            if isinstance(assignment, ast.Assign)
            and any(
                isinstance(target, ast.Name) and target.id == node.id
                for target in assignment.targets
            )
            and not (isinstance(assignment.value, ast.Name) and assignment.value.id == node.id)
        ]
        return [text for value in assigned for text in texts(value, None)]
    return []


def placeholder(node: ast.AST) -> str:
    """A word for an expression: the name of the variable that it is made of."""
    if isinstance(node, ast.FormattedValue):
        return placeholder(node.value)
    if isinstance(node, ast.Name):
        return node.id.lstrip("_")
    if isinstance(node, ast.Attribute):
        return placeholder(node.value) if node.attr == "__name__" else node.attr.lstrip("_")
    if isinstance(node, ast.Subscript | ast.Starred):
        return placeholder(node.value)
    if isinstance(node, ast.JoinedStr | ast.BoolOp):
        return placeholder(node.values[0])
    if isinstance(node, ast.IfExp):
        return placeholder(node.body)
    if isinstance(node, ast.BinOp):
        return placeholder(node.right if isinstance(node.left, ast.Constant) else node.left)
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return placeholder(node.generators[0].iter)
    if isinstance(node, ast.Call):
        name = name_of(node.func)
        if name in THROUGH and node.args:
            return placeholder(node.args[0])
        if name == "join" and node.args:
            return placeholder(node.args[0])
        if isinstance(node.func, ast.Attribute):
            inner = placeholder(node.func.value)
            return name if inner in MODULES else inner
        return name.lstrip("_")
    return "…"


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def filled(text: str, arguments: list[ast.expr]) -> str:
    """A text for logging, with placeholders for its %s and %d."""
    rest = iter(arguments)
    parts = text.replace("%d", "%s").replace("%%", "%").split("%s")
    names = [f"<{placeholder(argument)}>" for argument in rest]
    return "".join(
        part + name for part, name in zip(parts, [*names[: len(parts) - 1], ""], strict=False)
    )


def without_placeholders(text: str) -> str:
    return re.sub(r"<\w+>", "", text)
