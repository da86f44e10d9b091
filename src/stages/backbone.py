"""backbone: a network that was trained before on other photos, as a Keras model."""

import logging
import tempfile
from pathlib import Path
from typing import Any

from classifier.sources.backbone import Backbone as Chosen
from classifier.sources.fetch import fetch_first
from classifier.sources.source import Source
from classifier.support.atomic import atomic_folder, write_json
from classifier.support.checksum import verify
from classifier.support.errors import InputError
from classifier.support.startup_lines import import_tensorflow
from stages.access import machine_access
from stages.configuration import build, configured
from stages.layout import BACKBONE, CARD, output
from stages.lock import locked
from stages.schemas import Backbone

log = logging.getLogger(__name__)


def backbone(config: Backbone) -> None:
    chosen, target = config.backbone, output("backbone", config.pipeline)
    with locked(target), atomic_folder(target) as folder:
        if chosen.network is None:
            write_json(folder / CARD, {"name": None})
            log.info("no pretrained network: the network is trained from scratch")
            return
        import_tensorflow()
        from classifier.saved.saving import save_model

        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".weights") as temporary:
            file = Path(temporary, chosen.file)
            source = fetch(config, file) if chosen.sources else None
            network = build("backbone.network", chosen.network, file if source else None)
        save_model(network, folder / BACKBONE)
        write_json(folder / CARD, card(chosen, network.count_params()))
    weights = f"{network.count_params():,}"
    log.info("%s, trained on %s: %s weights", chosen.name, chosen.trained_on, weights)


def fetch(config: Backbone, file: Path) -> Source:
    """The source that gave the verified ``file`` of the weights."""

    def place(source: Source, fetched: Path) -> None:
        verify(fetched, config.backbone.sha256, None)
        fetched.replace(file)

    access = machine_access(config.attempts, config.timeout)
    try:
        return fetch_first(config.backbone, config.source, file, access, place)
    except InputError as error:
        raise InputError(
            f"{error}\nA network from scratch needs no weights: take the sections of "
            "conf/recipe/scratch.yaml (for the flowers: make repro RECIPE=scratch)"
        ) from None


def card(chosen: Chosen, parameters: int) -> dict[str, Any]:
    """The content of data/weights/<pipeline>/card.json, the same from every source."""
    return {
        "name": chosen.name,
        "trained_on": chosen.trained_on,
        "accuracy": chosen.accuracy,
        "license": chosen.license,
        "homepage": chosen.homepage,
        "sha256": chosen.sha256,
        "parameters": parameters,
    }


if __name__ == "__main__":
    configured(backbone)()
