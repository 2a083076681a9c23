"""What people read: whole sentences, with correct grammar for 0 and 1 and no number that contradicts the verdict."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import decide_tables

from llmgate.gate.decide import decide
from llmgate.gate.decision.details import next_step
from llmgate.gate.decision.types import MetricDecision, Verdict
from llmgate.gate.decision.wording import count, name_some, percent, points, share, short_names
from llmgate.gate.evidence.evidence import Evidence
from llmgate.gate.summary import MOST_WORDS
from llmgate.record.policy import Direction, MetricPolicy, Policy, Role
from llmgate.record.scores import ItemScore, ScoreTable


def table(scores: list[float], metric: str = "accuracy") -> ScoreTable:
    items = (ItemScore(item_id=f"c{i:04d}", score=score) for i, score in enumerate(scores))
    return ScoreTable.of(items, suite="support", metric=metric)


def paired(better: int, worse: int, pairs: int) -> tuple[ScoreTable, ScoreTable]:
    same = [1.0] * (pairs - better - worse)
    return table([1.0] * better + [0.0] * worse + same), table([0.0] * better + [1.0] * worse + same)


@pytest.mark.parametrize(
    ("better", "worse", "pairs", "sentence"),
    [
        (50, 60, 1000, "Ship: accuracy passes, at most 2.7 points worse where 3 are allowed."),
        (60, 30, 1000, "Ship: accuracy passes, at least 1.5 points better."),
        (0, 0, 100, "Ship: accuracy passes, at most 2.6 points worse where 3 are allowed."),
        (20, 60, 300, "Do not ship: accuracy fell from 93.3 % to 80 % (allowed: 3 points)."),
        # A loss that is real, and whose estimate alone is no more than the margin.
        (5, 25, 700, "Do not ship: accuracy is 1.7 to 4.3 points worse (allowed: 3 points)."),
        (
            10, 12, 300,
            "Not decided: 300 cases cannot rule out a 3-point loss in accuracy. Add about 240 cases and run again.",
        ),
        (
            0, 0, 20,
            "Not decided: 20 cases cannot rule out a 3-point loss in accuracy. Add about 70 cases and run again.",
        ),
    ],
)  # fmt: skip
def test_a_comparison_reads_like_this(better: int, worse: int, pairs: int, sentence: str) -> None:
    assert decide_tables(*paired(better, worse, pairs), margin=0.03).sentence == sentence


def test_when_the_loss_seems_real_the_cases_for_that_loss_are_named() -> None:
    # 3,000 cases are enough for an unchanged model, so only the observed loss explains the outcome.
    decision = decide_tables(*paired(180, 210, 3000), margin=0.019)
    assert "if the true difference is the observed -1.0 points, a PASS needs about" in decision.metrics[0].reason
    assert decision.sentence == (
        "Not decided: 3,000 cases cannot rule out a 1.9-point loss in accuracy. Add about 7,000 cases and run again."
    )


@pytest.mark.parametrize(
    ("right", "cases", "sentence"),
    [
        (88, 100, "Ship: accuracy passes, at least 81.3 % where 80 % is required."),
        (72, 100, "Do not ship: accuracy is 72.0 % (required: 80 %)."),
        # No number of cases tells a rate from itself.
        (80, 100, "Not decided: 100 cases cannot show that accuracy is at least 80 %."),
        (1, 1, "Not decided: 1 case cannot show that accuracy is at least 80 %."),
        (
            85, 100,
            "Not decided: 100 cases cannot show that accuracy is at least 80 %. Add about 220 cases and run again.",
        ),
    ],
)  # fmt: skip
def test_a_threshold_reads_like_this(right: int, cases: int, sentence: str) -> None:
    policy = Policy(metrics=(MetricPolicy(suite="support", metric="accuracy", min=0.8),))
    scores = [1.0] * right + [0.0] * (cases - right)
    assert decide(Evidence(tables=(table(scores),)), None, policy).sentence == sentence


def several(*worse: int, names: tuple[str, ...] = ("accuracy", "tone", "safety")) -> str:
    policy = Policy(
        metrics=tuple(MetricPolicy(suite="support", metric=name, margin=0.03) for name in names[: len(worse)])
    )
    sides: list[list[ScoreTable]] = [[], []]
    for name, lost in zip(names, worse, strict=False):
        for side, scores in zip(sides, ([0.0] * lost + [1.0] * (1000 - lost), [1.0] * 1000), strict=True):
            side.append(table(scores, name))
    return decide(Evidence(tables=tuple(sides[0])), Evidence(tables=tuple(sides[1])), policy).sentence


@pytest.mark.parametrize(
    ("worse", "sentence"),
    [
        ((0, 10), "Ship: both gates pass. Closest call: tone, at most 1.7 points worse where 3 are allowed."),
        ((0, 0, 10), "Ship: all 3 gates pass. Closest call: safety, at most 1.7 points worse where 3 are allowed."),
        ((0, 100), "Do not ship: 1 of 2 gates failed: tone fell from 100 % to 90 % (allowed: 3 points)."),
        ((60, 100, 0), "Do not ship: 2 of 3 gates failed. Worst: tone fell from 100 % to 90 % (allowed: 3 points)."),
        ((60, 40, 0), "Do not ship: 2 of 3 gates failed. Worst: accuracy fell from 100 % to 94 % (allowed: 3 points)."),
        ((60, 100), "Do not ship: both gates failed. Worst: tone fell from 100 % to 90 % (allowed: 3 points)."),
    ],
)
def test_of_several_metrics_the_deciding_one_is_named(worse: tuple[int, ...], sentence: str) -> None:
    assert several(*worse) == sentence


def test_long_names_are_cut() -> None:
    long = "is every sentence of the answer supported by the context that was given"
    assert several(0, 100, names=("tone", long)) == (
        "Do not ship: 1 of 2 gates failed: is every sentence… fell from 100 % to 90 % (allowed: 3 points)."
    )


def test_what_could_not_be_evaluated_and_required_failures_come_first() -> None:
    candidate, champion = paired(0, 0, 500)
    decision = decide_tables(
        ScoreTable.of(list(candidate.rows())[1:], suite="support", metric="accuracy"), champion, margin=0.03
    )
    assert decision.sentence == "Not decided: 1 of 500 cases could not be evaluated for accuracy."
    assert next_step(decision) == "score them again with the tool that wrote the file, and decide on the new one."
    policy = Policy(metrics=(MetricPolicy(suite="support", metric="accuracy", margin=0.03),))
    failed = Evidence(tables=(candidate,), required_failures=("support::a", "support::b"))
    sentence = decide(failed, Evidence(tables=(champion,)), policy).sentence
    assert sentence == "Do not ship: 2 cases failed a required check: support::a, support::b."
    worse = Evidence(tables=(paired(20, 60, 500)[0],), required_failures=("support::a",))
    sentence = decide(worse, Evidence(tables=(paired(20, 60, 500)[1],)), policy).sentence
    assert sentence == (
        "Do not ship: 1 of 1 gate and 1 required case failed: accuracy fell from 96 % to 88 % (allowed: 3 points)."
    )


def test_many_problems_are_counted_and_one_is_named() -> None:
    policy = Policy(metrics=tuple(MetricPolicy(suite="support", metric=f"m{i}", margin=0.03) for i in range(5)))
    sentence = decide(Evidence(tables=()), None, policy).sentence
    assert sentence.startswith("Not decided: m0: the candidate has no scores")
    assert sentence.endswith(" (4 more problems).")


WORDS = {Verdict.PASS: "Ship: ", Verdict.FAIL: "Do not ship: ", Verdict.INCONCLUSIVE: "Not decided: "}
NAMES = st.sampled_from(["accuracy", "valid-json", "is the answer polite enough for a bank", "x" * 80, "ü  \t y z 1 2"])


@st.composite
def evidences(draw: st.DrawFn) -> tuple[Evidence, Evidence | None, Policy]:
    """Two sides with one to four metrics of one or two suites, in which anything may be lost, missing or failed."""
    metrics: list[MetricPolicy] = []
    sides: tuple[list[ScoreTable], list[ScoreTable]] = ([], [])
    keys = draw(st.lists(st.tuples(st.sampled_from(["a", "b b b b b"]), NAMES), min_size=1, max_size=4, unique=True))
    champion = draw(st.booleans())
    for suite, name in keys:
        cases = draw(st.sampled_from([1, 20, 60, 150]))
        floor = draw(st.sampled_from([{"min": 0.8}, {"max": 0.3}] + [{}] * 2 * champion))
        metrics.append(
            MetricPolicy(
                suite=suite,
                metric=name,
                role=draw(st.sampled_from([Role.PRIMARY, Role.PRIMARY, Role.GUARDRAIL, Role.WATCH])),
                direction=Direction.LOWER
                if "max" in floor
                else draw(st.sampled_from(Direction))
                if not floor
                else Direction.HIGHER,
                margin=draw(st.sampled_from([0.01, 0.03, 0.2])) if champion else None,
                **floor,
            )
        )
        for side in sides:
            lost = draw(st.integers(0, cases))
            missing = draw(st.sampled_from([0] * 9 + [1]))
            scores = [0.0] * lost + [draw(st.sampled_from([1.0, 1.0, 0.9]))] * (cases - lost)
            items = [ItemScore(item_id=f"c{i:04d}", score=score) for i, score in enumerate(scores)][missing:]
            side.append(ScoreTable.of(items, suite=suite, metric=name))
    required = draw(st.sampled_from([()] * 5 + [("a::c 1 2 3 4 5 6",), tuple(f"a::{i}" for i in range(9))]))
    candidate = Evidence(tables=tuple(sides[0]), required_failures=required)
    return candidate, Evidence(tables=tuple(sides[1])) if champion else None, Policy(metrics=tuple(metrics))


@given(evidences())
def test_the_sentence_says_what_was_decided(given: tuple[Evidence, Evidence | None, Policy]) -> None:
    candidate, champion, policy = given
    decision = decide(candidate, champion, policy)
    sentence = decision.sentence
    assert [verdict for verdict, lead in WORDS.items() if sentence.startswith(lead)] == [decision.verdict]
    assert len(sentence.split()) <= MOST_WORDS
    assert sentence.endswith((".", "…"))
    assert next_step(decision).endswith(".")
    gates = [metric for metric in decision.metrics if metric.gates]
    names = dict(zip(short_names(decision.metrics), decision.metrics, strict=True))
    failed = [metric for metric in gates if metric.verdict is Verdict.FAIL]
    if found := re.match(r"Do not ship: (\d+) of (\d+) gates", sentence):
        assert (int(found[1]), int(found[2])) == (len(failed), len(gates))
    if "all" in sentence.split()[:4] or "both gates" in sentence:
        assert len(failed or gates) == len(gates)
    if found := re.match(r".*(?:failed: |Worst: |ship: )(.*) (?:fell|rose) from (\S+) % to (\S+) %", sentence):
        worst = names[found[1]]
        assert worst in failed
        assert worst.champion is not None
        assert worst.candidate is not None
        assert worst.margin is not None
        assert [float(found[2]), float(found[3])] == pytest.approx(
            [100 * worst.champion, 100 * worst.candidate], abs=0.06
        )
        for other in failed:
            if other.min is None and other.max is None:
                assert beyond(other) <= beyond(worst) + 1e-9
    if decision.verdict is Verdict.PASS:
        assert not failed
        assert not decision.problems
        assert not decision.required_failures
        if found := re.match(
            r".*(?:Ship: |call: )(.*?)(?: passes)?, at most (\S+) points worse where (\S+) (?:is|are)", sentence
        ):
            closest = names[found[1]]
            assert closest in gates
            assert closest.lower is not None
            assert closest.margin is not None
            assert float(found[2]) == pytest.approx(-100 * closest.lower, abs=0.06)
            assert float(found[2]) < float(found[3])


def beyond(metric: MetricDecision) -> float:
    """How much more was lost than is allowed."""
    assert metric.delta is not None
    assert metric.margin is not None
    return -metric.delta - metric.margin


@pytest.mark.parametrize(
    ("fraction", "limit", "text"),
    [
        (0.03, None, "3"),
        (0.025, None, "2.5"),
        (0.021, 0.03, "2.1"),
        (0.02996, 0.03, "2.996"),
        (0.0301, 0.03, "3.01"),
        (0.03, 0.03, "3.0"),
        (0.0004, 0.0, "0.04"),
    ],
)
def test_a_bound_never_looks_equal_to_a_limit_that_it_differs_from(
    fraction: float, limit: float | None, text: str
) -> None:
    assert points(fraction, limit) == text


@given(st.floats(0.001, 0.999), st.floats(0.0, 0.999))
def test_what_is_shown_is_on_the_right_side_of_the_limit(limit: float, value: float) -> None:
    limit = round(limit, 3)
    if abs(value - limit) > 1e-7:
        assert (float(points(value, limit)) < float(points(limit))) == (value < limit)


def test_small_words() -> None:
    assert [count(n, "case") for n in (0, 1, 2, 1000)] == ["0 cases", "1 case", "2 cases", "1,000 cases"]
    assert name_some(["a"]) == "a"
    assert name_some("abcde") == "a, b, c and 2 more"
    assert percent(0.8) == "80 %"
    assert [share(p) for p in (0.0, 0.001, 0.05, 0.914, 0.9999, 1.0)] == [
        "0 %",
        "less than 1 %",
        "5 %",
        "91 %",
        "more than 99 %",
        "100 %",
    ]


def test_a_baseline_says_what_to_do_with_it() -> None:
    candidate, _ = paired(0, 0, 20)
    policy = Policy(metrics=(MetricPolicy(suite="support", metric="accuracy", margin=0.03),))
    decision = decide(Evidence(tables=(candidate,)), None, policy)
    assert decision.sentence == "Not decided: accuracy: there is nothing to compare with."
    assert "--as-baseline" in next_step(decision)
    recorded = replace(decision, as_baseline=True)
    assert next_step(recorded) == "compare later runs with this one: --baseline and its folder."
