"""Finds which arrays of a file are the images and the labels of each split, by their names."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from classifier.formats.npz import SPLITS, ArrayName
from classifier.layouts.error import LayoutError
from classifier.layouts.spellings import SPELLINGS
from classifier.layouts.summary import first_names
from classifier.support.errors import nearest

IMAGES = ("x", "image", "images", "img", "imgs", "data", "pixels")
LABELS = ("y", "label", "labels", "target", "targets", "class")
NAMED = 8  # arrays that a message names
# Of IDX files: train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte.
IDX = re.compile(r"[-_.]idx\d[-_.]\w+?(\.gz)?$", re.IGNORECASE)

log = logging.getLogger(__name__)


def _usual() -> dict[str, ArrayName]:
    """What is meant by each usual name, in lower case and without what parts its words."""
    usual: dict[str, ArrayName] = {}
    spellings = SPELLINGS | {"": "", "tr": "train", "t10k": "test"}
    for spelling, split in spellings.items():
        images, labels = SPLITS[split]
        for word in IMAGES:
            usual[word + spelling] = usual[spelling + word] = images
        for word in LABELS:
            usual[word + spelling] = usual[spelling + word] = labels
    return usual


USUAL = _usual()


def usual_name(name: str) -> ArrayName | None:
    """What an array, or an IDX file, is by its name: ``X_train``, ``train-images-idx3-ubyte``."""
    bare = IDX.sub("", name.rpartition("/")[2]).lower()
    return USUAL.get(re.sub(r"[^a-z0-9]", "", bare))


def find_arrays(
    names: Sequence[str], keys: Mapping[ArrayName, str] | None, place: str
) -> dict[ArrayName, str]:
    """The name of the array for the images and for the labels of each split.

    Args:
        names: of the arrays, or of the IDX files, that there are.
        keys: what is what, as the dataset's YAML file says it; None for the usual names.
        place: what messages call the file.

    Raises:
        LayoutError: a name of ``keys`` is not there, two arrays may be one, or there are no images
            with labels to train on.
    """
    if keys:
        for name in keys.values():
            if name not in names:
                raise LayoutError(f"{place}: keys: there is no '{name}': {nearest(name, names)}")
        found = dict(keys)
    else:
        found = _by_usual_names(names, place)
    for split, (images, labels) in SPLITS.items():
        if images in found and labels not in found:
            log.warning(
                "%s: %s has no labels, and is passed over%s",
                place,
                found.pop(images),
                f" ({split})" if split else "",
            )
        elif labels in found and images not in found:
            del found[labels]
    if not {"x", "x_train"} & set(found):
        raise LayoutError(
            f"{place}: there are no images with labels to train on, by usual names (x_train and "
            f"y_train, train_images and train_labels, images and labels): {_say(names)}; name "
            "them, keys: {x_train: ..., y_train: ..., x_test: ..., y_test: ...} or {x: ..., y: ...}"
        )
    if "x" in found and len(found) > 2:
        raise LayoutError(
            f"{place}: {found['x']} has images without a split, beside {_say(found.values())}: "
            f"name what is meant, keys: {{x: {found['x']}, y: {found['y']}}}"
        )
    unused = sorted(set(names) - set(found.values()))
    if unused:
        log.info("%s: passed over %s", place, _say(unused))
    return found


def _by_usual_names(names: Sequence[str], place: str) -> dict[ArrayName, str]:
    found: dict[ArrayName, str] = {}
    for name in names:
        meant = usual_name(name)
        if meant is None or (name.endswith(".gz") and name[:-3] in names):
            continue
        if meant in found:
            raise LayoutError(
                f"{place}: both {found[meant]} and {name} may be {meant}: name what is meant, "
                f"keys: {{{meant}: {name}, ...}}"
            )
        found[meant] = name
    return found


def _say(names: Iterable[str]) -> str:
    return first_names([f"'{name}'" for name in names], NAMED) or "there are no arrays"
