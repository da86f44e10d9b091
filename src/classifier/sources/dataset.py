"""What a dataset is, and the sources that it can come from."""

from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass

from classifier.sources.source import Obtainable
from classifier.support.limits import NESTED, ClassName, Count, ValueRange

Format = Literal["npz", "folders"]


@dataclass(kw_only=True, config=NESTED)
class Dataset(Obtainable):
    """A dataset: what its images are, and its sources in the order to try them."""

    group: ClassVar[str] = "dataset"

    format: Format  # npz: see classifier.formats.npz; folders: see classifier.formats.archive
    classes: list[ClassName] | None = None  # in the labels' order, see conf/download.yaml
    value_range: ValueRange | None = None  # of the stored values; see conf/download.yaml
    arrays: dict[str, str] | None = None  # npz: SHA-256 of each array's bytes
    max_files: Count
