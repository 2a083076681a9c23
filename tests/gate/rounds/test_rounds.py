"""Rounds through the gate: what is refused, what passes, and that nobody passes by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import make_case, make_manifest, make_policy, make_record, make_result, make_suite

from llmgate.errors import LlmgateError, NotComparableError, RecordError, UsageError
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.round_types import RoundDecision
from llmgate.gate.decision.statement import decision_to_json, statement
from llmgate.gate.decision.types import Verdict
from llmgate.gate.rounds.correlation import round_correlation
from llmgate.gate.rounds.member import at_level, decide_member
from llmgate.gate.rounds.together import DeclaredRound, decide_final, decide_round
from llmgate.record.looks import LookPlan
from llmgate.record.manifest import Manifest
from llmgate.record.policy import MetricPolicy, Role
from llmgate.stats.sequential.dunnett import step_alpha

if TYPE_CHECKING:
    from llmgate.record.schema import Record

N = 400
POLICY = make_policy(margin=0.05)


def record(name: str, wrong: range | list[int], *, cases: str = "c", version: int = 8, **fields: Any) -> Record:
    """A run of 400 cases of which some are wrong."""
    bad = set(wrong)
    results = [make_result(f"{cases}{i:03d}", score=float(i not in bad)) for i in range(N)]
    fields = {"round": "june", "policy": POLICY, **fields}
    return make_record(results=results, run_id=name, version=version, path=f"runs/{name}", **fields)


CHAMPION = record("champion", range(40), version=7, round="")
# 8 of 400 cases better, 8 worse: alone it passes by a margin of 5 points.
GOOD = record("good", range(8, 48), version=8)
SAME = record("same", range(10, 50), version=9)
POOR = record("poor", range(90), version=10)
CLOSE = record("close", [*range(12, 40), *range(100, 120)], version=11)


def declared(*candidates: Record, **changes: Any) -> DeclaredRound:
    return replace(DeclaredRound(name="june", candidates=candidates, champion=CHAMPION), **changes)


def test_nobody_of_a_round_passes_alone() -> None:
    alone = decide_records(GOOD, CHAMPION)
    assert alone.verdict is Verdict.INCONCLUSIVE
    (problem,) = alone.barring
    assert "one of several candidates" in problem.what
    assert "llmgate round june" in problem.fix
    undeclared = replace(GOOD, manifest=replace(GOOD.manifest, round=""))
    assert decide_records(undeclared, CHAMPION).verdict is Verdict.PASS
    # What is bad is bad, in a round or not.
    assert decide_records(POOR, CHAMPION).verdict is Verdict.FAIL


def test_a_round_is_decided_together() -> None:
    good, poor, same = decide_round(declared(GOOD, POOR, SAME))
    assert [one.verdict for one in (good, poor, same)] == [Verdict.PASS, Verdict.FAIL, Verdict.PASS]
    place = good.round
    assert place is not None
    assert (place.name, place.number, place.of, place.before) == ("june", 1, 3, ())
    assert place.candidates == tuple(one.seal.journal_digest for one in (GOOD, POOR, SAME) if one.seal)
    assert "Candidate 1 of 3 in round june" in good.sentence
    assert poor.round is not None
    assert poor.round.before == (1, 3)
    # Bounds are those of the round, and the alpha that of the policy.
    alone = decide_records(replace(GOOD, manifest=replace(GOOD.manifest, round="")), CHAMPION).metrics[0]
    assert good.metrics[0].alpha == alone.alpha == 0.05
    assert good.metrics[0].lower is not None
    assert alone.lower is not None
    assert good.metrics[0].lower < alone.lower
    verdict = statement(good, candidate=GOOD.manifest, issued_at="2026-11-29T10:00:00+00:00")
    assert "round june" in str(verdict["predicate"])
    assert decision_from_json(decision_to_json(good)) == good


def test_what_passes_alone_may_not_pass_among_many() -> None:
    alone = replace(CLOSE, manifest=replace(CLOSE.manifest, round=""))
    assert decide_records(alone, CHAMPION).verdict is Verdict.PASS
    others = [
        record(f"o{i}", [*range(20 - i, 40), *range(150 + 20 * i, 180 + 20 * i)], version=20 + i) for i in range(6)
    ]
    decisions = decide_round(declared(CLOSE, *others))
    assert decisions[0].verdict is Verdict.INCONCLUSIVE
    # Beside many that pass at once it has the whole error rate again.
    easy = [record(f"e{i}", [*range(40 - i, 40), *range(i, 38)], version=30 + i) for i in (1, 2)]
    together = decide_round(declared(CLOSE, *easy))
    assert [one.verdict for one in together] == [Verdict.PASS] * 3
    assert together[0].round is not None
    assert together[0].round.before == (2, 3)


def test_the_place_decides_again_what_the_round_decided() -> None:
    for one, decision in zip((GOOD, POOR, SAME), decide_round(declared(GOOD, POOR, SAME)), strict=True):
        assert decision.round is not None
        again = decide_member(one, CHAMPION, None, decision.round)
        assert decision_to_json(again) == decision_to_json(decision)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=3, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_candidates_changes_no_verdict_and_more_of_them_no_pass_for_the_better(
    starts: list[int], shuffler: Any
) -> None:
    runs = [record(f"r{i}", [*range(i, 40), *range(200, 200 + i // 2)], version=50 + i) for i in starts]
    verdicts = {one.candidate_run: one.verdict for one in decide_round(declared(*runs))}
    shuffled = list(runs)
    shuffler.shuffle(shuffled)
    assert {one.candidate_run: one.verdict for one in decide_round(declared(*shuffled))} == verdicts
    for run in runs:
        alone = decide_records(replace(run, manifest=replace(run.manifest, round="")), CHAMPION).verdict
        assert verdicts[run.manifest.run_id] is not Verdict.PASS or alone is Verdict.PASS


# What is refused.


def test_what_is_no_round_is_refused() -> None:
    cases: list[tuple[DeclaredRound, type[LlmgateError], str]] = [
        (declared(GOOD), UsageError, "1 candidate is no round"),
        (declared(GOOD, GOOD), RecordError, "named twice"),
        (declared(GOOD, record("x", range(5), round="july")), RecordError, "round 'july', and not for 'june'"),
        (declared(GOOD, record("x", range(5), round="")), RecordError, "no round, and not for 'june'"),
        (declared(GOOD, replace(SAME, seal=None)), RecordError, "no seal"),
        (declared(GOOD, replace(CHAMPION, manifest=replace(CHAMPION.manifest, round="june"))), RecordError, "champion"),
        (declared(GOOD, record("x", range(5), policy=make_policy(margin=0.2))), NotComparableError, "policy"),
        (declared(GOOD, record("x", range(5), cases_digest="0" * 64)), NotComparableError, "list of cases"),
        (
            declared(GOOD, record("x", range(5), suites=(make_suite(cases=N, version="2.0.0"),))),
            NotComparableError,
            "list of cases",
        ),
    ]
    for wrong, error, what in cases:
        with pytest.raises(error, match=what):
            decide_round(wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "july"},
        {"number": 2},
        {"number": 4},
        {"of": 4},
        {"candidates": ("a",)},
        {"before": (1,)},
        {"before": (9,)},
        {"before": (2, 2)},
        {"correlation": 1.5},
        {"final": True},
    ],
)
def test_a_place_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    place = decide_round(declared(GOOD, POOR, SAME))[0].round
    assert place is not None
    with pytest.raises(RecordError):
        decide_member(GOOD, CHAMPION, None, replace(place, **changes))


# Finals.


def test_one_final_on_new_cases_has_the_whole_error_rate() -> None:
    final = record("final", range(38), cases="new", version=8)
    other = record("champion-new", range(40), cases="new", version=7, round="")
    decision = decide_final(declared(GOOD, POOR, SAME), final, other)
    assert decision.verdict is Verdict.PASS
    assert decision.round is not None
    assert (decision.round.number, decision.round.final, decision.round.remaining) == (1, True, 1)
    assert "Final of round june: candidate 1 of 3, asked again on new cases." in decision.sentence
    alone = decide_records(replace(final, manifest=replace(final.manifest, round="")), other)
    assert decision.metrics == alone.metrics


def test_finals_that_prove_nothing_are_refused() -> None:
    final = record("final", range(38), cases="new", version=8)
    other = record("champion-new", range(40), cases="new", version=7, round="")
    refused: list[tuple[Record, Record, str]] = [
        (record("again", range(30), version=8), CHAMPION, "400 of the final's 400 cases are the round's"),
        (record("final", range(38), cases="new", version=77), other, "which is 0 of the round's candidates"),
        (final, record("other", range(40), cases="new", version=6, round=""), "champion of the final"),
        (record("final", range(3), cases="new", policy=make_policy(margin=0.3)), other, "policy of the final"),
        (record("final", range(38), cases="new", round="july"), other, "made for round 'july'"),
        (replace(final, seal=None), other, "no seal"),
    ]
    for run, champion, what in refused:
        with pytest.raises(LlmgateError, match=what):
            decide_final(declared(GOOD, POOR, SAME), run, champion)
    # One old case among new ones is enough.
    mixed = make_record(
        results=[make_result("c000"), *(make_result(f"new{i:03d}") for i in range(1, N))],
        run_id="mixed", version=8, round="june", policy=POLICY,
    )  # fmt: skip
    with pytest.raises(RecordError, match="1 of the final's 400 cases"):
        decide_final(declared(GOOD, POOR), mixed, other)


# How candidates depend on each other.


def test_the_correlation_is_that_of_the_differences() -> None:
    rng = np.random.default_rng(3)
    first, second = (set(rng.choice(N, 60, replace=False).tolist()) for _ in range(2))
    runs = [record("a", sorted(first)), record("b", sorted(second), version=9)]
    base = np.array([i not in set(range(40)) for i in range(N)], dtype=float)
    a, b = (np.array([i not in wrong for i in range(N)], dtype=float) - base for wrong in (first, second))
    assert round_correlation(runs, CHAMPION, POLICY) == pytest.approx(np.corrcoef(a, b)[0, 1])
    third = record("c", range(40), version=10)
    # One that answers as the champion does has no differences, and correlates with nothing.
    assert round_correlation([*runs, third], CHAMPION, POLICY) == pytest.approx(np.corrcoef(a, b)[0, 1] / 3)


def test_clusters_correlate_by_their_sums() -> None:
    def clustered(name: str, wrong: range, version: int) -> Record:
        cases = [make_case(f"c{i:03d}", cluster=f"d{i // 4}") for i in range(N)]
        results = [make_result(f"c{i:03d}", score=float(i not in wrong)) for i in range(N)]
        return make_record(cases=cases, results=results, run_id=name, version=version, policy=POLICY, round="june")

    champion, one, other = (
        clustered("c", range(0), 1),
        clustered("a", range(0, 40, 2), 2),
        clustered("b", range(1, 40, 2), 3),
    )
    alone = round_correlation(
        [record("a", range(0, 40, 2)), record("b", range(1, 40, 2), version=9)],
        record("c", range(0), version=7),
        POLICY,
    )
    # They lose different cases of the same clusters.
    assert round_correlation([one, other], champion, POLICY) == pytest.approx(1.0)
    assert alone is None


def test_where_nothing_is_known_bonferroni_decides() -> None:
    looks = (LookPlan(suite="support", seed=1, fractions=(0.5, 1.0), cases=(200, N)),)
    early = replace(GOOD, manifest=replace(GOOD.manifest, looks=looks))
    assert round_correlation([early, SAME], CHAMPION, POLICY) is None
    place = RoundDecision(name="june", number=1, of=5, candidates=("a", "b", "c", "d", "e"))
    watch = MetricPolicy(suite="support", metric="tone", role=Role.WATCH)
    level = at_level(replace(POLICY, metrics=(*POLICY.metrics, watch)), place)
    assert [metric.alpha for metric in level.metrics] == [0.01, 0.05]
    dunnett = at_level(POLICY, replace(place, correlation=0.5))
    assert dunnett.metrics[0].alpha == step_alpha(5, correlation=0.5, alpha=0.05) > 0.01


def test_a_manifest_says_its_round_only_where_there_is_one() -> None:
    from pydantic import TypeAdapter

    adapter = TypeAdapter(Manifest)
    assert b"round" not in adapter.dump_json(make_manifest())
    assert adapter.validate_json(adapter.dump_json(make_manifest(round="june"))).round == "june"
