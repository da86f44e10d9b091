"""What is promised, and the test of each: docs/promises.md, made of the marks on the tests.

$ python tests/promises.py > docs/promises.md
"""

import contextlib
import io
import sys
from pathlib import Path

import pytest

HEAD = """\
# What is promised

Each row is a test; one of several cases is named in brackets. The tables are made of the tests'
marks (`python tests/promises.py > docs/promises.md`), and a test compares the two.
"""
TABLES = {
    "difference": """
## The same bytes

Sources of difference between two runs, and how each was removed.

| source of difference | removed by | test |
|---|---|---|
""",
    "fault": """
## Faults

What may go wrong, and what is promised then.

| fault | promise | test |
|---|---|---|
""",
}


class Rows:
    """A row for each mark of the collected tests, by the mark's name."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {name: [] for name in TABLES}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for mark in item.iter_markers():
                if mark.name in TABLES:
                    self.rows[mark.name].append(row(item, *mark.args))


def row(item: pytest.Item, what: str, promise: str) -> str:
    function, _, case = item.name.partition("[")
    case = case.removesuffix("]").replace("|", "\\|")
    file = item.path.relative_to(item.config.rootpath).as_posix()
    what = f"{what} ({case})" if case else what
    return f"| {what} | {promise} | [{function}](../{file}) |"


def tables() -> str:
    found = Rows()
    tests = Path(__file__).parent
    with contextlib.redirect_stdout(io.StringIO()):
        status = pytest.main(
            ["--collect-only", "-q", "-p", "no:cacheprovider", str(tests)], [found]
        )
    if status:
        sys.exit(f"the tests cannot be collected: pytest ended with {status}")
    parts = [head + "\n".join(sorted(found.rows[name])) + "\n" for name, head in TABLES.items()]
    return HEAD + "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(tables())
