"""The end of a command that cannot go on: one line on standard error, and status 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from classifier.support.errors import InputError, refused_by_the_machine


@contextmanager
def stops_in_one_line(command: str) -> Iterator[None]:
    """A block whose :class:`InputError`, or error of this machine, such as a full disk, ends the
    process with one line.
    """
    try:
        yield
    except InputError as error:
        sys.exit(f"{command}: {' '.join(str(error).split())}")
    except OSError as error:
        message = refused_by_the_machine(error)
        if message is None:
            raise
        sys.exit(f"{command}: {message}")
