"""The first and the last line of a stage on the console: what it does, and how long it took."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)


def _train(config: Any, choices: Mapping[str, str]) -> str:
    epochs = config.epochs + config.fine_tune_epochs
    return f"trains the model {choices['model']}, {epochs} epoch{'' if epochs == 1 else 's'}"


def _normalize(config: Any, choices: Mapping[str, str]) -> str:
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    return f"makes images of {height} x {width} pixels"


# By stage: what it does, from its configuration and the chosen groups.
DOES: dict[str, Callable[[Any, Mapping[str, str]], str]] = {
    "download": lambda config, choices: f"gets the dataset {choices['dataset']}",
    "split": lambda config, choices: "divides the images into train, validation and test",
    "normalize": _normalize,
    "augment": lambda config, choices: f"prepares the augmentation policy {choices['policy']}",
    "backbone": lambda config, choices: f"gets the pretrained network: {choices['backbone']}",
    "train": _train,
    "evaluate": lambda config, choices: "tests the best epoch's model on the test split",
    "export": lambda config, choices: "exports the model and registers it in MLflow",
}


@contextmanager
def announced(stage: str, config: Any, choices: Mapping[str, str]) -> Iterator[None]:
    """A block that begins and ends with a line on the console.

    Args:
        stage: its name.
        config: its typed configuration.
        choices: the chosen file of each group.
    """
    title = f"{config.pipeline}, {stage}:"
    log.info("%s %s", title, DOES[stage](config, choices))
    begin = time.perf_counter()
    yield
    log.info("%s done in %.0f s", title, time.perf_counter() - begin)
