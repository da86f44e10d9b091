"""download: the dataset's verified file, from the first source that has it."""

import logging
import os
from pathlib import Path

from classifier.atomic import atomic_folder, write_json
from classifier.data.sources import Reach, describe, obtain
from stages.configuration import configured
from stages.layout import main_checkout, output
from stages.schemas import Download

log = logging.getLogger(__name__)


def download(config: Download) -> None:
    mirror = os.environ.get("DATA_MIRROR")
    reach = Reach(
        mirror=Path(mirror).expanduser() if mirror else None,
        partial=main_checkout() / ".dvc" / "tmp" / "downloads",
        attempts=config.attempts,
        timeout=config.timeout,
    )
    with atomic_folder(output("download", config.pipeline)) as folder:
        file = folder / config.dataset.file
        source = obtain(config.dataset, config.source, file, reach)
        description = describe(config.dataset, source, file)
        write_json(folder / "source.json", description)
    log.info("%s: %s bytes from %s", file.name, f"{description['bytes']:,}", source)
    if description["drawn"]:
        log.warning(
            "%s\nThese are DRAWINGS, not photographs: no source of the photos could be reached.\n"
            "Figures made with them say nothing about photos. To get the photos, connect to the\n"
            "network or set DATA_MIRROR, then: dvc repro --force --downstream download@%s\n%s",
            "!" * 88,
            config.pipeline,
            "!" * 88,
        )


if __name__ == "__main__":
    configured(download)()
