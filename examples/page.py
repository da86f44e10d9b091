"""Runs the Python of a page from top to bottom: python examples/page.py docs/learn/keras.md

The blocks run in one namespace, as if you typed them one after another. Each output on the page
has to be what its block prints, or is marked ``<!-- measured ... -->``: then it is an example, as
times and trained weights differ from machine to machine. ``--write`` puts what was printed into
the page. What the code writes goes to a temporary folder, or to ``--folder``.
"""

import argparse
import contextlib
import difflib
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n"
    r"(?:\n(?:(?P<measured><!-- measured .*?-->)\n\n)?```text\n(?P<output>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)


class Block(NamedTuple):
    """A block of Python that ran."""

    line: int  # of its first statement, on the page
    shown: str | None  # the output on the page
    measured: bool  # whether the output may differ
    printed: str


def run(page: Path) -> Iterator[Block]:
    """Runs the page's blocks in order, in the working directory."""
    text = page.read_text("utf-8")
    names: dict[str, Any] = {"__name__": "__page__"}
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        # The empty lines make a traceback's line numbers those of the page.
        code = compile("\n" * (line - 1) + match["code"], str(page), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        yield Block(line, match["output"], match["measured"] is not None, printed.getvalue())


def difference(block: Block) -> str:
    """How the output differs from the page's, as a diff; empty if the page is right."""
    shown, printed = (
        [line.rstrip() for line in text.strip("\n").splitlines()]
        for text in (block.shown or "", block.printed)
    )
    return "\n".join(difflib.unified_diff(shown, printed, "page", "printed", lineterm=""))


def rewritten(text: str, blocks: list[Block]) -> str:
    """The page's text with the outputs that were printed."""
    outputs = iter(blocks)

    def replaced(match: re.Match[str]) -> str:
        printed = "\n".join(line.rstrip() for line in next(outputs).printed.splitlines())
        printed = printed.strip("\n")
        mark = f"{match['measured']}\n\n" if match["measured"] else ""
        output = f"\n{mark}```text\n{printed}\n```\n" if printed else ""
        return f"```python\n{match['code']}```\n{output}"

    return BLOCK.sub(replaced, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--write", action="store_true", help="put the outputs into the page")
    parser.add_argument("--folder", type=Path, help="where the code writes its files")
    arguments = parser.parse_args()
    page = arguments.page.resolve()
    if not page.is_file():
        parser.error(f"there is no page {page}")
    sys.path.insert(0, str(ROOT))
    blocks, wrong = [], []
    with TemporaryDirectory() as temporary:
        os.chdir(arguments.folder or temporary)
        for block in run(page):
            print(block.printed, end="", flush=True)
            blocks.append(block)
            if not block.measured and (lines := difference(block)):
                wrong.append(f"{page}:{block.line}: the output is another one\n{lines}")
        os.chdir(ROOT)
    if arguments.write:
        page.write_text(rewritten(page.read_text("utf-8"), blocks), "utf-8")
    elif wrong:
        sys.exit("\n".join(wrong))
    else:
        measured = sum(block.measured for block in blocks)
        print(f"\n{len(blocks)} blocks ran: {measured} measured, the others as on the page")


if __name__ == "__main__":
    main()
