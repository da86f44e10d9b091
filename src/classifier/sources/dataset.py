"""What a dataset is, and the sources that it can come from."""

from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass

from classifier.layouts.columns import Role
from classifier.layouts.wanted import Layout, Wanted
from classifier.sources.source import Obtainable
from classifier.support.limits import NESTED, ClassName, Count, ValueRange

Format = Literal["npz", "folders"]


@dataclass(kw_only=True, config=NESTED)
class Dataset(Obtainable):
    """A dataset: what its images are, and its sources in the order to try them."""

    group: ClassVar[str] = "dataset"

    format: Format  # npz: see classifier.formats.npz; folders: images, see classifier.layouts
    classes: list[ClassName] | None = None  # in the labels' order, see conf/download.yaml
    value_range: ValueRange | None = None  # of the stored values; see conf/download.yaml
    arrays: dict[str, str] | None = None  # npz: SHA-256 of each array's bytes
    max_files: Count
    # folders: where the class of an image is; see conf/download.yaml
    layout: Layout = "auto"
    pattern: str | None = None
    table: str | list[str] | None = None
    columns: dict[Role, str] | None = None
    unmatched: Literal["warn", "fail"] = "warn"

    @property
    def takes_folder(self) -> bool:
        return self.format == "folders"

    @property
    def wanted(self) -> Wanted:
        """What is said of the layout."""
        return Wanted(
            layout=self.layout,
            classes=self.classes,
            pattern=self.pattern,
            table=self.table,
            columns=self.columns or {},
            unmatched=self.unmatched,
        )
