"""Traits of answers through the whole decision: what gates, what is shown, what is unknown, and how often it errs."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import make_case, make_check, make_manifest, make_record, make_result, make_suite
from support.words import said

from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json, statement
from llmgate.gate.decision.types import Decision, OutputDrift, Verdict
from llmgate.gate.evidence.feature_metrics import LENGTH_SCALE
from llmgate.gate.evidence.pairing import Errors, Pairs
from llmgate.gate.metrics.length import compare_lengths
from llmgate.record.manifest import ModelIdentity
from llmgate.record.output_features import AnswerFeatures, FeatureWatch, OutputFeature
from llmgate.record.policy import Direction, MetricPolicy, Policy, Role
from llmgate.record.scores import texts
from llmgate.record.vectors import pack_vector
from llmgate.record.waiver import Waiver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from llmgate.record.schema import CaseResult, PlannedCase, Record

ALL = (OutputFeature.REFUSALS, OutputFeature.SCHEMA, OutputFeature.LENGTH)
ACCURACY = MetricPolicy(suite="support", metric="accuracy", role=Role.WATCH)


def gate(trait: OutputFeature, margin: float, **fields: Any) -> MetricPolicy:
    direction = Direction.LOWER if trait is OutputFeature.REFUSALS else Direction.HIGHER
    return MetricPolicy(
        suite="support",
        metric=trait.metric,
        role=Role.GUARDRAIL,
        margin=margin,
        direction=direction,
        trait=trait,
        **fields,
    )


def policy(*metrics: MetricPolicy, watch: Sequence[OutputFeature] = ()) -> Policy:
    return Policy(metrics=(ACCURACY, *metrics), watched=tuple(FeatureWatch(suite="support", trait=t) for t in watch))


def record(
    side: str,
    answers: Sequence[AnswerFeatures | None],
    *,
    formats: Sequence[float | None] | None = None,
    traits: tuple[OutputFeature, ...] | None = ALL,
    **fields: Any,
) -> Record:
    """A record in which answer i has these traits, and its format check this score."""
    scores = [1.0] * len(answers) if formats is None else formats
    results: list[CaseResult] = [
        replace(
            make_result(f"c{i:03}", checks=[make_check(1.0), make_check(score, type="is-json", metric="json")]),
            traits=one,
        )
        for i, (one, score) in enumerate(zip(answers, scores, strict=True))
    ]
    cases: list[PlannedCase] = [replace(make_case(f"c{i:03}"), traits=traits) for i in range(len(answers))]
    manifest = make_manifest(run_id=f"run-{side}", suites=[make_suite(cases=len(answers))], **fields)
    return make_record(results=results, cases=cases, manifest=manifest)


def answers(n: int, *, refused: int = 0, characters: int = 100) -> list[AnswerFeatures | None]:
    return [AnswerFeatures(refusal=i < refused, characters=characters + i % 7) for i in range(n)]


def decided(mine: Record, theirs: Record, rules: Policy) -> Decision:
    return decide_records(mine, theirs, rules)


def drift_of(decision: Decision, trait: OutputFeature) -> OutputDrift:
    return next(one for one in decision.outputs if one.trait is trait)


def test_more_refusals_fail_and_fewer_pass() -> None:
    few, many = record("few", answers(200, refused=2)), record("many", answers(200, refused=30))
    rules = policy(gate(OutputFeature.REFUSALS, 0.05))
    worse = decided(many, few, rules)
    assert worse.verdict is Verdict.FAIL
    assert "rose from 1 % to 15 %" in worse.sentence
    assert (worse.metrics[1].candidate, worse.metrics[1].champion) == (0.15, 0.01)
    shown = drift_of(worse, OutputFeature.REFUSALS)
    assert (shown.verdict, shown.changed) == (Verdict.FAIL, 28)
    assert shown.change == pytest.approx(0.14)
    assert shown.lower is not None
    assert shown.lower > 0.0
    assert decided(few, many, rules).verdict is Verdict.PASS


def test_a_lost_format_fails_whatever_the_weight_of_its_assert() -> None:
    good, bad = record("good", answers(200)), record("bad", answers(200), formats=[0.0] * 40 + [1.0] * 160)
    assert decided(bad, good, policy(gate(OutputFeature.SCHEMA, 0.05))).verdict is Verdict.FAIL
    light = [replace(one, checks=tuple(replace(c, weight=0.0) for c in one.checks)) for one in bad.results.values()]
    weightless = replace(bad, results={one.key: one for one in light})
    assert decided(weightless, good, policy(gate(OutputFeature.SCHEMA, 0.05))).verdict is Verdict.FAIL


@pytest.mark.parametrize(("characters", "verdict"), [(100, Verdict.PASS), (150, Verdict.FAIL), (60, Verdict.FAIL)])
def test_length_fails_in_both_directions(characters: int, verdict: Verdict) -> None:
    mine, theirs = record("mine", answers(200, characters=characters)), record("theirs", answers(200))
    found = decided(mine, theirs, policy(gate(OutputFeature.LENGTH, 0.2)))
    assert found.verdict is verdict
    length = found.metrics[1]
    assert length.two_sided
    assert (length.candidate, length.champion, length.better, length.worse) == (None, None, 0, 0)
    assert length.delta == pytest.approx(characters / 100 - 1, abs=0.02)
    if verdict is Verdict.FAIL:
        assert f"% {'longer' if characters > 100 else 'shorter'}" in found.sentence
        assert "(allowed: a factor of 1.2)" in found.sentence
    assert all(metric.reason.endswith(".") and not metric.reason.endswith("..") for metric in found.metrics)
    assert found.flips == ()


def test_few_answers_show_neither() -> None:
    mine, theirs = record("mine", answers(20)), record("theirs", answers(20))
    found = decided(mine, theirs, policy(gate(OutputFeature.LENGTH, 0.2)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "20 cases cannot rule out that answers in drift-length changed length by more than 20 %." in found.sentence
    assert "Add about" in found.sentence


def test_both_rates_of_the_length_gate_are_told() -> None:
    mine = record("mine", [AnswerFeatures(refusal=False, characters=100 + 13 * i % 31) for i in range(200)])
    found = decided(mine, record("theirs", answers(200, characters=110)), policy(gate(OutputFeature.LENGTH, 0.2)))
    assert "of the time; a true change by a factor of 1.2 would pass at most 5 % of the time." in said(found)
    assert found.metrics[1].pass_if_margin_lost == 0.05


def test_what_is_watched_is_shown_and_never_gates() -> None:
    mine, theirs = record("mine", answers(200, refused=90, characters=300)), record("theirs", answers(200))
    rules = Policy(
        metrics=(MetricPolicy(suite="support", metric="accuracy", margin=0.1),),
        watched=tuple(FeatureWatch(suite="support", trait=trait) for trait in ALL),
    )
    found = decided(mine, theirs, rules)
    assert found.verdict is Verdict.PASS
    assert [one.trait for one in found.outputs] == list(ALL)
    assert {one.verdict for one in found.outputs} == {None}
    assert drift_of(found, OutputFeature.REFUSALS).candidate == 0.45
    length = drift_of(found, OutputFeature.LENGTH)
    assert length.champion == pytest.approx(103, abs=1)
    assert length.change == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("trait", ALL)
@pytest.mark.parametrize("old", ["mine", "theirs", "both"])
def test_an_older_record_is_unknown_and_never_passes(trait: OutputFeature, old: str) -> None:
    def side(name: str) -> Record:
        aged = old in {name, "both"}
        return record(name, [None] * 100 if aged else answers(100), traits=None if aged else ALL)

    found = decided(side("mine"), side("theirs"), policy(gate(trait, 0.2)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.exit_code == 3
    assert found.metrics[1].errors == 100
    assert "older than traits" in said(found)
    watching = decided(side("mine"), side("theirs"), policy(watch=[trait]))
    shown = drift_of(watching, trait)
    assert (shown.change, shown.evaluated, shown.expected) == (None, 0, 100)
    assert "older than traits" in shown.why


def test_other_rules_of_reading_are_not_compared() -> None:
    later = [replace(one, reading=99) for one in answers(100) if one is not None]
    found = decided(record("mine", later), record("theirs", answers(100)), policy(gate(OutputFeature.REFUSALS, 0.2)))
    assert found.exit_code == 3
    assert "different versions of the rules" in said(found)


def test_a_format_check_that_is_missing_or_broken_is_an_error() -> None:
    good = record("good", answers(100))
    broken = record("mine", answers(100), formats=[None] + [1.0] * 99)
    assert decided(broken, good, policy(gate(OutputFeature.SCHEMA, 0.2))).exit_code == 3
    other = record("other", answers(100))
    first, *others = other.results.values()
    lost = replace(first, checks=first.checks[:1])
    gone = replace(other, results={one.key: one for one in (lost, *others)})
    assert decided(gone, good, policy(gate(OutputFeature.SCHEMA, 0.2))).exit_code == 3


def test_cases_without_the_trait_do_not_count() -> None:
    mine = record("mine", answers(100, refused=50), traits=(OutputFeature.LENGTH,))
    theirs = record("theirs", answers(100), traits=(OutputFeature.LENGTH,))
    found = decided(mine, theirs, policy(watch=ALL))
    assert [one.trait for one in found.outputs if one.evaluated] == [OutputFeature.LENGTH]
    assert decided(mine, theirs, policy(gate(OutputFeature.REFUSALS, 0.2))).exit_code == 3


def test_without_a_champion_a_limit_can_stand_alone() -> None:
    mine = record("mine", answers(200, refused=2))
    assert decide_records(mine, None, policy(gate(OutputFeature.REFUSALS, 0.05, max=0.1))).verdict is Verdict.PASS
    assert decide_records(mine, None, policy(gate(OutputFeature.LENGTH, 0.2))).exit_code == 3
    assert decide_records(mine, None, policy(watch=ALL)).outputs == ()


@settings(max_examples=25, deadline=None)
@given(lost=st.sets(st.integers(0, 119), min_size=1, max_size=5), from_mine=st.booleans())
def test_deleting_an_answers_traits_never_improves_a_verdict(lost: set[int], from_mine: bool) -> None:
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    rules = policy(gate(OutputFeature.REFUSALS, 0.2), gate(OutputFeature.LENGTH, 0.2))
    mine, theirs = answers(120, refused=4), answers(120)
    before = decided(record("mine", mine), record("theirs", theirs), rules)
    assert before.verdict is Verdict.PASS
    for i in lost:
        (mine if from_mine else theirs)[i] = None
    after = decided(record("mine", mine), record("theirs", theirs), rules)
    assert order.index(after.verdict) < order.index(before.verdict)


def test_the_decision_reads_back_and_the_statement_tells() -> None:
    mine, theirs = record("mine", answers(100, refused=3)), record("theirs", answers(100))
    rules = policy(gate(OutputFeature.LENGTH, 0.2), watch=[OutputFeature.REFUSALS])
    found = decided(mine, theirs, rules)
    assert decision_from_json(decision_to_json(found)) == found
    assert decided(mine, theirs, rules) == found
    told: Any = statement(found, candidate=mine.manifest, policy=rules, issued_at="2026-11-27T00:00:00+00:00")
    outputs = told["predicate"]["outputs"]
    assert [(one["trait"], one["verdict"]) for one in outputs] == [("refusals", None), ("length", "PASS")]


EMBEDDER = ModelIdentity(name="minilm", source="http://embed")


def embedded(side: str, vectors: Sequence[NDArray[np.float64] | None], **fields: Any) -> Record:
    known = [
        AnswerFeatures(refusal=False, characters=5, vector=None if one is None else pack_vector(list(one)))
        for one in vectors
    ]
    return record(side, known, embedding=EMBEDDER, **fields)


def test_embeddings_have_a_distance_with_a_p_value() -> None:
    rng = np.random.default_rng(5)
    base = list(rng.normal(size=(80, 8)))
    same = [one + 0.1 * rng.normal(size=8) for one in base]
    moved = [one + 1.5 for one in base]
    rules = policy(watch=[OutputFeature.EMBEDDINGS])
    theirs = embedded("theirs", base)
    quiet = drift_of(decided(embedded("mine", same), theirs, rules), OutputFeature.EMBEDDINGS)
    loud = drift_of(decided(embedded("mine", moved), theirs, rules), OutputFeature.EMBEDDINGS)
    assert quiet.p is not None
    assert quiet.p > 0.05
    assert loud.p == 0.001
    assert loud.usual is not None
    assert loud.change is not None
    assert loud.change > 2 * loud.usual
    assert (loud.evaluated, loud.expected, loud.changed) == (80, 80, 80)


def test_missing_embeddings_are_counted_and_bar_nothing() -> None:
    rng = np.random.default_rng(5)
    base: list[NDArray[np.float64] | None] = list(rng.normal(size=(40, 8)))
    rules = Policy(
        metrics=(MetricPolicy(suite="support", metric="accuracy", margin=0.2),),
        watched=(FeatureWatch(suite="support", trait=OutputFeature.EMBEDDINGS),),
    )
    found = decided(embedded("mine", [None, *base[1:]]), embedded("theirs", base), rules)
    shown = drift_of(found, OutputFeature.EMBEDDINGS)
    assert (shown.evaluated, shown.expected, shown.why) == (39, 40, "1 of 40 answers have no embedding on both sides")
    assert found.verdict is Verdict.PASS
    none = drift_of(decided(embedded("mine", base), record("theirs", answers(40)), rules), OutputFeature.EMBEDDINGS)
    assert (none.change, none.evaluated) == (None, 0)


def lengths(candidate: NDArray[np.float64], champion: NDArray[np.float64]) -> Pairs:
    """Pairs of lengths in characters."""
    return Pairs(
        item_ids=texts([str(i) for i in range(len(candidate))]),
        candidate=np.log1p(candidate) / LENGTH_SCALE,
        champion=np.log1p(champion) / LENGTH_SCALE,
        expected=len(candidate),
        errors=Errors(),
        slices={},
    )


def drawn(rng: np.random.Generator, n: int, factor: float = 1.0) -> Pairs:
    """Answers of one model asked twice: a length that the prompt wants, and noise of its own on each side."""
    wanted = rng.lognormal(5.0, 0.8, n)
    mine, theirs = (np.floor(wanted * rng.lognormal(0.0, 0.25, n)) for _ in range(2))
    return lengths(np.floor(mine * factor), theirs)


def test_an_unchanged_model_fails_by_length_as_often_as_announced() -> None:
    """2,000 comparisons of a model with itself: FAIL in at most 5 % (3 σ of simulation), at every size."""
    rng = np.random.default_rng(21)
    for n in (30, 100, 400):
        failed = sum(compare_lengths(drawn(rng, n), margin=0.2, alpha=0.05).worse for _ in range(2_000))
        assert failed / 2_000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2_000)


def test_a_change_of_the_margin_passes_as_seldom_as_announced() -> None:
    rng = np.random.default_rng(22)
    passed = sum(compare_lengths(drawn(rng, 200, 1.2), margin=0.2, alpha=0.05).passed for _ in range(1_000))
    assert passed / 1_000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000)
    unchanged = [compare_lengths(drawn(rng, 200), margin=0.2, alpha=0.05).passed for _ in range(300)]
    assert np.mean(unchanged) >= 0.95


def population_stability_index(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Σ (p − q)·ln(p/q) over ten bins that hold a tenth of x each, with half a count added to every bin."""
    edges = np.quantile(x, np.linspace(0, 1, 11)[1:-1])
    p, q = (np.bincount(np.searchsorted(edges, side), minlength=10) + 0.5 for side in (x, y))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def test_a_fixed_threshold_on_a_stability_index_cries_wolf() -> None:
    """Why there is none here: with nothing changed at all, 100 answers exceed the usual 0.1 most of the time.

    Both samples are uniform, 2,000 comparisons; ten bins of 100 answers each side give about χ²(9)/50, above 0.1 with
    probability 0.83.
    """
    rng = np.random.default_rng(23)
    alarms = []
    for _ in range(2_000):
        p, q = rng.multinomial(100, [0.1] * 10, size=2) / 100 + 1e-12
        alarms.append(np.sum((p - q) * np.log(p / q)) > 0.1)
    assert np.mean(alarms) == pytest.approx(0.83, abs=0.04)
    binned = [population_stability_index(rng.normal(size=100), rng.normal(size=100)) > 0.1 for _ in range(2_000)]
    assert np.mean(binned) > 0.4


def test_a_waiver_covers_a_trait_like_any_metric() -> None:
    mine, theirs = record("mine", answers(200, characters=300)), record("theirs", answers(200))
    waiver = Waiver(suite="support", metric="drift-length", until="2026-12-31", by="Ada", reason="asked for more")
    rules = replace(policy(gate(OutputFeature.LENGTH, 0.2), gate(OutputFeature.REFUSALS, 0.1)), waivers=(waiver,))
    found = decide_records(mine, theirs, rules, today=date(2026, 12, 1))
    assert found.verdict is Verdict.PASS
    assert found.metrics[1].waived
    assert "drift-length is waived until 2026-12-31 by Ada" in said(found)
    assert decide_records(mine, theirs, rules, today=date(2027, 1, 1)).verdict is Verdict.FAIL


def test_repeats_are_averaged_and_clusters_hold_together() -> None:
    def side(name: str, refused: int) -> Record:
        results = [
            replace(
                make_result(f"c{i:03}", repeat=k, checks=[make_check(1.0)]),
                traits=AnswerFeatures(refusal=k == 0 and i < refused, characters=100 + 9 * (i // 4 % 7)),
            )
            for i in range(160)
            for k in range(2)
        ]
        cases = [replace(make_case(f"c{i:03}", repeats=2, cluster=f"d{i // 4}"), traits=ALL) for i in range(160)]
        manifest = make_manifest(run_id=f"run-{name}", suites=[make_suite(cases=160)])
        return make_record(results=results, cases=cases, manifest=manifest)

    found = decided(
        side("mine", 16), side("theirs", 0), policy(gate(OutputFeature.REFUSALS, 0.2), watch=[OutputFeature.LENGTH])
    )
    assert found.metrics[1].candidate == pytest.approx(0.05)
    assert "cluster" in found.metrics[1].method
    assert drift_of(found, OutputFeature.REFUSALS).p is None
    assert drift_of(found, OutputFeature.LENGTH).evaluated == 160
