"""Champions of MLflow, found by a process of their own: its packages take seconds and 300 MB.

The server starts it: ``python -m classifier.serve.champions``. It prints a line of JSON for each
new champion, and ends with the server, whatever ends that.
"""

import argparse
import asyncio
import json
import logging
import math
import select
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from classifier.support.errors import InputError

AGAIN = 5  # seconds until a process that ended is started again
log = logging.getLogger(__name__)


class Champion(NamedTuple):
    """A registered version, or why there is none.

    Attributes:
        folder: its files.
        card: its tags and its aliases.
        problem: one line; the other fields but the name are empty then.
    """

    name: str
    version: str = ""
    folder: str = ""
    metrics: dict[str, float] = {}  # noqa: RUF012
    card: dict[str, Any] = {}  # noqa: RUF012
    problem: str | None = None


async def champions(
    root: Path, names: Sequence[str], every: float
) -> AsyncGenerator[Champion, None]:
    """Yields the champion of each name, and each new one, until it is cancelled."""
    words = [sys.executable, "-m", __name__, *names, "--root", str(root), "--every", str(every)]
    while True:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,  # Ctrl-C is for the server alone
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                yield Champion(**json.loads(line))
        finally:
            if process.returncode is None:
                process.kill()
        status = await process.wait()
        log.warning("the process that watches MLflow ended (%d): it is started again", status)
        await asyncio.sleep(AGAIN)


def look(root: Path, name: str, seen: Champion | None) -> Champion:
    """The champion of a registered model: ``seen`` if it is that one still."""
    from classifier import tracking

    try:
        found = tracking.named_version(root, f"models:/{name}@{tracking.CHAMPION}")
        if seen and seen.version == str(found.version):
            return seen
        folder = tracking.registered_saved_model(root, found.uri)
    except InputError as error:
        return Champion(name, problem=str(error))
    accuracy = float(found.tags.get("test.accuracy", "nan"))
    return Champion(
        name,
        str(found.version),
        str(folder),
        {} if math.isnan(accuracy) else {"accuracy": accuracy},
        {"uri": found.uri, "aliases": found.aliases, "tags": found.tags},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__spec__.name}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("names", nargs="+", help="of registered models")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout (here)")
    parser.add_argument("--every", type=float, default=10, help="seconds between two looks (10)")
    arguments = parser.parse_args()
    seen: dict[str, Champion] = {}
    temporary = Path(tempfile.gettempdir())
    while True:
        for name in arguments.names:
            before = seen.get(name)
            now = look(arguments.root, name, before if before and not before.problem else None)
            if now == before:
                continue
            print(json.dumps(now._asdict()), flush=True)
            if before and now.folder and temporary in Path(before.folder).parents:
                shutil.rmtree(before.folder, ignore_errors=True)  # a download
            seen[name] = now
        if select.select([sys.stdin], [], [], arguments.every)[0]:  # the server has ended
            return


if __name__ == "__main__":
    main()
