"""Citations: what counts as a marker, which sentences need one, and what a judge is asked about them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.rag.citations import read_sentences

ROW: dict[str, object] = {"context": ["Paris is in France.", "Rome is in Italy.", "Oslo is in Norway."]}


def check(answer: object, kind: str = "rag-citations", **spec: Any) -> tuple[str, float | None]:
    found = evaluate_assert({"type": kind, **spec}, answer, vars=ROW)
    return found.outcome, found.score


@pytest.mark.parametrize(
    ("answer", "cites"),
    [
        ("Paris lies in France [1].", [{1}]),
        ("Paris lies in France.[1] Rome lies in Italy. [2]", [{1}, {2}]),
        ("Both lie in Europe [1, 2][3].", [{1, 2, 3}]),
        ("All of them lie in Europe [1-3].", [{1, 2, 3}]),
        ("All of them lie in Europe [1–3; 7].", [{1, 2, 3, 7}]),
        ("A footnote has another form [^2].", [{2}]),
        ("巴黎位于法国，是法国的首都【1】。罗马位于意大利。", [{1}, set()]),
        ("See e.g. Dr. Smith on Paris in the U.S. today [1].", [{1}]),
        ("It costs 3.14 dollars in total today [2].", [{2}]),
        ('He said "it lies there." [1] Then he left us all.', [{1}, set()]),
        ("Paris lies in France.\n[1]\nRome lies in Italy.", [{1}, set()]),
        ("A word in brackets [sic] is no marker here.", [set()]),
        ("Backwards [3-1] means nothing at all.", [{0}]),
        ("A huge number [99999999999999999999] means nothing.", [{0}]),
        ("The code `a[1]` cites nothing at all.", [set()]),
        ("```\nx = a[1] is in a long line.\n```\nParis lies in France [1].", [{1}]),
    ],
)
def test_markers_belong_to_sentences(answer: str, cites: list[set[int]]) -> None:
    assert [set(one.cites) for one in read_sentences(answer)] == cites


@pytest.mark.parametrize(
    "text",
    [
        "# The capitals of all of Europe",
        "Is Paris the capital of France?",
        "Yes.",
        "Here is the whole long list:",
        "---",
    ],
)
def test_some_sentences_need_no_citation(text: str) -> None:
    assert not any(one.needs for one in read_sentences(text))
    assert check(f"{text}\nParis lies in France [1].") == ("pass", 1.0)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("Paris lies in France [1]. Rome lies in Italy [2].", 1.0),
        ("Paris lies in France [1]. Rome lies in Italy.", 0.5),
        ("Paris lies in France [4].", 0.0),
        ("Paris lies in France [0].", 0.0),
        ("Paris lies in France [1, 4].", 0.0),
        ("Paris lies in France [1-4].", 0.0),
        ("Paris lies in France.", 0.0),
        ("Yes [9].", 0.0),
        ("Paris lies in France [1].\n\n[9]", 0.0),
    ],
)
def test_the_score_is_the_share_of_sentences_that_cite_what_exists(answer: str, score: float) -> None:
    assert check(answer) == ("pass" if score == 1 else "fail", score)
    assert check(answer, "not-rag-citations") == ("fail" if score == 1 else "pass", 1 - score)


@pytest.mark.parametrize("answer", ["", " \n", "Yes.", "# Title", "Really?", "```\ncode\n```"])
def test_an_answer_that_needs_no_citation_cannot_be_judged(answer: str) -> None:
    for kind in ("rag-citations", "not-rag-citations", "rag-citation-support"):
        assert check(answer, kind) == ("error", None)


@pytest.mark.parametrize(
    "spec",
    [
        {"threshold": 0},
        {"threshold": 1.5},
        {"value": "x"},
        {"config": {"min_words": 0}},
        {"config": {"min_words": True}},
        {"config": {"style": "x"}},
    ],
)
def test_broken_rules_are_errors(spec: dict[str, Any]) -> None:
    for kind in ("rag-citations", "not-rag-citations", "rag-citation-support"):
        assert check("Paris lies in France [1].", kind, **spec) == ("error", None)


def test_thresholds_and_lengths_can_be_set() -> None:
    answer = "Paris lies in France [1]. Rome lies in Italy."
    assert check(answer, threshold=0.5) == ("pass", 0.5)
    assert check(answer, config={"min_words": 5}) == ("pass", 1.0)


def test_a_judge_sees_each_sentence_with_what_it_cites() -> None:
    seen: list[str] = []

    def judge(prompt: str) -> str:
        seen.append(prompt)
        return json.dumps({"statements": [{"statement": "s", "reason": "r", "verdict": int("Paris" in prompt)}]})

    answer = "Paris lies in France [1]. Rome and Oslo do not [2, 3]. Bonn lies in Germany [4]. Kiel lies there too."
    found = evaluate_assert({"type": "rag-citation-support", "threshold": 0.25}, answer, vars=ROW, judge=judge)
    assert (found.outcome, found.score) == ("pass", 0.25)
    # What cites nothing that exists is not asked about.
    assert len(seen) == 2
    assert "\nRome is in Italy.\nOslo is in Norway.\n" in seen[1]
    assert '["Rome and Oslo do not."]' in seen[1]
    assert "Paris is in France." not in seen[1]


@given(st.text() | st.text(alphabet="[]1-3,. \n^`#?ab"))
def test_no_answer_raises(answer: str) -> None:
    found = evaluate_assert({"type": "rag-citations"}, answer, vars=ROW)
    assert "internal error" not in found.reason
    assert found.score is None or 0 <= found.score <= 1


@pytest.mark.parametrize("piece", ["[1,", "[1-9999999,", "`", "```\n", "a. ", "[ ", ". [1]", '."', "x", ".!"])
@pytest.mark.cpu_seconds(15)
def test_long_answers_take_linear_time(piece: str) -> None:
    read_sentences(piece * (200_000 // len(piece)))
