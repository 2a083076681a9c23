"""What a loss adds to the discordance, against answers in which one is planted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.stats.planning.detectable import minimum_detectable_effect
from llmgate.stats.planning.loss import discordance_at, variance_at
from llmgate.stats.planning.power import Chances, tango_chances
from llmgate.stats.planning.rules import TangoRule, TRule

UNIT = st.floats(0, 1)


@pytest.mark.parametrize(("unchanged", "level", "loss"), [(0.1, 0.7, 0.05), (0.2, 0.4, 0.1), (0.3, 0.85, 0.2)])
def test_planted_losses_differ_in_so_many_pairs(unchanged: float, level: float, loss: float) -> None:
    rng = np.random.default_rng(16)
    # Both right, only the candidate, only the champion, neither.
    kind = rng.choice(4, 400_000, p=[level - unchanged / 2, unchanged / 2, unchanged / 2, 1 - level - unchanged / 2])
    champion, candidate = np.isin(kind, [0, 2]), np.isin(kind, [0, 1])
    candidate &= rng.random(len(kind)) >= loss / level
    assert candidate.mean() - champion.mean() == pytest.approx(-loss, abs=0.003)
    expected = discordance_at(-loss, unchanged=unchanged, level=level)
    assert (candidate != champion).mean() == pytest.approx(expected, abs=0.003)
    differences = candidate.astype(float) - champion
    assert differences.var() == pytest.approx(variance_at(-loss, unchanged=unchanged, level=level), abs=0.003)


@given(UNIT, st.floats(-1, 1), st.one_of(st.none(), UNIT))
def test_a_difference_has_room_in_what_differs(unchanged: float, delta: float, level: float | None) -> None:
    discordance = discordance_at(delta, unchanged=unchanged, level=level)
    assert abs(delta) - 1e-12 <= discordance <= 1
    assert 0 <= variance_at(delta, unchanged=unchanged, level=level) <= 1
    assert discordance_at(0.0, unchanged=unchanged, level=level) == unchanged
    # Not knowing the level promises the least.
    assert discordance <= discordance_at(delta, unchanged=unchanged) + 1e-12
    tango_chances(delta=delta, discordance=max(discordance, abs(delta)), pairs=20, margin=0.1, alpha=0.05)


def test_a_gain_does_to_wrong_answers_what_a_loss_does_to_right_ones() -> None:
    assert discordance_at(0.1, unchanged=0.2, level=0.3) == discordance_at(-0.1, unchanged=0.2, level=0.7)


def test_all_that_was_right_can_be_lost_and_no_more() -> None:
    assert discordance_at(-0.6, unchanged=0.2, level=0.5) == 0.6
    assert discordance_at(-1.0, unchanged=0.2) == 1.0


@pytest.mark.parametrize(
    ("delta", "unchanged", "level"),
    [
        (-1.1, 0.1, None),
        (0.0, -0.1, None),
        (0.0, 1.1, 0.5),
        (0.0, 0.1, 1.5),
        (math.nan, 0.1, 0.5),
        (0.0, math.nan, 0.5),
    ],
)
def test_impossible_losses_are_refused(delta: float, unchanged: float, level: float | None) -> None:
    with pytest.raises(UndefinedError):
        discordance_at(delta, unchanged=unchanged, level=level)
    with pytest.raises(UndefinedError):
        variance_at(delta, unchanged=unchanged, level=level)


@pytest.mark.parametrize(("pairs", "kept"), [(50, 0.487), (100, 0.575), (200, 0.644), (688, 0.717), (1000, 0.731)])
def test_what_was_called_found_four_times_out_of_five(pairs: int, kept: float) -> None:
    """With the discordance kept, as it was planned until 0.6, and what such a loss really gets."""

    class Kept:
        def chances(self, *, delta: float, margin: float) -> Chances:
            return tango_chances(delta=delta, discordance=max(0.1, abs(delta)), pairs=pairs, margin=margin, alpha=0.05)

    rule = TangoRule(pairs=pairs, discordance=0.1, alpha=0.05, level=0.7)
    promised, found = (minimum_detectable_effect(one, margin=0.03) for one in (Kept(), rule))
    assert promised is not None
    assert found is not None
    assert rule.chances(delta=-promised, margin=0.03).failed == pytest.approx(kept, abs=0.001)
    assert found > promised
    assert rule.chances(delta=-found, margin=0.03).failed >= 0.8


@given(st.floats(0.01, 0.5), st.floats(0.3, 1.0), st.floats(0.0, 0.25))
def test_exact_and_graded_rules_take_the_same_spread(unchanged: float, level: float, loss: float) -> None:
    graded = TRule(variance=unchanged, pairs=400, df=399, alpha=0.05, level=level)
    clustered = TRule(variance=2 * unchanged, pairs=400, df=39, alpha=0.05, level=level, design_effect=2.0)
    assert graded.variance_at(-loss) == pytest.approx(variance_at(-loss, unchanged=unchanged, level=level))
    assert clustered.variance_at(-loss) == pytest.approx(2 * graded.variance_at(-loss))
    unbounded = TRule(variance=unchanged, pairs=400, df=399, alpha=0.05, bounded=False)
    assert unbounded.variance_at(-loss) == unchanged
