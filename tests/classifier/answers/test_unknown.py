"""Pictures of none of the classes."""

from typing import get_args

import numpy as np
import pytest

from classifier.answers.unknown import Kind, unknown_images


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("shape", [(28, 28, 1), (20, 30, 3)])
def test_pictures_are_those_of_their_seed(kind: Kind, shape: tuple[int, ...]) -> None:
    known = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    first, second, other = (unknown_images(kind, known, count=3, seed=seed) for seed in (7, 7, 8))
    assert (first.shape, first.dtype) == ((3, *shape), np.uint8)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
