"""Repeats: how answers to one case spread, which cases are flaky, and what a known noise does to the chances."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import make_failed_result, make_policy, make_record, make_result, make_suite, seal
from support.words import said

from llmgate.errors import NotComparableError
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json
from llmgate.gate.decision.types import Verdict
from llmgate.gate.evidence.repeats import FLAKY_LISTED, repeat_scores
from llmgate.gate.power.noise import check_same_model, noise_of_repeats, noise_of_run, texts_flipped
from llmgate.record.manifest import ServerIdentity
from llmgate.stats.planning.power import t_pass_chance, tango_chances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.schema import Record

POLICY = make_policy(margin=0.05)


def run(rows: Sequence[Sequence[float]], name: str, *, version: int = 8, texts: bool = False) -> Record:
    """One row of scores per case, one score per repeat."""
    results = [
        make_result(f"c{i:04d}", repeat=k, score=score, text=f"answer {score}" if texts else None)
        for i, row in enumerate(rows)
        for k, score in enumerate(row)
    ]
    return make_record(results=results, run_id=name, policy=POLICY, version=version)


def drawn(seed: int, cases: int, repeats: int, *, low: float = 0.5) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    rates = np.where(rng.random(cases) < 0.3, rng.uniform(low, 1.0, cases), 1.0)
    return [[float(rng.random() < rate) for _ in range(repeats)] for rate in rates]


# What repeats say.


def test_flaky_cases_are_named_the_most_divided_first() -> None:
    rows = [[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 1, 0]]
    decision = decide_records(run(rows, "a", texts=True), run(rows, "b", version=7), POLICY)
    (found,) = decision.repeats
    assert [one.case for one in found.named] == ["c0003", "c0001", "c0004"]
    assert found.named[0].scores == (1.0, 0.0, 0.0, 1.0)
    assert (found.flaky, found.cases, found.repeats) == (3, 5, 4)
    # By hand: 2·1·3/(4·3) = 1/2 of the pairs of answers differ for 3 to 1, 2/3 for 2 to 2.
    assert found.scores_flip == found.texts_flip == pytest.approx((0 + 1 / 2 + 0 + 2 / 3 + 1 / 2) / 5)
    assert found.within == found.champion_within == pytest.approx(found.scores_flip / 2)


def test_texts_may_differ_where_scores_do_not() -> None:
    results = [make_result(f"c{i}", repeat=k, text=f"wording {k if i == 0 else 0}") for i in range(4) for k in range(2)]
    (found,) = decide_records(make_record(results=results, policy=POLICY), None, POLICY).repeats
    assert (found.texts_flip, found.scores_flip, found.flaky, found.named) == (0.25, 0.0, 0, ())
    assert found.champion_within is None


def test_one_repeat_more_is_worth_what_the_variance_says() -> None:
    rows = drawn(3, 200, 3)
    a, b = run(rows, "a"), run(drawn(4, 200, 3), "b", version=7)
    (found,) = decide_records(a, b, POLICY).repeats
    differences = np.mean(rows, axis=1) - np.mean(drawn(4, 200, 3), axis=1)
    noise = found.within + (found.champion_within or 0.0)
    between = max(0.0, float(np.var(differences, ddof=1)) - noise / 3)
    assert found.one_more == pytest.approx((between + noise / 3) / (between + noise / 4) - 1)
    alone = decide_records(a, None, POLICY).repeats[0]
    assert alone.one_more == pytest.approx((alone.between + alone.within / 3) / (alone.between + alone.within / 4) - 1)


def test_only_so_many_flaky_cases_are_listed() -> None:
    cases = FLAKY_LISTED + 7
    (found,) = decide_records(run([[1, 0]] * cases, "a"), None, POLICY).repeats
    assert (found.flaky, len(found.named)) == (cases, FLAKY_LISTED)


def test_one_answer_a_case_says_nothing() -> None:
    assert decide_records(run([[1]] * 5, "a"), run([[1]] * 5, "b"), POLICY).repeats == ()
    assert decide_records(run([[1, 1], [1]], "a"), None, POLICY).repeats == ()


def test_a_case_with_a_lost_answer_is_no_witness_and_still_bars_a_pass() -> None:
    record = run([[1, 1]] * 400, "a")
    results = {key: one for key, one in record.results.items() if key.case != "c0000"}
    lost = make_failed_result("c0000", repeat=0)
    broken = seal(replace(record, results={**results, lost.key: lost}))
    decision = decide_records(broken, run([[1, 1]] * 400, "b"), POLICY)
    assert decision.repeats[0].cases == 399
    assert decision.verdict is Verdict.INCONCLUSIVE


def test_decisions_with_repeats_are_read_again() -> None:
    decision = decide_records(run(drawn(1, 30, 3), "a"), run(drawn(2, 30, 3), "b"), POLICY)
    assert decision.repeats
    assert decision_from_json(decision_to_json(decision)) == decision


# What a known noise does.


def test_the_champions_repeats_tell_what_an_unchanged_model_would_do() -> None:
    champion = run(drawn(5, 300, 4), "champion", version=7)
    # A real loss: it must not make an unchanged model look worse.
    lost = run([[0.0] * 4 if i % 6 == 0 else row for i, row in enumerate(drawn(6, 300, 4))], "lost")
    good = run(drawn(7, 300, 4), "good")
    (noise,) = noise_of_repeats(repeat_scores(champion, POLICY))
    failed, passed = (decide_records(candidate, champion, POLICY) for candidate in (lost, good))
    chance = t_pass_chance(
        delta=0.0, standard_error=(noise.variance / 300) ** 0.5, df=299, pairs=300, margin=0.05, alpha=0.05
    )
    for decision in (failed, passed):
        (metric,) = decision.metrics
        assert metric.chances_from == "repeats"
        assert metric.pass_if_unchanged == pytest.approx(chance)
        assert "of the time (from the champion's repeats); a true 5-point loss would pass" in said(decision)
    assert failed.verdict is Verdict.FAIL


def test_repeats_give_the_noise_that_a_second_run_shows() -> None:
    rows = drawn(8, 1_500, 4)
    (of_repeats,) = noise_of_repeats(repeat_scores(run(rows, "a"), POLICY))
    first, second = ([row[k : k + 2] for row in rows] for k in (0, 2))
    (of_run,) = noise_of_run(run(first, "a"), run(second, "b"), POLICY)
    # Half as many answers in a run's mean: twice the variance.
    assert of_run.variance == pytest.approx(2 * of_repeats.variance, rel=0.15)
    assert (of_repeats.source, of_run.source) == ("repeats", "run")
    (of_single,) = noise_of_run(run([r[:1] for r in rows], "a"), run([r[1:2] for r in rows], "b"), POLICY)
    assert of_single.binary
    assert of_single.variance == of_single.flips == pytest.approx(of_repeats.flips, abs=0.03)


def test_a_second_run_of_the_champion_tells_too() -> None:
    champion = run([[1.0]] * 200, "champion", version=7)
    again = run([[float(i >= 4)] for i in range(200)], "again", version=7)
    candidate = run([[float(i >= 40)] for i in range(200)], "candidate")
    decision = decide_records(candidate, champion, POLICY, noise=again)
    (metric,) = decision.metrics
    wanted = tango_chances(delta=0.0, discordance=0.02, pairs=200, margin=0.05, alpha=0.05).passed
    assert metric.chances_from == "run"
    assert metric.pass_if_unchanged == pytest.approx(wanted)
    assert "of the time (from a noise run of the champion); a true 5-point loss" in said(decision)
    (without,) = decide_records(candidate, champion, POLICY).metrics
    assert without.chances_from == "comparison"
    assert without.pass_if_unchanged is not None
    assert without.pass_if_unchanged < wanted
    assert (
        replace(
            metric, **{k: getattr(without, k) for k in ("chances_from", "pass_if_unchanged", "pass_if_margin_lost")}
        )
        == without
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_noise_never_changes_a_verdict(seed: int, other: int) -> None:
    candidate = run(drawn(seed, 60, 1), "candidate")
    champion, again = (run(drawn(s, 60, 1), name, version=7) for s, name in ((other, "a"), (other + 1, "b")))
    with_noise, without = (decide_records(candidate, champion, POLICY, noise=noise) for noise in (again, None))
    assert with_noise.verdict is without.verdict
    assert [m.verdict for m in with_noise.metrics] == [m.verdict for m in without.metrics]


def test_two_runs_of_different_models_tell_no_noise() -> None:
    champion, other = run([[1.0]] * 9, "a", version=7), run([[1.0]] * 9, "b", version=8)
    with pytest.raises(NotComparableError, match="weights is"):
        decide_records(run([[1.0]] * 9, "c"), champion, POLICY, noise=other)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"server": ServerIdentity(engine="vllm", version="0.26", owned=True)}, "server version is"),
        ({"server": ServerIdentity(engine="vllm", version="0.25.1", owned=True)}, "server flags is"),
        ({"server": ServerIdentity(engine="tgi", owned=False)}, "server engine is"),
    ],
)
def test_two_runs_that_are_served_differently_tell_no_noise(changed: dict[str, ServerIdentity], says: str) -> None:
    one, other = run([[1.0]] * 3, "a"), run([[1.0]] * 3, "b")
    other = replace(other, manifest=replace(other.manifest, **changed))  # type: ignore[arg-type]
    with pytest.raises(NotComparableError, match=says):
        check_same_model(one, other)


def test_models_without_weights_go_by_their_name_and_place() -> None:
    one, other = run([[1.0]] * 3, "a"), run([[1.0]] * 3, "b")
    one, other = (
        replace(r, manifest=replace(r.manifest, model=replace(r.manifest.model, weights_digest=None, source=source)))
        for r, source in ((one, "http://a/v1/"), (other, "http://a/v1"))
    )
    check_same_model(one, other)
    elsewhere = replace(other.manifest.model, source="http://b/v1")
    with pytest.raises(NotComparableError, match="source is"):
        check_same_model(one, replace(other, manifest=replace(other.manifest, model=elsewhere)))


def test_texts_are_compared_answer_by_answer() -> None:
    one = make_record(results=[make_result(f"c{i}", text="same") for i in range(5)], run_id="a")
    other = make_record(
        results=[
            make_result("c0", text="same"),
            make_result("c1", text="other"),
            make_failed_result("c2"),
            make_result("c3", text="same "),
        ],
        run_id="b",
        suites=[make_suite(cases=5)],
    )
    assert texts_flipped(one, other, "support") == (2, 3)
    assert texts_flipped(one, other, "another") == (0, 0)
