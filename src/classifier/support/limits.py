"""Types of numbers with their limits, for what pydantic checks: configurations and components.

A limit stands in the signature of the function, or in the dataclass, that takes the value
(https://docs.pydantic.dev/latest/concepts/fields/#numeric-constraints).
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, validate_call

Count = Annotated[int, Field(strict=True, ge=1)]
Index = Annotated[int, Field(strict=True, ge=0)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NonNegative = Annotated[float, Field(strict=True, ge=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
FractionBelow1 = Annotated[float, Field(strict=True, ge=0, lt=1)]
FractionAbove0 = Annotated[float, Field(strict=True, gt=0, le=1)]
FractionBetween = Annotated[float, Field(strict=True, gt=0, lt=1)]


def _text(value: Any) -> Any:
    # YAML reads a class called 5 as a number. What it makes of yes, 1e3 or null has lost the name.
    if type(value) is int:
        return str(value)
    if value is None or isinstance(value, bool | float):
        raise ValueError("YAML has a meaning for this name: put it in quotes")
    return value


ClassName = Annotated[str, BeforeValidator(_text)]


def _increasing(value_range: tuple[float, float]) -> tuple[float, float]:
    low, high = value_range
    if not (low < high and math.isfinite(high - low)):
        raise ValueError("must be [low, high], two numbers with low < high")
    return value_range


# The values of an image that become 0 and 255.
ValueRange = Annotated[tuple[float, float], AfterValidator(_increasing)]


def _image_size(size: Any) -> int | tuple[int, int]:
    sides = [size, size] if type(size) is int else size
    if not (
        isinstance(sides, list | tuple)
        and len(sides) == 2
        and all(type(side) is int for side in sides)
    ):
        raise ValueError("must be a whole number, or two: [height, width]")
    if min(sides) < 8:
        raise ValueError("must be at least 8")
    if max(sides) > 4096:
        raise ValueError("must be at most 4096")
    height, width = sides
    return height if height == width else (height, width)


# Height and width in pixels, 8..4096; one number for a square, where two equal ones are given too.
ImageSize = Annotated[int | tuple[int, int], BeforeValidator(_image_size)]


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width of an ``ImageSize``."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


# No conversions: '5' is not 5, and true is not 1.
STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
# A dataclass inside another one is made from keys and values.
NESTED = ConfigDict(extra="forbid")

Component = TypeVar("Component", bound=Callable[..., object])


def checked(component: Component) -> Component:
    """Decorates a function that a configuration names as ``_target_``: it checks its arguments.

    Raises:
        pydantic.ValidationError: by the decorated function, for an argument of another type or
            outside its limits.
    """
    return validate_call(config=STRICT)(component)
