"""What people read: whole sentences, with correct grammar for 0 and 1 and no number that contradicts the verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import decide_tables

from llmgate.gate.decide import decide
from llmgate.gate.decision.wording import count, name_some, percent, points, share
from llmgate.gate.evidence.evidence import Evidence
from llmgate.record.policy import MetricPolicy, Policy
from llmgate.record.scores import ItemScore, ScoreTable


def table(scores: list[float], metric: str = "accuracy") -> ScoreTable:
    items = (ItemScore(item_id=f"c{i:04d}", score=score) for i, score in enumerate(scores))
    return ScoreTable.of(items, suite="support", metric=metric)


def paired(better: int, worse: int, pairs: int) -> tuple[ScoreTable, ScoreTable]:
    same = [1.0] * (pairs - better - worse)
    return table([1.0] * better + [0.0] * worse + same), table([0.0] * better + [1.0] * worse + same)


RATES = " If nothing had changed, this gate would pass {} of the time; it would let a true 3-point loss through at most 5 %."


@pytest.mark.parametrize(
    ("better", "worse", "pairs", "sentence"),
    [
        (
            50, 60, 1000,
            "PASS: at most 2.7 points worse (95 %), tolerance 3. 110 answers changed: 50 better, 60 worse."
            + RATES.format("88 %"),
        ),
        (
            60, 30, 1000,
            "PASS: at least 1.5 points better (95 %), tolerance 3. 90 answers changed: 60 better, 30 worse."
            + RATES.format("93 %"),
        ),
        (0, 0, 100, "PASS: at most 2.6 points worse (95 %), tolerance 3. No score changed." + RATES.format("100 %")),
        (
            1, 0, 60,
            "PASS: at most 2.7 points worse (95 %), tolerance 3. 1 answer changed: 1 better, 0 worse."
            + RATES.format("24 %"),
        ),
        (
            20, 60, 300,
            "FAIL: at least 8.6 points worse (95 %), best estimate 13.3, tolerance 3. 80 answers changed: 20 better, 60 worse."
            + RATES.format("26 %").replace("of the time;", "of the time, judged by all that changed here;"),
        ),
        (
            10, 12, 300,
            "INCONCLUSIVE: between 3.4 points worse and 2.0 points better (95 % each), so a loss beyond the tolerance 3 is"
            " neither shown nor excluded; an unchanged model needs about 540 cases to pass 80 % of the time."
            " 22 answers changed: 10 better, 12 worse." + RATES.format("58 %"),
        ),
        (
            0, 0, 80,
            "INCONCLUSIVE: between 3.3 points worse and 3.3 points better (95 % each), so a loss beyond the tolerance 3 is"
            " neither shown nor excluded; an unchanged model needs about 88 cases to pass 80 % of the time."
            " No score changed." + RATES.format("0 %"),
        ),
    ],
)  # fmt: skip
def test_a_comparison_reads_like_this(better: int, worse: int, pairs: int, sentence: str) -> None:
    assert decide_tables(*paired(better, worse, pairs), margin=0.03).sentence == sentence


def test_when_the_loss_seems_real_the_cases_for_that_loss_are_named() -> None:
    # 3,000 cases are enough for an unchanged model, so only the observed loss explains the outcome.
    sentence = decide_tables(*paired(100, 150, 3000), margin=0.02).sentence
    assert sentence.startswith("FAIL")
    sentence = decide_tables(*paired(180, 210, 3000), margin=0.019).sentence
    assert "if the true difference is the observed -1.0 points, a PASS needs about" in sentence


@pytest.mark.parametrize(
    ("right", "cases", "sentence"),
    [
        (88, 100, "PASS: at least 81.3 % (95 %), minimum 80 %. 88 of 100 answers right."),
        (72, 100, "FAIL: at most 79.3 % (95 %), minimum 80 %. 72 of 100 answers right."),
        # No number of cases tells a rate from itself.
        (80, 100, "INCONCLUSIVE: between 72.3 % and 86.3 % (95 % each), minimum 80 %. 80 of 100 answers right."),
        (1, 1, "INCONCLUSIVE: between 5.0 % and 100.0 % (95 % each), minimum 80 %. 1 of 1 answer right."),
        (
            85, 100,
            "INCONCLUSIVE: between 77.8 % and 90.5 % (95 % each), minimum 80 %; if the true rate is the observed 85 %, a"
            " PASS needs about 320 cases. 85 of 100 answers right.",
        ),
    ],
)  # fmt: skip
def test_a_threshold_reads_like_this(right: int, cases: int, sentence: str) -> None:
    policy = Policy(metrics=(MetricPolicy(suite="support", metric="accuracy", min=0.8),))
    scores = [1.0] * right + [0.0] * (cases - right)
    assert decide(Evidence(tables=(table(scores),)), None, policy).sentence == sentence


def several(*worse: int) -> str:
    names = ("accuracy", "tone", "safety")[: len(worse)]
    policy = Policy(metrics=tuple(MetricPolicy(suite="support", metric=name, margin=0.03) for name in names))
    sides: list[list[ScoreTable]] = [[], []]
    for name, lost in zip(names, worse, strict=True):
        for side, scores in zip(sides, ([0.0] * lost + [1.0] * (1000 - lost), [1.0] * 1000), strict=True):
            side.append(table(scores, name))
    return decide(Evidence(tables=tuple(sides[0])), Evidence(tables=tuple(sides[1])), policy).sentence


def test_of_several_metrics_the_deciding_one_is_named() -> None:
    assert several(0, 10).startswith(
        "PASS: both gating metrics pass; closest to its limit is support::tone: at most 1.7 points worse"
    )
    assert several(0, 0, 10).startswith(
        "PASS: all 3 gating metrics pass; closest to its limit is support::safety: at most"
    )
    assert several(0, 100).startswith("FAIL: 1 of 2 gating metrics, support::tone: at least 8.5 points worse")
    assert several(60, 100, 0).startswith("FAIL: 2 of 3 gating metrics; first of all support::tone: at least")


def test_problems_and_required_failures_come_first() -> None:
    candidate, champion = paired(0, 0, 500)
    decision = decide_tables(
        ScoreTable.of(list(candidate.rows())[1:], suite="support", metric="accuracy"), champion, margin=0.03
    )
    assert decision.sentence == (
        "INCONCLUSIVE: 1 problem bars a PASS: support::gate::accuracy: 1 of 500 pairs could not be evaluated:"
        " c0000 (candidate: not there). Score them again with the tool that wrote the file, and decide on the new one."
    )
    policy = Policy(metrics=(MetricPolicy(suite="support", metric="accuracy", margin=0.03),))
    failed = Evidence(tables=(candidate,), required_failures=("support::a", "support::b"))
    sentence = decide(failed, Evidence(tables=(champion,)), policy).sentence
    assert sentence == "FAIL: 2 cases failed a check that must never fail: support::a, support::b."


def test_many_problems_are_counted_and_some_shown() -> None:
    policy = Policy(metrics=tuple(MetricPolicy(suite="support", metric=f"m{i}", margin=0.03) for i in range(5)))
    sentence = decide(Evidence(tables=()), None, policy).sentence
    assert sentence.startswith("INCONCLUSIVE: 5 problems bar a PASS: support::gate::m0: the candidate has no scores")
    assert sentence.endswith("; and 2 more.")


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
