"""A verdict on these cases alone: through records, with what it needs and what stands beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.records import make_case, make_policy, make_record, make_result

from llmgate.errors import PolicyError
from llmgate.gate.decide import decide
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.types import Verdict
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.metrics.policy_changes import weaker_than
from llmgate.record.looks import LookPlan
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import Direction, Inference, MetricPolicy, Policy, SlicePolicy, written_policy
from llmgate.record.scores import ItemScore, ScoreTable

if TYPE_CHECKING:
    from llmgate.record.schema import Record

ALONE = MetricPolicy(suite="support", metric="accuracy", margin=0.03, inference=Inference.BENCHMARK)
POLICY = make_policy([ALONE])
N = 150


def run(
    name: str, seed: int, *, repeats: int = 4, lost: float = 0.0, policy: Policy = POLICY, version: int = 8
) -> Record:
    """Cases that are mostly known, of which some are always answered otherwise than the champion does."""
    rng = np.random.default_rng(seed)
    rates = np.where(np.arange(N) % 10 == 0, 0.5, np.where(np.arange(N) % 3 == 0, 0.0, 1.0))
    if seed > 1:
        # As many cases better as worse: over cases like these that is spread, of these alone it is none.
        rates[1:N:12], rates[3:N:12] = 0.0, 1.0
    answers = rng.random((N, repeats)) < rates[:, None] * (1.0 - lost)
    cases = [
        make_case(f"c{i:03d}", repeats=repeats, cluster=f"d{i // 5}", slices={"half": str(i % 2)}) for i in range(N)
    ]
    results = [make_result(f"c{i:03d}", repeat=k, score=float(answers[i, k])) for i in range(N) for k in range(repeats)]
    return make_record(cases=cases, results=results, run_id=name, policy=policy, version=version)


def test_these_cases_alone_say_more_than_cases_like_them() -> None:
    candidate, champion = run("candidate", 2), run("champion", 1, version=7)
    alone = decide_records(candidate, champion)
    among = decide_records(candidate, champion, make_policy([replace(ALONE, inference=Inference.POPULATION)]))
    (metric,), (other,) = alone.metrics, among.metrics
    assert metric.lower is not None
    assert metric.upper is not None
    assert other.lower is not None
    assert other.upper is not None
    assert metric.delta == other.delta
    assert metric.upper - metric.lower < other.upper - other.lower
    assert metric.method == "t on the answers' own variance, these cases only"
    assert (alone.verdict, among.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert alone.sentence.endswith("This holds for these cases only, not for others like them.")
    assert metric.pass_if_unchanged is not None
    assert metric.pass_if_unchanged > 0.8
    held, beside = (note for note in metric.notes if "cases only" in note or "cases like them" in note)
    assert held.startswith("The verdict holds for these 150 cases only, not for others like them")
    assert f"{100 * other.lower:+.1f} to {100 * other.upper:+.1f} points" in beside


def test_a_loss_on_these_cases_fails_and_slices_take_the_same_view() -> None:
    policy = replace(POLICY, slices=(SlicePolicy(suite="support", field="half"),))
    decision = decide_records(
        run("candidate", 2, lost=0.3, policy=policy), run("champion", 1, version=7, policy=policy)
    )
    assert decision.verdict is Verdict.FAIL
    assert {part.method for part in decision.slices} == {"t on the answers' own variance, these cases only"}
    assert all(part.failed for part in decision.slices)


def test_a_minimum_is_held_against_these_cases_too() -> None:
    limit = replace(ALONE, margin=0.3, min=0.5)
    for direction, sides in (
        (Direction.HIGHER, limit),
        (Direction.LOWER, replace(limit, min=None, max=0.5, direction=Direction.LOWER)),
    ):
        policy = make_policy([sides])
        decision = decide_records(run("candidate", 2, policy=policy), None)
        assert decision.verdict is (Verdict.PASS if direction is Direction.HIGHER else Verdict.FAIL)


def test_single_answers_do_not_tell() -> None:
    decision = decide_records(run("candidate", 2, repeats=1), run("champion", 1, repeats=1, version=7))
    assert decision.verdict is Verdict.INCONCLUSIVE
    (problem,) = decision.barring
    assert "150 of 150 cases have fewer than two answers on a side" in problem.what
    assert "repeat: 2" in problem.fix


def test_tables_of_scores_do_not_tell() -> None:
    rows = [ItemScore(item_id=f"c{i}", score=float(i % 2)) for i in range(100)]
    table = ScoreTable.of(rows, suite="support", metric="accuracy")
    side = Evidence(tables=(table,))
    decision = decide(side, side, POLICY)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert any("single answers are not known here" in problem.what for problem in decision.barring)


def test_missing_cases_bar_a_pass() -> None:
    candidate = run("candidate", 2)
    results = {key: result for key, result in candidate.results.items() if key.case != "c001"}
    assert candidate.seal is not None
    holed = replace(candidate, results=results, seal=replace(candidate.seal, results=len(results)))
    decision = decide_records(holed, run("champion", 1, version=7))
    assert decision.verdict is not Verdict.PASS
    assert decision.barring


def test_early_stopping_is_refused() -> None:
    plan = LookPlan(suite="support", seed=1, fractions=(0.5, 1.0), cases=(75, N))
    candidate = run("candidate", 2)
    early = replace(candidate, manifest=replace(candidate.manifest, looks=(plan,)))
    decision = decide_records(early, run("champion", 1, version=7))
    assert decision.verdict is not Verdict.PASS
    assert any("may stop early" in problem.what for problem in decision.barring)


def test_old_policies_are_written_as_ever_and_a_narrower_view_is_a_weaker_gate() -> None:
    before, after = make_policy([replace(ALONE, inference=Inference.POPULATION)]), POLICY
    assert "inference" not in written_policy(before)["metrics"][0]
    assert written_policy(after)["metrics"][0]["inference"] == "benchmark"
    assert any(
        "inference population → benchmark" in change
        for change in weaker_than(run("a", 1, policy=before).manifest, run("b", 2, policy=after).manifest)
    )
    with pytest.raises(PolicyError, match="lengths"):
        replace(ALONE, margin=0.2, trait=OutputFeature.LENGTH)
