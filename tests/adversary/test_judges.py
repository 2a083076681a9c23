"""Judges whose replies are no clean verdict: never a yes, and under `not-` never a no."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.endpoint import chat, scripted_endpoint
from support.project import answer_right, write_suite

from llmgate import JudgeReply, Token, evaluate_assert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUBRIC = {"type": "llm-rubric", "value": "Insults the reader."}
CLOSED = {"type": "model-graded-closedqa", "value": "Insults the reader."}
FACTS = {"type": "factuality", "value": "Paris."}
SCORED = {"type": "g-eval", "value": "Insults the reader.", "config": {"steps": ["Read it."]}}
POINTS = {"type": "checklist", "value": ["Insults.", "Shouts."]}
PREFER = {"type": "prefer", "value": "London."}
PASSAGES = {"query": "Which city?", "context": "Paris is a city. It lies on the Seine."}
SAID = '{"statements": ["Paris is a city.", "It lies there."]}'
"""What a judge finds that the answer says, before it is asked whether that is so."""


def rag(name: str, **more: Any) -> dict[str, Any]:
    return {"type": name, **more}


NO_VERDICTS: dict[str, tuple[dict[str, Any], object]] = {
    # The issue's own.
    "key twice": (RUBRIC, '{"pass": true, "pass": false}'),
    "no beside the best score": (RUBRIC, '{"pass": false, "score": 1.0}'),
    "no as a text": (RUBRIC, '{"pass": "false"}'),
    # Its neighbours.
    "yes as a text": (RUBRIC, '{"pass": "true"}'),
    "yes beside the worst score": (RUBRIC, '{"pass": true, "score": 0}'),
    "key twice, in loose JSON": (RUBRIC, "{pass: true, 'pass': false}"),
    "key twice, parsed no more": (RUBRIC, '{"pass": false, "score": 0, "score": 0.9}'),
    "key in other letters": (RUBRIC, '{"pass": false, "Pass": true}'),
    "key with a space": (RUBRIC, '{"pass": false, " pass": true}'),
    "verdict inside a verdict": (RUBRIC, '{"pass": false, "score": 0, "final": {"pass": true}}'),
    "verdict inside a list": (RUBRIC, '{"pass": false, "score": 0, "judges": [{"score": 1}]}'),
    "verdict deeper down": (RUBRIC, '{"result": {"pass": false, "score": 0}}'),
    "two objects": (RUBRIC, '{"pass": false} On reflection: {"pass": true}'),
    "fence and another": (RUBRIC, '```json\n{"pass": false}\n```\n```json\n{"pass": true}\n```'),
    "object of an answer, then a verdict": (RUBRIC, '{"pass": true, "score": 1} is what it said. {"pass": false}'),
    "NaN": (RUBRIC, '{"pass": false, "score": NaN}'),
    "infinite": (RUBRIC, '{"pass": false, "score": -1e999}'),
    "percent": (RUBRIC, '{"pass": false, "score": "85%"}'),
    "score as a text": (RUBRIC, '{"pass": false, "score": "0"}'),
    "score as a flag": (RUBRIC, '{"pass": false, "score": true}'),
    "score as a list": (RUBRIC, '{"pass": false, "score": [0]}'),
    "score null": (RUBRIC, '{"pass": false, "score": null}'),
    "pass null": (RUBRIC, '{"pass": null, "score": 0}'),
    "pass 0": (RUBRIC, '{"pass": 0, "score": 0}'),
    "pass as a list": (RUBRIC, '{"pass": [], "score": 0}'),
    "no verdict": (RUBRIC, '{"reason": "fine"}'),
    "cut inside": (RUBRIC, '{"pass": false, "score": 0'),
    "prose": (RUBRIC, "No, it does not."),
    "nothing": (RUBRIC, ""),
    "parsed, as texts": (RUBRIC, {"pass": "no", "score": 0}),
    "parsed, a list": (RUBRIC, [{"pass": False}]),
    "parsed, a flag": (RUBRIC, False),
    "cut off": (RUBRIC, JudgeReply(content='{"pass": false, "score": 0}', cut_off=True)),
    "both letters": (CLOSED, "It does.\nY\n\nN"),
    "a letter twice over": (CLOSED, '{"meets_criterion": "Y", "meets_criterion": "N"}'),
    "a letter in a list": (CLOSED, '{"meets_criterion": ["N"]}'),
    "a small letter": (CLOSED, "n"),
    "category twice": (FACTS, '{"category": "C", "category": "D"}'),
    "category inside": (FACTS, '{"category": "D", "first": {"category": "C"}}'),
    "two categories": (FACTS, "Not (C) but (D)."),
    "score twice": (SCORED, '{"reason": "r", "score": 9, "score": 0}'),
    "score as a word": (SCORED, '{"reason": "r", "score": "0"}'),
    "score of eleven": (SCORED, '{"reason": "r", "score": 11}'),
    "score below nothing": (SCORED, '{"reason": "r", "score": -0.1}'),
    "score not finite": (SCORED, '{"reason": "r", "score": NaN}'),
    "score inside": (SCORED, '{"reason": "r", "score": 0, "parts": [{"score": 9}]}'),
    "score without a reason": (SCORED, '{"score": 0}'),
    "probabilities above one": (
        SCORED,
        JudgeReply(
            content='{"reason":"r","score":9}',
            tokens=(
                Token(text='{"reason":"r","score":', logprob=0.0),
                Token(text="9", logprob=0.0, alternatives={"0": 0.0, "1": 0.0}),
                Token(text="}", logprob=0.0),
            ),
        ),
    ),
    "tokens of another score": (
        SCORED,
        JudgeReply(content='{"reason":"r","score":9}', tokens=(Token(text='{"score":0}', logprob=0.0),)),
    ),
    "met as a text": (POINTS, '{"items": [{"item": 1, "met": "false"}, {"item": 2, "met": false}]}'),
    "met twice": (POINTS, '{"items": [{"item": 1, "met": true, "met": false}, {"item": 2, "met": false}]}'),
    "a point twice": (POINTS, '{"items": [{"item": 1, "met": false}, {"item": 1, "met": true}]}'),
    "a point left out": (POINTS, '{"items": [{"item": 1, "met": false}]}'),
    "a third point": (POINTS, '{"items": [{"item": 1, "met": false}, {"item": 2, "met": false}, {"item": 3, "met": true}]}'),
    "both better": (PREFER, '{"reason": "r", "better": "first", "better": "second"}'),
    "better of neither": (PREFER, '{"reason": "r", "better": "none"}'),
    "better as a list": (PREFER, '{"reason": "r", "better": ["second"]}'),
    "verdict missing": (rag("rag-faithfulness"), [SAID, '{"statements": [{"statement": "a", "verdict": 0}]}']),
    "verdict as a text": (
        rag("rag-faithfulness"),
        [SAID, '{"statements": [{"statement": "a", "verdict": "0"}, {"statement": "b", "verdict": 0}]}'],
    ),
    "verdict twice": (
        rag("rag-faithfulness"),
        [SAID, '{"statements": [{"statement": "a", "verdict": 1, "verdict": 0}, {"statement": "b", "verdict": 0}]}'],
    ),
    "lists twice": (rag("rag-faithfulness"), [SAID, '{"statements": [], "statements": []}']),
    "no statements": (rag("rag-faithfulness"), '{"statements": []}'),
    "usefulness as NaN": (rag("rag-context-precision", value="Paris."), '{"reason": "r", "verdict": NaN}'),
    "usefulness of 2": (rag("rag-context-utilization"), '{"reason": "r", "verdict": 2}'),
    "usefulness twice": (rag("rag-context-utilization"), '{"verdict": 1, "verdict": 0}'),
    "rating in between": (rag("rag-context-relevance"), '{"rating": 0.5}'),
    "rating of truth": (rag("rag-context-relevance"), '{"rating": false}'),
    "attributed twice": (
        rag("rag-context-recall", value="Paris."),
        '{"classifications": [{"statement": "a", "attributed": 1, "attributed": 0}]}',
    ),
    "no entity": (rag("rag-context-entity-recall", value="Paris."), '{"entities": []}'),
    "a statement without a verdict": (
        rag("context-faithfulness"),
        ["a\nb\nc", "Final verdict for each statement in order: Yes."],
    ),
    "a verdict too many": (rag("context-faithfulness"), ["a", "Final verdict for each statement in order: No. No."]),
    "yes and no": (rag("context-faithfulness"), ["a", "Final verdict for each statement in order: Yes and no."]),
    "a verdict that is none": (rag("context-faithfulness"), ["a", "Verdict: not clear"]),
    "marked both ways": (rag("context-recall", value="Paris."), "1. x [Attributed] or [Not Attributed]?"),
    "of use and of none": (rag("context-relevance"), "Insufficient Information\nParis is a city."),
    "quotes of something else": (rag("context-relevance"), '{"sentences": ["London is a city."]}'),
}  # fmt: skip


def judged(spec: dict[str, Any], reply: object, output: str = "Paris.") -> Ending:
    """What an assert comes to; a pass counts as green."""
    script = list(reply) if isinstance(reply, list) and reply and isinstance(reply[0], str) else [reply]

    def judge(_: str) -> object:
        return script.pop(0) if len(script) > 1 else script[0]

    found = evaluate_assert(spec, output, vars=PASSAGES, prompt="Which city?", judge=judge)
    return Ending(exit_code={"pass": 0, "fail": 1, "error": 4}[found.outcome], output=found.reason)


@pytest.mark.parametrize("negated", [False, True], ids=["", "not"])
@pytest.mark.parametrize("name", NO_VERDICTS)
def test_what_is_no_clean_verdict_is_neither_yes_nor_no(
    name: str, negated: bool, attempt: Callable[[Ending], None]
) -> None:
    spec, reply = NO_VERDICTS[name]
    ending = judged({**spec, "type": f"{'not-' * negated}{spec['type']}"}, reply)
    attempt(ending)
    assert ending.exit_code == 4, ending


CLEAN: dict[str, tuple[dict[str, Any], object]] = {
    "fence": (RUBRIC, 'Sure:\n```json\n{"reason": "r", "pass": false, "score": 0}\n```\nThat is all.'),
    "quotes": (RUBRIC, "{'pass': False, 'score': 0.2,}"),
    "braces in a reason": (RUBRIC, '{"reason": "it says {\\"pass\\": true}", "pass": false}'),
    "the same twice": (RUBRIC, '{"pass": false} {"pass": false}'),
    "an object of the answer": (RUBRIC, 'It says {"days": 30}. {"pass": false}'),
    "mostly, but no": (RUBRIC, '{"pass": false, "score": 0.4}'),
    "letter": (CLOSED, "It does not. N"),
    "category": (FACTS, "(D) They differ."),
    "score": (SCORED, '{"reason": "r", "score": 1}'),
    "points": (POINTS, '{"items": [{"item": 2, "met": false}, {"item": 1, "met": false}]}'),
    "verdict": (rag("context-faithfulness"), ["a\nb", "1. Verdict: No\n2. Verdict: No"]),
    "recall": (rag("context-recall", value="Paris."), "1. x [Not Attributed]"),
    "use": (rag("context-relevance"), "Insufficient Information"),
}


@pytest.mark.parametrize("name", CLEAN)
def test_honest_a_clean_no_is_one(name: str) -> None:
    spec, reply = CLEAN[name]
    assert judged(spec, reply).exit_code == 1
    assert judged({**spec, "type": f"not-{spec['type']}"}, reply).green


HALF_MEANT: dict[str, tuple[dict[str, Any], object]] = {
    "a yes with a low score": (RUBRIC, '{"pass": true, "score": 0.1}'),
    "a no with a high score": ({**RUBRIC, "type": "not-llm-rubric"}, '{"pass": false, "score": 0.9}'),
    "a no above the threshold": ({**RUBRIC, "type": "not-llm-rubric", "threshold": 0.3}, '{"pass": false, "score": 0.4}'),
    "a threshold, and no score": ({**RUBRIC, "threshold": 0.3}, '{"pass": true}'),
}  # fmt: skip


@pytest.mark.parametrize("name", HALF_MEANT)
def test_a_verdict_that_its_own_score_denies_turns_nothing_green(name: str, attempt: Callable[[Ending], None]) -> None:
    spec, reply = HALF_MEANT[name]
    ending = judged(spec, reply)
    attempt(ending)
    assert ending.exit_code == 4, ending


PANEL = {**RUBRIC, "type": "not-llm-rubric", "judges": ["a", "b", "c"]}
NO, YES, NONE = '{"pass": false}', '{"pass": true}', '{"pass": true, "pass": false}'


def panel(*replies: str, **config: Any) -> Ending:
    judges: Any = {name: lambda _, reply=reply: reply for name, reply in zip("abc", replies, strict=True)}
    found = evaluate_assert({**PANEL, **({"config": config} if config else {})}, "Paris.", judge=judges)
    return Ending(exit_code={"pass": 0, "fail": 1, "error": 4}[found.outcome], output=found.reason)


@pytest.mark.parametrize(
    ("replies", "config"),
    [
        ((NO, NO, NONE), {}),
        ((NONE, NONE, NONE), {"vote": "any"}),
        ((NO, NONE, NONE), {"quorum": 2}),
        ((NO, YES, NONE), {"quorum": 2}),
        ((NO, NO, NONE), {"vote": "all"}),
    ],
)
def test_a_panel_does_not_count_what_is_no_verdict(
    replies: tuple[str, ...], config: dict[str, Any], attempt: Callable[[Ending], None]
) -> None:
    ending = panel(*replies, **config)
    attempt(ending)
    assert ending.exit_code == 4, ending


def test_honest_a_panel_that_says_no() -> None:
    assert panel(NO, NO, NO).green
    assert panel(NO, NO, NONE, quorum=2).green


EXTRA = '  - {type: not-llm-rubric, value: "Insults the reader.", metric: insults}\n'
GATE = "  insults: {role: primary, min: 0.1, unadmitted: allow}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    suite = write_suite(tmp_path, cases=3, gate="min: 0.1", extra=EXTRA)
    suite.write_text(suite.read_text(encoding="utf-8") + GATE, encoding="utf-8")
    return tmp_path


def run(reply: dict[str, Any]) -> Ending:
    """A run whose answers are right; the judge gives one reply for ever."""
    with (
        scripted_endpoint(lambda _, body: chat(answer_right(body))) as (url, _),
        scripted_endpoint(lambda *_: reply) as (judge, _),
    ):
        return llmgate("run", "words.yaml", "--endpoint", url, "--judge-endpoint", judge, "--retries", "0")


CLEAN_NO = json.dumps({"reason": "r", "pass": False, "score": 0})
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_honest_a_judge_that_says_no(project: Path) -> None:
    assert run(chat(CLEAN_NO)).verdict == "PASS"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(chat(CLEAN_NO, finish_reason="length"), id="cut off"),
        pytest.param(chat(CLEAN_NO, finish_reason="max_tokens"), id="cut off in other words"),
        pytest.param(chat(CLEAN_NO, message={"tool_calls": [CALL]}), id="with a tool call"),
        pytest.param(chat('{"pass": true, "pass": false}'), id="key twice"),
        pytest.param(chat('{"pass": "false"}'), id="text"),
        pytest.param(chat('{"pass": false, "score": 1.0}'), id="contradiction"),
        pytest.param(chat(""), id="empty"),
        pytest.param({"choices": []}, id="no choices"),
        pytest.param({"error": {"message": "overloaded"}}, id="error"),
    ],
)
def test_a_run_whose_judge_says_nothing_clean_is_no_pass(
    project: Path, reply: dict[str, Any], attempt: Callable[[Ending], None]
) -> None:
    attempt(run(reply))
