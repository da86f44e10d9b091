"""Digits of any two greys, converted to ones like MNIST's."""

import numpy as np
import pytest

from classifier.apps.handwriting import like_mnist


def seven(
    size: int = 200, ink: int = 0, paper: int = 255, at: tuple[int, int] = (20, 30)
) -> np.ndarray:
    """A seven of two strokes, 60 x 40 pixels, on a larger sheet."""
    sheet = np.full((size, size), paper, np.uint8)
    top, left = at
    sheet[top : top + 8, left : left + 40] = ink
    for row in range(52):
        column = left + 34 - row // 2
        sheet[top + 8 + row, column : column + 6] = ink
    return sheet


def test_size_and_place_are_mnists() -> None:
    digit = like_mnist(seven())
    assert (digit.shape, digit.dtype) == ((28, 28), np.uint8)
    rows, columns = (np.flatnonzero((digit > 60).any(axis=axis)) for axis in (1, 0))
    assert rows[-1] - rows[0] + 1 == 20  # the longer side
    assert columns[-1] - columns[0] + 1 <= 20
    weight = digit.astype(float)
    centre = [(weight.sum(axis=axis) * (np.arange(28) + 0.5)).sum() for axis in (1, 0)]
    np.testing.assert_allclose(np.array(centre) / weight.sum(), 14, atol=0.51)


@pytest.mark.parametrize("ink, paper", [(0, 255), (255, 0), (90, 200), (220, 130)])
@pytest.mark.parametrize("at", [(5, 5), (130, 150)])
def test_ink_paper_and_place_do_not_matter(ink: int, paper: int, at: tuple[int, int]) -> None:
    digit = like_mnist(seven(ink=ink, paper=paper, at=at)).astype(int)
    assert np.abs(digit - like_mnist(seven()).astype(int)).max() <= 2


def test_an_empty_sheet_is_black() -> None:
    assert not like_mnist(np.full((50, 50), 240, np.uint8)).any()


def test_a_dot_and_a_line_fit() -> None:
    for shape in ((1, 1), (1, 90), (90, 1)):
        sheet = np.zeros((100, 100), np.uint8)
        sheet[4 : 4 + shape[0], 4 : 4 + shape[1]] = 255
        assert like_mnist(sheet).max() > 100
