"""promptfoo's retrieval asserts: our JSON replies, promptfoo's marked texts, and everything that is neither."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import evaluate_assert
from llmgate.score.rag.promptfoo import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate import Evaluation

ROW: dict[str, object] = {"query": "How long?", "context": "Shoes: 30 days. Hats: none. Blue shop."}
ANSWER = "30 days for shoes."
VALUES = {"context-recall": {"value": "Shoes: 30 days. Hats: none."}}


def script(*replies: object) -> Callable[[str], object]:
    left = list(replies)

    def judge(_: str) -> object:
        reply = left.pop(0) if len(left) > 1 else left[0]
        return reply if isinstance(reply, str) else json.dumps(reply)

    return judge


def ask(kind: str, *replies: object, output: object = ANSWER, row: object = None, **spec: Any) -> Evaluation:
    given_row = ROW if row is None else row
    assert isinstance(given_row, dict)
    return evaluate_assert(
        {"type": kind, **VALUES.get(kind.removeprefix("not-"), {}), **spec},
        output,
        vars=given_row,
        prompt="Answer: How long?",
        judge=script(*replies),
        embed=lambda text: [1.0, float(len(text) % 3)],
    )


def classifications(*flags: object) -> dict[str, object]:
    return {"classifications": [{"statement": "s", "reason": "r", "attributed": flag} for flag in flags]}


def verdicts(*flags: object) -> dict[str, object]:
    return {"statements": [{"statement": "s", "reason": "r", "verdict": flag} for flag in flags]}


CLAIMS = {"statements": ["a", "b"]}


def test_json_replies_score_like_marked_texts() -> None:
    assert ask("context-recall", classifications(1, 0, 1)).score == pytest.approx(2 / 3)
    assert ask("context-faithfulness", CLAIMS, verdicts(1, 0)).score == 0.5
    assert ask("context-relevance", {"sentences": ["Hats: none."]}).score == pytest.approx(1 / 3)
    assert ask("context-relevance", {"sentences": []}).score == 0.0
    assert ask(
        "context-relevance", {"sentences": ["Hats: none.", "Shoes: 30 days. Hats: none."]}
    ).score == pytest.approx(2 / 3)
    assert ask("answer-relevance", {"question": "How long?"}).score == pytest.approx(1.0)


def test_a_judge_may_mix_both_forms_over_its_two_calls() -> None:
    assert ask("context-faithfulness", "a\nb", verdicts(1, 1)).score == 1.0
    assert ask("context-faithfulness", CLAIMS, "1. Verdict: yes\n2. Verdict: no").score == 0.5


@pytest.mark.parametrize(
    ("kind", "replies"),
    [
        ("context-recall", [classifications()]),
        ("context-recall", [classifications(2)]),
        ("context-recall", [classifications("yes")]),
        ("context-recall", [classifications(None)]),
        ("context-recall", ['{"classifications": [{"statement": "[Attributed]", "attributed": 1']),
        ("context-recall", ['{"classifications": "[Attributed]"}']),
        ("context-recall", [json.dumps(classifications(1)) + json.dumps(classifications(0))]),
        ("context-faithfulness", [CLAIMS, verdicts(1)]),
        ("context-faithfulness", [CLAIMS, verdicts(1, 1, 1)]),
        ("context-faithfulness", [{"statements": []}, verdicts()]),
        ("context-faithfulness", [{"statements": [" "]}, verdicts(1)]),
        ("context-faithfulness", [CLAIMS, ""]),
        ("context-relevance", [{"sentences": ["Made up."]}]),
        ("context-relevance", [{"sentences": ["Hats: none.", "Made up."]}]),
        ("context-relevance", ["-\n*"]),
        ("context-relevance", [""]),
        ("context-relevance", ["\n".join(f"line {i}" for i in range(2000))]),
        ("answer-relevance", [" "]),
        ("answer-relevance", [{"question": ""}]),
        ("answer-relevance", [{"question": 3}]),
    ],
)
@pytest.mark.parametrize("negated", ["", "not-"])
def test_a_reply_without_a_verdict_is_an_error(kind: str, replies: list[object], negated: str) -> None:
    found = ask(negated + kind, *replies)
    assert (found.outcome, found.score) == ("error", None), found


@pytest.mark.parametrize("kind", [kind.id for kind in TYPES])
def test_parsed_data_of_another_form_is_an_error(kind: str) -> None:
    found = evaluate_assert(
        {"type": kind, **VALUES.get(kind, {})}, ANSWER, vars=ROW, prompt="p", judge=lambda _: {"score": 1}
    )
    assert found.outcome == "error"


@pytest.mark.parametrize("kind", ["context-recall", "context-relevance", "context-faithfulness"])
@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_that_cannot_fail_is_refused(kind: str, threshold: float) -> None:
    assert ask(kind, classifications(1), threshold=threshold).outcome == "error"
    assert ask(f"not-{kind}", classifications(1), threshold=threshold).outcome == "error"


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("context-recall", {"context": 3}),
        ("context-recall", {"context": ["a", 3]}),
        ("context-relevance", {"query": "q", "context": ""}),
        ("context-relevance", {"query": "q", "context": [" "]}),
        ("context-relevance", {"query": " ", "context": "c"}),
        ("context-faithfulness", {"query": ["q"], "context": "c"}),
        ("answer-relevance", {"query": " "}),
    ],
)
def test_rows_without_what_is_needed_are_errors(kind: str, row: dict[str, object]) -> None:
    assert ask(kind, classifications(1), row=row).outcome == "error"


def test_an_empty_answer_is_an_error() -> None:
    for kind in ("answer-relevance", "context-faithfulness"):
        assert ask(kind, "q", output=" ").outcome == "error"


def test_settings_and_judges_that_do_not_exist_are_errors() -> None:
    assert "unknown setting" in ask("context-recall", "x", config={"context": "c"}).reason
    assert "0 of 2 judges" in ask("context-recall", "x", judges=["a", "b"]).reason


@given(
    reply=st.text()
    | st.sampled_from(["[Attributed]", "{", '{"classifications": [', "Final verdict for each statement in order: yes"])
)
def test_no_reply_raises_or_leaves_the_scale(reply: str) -> None:
    for kind in TYPES:
        found = ask(kind.id, reply)
        assert (found.outcome == "error") == (found.score is None)
        assert found.score is None or -1 <= found.score <= 1


@given(output=st.text(min_size=1), context=st.text(min_size=1), query=st.text(min_size=1))
def test_hostile_texts_stay_inside_their_fence(output: str, context: str, query: str) -> None:
    seen: list[str] = []

    def judge(prompt: str) -> str:
        seen.append(prompt)
        return json.dumps(CLAIMS) if len(seen) == 1 else json.dumps(verdicts(1, 0))

    row = {"query": query, "context": context}
    evaluate_assert({"type": "context-faithfulness"}, output, vars=row, judge=judge)
    for prompt in seen:
        code = re.search(r"The code is ([0-9a-f]{16})\.", prompt)
        assert code is not None
        # Two fences, each opened and closed once.
        assert len(re.findall(rf"</?[a-z]+-{code[1]}>", prompt)) == 4
    if seen:
        assert f"\n{output}\n</text-" in seen[0]
