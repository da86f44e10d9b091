"""A contest: this project and a peer do the same task in turn; their ratio has a target."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

HEADER = "| what | this project | peer | | ratio | target | |\n|---|---|---|---|---|---|---|"


class Target(NamedTuple):
    text: str
    met: Callable[[float, float], bool]  # of this project's median and the peer's


def at_least(ratio: float) -> Target:
    return Target(f"at least {ratio:g}", lambda ours, theirs: ours >= ratio * theirs)


def at_most(ratio: float, text: str = "") -> Target:
    return Target(f"at most {text or f'{ratio:g}'}", lambda ours, theirs: ours <= ratio * theirs)


def at_most_more(seconds: float) -> Target:
    return Target(f"{seconds:g} s more", lambda ours, theirs: ours <= theirs + seconds)


class Contest(NamedTuple):
    what: str
    peer: str
    unit: str  # of the values that both functions return
    ours: Callable[[], float]
    theirs: Callable[[], float]
    target: Target


def run_contest(contest: Contest, rounds: int) -> str:
    """Calls both functions in turn, once to warm up and then once per round.

    Returns a row of the table: both medians, their ratio, the smallest and largest ratio per round.
    """
    contest.ours()
    contest.theirs()
    results = [(contest.ours(), contest.theirs()) for _ in range(rounds)]
    ratios = [ours / theirs for ours, theirs in results]
    ours, theirs = (statistics.median(side) for side in zip(*results, strict=True))
    cells = [
        contest.what,
        f"{ours:,.4g} {contest.unit}",
        f"{theirs:,.4g} {contest.unit}",
        contest.peer,
        f"{ours / theirs:.3g} ({min(ratios):.3g} to {max(ratios):.3g})",
        contest.target.text,
        "met" if contest.target.met(ours, theirs) else "missed",
    ]
    return f"| {' | '.join(cells)} |"
