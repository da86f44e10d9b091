"""Writes the pages of the reference that are made from the code, each time the site is built."""

import re
import sys
from pathlib import Path

import mkdocs_gen_files
from mkdocs.exceptions import Abort

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from reference import commands, library, messages, parameters  # noqa: E402

try:
    PAGES = {"reference/parameters.md": parameters.page()}
except parameters.UnexplainedError as error:
    raise Abort(str(error)) from None
PAGES |= {
    "reference/commands.md": commands.page(),
    "reference/library.md": library.index(),
    "reference/messages.md": messages.page(),
}
PAGES |= {f"reference/library/{name}.md": library.page(name) for name in library.packages()}
# The promises link to tests, which are not part of the site.
promises = DOCS.joinpath("promises.md").read_text("utf-8")
PAGES["promises.md"] = re.sub(r"\[(\w+)\]\(\.\./(tests/[^)]*)\)", r"`\2` `\1`", promises)

for name, text in PAGES.items():
    with mkdocs_gen_files.open(name, "w") as page:
        page.write(text)
