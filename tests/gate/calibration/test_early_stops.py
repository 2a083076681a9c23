"""Early stopping by columns is the gate's own rule at a look, one run at a time."""

from __future__ import annotations

import numpy as np
import pytest

from llmgate.errors import UndefinedError
from llmgate.gate.calibration.results import Calibration, CalibrationRow, Truth
from llmgate.gate.calibration.simulated import SimulatedDesign, simulate, simulate_looks
from llmgate.gate.calibration.vectorised import LOOKS, decide_looks, look_sizes
from llmgate.gate.evidence.pairing import Errors, Pairs
from llmgate.gate.metrics.intervals import compare
from llmgate.gate.metrics.look import look_point
from llmgate.gate.sequential.stopping_rule import at_look
from llmgate.record.scores import texts

MARGIN, ALPHA = 0.03, 0.05


def one_by_one(better: int, worse: int, pairs: int, sizes: tuple[int, ...], k: int, margin: float) -> str:
    """What the gate says at a look."""
    point = look_point(sizes, look=k + 1)
    assert point is not None
    candidate, champion = np.ones(pairs), np.ones(pairs)
    champion[:better] = 0.0
    candidate[better : better + worse] = 0.0
    sides = Pairs(
        item_ids=texts([str(i) for i in range(pairs)]),
        candidate=candidate,
        champion=champion,
        slices={},
        expected=pairs,
        errors=Errors(),
    )
    found = at_look(compare(sides, margin=margin, alpha=point.tail(ALPHA)), point, margin=margin)
    return "PASS" if found.passed else "FAIL" if found.worse and found.p <= ALPHA else ""


@pytest.mark.parametrize(("pairs", "discordance", "margin"), [(60, 0.3, 0.15), (100, 0.2, 0.1), (100, 0.4, 0.05)])
def test_the_same_verdicts_at_the_same_looks_as_the_gate(pairs: int, discordance: float, margin: float) -> None:
    rng = np.random.default_rng(pairs)
    sizes = look_sizes(pairs)
    steps = np.diff([0, *sizes])
    better, worse = [], []
    for loss in (0.0, margin, 2 * margin):
        p = [(discordance - loss) / 2, (discordance + loss) / 2, 1 - discordance]
        drawn = np.stack([rng.multinomial(step, p, size=6) for step in steps], axis=1).cumsum(axis=1)
        better.append(drawn[:, :, 0])
        worse.append(drawn[:, :, 1])
    b, c = np.concatenate(better), np.concatenate(worse)
    found = decide_looks(b, c, sizes, margin=margin, alpha=ALPHA)
    stopped_early = 0
    for run in range(len(b)):
        ended = next(
            (
                (k, said)
                for k in range(LOOKS)
                if (said := one_by_one(int(b[run, k]), int(c[run, k]), sizes[k], sizes, k, margin))
            ),
            (LOOKS - 1, ""),
        )
        stopped_early += ended[0] < LOOKS - 1
        expected = (ended[1] == "PASS", ended[1] == "FAIL", sizes[ended[0]] / pairs)
        assert (bool(found.verdicts.passed[run]), bool(found.verdicts.failed[run]), found.used[run]) == expected
    assert stopped_early > 0


def test_an_early_fail_waits_for_an_estimate_below_the_margin() -> None:
    """200 of 1,000: 40 worse and 12 better is clearly worse, but only 14 points, and the margin is 20."""
    sizes = (200, 1000)
    early = decide_looks(np.array([[2, 10]]), np.array([[30, 60]]), sizes, margin=0.1, alpha=ALPHA)
    assert early.verdicts.failed.tolist() == [True]
    assert early.used.tolist() == [0.2]
    waits = decide_looks(np.array([[2, 10]]), np.array([[30, 60]]), sizes, margin=0.2, alpha=ALPHA)
    assert waits.verdicts.passed.tolist() == [True]


@pytest.fixture(scope="module")
def rows() -> tuple[CalibrationRow, CalibrationRow]:
    design = SimulatedDesign(discordance=0.1, pairs=1000)
    options = {"repetitions": 5_000, "margin": MARGIN, "alpha": ALPHA}
    (looks,) = simulate_looks(design, rng=np.random.default_rng(1), **options)  # type: ignore[arg-type]
    (once, *_) = simulate(design, rng=np.random.default_rng(2), **options)  # type: ignore[arg-type]
    return looks, once


def test_looks_save_what_was_promised_and_cost_little(rows: tuple[CalibrationRow, CalibrationRow]) -> None:
    looks, once = rows
    found = Calibration(seed=1, repetitions=5_000, quick=True, margin=MARGIN, alpha=ALPHA, rows=(looks,))
    assert found.met, [str(one) for one in found.unmet]
    saved = [one for one in found.requirements if one.what.startswith("cases used")]
    assert [(one.limit, one.room) for one in saved] == [(0.75, 0.0), (0.5, 0.0)]
    unchanged, before = looks.cell(Truth.UNCHANGED), once.cell(Truth.UNCHANGED)
    assert unchanged is not None
    assert before is not None
    # Documented: 0 to 3 points of PASS; 0.02 is four standard errors.
    assert -0.02 <= before.pass_rate - unchanged.pass_rate <= 0.03 + 0.02


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(UndefinedError, match="4 pairs are too few for 5 looks"):
        look_sizes(4)
    assert look_sizes(5) == (1, 2, 3, 4, 5)
    assert look_sizes(103) == (21, 41, 62, 82, 103)
