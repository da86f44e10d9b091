"""The pages of docs/learn run from top to bottom, and print what they show."""

from pathlib import Path

import pytest

from conftest import PYTHON, ROOT, command

PAGES = sorted((ROOT / "docs" / "learn").glob("*.md"))
WITH_CODE = [page for page in PAGES if "```python" in page.read_text("utf-8")]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=[page.stem for page in WITH_CODE])
def test_page_runs(page: Path, tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "page.py")
    output = command(PYTHON, script, str(page), "--folder", str(tmp_path), cwd=ROOT).stdout
    blocks = page.read_text("utf-8").count("```python\n")
    assert f"{blocks} blocks ran" in output


def test_pages_have_code() -> None:
    assert len(WITH_CODE) >= 5


def run(page: Path, *words: str, check: bool = True) -> str:
    return command(
        PYTHON, str(ROOT / "examples" / "page.py"), str(page), *words, cwd=page.parent, check=check
    ).stdout


def test_other_output_is_reported(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    output = run(page, check=False)
    assert "page.md:4: the output is another one" in output
    assert "-3\n+2" in output
    run(page, "--write")
    assert page.read_text() == "Text.\n\n```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n"
    assert "1 blocks ran: 0 measured" in run(page)


def test_measured_output_may_differ(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 2\n```\n\n```python\nprint(x)\n```\n\n"
        "<!-- measured on a laptop -->\n\n```text\n3\n```\n"
    )
    assert "2 blocks ran: 1 measured" in run(page)


def test_page_is_missing(tmp_path: Path) -> None:
    output = run(tmp_path / "none.md", check=False)
    assert f"there is no page {tmp_path / 'none.md'}" in output
