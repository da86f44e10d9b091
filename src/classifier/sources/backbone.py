"""What a backbone is, and the sources that its weights can come from."""

from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from classifier.sources.source import Obtainable
from classifier.support.limits import NESTED, Positive


@dataclass(kw_only=True, config=NESTED)
class Backbone(Obtainable):
    """A network that was trained before, on other photos; see conf/backbone.yaml."""

    group: ClassVar[str] = "backbone"

    network: dict[str, Any] | None = None  # what builds it from the file; None for no backbone
    sha256: str | None = None  # of the file
    trained_on: str | None = None
    accuracy: Positive | None = None  # as published, in percent
