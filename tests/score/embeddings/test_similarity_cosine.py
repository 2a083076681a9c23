"""How alike two vectors are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.score.embeddings.similarity import cosine, dot

numbers = st.floats(-1e3, 1e3)
pairs = st.integers(1, 6).flatmap(lambda n: st.tuples(*[st.lists(numbers, min_size=n, max_size=n)] * 2))


@given(pairs)
def test_cosine_is_that_of_numpy(vectors: tuple[list[float], list[float]]) -> None:
    left, right = map(np.array, vectors)
    lengths = np.linalg.norm(left) * np.linalg.norm(right)
    assume(lengths > 1e-100)
    assert math.isclose(cosine(*vectors), float(left @ right / lengths), abs_tol=1e-9)


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e200, 1.7e308])
def test_cosine_bears_tiny_and_huge_numbers(size: float) -> None:
    assert cosine([size, size], [size, 0.0]) == pytest.approx(math.sqrt(0.5))
    assert cosine([size, 0.0], [-size, 0.0]) == -1


def test_a_vector_of_zeros_has_no_cosine() -> None:
    assert cosine([1, 2], [2, 4]) == pytest.approx(1)
    assert cosine([1, 0], [0, 1]) == 0
    assert cosine([0, 0], [1, 0], directionless=0.0) == 0
    with pytest.raises(UndefinedError, match="no direction"):
        cosine([0, 0], [1, 0])


@pytest.mark.parametrize(
    "vectors", [([1e200], [1e200]), ([1e308, 1e308], [1.5, 1.5]), ([1e200, 1e200], [1e200, -1e200])]
)
def test_a_product_too_large_for_a_float_is_none(vectors: tuple[list[float], list[float]]) -> None:
    with pytest.raises(UndefinedError, match="too large"):
        dot(*vectors)
