"""Hydra's sweeper ``optuna``: :mod:`stages.search` has what it does.

Hydra takes plugins from a package of this name alone, and imports them for every command.
"""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Lets Optuna choose the values of the trials; conf/hydra/sweeper/optuna.yaml has its keys."""

    launcher: Launcher

    def __init__(self, **options: Any):
        self.options = options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from stages.search import search

        search(self.options, arguments, self.config, self.launcher.launch)
