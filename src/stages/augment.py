"""augment: the augmentation policy as Keras layers, a preview, and copies if configured."""

import logging

import numpy as np

from classifier.images.grids import write_grid
from classifier.storage.arrays import ArrayWriter
from classifier.storage.splits import batches, read_split
from classifier.support.atomic import atomic_folder, write_json
from classifier.support.errors import InputError
from classifier.support.startup_lines import import_tensorflow
from stages.configuration import build, configured
from stages.layout import needed, output
from stages.schemas import Augment

log = logging.getLogger(__name__)

PREVIEWED = 12  # images in the before/after grid, one per column
VARIATIONS = 4  # rows below the originals
BATCH = 256


def augment(config: Augment) -> None:
    images, labels = read_split(needed("normalize", config.pipeline), "train")
    if config.copies and not isinstance(images, np.ndarray):
        raise InputError(
            f"copies is {config.copies}, but copies need arrays, and these images are in shards: "
            f"set copies: 0, or pipelines.{config.pipeline}.normalize.storage: arrays"
        )
    # Imported late: a mistake in the configuration is found before TensorFlow takes its seconds.
    import_tensorflow()
    from classifier.augmentation.policy import augment_array, check_policy, to_config

    layers = [
        build(f"policy.{name}", layer, name=name)
        for name, layer in config.policy.items()
        if layer is not None
    ]
    chosen = np.random.default_rng(config.seed).choice(len(images), min(PREVIEWED, len(images)))
    originals = np.asarray(images[np.sort(chosen)])
    check_policy({layer.name: layer for layer in layers}, originals)
    with atomic_folder(output("augment", config.pipeline)) as folder:
        write_json(folder / "policy.json", to_config(layers))
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
            np.save(folder / "copies_labels.npy", np.concatenate([labels] * config.copies))
    if layers:
        names = ", ".join(layer.name for layer in layers)
        log.info("each epoch changes the training images anew: %s", names)
    else:
        log.info("the training images stay as they are")
    if config.copies:
        log.info("changed copies of each training image, written once: %d", config.copies)


if __name__ == "__main__":
    configured(augment)()
