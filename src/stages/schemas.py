"""What each stage's configuration may hold: types and limits. Defaults are in conf/<stage>.yaml."""

from typing import Annotated, Any, Literal, Required

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from classifier.answers.unknown import Kind as Unknown
from classifier.catalog.options import SplitOptions
from classifier.images.colours import Colour
from classifier.images.pixels import Truncated
from classifier.sources.backbone import Backbone as Network
from classifier.sources.dataset import Dataset
from classifier.sources.source import Kind
from classifier.storage.splits import Storage
from classifier.support.limits import (
    NESTED,
    STRICT,
    ClassName,
    Count,
    Fraction,
    FractionAbove0,
    FractionBelow1,
    ImageSize,
    Index,
    NonNegative,
    Positive,
    Seed,
)
from classifier.training.options import FitOptions, SessionOptions
from stages.depends_on import continuable, known_to_dvc

Dependency = Annotated[str, AfterValidator(known_to_dvc)]


@dataclass(kw_only=True, config=STRICT)
class Fetch:
    """What a stage that fetches a file takes."""

    pipeline: str
    source: Literal["auto", Kind]
    attempts: Count
    timeout: Positive


@dataclass(kw_only=True, config=STRICT)
class Download(Fetch):
    depends_on: Dependency
    in_place: bool
    dataset: Dataset


@dataclass(kw_only=True, config=NESTED)
class NearDuplicates:
    distance: Annotated[int, Field(strict=True, ge=0, le=10)] | None
    leaking: Literal["keep", "drop"]


@dataclass(kw_only=True, config=STRICT)
class Split(SplitOptions):
    pipeline: str
    classes: list[ClassName] | None
    near_duplicates: NearDuplicates | None
    corrections: str | None
    depends_on: Dependency
    workers: Count


@dataclass(kw_only=True, config=STRICT)
class Normalize:
    pipeline: str
    image_size: ImageSize
    channels: Literal[1, 3]
    fit: Literal["crop", "pad"]
    undecodable: Literal["fail", "drop"]
    truncated: Truncated
    transparency: Colour
    method: Literal["rescale", "standardize", "per_image", "local_contrast"]
    window: Annotated[int, Field(ge=3)]
    workers: Count
    storage: Storage
    shard_bytes: Count


@dataclass(kw_only=True, config=STRICT)
class Augment:
    pipeline: str
    seed: Seed
    copies: Index
    policy: dict[str, Any]


@dataclass(kw_only=True, config=STRICT)
class Backbone(Fetch):
    backbone: Network


class Optimizer(TypedDict, total=False):
    """What every Keras optimizer takes; a choice's own arguments come in addition."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    learning_rate: Required[Positive]
    weight_decay: NonNegative | None
    clipnorm: Positive | None
    momentum: FractionBelow1
    ema_momentum: FractionBelow1


@dataclass(kw_only=True, config=STRICT)
class Train(FitOptions, SessionOptions):
    pipeline: str
    batch_size: Count
    label_smoothing: FractionBelow1
    workers: Count
    outage: Literal["stop", "postpone"]
    depends_on: Dependency
    continue_from: Annotated[str, AfterValidator(continuable)] | None
    model: dict[str, Any]
    loss: dict[str, Any]
    optimizer: Optimizer
    schedule: dict[str, Any]
    mixing: dict[str, Any]
    views: dict[str, Any]
    teacher: dict[str, Any]
    strategy: dict[str, Any]
    logger: dict[str, dict[str, Any]]


@dataclass(kw_only=True, config=STRICT)
class Evaluate:
    pipeline: str
    batch_size: Count
    mistakes: Count
    bootstrap: Count
    corruption_images: Index
    seed: Seed
    unknown: list[Unknown]
    unknown_images: Count


@dataclass(kw_only=True, config=STRICT)
class Export:
    pipeline: str
    thresholds: dict[str, float]
    tolerance: NonNegative
    calibrate: bool
    accept: FractionAbove0
    runtimes: list[Literal["onnx", "litert", "litert_int8"]]
    accuracy_loss: Fraction


SCHEMAS: dict[str, type] = {
    schema.__name__.lower(): schema
    for schema in (Download, Split, Normalize, Augment, Backbone, Train, Evaluate, Export)
}
