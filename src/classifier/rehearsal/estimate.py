"""How long a training will take, from the pace of its parts."""

from collections.abc import Sequence
from typing import NamedTuple


class PhaseTime(NamedTuple):
    """Seconds of the parts of a phase.

    Attributes:
        name: of the phase.
        epochs: of the phase.
        steps: of an epoch.
        first: to make the graphs of a step and of validation.
        step: of each step, with its batch.
        network: of each step, if its batch is there already.
        validation, saving: of each epoch.
        features: of all images, computed once before the phase; 0 without.
    """

    name: str
    epochs: int
    steps: int
    first: float
    step: float
    network: float
    validation: float
    saving: float
    features: float = 0.0

    @property
    def epoch(self) -> float:
        return self.steps * self.step + self.validation + self.saving

    @property
    def seconds(self) -> float:
        return self.features + self.first + self.epochs * self.epoch


def total(phases: Sequence[PhaseTime]) -> float:
    """Seconds of the whole training, without the start and the end of its process."""
    return sum(phase.seconds for phase in phases)


def shares(phases: Sequence[PhaseTime], start: float) -> dict[str, float]:
    """Seconds of the training by what they go to, the most first.

    A step waits for the feed as long as it takes more than with a batch that is there already.

    Args:
        start: seconds until the first phase begins.
    """
    parts = {"the network's arithmetic": 0.0, "the feed": 0.0, "start-up": start, "saving": 0.0}
    for phase in phases:
        steps = phase.epochs * phase.steps
        network = min(phase.network, phase.step)
        parts["the network's arithmetic"] += phase.features + phase.epochs * phase.validation
        parts["the network's arithmetic"] += steps * network
        parts["the feed"] += steps * (phase.step - network)
        parts["start-up"] += phase.first
        parts["saving"] += phase.epochs * phase.saving
    return dict(sorted(parts.items(), key=lambda part: -part[1]))


def spelled(seconds: float) -> str:
    """``4 min 20 s``, ``35 s``, ``0.42 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
