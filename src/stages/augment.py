"""augment: the augmentation policy as Keras layers, a preview, and copies where asked for."""

import logging

import numpy as np

from classifier.atomic import atomic_folder, write_json
from classifier.data.arrays import ArrayWriter
from classifier.data.splits import batches, read_split
from classifier.errors import InputError
from classifier.pictures import write_grid
from stages.configuration import build, configured
from stages.layout import needed, output
from stages.schemas import Augment

log = logging.getLogger(__name__)

PREVIEWED = 12  # images in the before/after grid, a column each
VARIATIONS = 4  # rows below the originals
BATCH = 256


def augment(config: Augment) -> None:
    images, labels = read_split(needed("normalize", config.pipeline), "train")
    if config.copies and not isinstance(images, np.ndarray):
        raise InputError(
            f"copies is {config.copies}: images in shards are augmented while training, copies are "
            f"for arrays: set copies: 0, or pipelines.{config.pipeline}.normalize.storage: arrays"
        )
    # Here, not above: a mistake in the configuration is found before these seconds are spent.
    from classifier.augmentation import augment_array, to_config

    layers = [
        build(f"policy.{name}", layer, name=name)
        for name, layer in config.policy.items()
        if layer is not None
    ]
    with atomic_folder(output("augment", config.pipeline)) as folder:
        write_json(folder / "policy.json", to_config(layers))
        chosen = np.random.default_rng(config.seed).choice(len(images), min(PREVIEWED, len(images)))
        originals = np.asarray(images[np.sort(chosen)])
        rows = [originals]
        rows += [augment_array(originals, layers, (config.seed, row)) for row in range(VARIATIONS)]
        title = f"{config.pipeline}: training images, and {VARIATIONS} augmentations of each"
        write_grid(
            folder / "preview.png", np.concatenate(rows), columns=len(originals), title=title
        )
        if config.copies:
            with ArrayWriter(folder / "copies.npy", images.shape[1:]) as copies:
                for copy in range(config.copies):
                    for number, batch in enumerate(batches(images, BATCH)):
                        seed = (config.seed, (copy + 1) * len(images) + number)
                        for image in augment_array(batch, layers, seed):
                            copies.append(image)
            np.save(folder / "copies_labels.npy", np.tile(labels, config.copies))
    log.info("%d layers, %d copies", len(layers), config.copies)


if __name__ == "__main__":
    configured(augment)()
