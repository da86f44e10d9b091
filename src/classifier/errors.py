"""Errors that a user can mend: one line that says what is wrong, where, and what to do."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Bad input: configuration, data or a missing file. Its text is one line for the user."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """Ends a message about an unknown word: the nearest valid one, or all of them."""
    valid = sorted(map(str, valid))
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"valid: {', '.join(valid)}" if valid else "there is nothing to choose from"
