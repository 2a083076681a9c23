"""Cases drawn by what a judge says of them: how many of each part, and that no first line is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.record.labels import ALIKE, LEAST_DRAWN, draw_cases, draw_strata, share_out


@given(
    st.fixed_dictionaries({"better": st.integers(0, 200), "worse": st.integers(0, 200), ALIKE: st.integers(0, 900)}),
    st.integers(0, 400),
)
def test_all_are_drawn_once_and_no_part_is_forgotten(sizes: dict[str, int], number: int) -> None:
    drawn = share_out(sizes, number)
    least = sum(min(size, LEAST_DRAWN) for size in sizes.values())
    assert sum(drawn.values()) == max(least, min(number, sum(sizes.values())))
    assert all(min(sizes[part], LEAST_DRAWN) <= count <= sizes[part] for part, count in drawn.items())


def test_cases_on_which_the_sides_differ_are_drawn_twice_as_often() -> None:
    assert share_out({"better": 100, "worse": 100, ALIKE: 800}, 120) == {"better": 20, "worse": 20, ALIKE: 80}


@pytest.mark.parametrize("seed", [0, 7])
def test_the_order_of_each_part_is_that_of_simple_draws(seed: int) -> None:
    parts = {"worse": [f"w{i}" for i in range(40)], ALIKE: [f"a{i}" for i in range(300)]}
    drawn = draw_strata(parts, 100, seed=seed)
    assert drawn == {part: draw_cases(cases, len(drawn[part]), seed=seed) for part, cases in parts.items()}
