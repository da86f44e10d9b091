"""What a training is a function of beside its data and model: see ``classifier.session.begin``."""

from dataclasses import dataclass


@dataclass
class SessionOptions:
    seed: int = 7
    precision: str = "float32"
    deterministic: bool = True  # each operation gives the same bits each time
    threads: int = 0  # that an operation is divided among; 0: one a core
