"""The sources that a file can come from, in the order to try them."""

from typing import Any, ClassVar, Literal

from pydantic.dataclasses import dataclass

from classifier.support.addresses import without_credentials
from classifier.support.limits import NESTED, Count

Kind = Literal["folder", "mirror", "url", "bucket", "merged", "wheel", "sample"]


@dataclass(kw_only=True, config=NESTED)
class Source:
    """One place that a file can come from; which keys it needs depends on its kind."""

    kind: Kind  # folder | mirror | url | bucket | merged | wheel | sample: drawings
    path: str | None = None  # mirror: below the mirror's folder; folder: a folder or a file
    url: str | None = None  # url: with http or https; bucket: see classifier.sources.bucket
    options: dict[str, Any] | None = None  # bucket: of its driver
    parts: "dict[str, Source] | None" = None  # merged: sources by name, all of which are taken
    requirement: str | None = None  # wheel: pinned, name==version
    member: str | None = None  # wheel: the file inside
    sha256: str | None = None  # of the file; of the wheel file for a wheel
    bytes: Count | None = None  # of the file; a wheel is bound by its hash

    def __str__(self) -> str:
        if self.parts:
            return ", ".join(f"{name}: {part}" for name, part in self.parts.items())
        return without_credentials(self.url or self.requirement or self.path or "drawn here")


@dataclass(kw_only=True, config=NESTED)
class Obtainable:
    """A file, and its sources in the order to try them: conf/<group>/<name>.yaml."""

    group: ClassVar[str]

    name: str  # of its file in conf/, without the suffix
    file: str  # its name in the stage's output
    sources: list[Source]  # the places that the file can come from, in the order to try them
    homepage: str | None = None
    license: str | None = None
    max_bytes: Count  # of the file, and of what an archive unpacks to

    @property
    def takes_folder(self) -> bool:
        """Whether a folder will do in place of the file."""
        return False
