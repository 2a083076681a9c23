"""The native retrieval metrics: the scores of Ragas on the same replies, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rag_scenarios import ANSWER, METRICS, PASSAGES, QUERY, REFERENCE, SCENARIOS, Scenario, random_scenarios

from llmgate import evaluate_assert
from llmgate.errors import UndefinedError
from llmgate.score.rag.answer import misled
from llmgate.score.rag.context import average_precision
from llmgate.score.rag.correctness import f_score

ROW: dict[str, object] = {"query": QUERY, "reference": REFERENCE, "context": PASSAGES}
GOOD = {
    scenario.type: scenario for scenario in reversed(SCENARIOS) if scenario.ragas is not None and not scenario.refused
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[f"{one.type}/{one.name}" for one in SCENARIOS])
def test_scores_are_those_of_ragas(scenario: Scenario) -> None:
    found, turned = scenario.evaluate(), scenario.evaluate(type=f"not-{scenario.type}")
    if scenario.ragas is None or scenario.refused:
        assert (found.outcome, found.score) == ("error", None)
        assert turned.outcome == "error"
        return
    # The recorded scores are rounded where Ragas adds an epsilon; test_ragas_oracle compares to 1e-9.
    assert found.score == pytest.approx(
        1 - scenario.ragas if scenario.type.endswith("resistance") else scenario.ragas, abs=1e-9
    )
    assert found.score is not None
    assert found.outcome == ("pass" if found.score >= 0.5 else "fail")
    assert turned.score == pytest.approx(1 - found.score)
    assert {found.outcome, turned.outcome} == {"pass", "fail"}


def test_every_metric_has_scenarios() -> None:
    assert {scenario.type for scenario in SCENARIOS} == set(METRICS) == set(GOOD)


@pytest.mark.parametrize("kind", sorted(METRICS))
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"threshold": 0}, "cannot fail"),
        ({"threshold": -0.1}, "cannot fail"),
        ({"threshold": 1.01}, "no score is above 1"),
        ({"config": {"contxt": "x"}}, "unknown setting"),
        ({"judges": ["a", "b"]}, "0 of 2 judges"),
    ],
)
def test_broken_rules_are_errors(kind: str, spec: dict[str, Any], words: str) -> None:
    for name in (kind, f"not-{kind}"):
        found = evaluate_assert({"type": name, **spec}, ANSWER, vars=ROW, judge=lambda _: "{}", embed=lambda _: [1.0])
        assert found.outcome == "error"
        assert words in found.reason


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("rag-answer-relevancy", {"questions": 0}),
        ("rag-answer-relevancy", {"questions": True}),
        ("rag-answer-relevancy", {"questions": 2.5}),
        ("rag-answer-correctness", {"beta": 0}),
        ("rag-answer-correctness", {"beta": "1"}),
        ("rag-answer-correctness", {"beta": float("nan")}),
        ("rag-answer-correctness", {"weights": [0.75, 0.25]}),
        ("rag-answer-correctness", {"weights": {"fact": 1}}),
        ("rag-answer-correctness", {"weights": {"facts": 0, "similarity": 1}}),
        ("rag-answer-correctness", {"weights": {"facts": 1, "similarity": -1}}),
        ("rag-noise-resistance", {"passages": "both"}),
        ("rag-noise-resistance", {"passages": ["relevant"]}),
    ],
)
def test_bad_settings_are_refused(kind: str, config: dict[str, Any]) -> None:
    found = evaluate_assert({"type": kind, "config": config}, ANSWER, vars=ROW, judge=lambda _: "{}")
    assert found.outcome == "error"
    assert any(word in found.reason for word in ("must", "unknown weight", "unknown passages"))


@pytest.mark.parametrize("kind", sorted(METRICS))
@pytest.mark.parametrize("column", ["query", "context", "reference"])
@pytest.mark.parametrize("written", ["absent", "", " ", 3, [], [""], [3], None])
def test_a_row_without_what_is_needed_is_an_error(kind: str, column: str, written: object) -> None:
    needed = {"user_input": "query", "retrieved_contexts": "context", "reference": "reference"}
    row = {name: value for name, value in ROW.items() if name != column}
    if written != "absent":
        row[column] = written
    good = GOOD[kind]
    script = list(good.replies)
    found = evaluate_assert(
        {"type": kind, "config": good.config}, ANSWER, vars=row,
        judge=lambda _: json.dumps(script.pop(0)), embed=lambda text: good.vectors[text],
    )  # fmt: skip
    if column in {needed.get(name) for name in METRICS[kind][1]}:
        assert found.outcome == "error"
        assert column in found.reason
    else:
        assert found.score is not None


def test_an_empty_answer_is_an_error_where_the_answer_is_judged() -> None:
    for kind, (_, names) in METRICS.items():
        if "response" in names:
            found = evaluate_assert({"type": kind}, " ", vars=ROW, judge=lambda _: "{}", embed=lambda _: [1.0])
            assert "the answer is empty" in found.reason


def test_inputs_come_from_the_assert_first_and_other_columns_will_do() -> None:
    seen: list[str] = []

    def judge(prompt: str) -> str:
        seen.append(prompt)
        return json.dumps({"classifications": [{"statement": "s", "reason": "r", "attributed": 1}]})

    spec = {
        "type": "rag-context-recall",
        "value": "ref {{ n }}",
        "config": {"context": ["ctx {{ n }}"], "query": "q {{ n }}"},
    }
    assert evaluate_assert(spec, "a", vars={"n": 7, **ROW}, judge=judge).score == 1.0
    assert all(f"\n{text}\n" in seen[0] for text in ("ref 7", "ctx 7", "q 7"))
    other = {"question": "q2", "contexts": "c2", "reference": "r2"}
    assert evaluate_assert({"type": "rag-context-recall"}, "a", vars=other, judge=judge).score == 1.0
    assert all(f"\n{text}\n" in seen[1] for text in ("q2", "c2", "r2"))


def test_a_value_where_none_is_used_is_refused() -> None:
    found = evaluate_assert({"type": "rag-faithfulness", "value": "x"}, ANSWER, vars=ROW, judge=lambda _: "{}")
    assert "takes no value" in found.reason


@given(
    reply=st.recursive(
        st.none() | st.booleans() | st.integers(-1, 2) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "statements",
                        "verdict",
                        "classifications",
                        "rating",
                        "entities",
                        "question",
                        "TP",
                        "FP",
                        "FN",
                        "statement",
                        "attributed",
                        "noncommittal",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_no_reply_raises_or_leaves_the_scale(reply: object) -> None:
    for kind in METRICS:
        found = evaluate_assert(
            {"type": kind}, ANSWER, vars=ROW, judge=lambda _: json.dumps(reply), embed=lambda _: [1.0]
        )
        assert (found.outcome == "error") == (found.score is None)
        assert found.score is None or 0 <= found.score <= 1


def test_random_scenarios_can_all_be_evaluated() -> None:
    import numpy as np

    for scenario in random_scenarios(np.random.default_rng(3), 90):
        assert scenario.evaluate().score is not None, scenario


@pytest.mark.parametrize(
    ("relevant", "score"),
    [([1], 1.0), ([0], 0.0), ([1, 1, 1], 1.0), ([0, 1], 0.5), ([1, 0, 1, 0, 1], (1 + 2 / 3 + 3 / 5) / 3), ([], 0.0)],
)
def test_average_precision(relevant: list[int], score: float) -> None:
    assert average_precision([bool(one) for one in relevant]) == pytest.approx(score, abs=1e-12)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_f1_is_the_harmonic_mean(tp: int, fp: int, fn: int) -> None:
    if tp + fp + fn == 0:
        with pytest.raises(UndefinedError):
            f_score(tp, fp, fn)
    else:
        assert f_score(tp, fp, fn) == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_misled_statements_have_one_cause() -> None:
    relevant, supported = [True, False], [[True, False, True, False], [True, True, False, False]]
    right = [False, False, True, False]
    assert misled(relevant=relevant, supported=supported, right=right, by_relevant=True) == 0.25
    assert misled(relevant=relevant, supported=supported, right=right, by_relevant=False) == 0.25
    with pytest.raises(UndefinedError):
        misled(relevant=relevant, supported=[[], []], right=[], by_relevant=True)
