"""download: obtains the verified file of the dataset from the first source that has it."""

import logging

from classifier.formats.in_place import INDEX
from classifier.sources.obtain import describe, index_in_place, obtain
from classifier.support.atomic import atomic_folder, write_json
from stages.access import machine_access
from stages.configuration import configured
from stages.depends_on import check_covered, covers, first_folder, warn_unless_covered
from stages.layout import output
from stages.lock import locked
from stages.schemas import Download

log = logging.getLogger(__name__)


def download(config: Download) -> None:
    access = machine_access(config.attempts, config.timeout)
    target = output("download", config.pipeline)
    if config.in_place:
        photos = first_folder(config.dataset.sources, config.source)
        check_covered(config.pipeline, "download", config.depends_on, photos)
    with locked(target), atomic_folder(target) as folder:
        file = folder / (INDEX if config.in_place else config.dataset.file)
        placed = index_in_place if config.in_place else obtain
        source = placed(config.dataset, config.source, file, access)
        description = describe(config.dataset, source, file)
        write_json(folder / "source.json", description)
    log.info("%s: %s bytes from %s", file.name, f"{description['bytes']:,}", source)
    folder_of_photos = first_folder([source], "auto")
    warn_unless_covered(config.pipeline, "download", config.depends_on, folder_of_photos)
    for name, part in (source.parts or {}).items():
        path = first_folder([part], "auto")
        if path and not covers(config.depends_on, path):
            log.warning(
                "DVC does not look after %s, the part %s: set pipelines.%s.download.depends_on to "
                "a folder of all parts, or run 'dvc repro --force download@%s' after a change",
                path,
                name,
                config.pipeline,
                config.pipeline,
            )
    if description["drawn"]:
        log.warning(
            "%s\nThese are DRAWINGS, not photographs: no source of the photos could be reached.\n"
            "Results with them say nothing about photos. To get the photos, connect to the\n"
            "network or set DATA_MIRROR, then: dvc repro --force --downstream download@%s\n%s",
            "!" * 88,
            config.pipeline,
            "!" * 88,
        )


if __name__ == "__main__":
    configured(download)()
