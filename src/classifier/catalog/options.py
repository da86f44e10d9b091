"""How the images are divided: what a user sets."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from classifier.support.limits import Count, NonNegative, Positive, Seed

RareClasses = Literal["fail", "drop", "train_only"]


@dataclass(kw_only=True)
class SplitOptions:
    """Options of :func:`classifier.catalog.assignment.assign_splits`; see conf/split.yaml.

    Attributes:
        validation, test, train: a fraction of the images if below 1, otherwise their number.
            ``test=None`` wants the dataset's official test split. ``train=None`` takes all
            images that the other two leave. An official split has its own size.
        method: ``stratified`` gives each split its exact number of images, and the same share of
            each class. ``hash`` takes the split from the seed and the image's content alone, so
            that no image changes its split when others are added, renamed or removed. It needs
            fractions, meets them on average only, and logs the shares that it gave. With groups
            or near-duplicates, ``stratified`` meets the sizes, and the shares of the classes,
            as nearly as these allow, and logs them too.
        official: ``ignore`` splits all images anew.
        folds: divides all images into this many folds for cross-validation, whatever ``test`` and
            ``official`` say; ``validation`` and ``train`` divide what is not in the fold.
        fold: the number of the fold that is the test split, from 1 on.
        seed: of the random assignment.
        duplicates: ``keep`` repeated images of a class, or ``drop`` all but the first.
        conflicting_labels: ``keep`` or ``drop`` images that have two or more classes.
        rare_classes: what happens to a class of which a split would have no image. ``drop`` leaves
            it out, with the label -1. ``train_only`` trains on all its images, and what is bound to
            them, but for those of an official split. The others are split as if it were not there.
    """

    train: Positive | None
    validation: Positive
    test: NonNegative | None
    method: Literal["stratified", "hash"]
    official: Literal["respect", "ignore"]
    folds: Annotated[int, Field(ge=2)] | None
    fold: Count
    seed: Seed
    duplicates: Literal["keep", "drop"]
    conflicting_labels: Literal["keep", "drop"]
    rare_classes: RareClasses
