"""What a dataset is, and the sources that it can come from."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from classifier.formats.npz import ArrayName
from classifier.layouts.columns import Role
from classifier.layouts.wanted import Layout, Task, Wanted
from classifier.sources.source import Obtainable
from classifier.support.limits import NESTED, ClassName, Count, ValueRange

Format = Literal["npz", "idx", "folders"]


@dataclass(kw_only=True, config=NESTED)
class Dataset(Obtainable):
    """A dataset: what its images are, and its sources in the order to try them."""

    group: ClassVar[str] = "dataset"

    # npz and idx: see these modules of classifier.formats; folders: images, see classifier.layouts
    format: Format
    classes: list[ClassName] | None = None  # in the labels' order, see conf/download.yaml
    value_range: ValueRange | None = None  # of the stored values; see conf/download.yaml
    arrays: dict[str, str] | None = None  # npz, idx: SHA-256 of each array's bytes
    keys: dict[ArrayName, str] | None = None  # npz: the arrays' names; idx: the files' names
    max_files: Count
    # folders: where the class of an image is; see conf/download.yaml
    layout: Layout = "auto"
    pattern: str | None = None
    table: str | list[str] | None = None
    columns: dict[Role, str] | None = None
    unmatched: Literal["warn", "fail"] = "warn"
    task: Task = "single_label"
    separator: Annotated[str, Field(min_length=1)] = ";"  # of multi_label

    @property
    def takes_folder(self) -> bool:
        return self.format != "npz"

    @property
    def stored_format(self) -> Literal["npz", "folders"]:
        """What the file of the download stage is."""
        return "folders" if self.format == "folders" else "npz"

    @property
    def label_separator(self) -> str | None:
        """Between the labels of an image, which may have several; None where it has one."""
        return self.separator if self.task == "multi_label" else None

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
            separator=self.label_separator,
        )
