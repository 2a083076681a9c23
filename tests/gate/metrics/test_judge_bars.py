"""Anchors: a judge that changed cannot make a PASS, one that did not is seldom accused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from support.records import make_record
from support.words import said

from llmgate.gate.decide import decide
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.judges.anchors import DRIFT_ALPHA, drift_of
from llmgate.gate.metrics.judge_bars import require_stable_judge
from llmgate.gate.metrics.metric import MetricTest
from llmgate.record.policy import MetricPolicy, Policy, Role, Unadmitted
from llmgate.record.schema import AnchorCheck, AnchorResult, Outcome
from llmgate.record.scores import Items, ScoreTable

if TYPE_CHECKING:
    from llmgate.gate.decision.judge_types import JudgeDrift
    from llmgate.record.schema import Record

PASS, FAIL, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.ERROR


def anchored(
    *, same: int = 200, to_pass: int = 0, to_fail: int = 0, lost: int = 0, named: str = "d", digest: str = "d"
) -> Record:
    pairs = [
        *[(True, PASS), (False, FAIL)] * (same // 2),
        *[(False, PASS)] * to_pass,
        *[(True, FAIL)] * to_fail,
        *[(True, ERROR)] * lost,
    ]
    results = tuple(AnchorResult(id=str(i), passed=then, outcome=now) for i, (then, now) in enumerate(pairs))
    record = make_record(anchors=named)
    return replace(record, anchors=AnchorCheck(source="a.jsonl", digest=digest, results=results))


def drift(record: Record) -> JudgeDrift:
    found = drift_of(record)
    assert found is not None
    return found


def test_no_anchors_no_drift() -> None:
    assert drift_of(make_record()) is None


def test_a_judge_that_says_the_same() -> None:
    found = drift(anchored())
    assert (found.anchors, found.to_pass, found.to_fail, found.lost, found.p, found.drifted) == (200, 0, 0, 0, 1.0, "")


@pytest.mark.parametrize(("to_pass", "to_fail"), [(7, 0), (0, 7), (12, 2), (20, 5)])
def test_a_judge_that_turned_one_way(to_pass: int, to_fail: int) -> None:
    found = drift(anchored(to_pass=to_pass, to_fail=to_fail))
    few, turned = min(to_pass, to_fail), to_pass + to_fail
    mid = stats.binom.cdf(few - 1, turned, 0.5) + stats.binom.pmf(few, turned, 0.5) / 2
    assert found.p == pytest.approx(2 * mid)
    assert f"{to_pass} turned to pass and {to_fail} to fail" in found.drifted


@pytest.mark.parametrize(("to_pass", "to_fail"), [(6, 0), (5, 5), (8, 2)])
def test_a_few_that_turn_are_no_drift(to_pass: int, to_fail: int) -> None:
    assert drift(anchored(to_pass=to_pass, to_fail=to_fail)).drifted == ""


def test_a_judge_that_became_restless() -> None:
    found = drift(anchored(to_pass=25, to_fail=25))
    assert found.p == 1.0
    assert found.drifted == "50 of 250 anchors turned, more than 15 %"


def test_silence_is_no_way_out() -> None:
    assert drift(anchored(to_pass=4, lost=3)).drifted.startswith("of 207 anchors")
    assert drift(anchored(lost=11)).drifted == "it gave no verdict on 11 of 211 anchors"
    assert "named, and not judged again" in drift(replace(anchored(), anchors=None)).drifted
    assert "named, and not judged again" in drift(anchored(digest="another")).drifted
    assert "named, and not judged again" in drift(anchored(same=0)).drifted


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 12))
def test_losing_a_verdict_never_makes_a_judge_look_steadier(to_pass: int, to_fail: int, lost: int) -> None:
    if drift(anchored(to_pass=to_pass, to_fail=to_fail, lost=lost)).drifted:
        gone = drift(anchored(to_pass=max(0, to_pass - 1), to_fail=to_fail, lost=lost + min(1, to_pass)))
        assert gone.p <= DRIFT_ALPHA or gone.drifted


def test_a_judge_that_did_not_change_is_seldom_accused() -> None:
    rng, accused, runs = np.random.default_rng(4), 0, 2_000
    for _ in range(runs):
        turned = rng.random(200) < 0.04
        then = rng.random(200) < 0.5
        to_pass, to_fail = int(np.sum(turned & ~then)), int(np.sum(turned & then))
        accused += bool(drift(anchored(same=200, to_pass=to_pass, to_fail=to_fail)).drifted)
    assert accused <= 0.015 * runs


def measured(*, role: Role = Role.WATCH, judged: bool = True) -> MetricTest:
    metric = MetricPolicy(suite="s", metric="tone", margin=0.1, role=role, judged=judged)
    return MetricTest(policy=metric)


def table() -> ScoreTable:
    items = Items.of([f"c{i}" for i in range(100)])
    return ScoreTable(suite="s", metric="tone", items=items, scores=np.ones(100))


def test_a_watched_metric_stays_as_it_is() -> None:
    bad = drift(anchored(to_pass=9))
    assert require_stable_judge(measured(), [bad], False).problem is None


def gated(candidate: Record | None, champion: Record | None, *, human: bool = False) -> Decision:
    """A judged metric whose judge said the same of 100 answers of both sides."""
    sides = []
    for record in (candidate, champion):
        one = replace(table(), human=np.ones(100)) if human else table()
        sides.append(Evidence(tables=(one,), drift=None if record is None else drift_of(record)))
    metric = MetricPolicy(suite="s", metric="tone", margin=0.1, judged=True, unadmitted=Unadmitted.ALLOW)
    return decide(sides[0], sides[1], Policy(metrics=(metric,)))


def test_a_judge_that_drifted_on_either_side_cannot_make_a_pass() -> None:
    steady, lax = anchored(), anchored(to_pass=9)
    assert gated(steady, steady).verdict is Verdict.PASS
    assert gated(None, None).verdict is Verdict.PASS
    for sides, side in (((lax, steady), "candidate"), ((steady, lax), "champion")):
        decision = gated(*sides)
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert f"the judge drifted ({side}'s run): of 209 anchors 9 turned to pass" in said(decision)


def test_leaving_the_anchors_out_or_taking_others_is_no_way_to_pass() -> None:
    steady = anchored()
    for sides, why in (
        ((None, steady), "only the champion's run judged anchors"),
        ((steady, None), "only the candidate's run judged anchors"),
        ((steady, anchored(named="e", digest="e")), "the two runs judged different anchors"),
        ((replace(steady, anchors=None), steady), "named, and not judged again"),
    ):
        decision = gated(*sides)
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert why in said(decision)


def test_what_people_labelled_hangs_on_no_judge() -> None:
    assert gated(anchored(to_pass=9), anchored(), human=True).verdict is Verdict.PASS


def test_metrics_that_no_judge_scores_do_not_care() -> None:
    bad = drift(anchored(to_pass=9))
    chosen = Policy(metrics=(MetricPolicy(suite="s", metric="tone", margin=0.1),))
    decision = decide(
        Evidence(tables=(table(),), drift=bad), Evidence(tables=(table(),), drift=drift(anchored())), chosen
    )
    assert decision.verdict is Verdict.PASS
    assert [one.side for one in decision.drifts] == ["candidate", "champion"]
    assert decision.drifts[0].drifted
    assert decision_from_json(decision_to_json(decision)) == decision
