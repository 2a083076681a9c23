"""Stratified means against their parts, a survey's formula and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import UndefinedError
from llmgate.stats.labelled.residual import Residuals, score_bounds
from llmgate.stats.labelled.stratified import LabelledPart, stratified_bounds
from llmgate.stats.proportion import PairedCounts, tango

LABELS = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 1.0]), min_size=1, max_size=30)


def part(values: list[float], size: int) -> LabelledPart:
    return LabelledPart(values=np.array(values), size=size)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "no cases"),
        ([part([], 0)], "no cases"),
        ([part([0.0, 1.0], 9), part([], 3)], "none is labelled"),
        ([part([2.0, 1.0], 9)], "outside"),
    ],
)
def test_what_has_no_bounds(parts: list[LabelledPart], message: str) -> None:
    with pytest.raises(UndefinedError, match=message):
        stratified_bounds(parts, alpha=0.05, floor=-1.0, ceiling=1.0)


@given(LABELS, st.integers(30, 100))
@settings(max_examples=20)
def test_of_one_part_they_are_its_own(values: list[float], size: int) -> None:
    own = score_bounds(Residuals(values=np.array(values), lowest=-1.0, highest=1.0), alpha=0.05, method="")
    found = stratified_bounds([part(values, size), part([], 0)], alpha=0.05, floor=-1.0, ceiling=1.0)
    assert (found.lower, found.estimate, found.upper) == pytest.approx((own.lower, own.estimate, own.upper))


def test_by_hand() -> None:
    parts = [part([1.0] * 3 + [0.0] * 17, 60), part([-1.0] * 8 + [0.0] * 12, 40)]
    one = tango(PairedCounts(better=3, worse=0, pairs=20), alpha=0.05)
    two = tango(PairedCounts(better=0, worse=8, pairs=20), alpha=0.05)
    found = stratified_bounds(parts, alpha=0.05, floor=-1.0, ceiling=1.0)
    mean = 0.6 * 0.15 - 0.4 * 0.4
    between = (0.6 * (0.15 - mean) ** 2 + 0.4 * (-0.4 - mean) ** 2) / 100
    below = math.sqrt((0.6 * (0.15 - one.lower)) ** 2 + (0.4 * (-0.4 - two.lower)) ** 2 + 1.6448536**2 * between)
    assert found.estimate == pytest.approx(mean)
    assert found.lower == pytest.approx(mean - below)


@given(LABELS, LABELS, LABELS)
@settings(max_examples=20)
def test_they_are_mirrored_and_agree_with_their_p_value(one: list[float], two: list[float], three: list[float]) -> None:
    sizes = (50, 400, 70)
    parts = [part(values, size) for values, size in zip((one, two, three), sizes, strict=True)]
    turned = [LabelledPart(values=-each.values, size=each.size) for each in parts]
    found, other = (stratified_bounds(each, alpha=0.05, floor=-1.0, ceiling=1.0) for each in (parts, turned))
    assert (found.lower, found.upper) == pytest.approx((-other.upper, -other.lower))
    assert found.p_negative is not None
    assert (found.upper < -1e-9) <= (found.p_negative <= 0.05 + 1e-9)
    assert (found.p_negative < 0.05 - 1e-9) <= (found.upper < 1e-9)


def test_measured_coverage() -> None:
    rng = np.random.default_rng(5)
    held, runs = np.zeros(2), 100
    for _ in range(runs):
        sizes = rng.multinomial(600, [0.1, 0.8, 0.1])
        rates = ((-0.6, 20), (0.0, 60), (0.6, 20))
        parts = []
        for size, (tilt, n) in zip(sizes, rates, strict=True):
            chances = [0.05 + max(0.0, -tilt), 0.9 - abs(tilt), 0.05 + max(0.0, tilt)]
            parts.append(part(rng.choice([-1.0, 0.0, 1.0], n, p=chances).tolist(), int(size)))
        found = stratified_bounds(parts, alpha=0.05, floor=-1.0, ceiling=1.0)
        held += (found.lower <= 0.0, found.upper >= 0.0)
    assert np.all(held >= 89)
