"""Corrected comparisons as counts: the same as the gate's interval, and what is asked of them."""

from __future__ import annotations

import numpy as np
import pytest

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.labelled import (
    LABELLED_DESIGNS,
    LABELLED_SIZES,
    LabelledRow,
    simulate_labels,
    wrong_bounds,
)
from llmgate.stats.corrected import ppi_bounded


def test_an_error_in_counts_is_an_error_of_the_gates_bound() -> None:
    rng = np.random.default_rng(3)
    people, judge = np.repeat([-1, 0, 1], 3), np.tile([-1, 0, 1], 3)
    for design in LABELLED_DESIGNS:
        cells = design.cells
        labelled = rng.multinomial(40, cells / cells.sum(), size=6).astype(float)
        others = rng.multinomial(200, cells.reshape(3, 3).sum(axis=0), size=6).astype(float)
        for truth in (-0.15, -0.04, 0.0):
            found = wrong_bounds(labelled, others, truth, alpha=0.05)
            for i, wrong in enumerate(found):
                said, given = (np.repeat(part, labelled[i].astype(int)).astype(float) for part in (judge, people))
                rest = np.repeat([-1.0, 0.0, 1.0], others[i].astype(int))
                bound = ppi_bounded(said, given, rest, alpha=0.05, floor=-1.0, ceiling=1.0).lower
                assert wrong == (bound > truth)


@pytest.mark.parametrize("labels", LABELLED_SIZES)
def test_bounds_hold_with_few_labels(labels: int) -> None:
    for k, design in enumerate(LABELLED_DESIGNS):
        row = simulate_labels(design, labels=labels, rng=np.random.default_rng(k), repetitions=400, alpha=0.05)
        assert all(requirement.met for requirement in row.requirements), row
        assert [requirement.limit for requirement in row.requirements] == [0.06, 0.06]


def test_counts_that_do_not_fit() -> None:
    with pytest.raises(UndefinedError, match="do not fit"):
        LabelledRow(design="x", labels=50, cases=100, alpha=0.05, runs=10, above=11, below=0)
