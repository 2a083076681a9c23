"""Endpoints that answer nothing, and say 200."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.endpoint import chat, scripted_endpoint, vectors
from support.fake_server import FakeServer, Fault, every
from support.project import answer_right, write_suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Reply = dict[str, Any] | bytes

HALF = "\ud800"
OVERLOADED = {"message": "overloaded", "code": 502}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HARMLESS = "{type: not-icontains, value: forbidden}"
"""An assert that everything passes that says nothing."""


def raw(reply: dict[str, Any], old: str, new: str) -> bytes:
    """The reply's bytes, with something in them that JSON of Python does not write."""
    text = json.dumps(reply)
    assert old in text
    return text.replace(old, new).encode()


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value}
    return value


def without(reply: dict[str, Any], key: str) -> dict[str, Any]:
    del reply["choices"][0][key]
    return reply


def calling(*calls: Any, text: str | None = None, finish: str = "tool_calls") -> dict[str, Any]:
    return chat(text, finish_reason=finish, message={"tool_calls": list(calls)})


def write(folder: Path, asserts: str, *, extra: str = "", gate: str = "min: 0.2") -> None:
    """A suite with these asserts only; each is written as YAML in one line."""
    path = write_suite(folder, cases=3, gate=gate, extra=extra)
    text = path.read_text(encoding="utf-8")
    old = '  - {type: icontains, value: "{{ word }}"}\n'
    assert old in text
    path.write_text(text.replace(old, "".join(f"  - {line}\n" for line in asserts.splitlines())), encoding="utf-8")


def answering(reply: Reply, *options: str, model: Any = "scripted") -> Ending:
    with scripted_endpoint(lambda *_: reply, model=model) as (url, _):
        return llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0", *options)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, HARMLESS)
    return tmp_path


def fails_closed(ending: Ending) -> None:
    """Whatever an endpoint says, it is no fault of llmgate's; and it was asked at all."""
    assert ending.exit_code != 2, ending
    assert "this is a bug" not in ending.output
    assert "Traceback" not in ending.output


# What an endpoint says instead of an answer

NO_ANSWER: dict[str, Reply] = {
    # Row 3.
    "error in the reply": {"error": OVERLOADED, **chat("", finish_reason="error")},
    "content filter": chat("I will not", finish_reason="content_filter"),
    "empty, cut": chat("", finish_reason="length"),
    "a gateway's page, aborted": chat("<html>502 Bad Gateway</html>", finish_reason="abort"),
    # Row 10.
    "half a surrogate pair as finish reason": chat("x", finish_reason=HALF),
    "half a surrogate pair in arguments": calling({**CALL, "function": {"name": "f", "arguments": HALF}}),
    # Errors.
    "no choices": {"choices": []},
    "error beside a good choice": {"error": OVERLOADED, **chat("x")},
    "error in the choice": chat("x", error=OVERLOADED),
    "error in the message": chat("x", message={"error": "cut off"}),
    "error that is an empty text": {"error": "", **chat("x")},
    "error that is false": {"error": False, **chat("x")},
    "error that is an empty object": {"error": {}, **chat("x")},
    "object named error": {**chat("x"), "object": "error", "message": "oom"},
    "error named twice, null last": raw({"error": OVERLOADED, **chat("x")}, '"usage"', '"error": null, "usage"'),
    "finish reason named twice": raw(chat("x"), '"finish_reason"', '"finish_reason": "error", "finish_reason"'),
    "content named twice": raw(chat("x"), '"content"', '"content": "forbidden", "content"'),
    "choices named twice": raw(chat("x"), '"usage"', '"choices": [], "usage"'),
    # Finish reasons.
    "no finish reason": without(chat("x"), "finish_reason"),
    "finish reason null": chat("x", finish_reason=None),
    "finish reason empty": chat("x", finish_reason=""),
    "finish reason unknown": chat("x", finish_reason="banana"),
    "finish reason with a space": chat("x", finish_reason="stop "),
    "finish reason in other letters": chat("x", finish_reason="\u0455top"),
    "finish reason true": chat("x", finish_reason=True),
    "finish reason 0": chat("x", finish_reason=0),
    "finish reason in a list": chat("x", finish_reason=["stop"]),
    "finish reason in an object": chat("x", finish_reason={"type": "stop"}),
    "vLLM: repetition": chat("x x x x", finish_reason="repetition"),
    "Ollama: the model was only loaded": chat("", finish_reason="load"),
    "DeepSeek: no resources": chat("x", finish_reason="insufficient_system_resource"),
    "Anthropic: refusal": chat("x", finish_reason="refusal"),
    "Gemini: SAFETY": chat("x", finish_reason="SAFETY"),
    "filter, in capitals": chat("x", finish_reason="CONTENT_FILTER"),
    "filter, without content": chat(None, finish_reason="content_filter"),
    # Text and calls.
    "white space, cut": chat("\n\n \u3000", finish_reason="length"),
    "empty, max_tokens": chat("", finish_reason="max_tokens"),
    "empty, MAX_TOKENS": chat("", finish_reason="MAX_TOKENS"),
    "cut in its reasoning": chat(None, finish_reason="length", message={"reasoning_content": "hm"}),
    "content null": chat(None),
    "content is a number": chat(7),  # type: ignore[arg-type]
    "content is a list of parts": chat([{"type": "text", "text": "x"}]),  # type: ignore[arg-type]
    "refused in a field of its own": chat(None, message={"refusal": "I cannot"}),
    "calls that are not there": chat("", finish_reason="tool_calls"),
    "calls that are not there, with text": chat("x", finish_reason="tool_calls"),
    "a call in OpenAI's older form": chat("", finish_reason="function_call", message={"function_call": {"name": "f"}}),
    "calls that are 0": chat("x", message={"tool_calls": 0}),
    "calls that are an empty text": chat("x", message={"tool_calls": ""}),
    "calls that are an object": chat("x", message={"tool_calls": {"0": CALL}}),
    "a call without a function": calling({}),
    "a call without a name": calling({"function": {"arguments": "{}"}}),
    "a call with an empty name": calling({"function": {"name": "", "arguments": "{}"}}),
    "a call whose name is a number": calling({"function": {"name": 7, "arguments": "{}"}}),
    "a call nested 65 deep": calling({**CALL, "extra": deep(65)}),
    "a call nested 400 deep": calling({**CALL, "extra": deep(400)}),
    "a call nested 100,000 deep": raw(calling(CALL), '"c1"', "[" * 100_000 + "]" * 100_000),
    "half a surrogate pair in the text": chat(f"fine {HALF}"),
    "half a surrogate pair deep in a call": calling({**CALL, "extra": [{"a": [HALF]}]}),
    "half a surrogate pair as a key": calling({**CALL, HALF: 1}),
    "halves in the wrong order": chat("\udc00\ud83d"),
    # Envelopes.
    "two choices": {**chat("x"), "choices": [*chat("x")["choices"], *chat("forbidden")["choices"]]},
    "choices in an object": {"choices": {"0": chat("x")["choices"][0]}},
    "choice in a list": {"choices": [chat("x")["choices"]]},
    "message in a list": {"choices": [{"message": [chat("x")], "finish_reason": "stop"}]},
    "not JSON": b"<html>502</html>",
    "no body": b"",
    "cut in the middle": json.dumps(chat("x")).encode()[:-9],
    "two documents": json.dumps(chat("x")).encode() * 2,
    "a stream": b"data: " + json.dumps(chat("x")).encode() + b"\n\ndata: [DONE]\n\n",
    "not UTF-8": raw(chat("y"), '"y"', '"\u00e9"').decode().encode("latin-1"),
    "UTF-16": json.dumps(chat("x")).encode("utf-16"),
    "half a surrogate pair in bytes": raw(chat("y"), '"y"', '"Y"').replace(b'"Y"', b'"\xed\xa0\x80"'),
    "NaN": raw(chat("x"), ": 8", ": NaN"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_ANSWER)
def test_no_answer(name: str, attempt: Callable[[Ending], None]) -> None:
    ending = answering(NO_ANSWER[name])
    fails_closed(ending)
    attempt(ending)


COMPLETE: dict[str, Reply] = {
    "stop": chat("x"),
    "cut": chat("x", finish_reason="length"),
    "an empty answer that ended by itself": chat(""),
    "calls": calling(CALL),
    "calls and text": calling(CALL, text="x", finish="stop"),
    "a call of a custom tool": calling({"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}),
    "no calls": chat("x", message={"tool_calls": []}),
    "TGI: eos_token": chat("x", finish_reason="eos_token"),
    "TGI: stop_sequence": chat("x", finish_reason="stop_sequence"),
    "Anthropic: end_turn": chat("x", finish_reason="end_turn"),
    "Gemini: STOP": chat("x", finish_reason="STOP"),
    "error null": {"error": None, **chat("x", error=None, message={"error": None})},
    "both halves of a pair": raw(chat("y"), '"y"', '"\\ud83d\\ude00"'),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(chat("x")).encode(),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_honest_answers_pass(name: str) -> None:
    assert answering(COMPLETE[name]).green


def test_one_answer_of_many(attempt: Callable[[Ending], None]) -> None:
    def reply(_: str, body: dict[str, Any]) -> Reply:
        word = answer_right(body)
        return chat(word, finish_reason="content_filter" if word == "word-1" else "stop")

    with scripted_endpoint(reply) as (url, _):
        attempt(llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0"))


def test_what_is_withheld_is_not_asked_for_until_it_gets_through(attempt: Callable[[Ending], None]) -> None:
    tries: dict[str, int] = {}

    def reply(_: str, body: dict[str, Any]) -> Reply:
        word = answer_right(body)
        tries[word] = tries.get(word, 0) + 1
        return chat("x", finish_reason="content_filter" if tries[word] == 1 else "stop")

    with scripted_endpoint(reply) as (url, _):
        attempt(llmgate("run", "words.yaml", "--endpoint", url))
    assert set(tries.values()) == {1}


@pytest.mark.parametrize("retry_after", ["\u00b2", "-1", "soon", "9" * 400 + "x", "Thu, 99 Foo 0000"])
def test_pauses_that_are_none(retry_after: str, attempt: Callable[[Ending], None]) -> None:
    with FakeServer(faults=every(1, Fault.RATE_LIMITED), retry_after=retry_after) as server:
        ending = llmgate("run", "words.yaml", "--endpoint", server.url, "--retries", "1", "--deadline", "2")
    fails_closed(ending)
    attempt(ending)


# Finish reasons that a suite expects, or an endpoint has


@pytest.mark.parametrize(
    "asserts",
    [
        "{type: not-finish-reason, value: stop}",
        "{type: not-finish-reason, value: content_filter, metric: filtered}",
        "{type: finish-reason, value: stop, weight: 0}",
        "{type: finish-reason, value: content, weight: 0}",
        "{type: finish-reason, value: '{{ word }}', weight: 0}",
    ],
)
def test_a_case_that_expects_another_end(asserts: str, project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, f"{HARMLESS}\n{asserts}")
    attempt(answering(chat("x", finish_reason="content_filter")))


def test_only_the_case_that_names_it_accepts_it(project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, f"{HARMLESS}\n{{type: finish-reason, value: '{{{{ word }}}}', weight: 0}}")
    with scripted_endpoint(lambda *_: chat("x", finish_reason="word-1")) as (url, _):
        ending = llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0")
    attempt(ending)
    answers = (project / "run" / "journal.jsonl").read_text(encoding="utf-8")
    assert answers.count('"kind":"incomplete"') == 2


def test_an_error_is_none_the_less_one(project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, "{type: finish-reason, value: error}")
    attempt(answering({"error": OVERLOADED, **chat("", finish_reason="error")}))


def test_empty_and_cut_is_no_answer_whoever_expects_it(project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, "{type: finish-reason, value: length}")
    attempt(answering(chat("", finish_reason="length")))


@pytest.mark.parametrize(
    "asserts",
    [
        "{type: finish-reason, value: content_filter}",
        "{type: finish-reason, value: CONTENT_FILTER}",
        "{type: assert-set, threshold: 0.5, assert: [{type: finish-reason, value: content_filter}, {type: equals, value: y}]}",
    ],
)
@pytest.mark.parametrize("text", ["", None, "I will"])
def test_honest_cases_may_expect_a_filter(asserts: str, text: str | None, project: Path) -> None:
    write(project, asserts)
    assert answering(chat(text, finish_reason="content_filter")).green


@pytest.mark.parametrize(
    ("options", "reply"),
    [
        (["--finish-reasons", "content_filter"], chat("x", finish_reason="content_filter")),
        (["--finish-reasons", "ERROR"], chat("x", finish_reason="error")),
        (["--finish-reasons", "done abort"], chat("x", finish_reason="abort")),
        (["--finish-reasons", "done"], chat("x", finish_reason="finished")),
        (["--finish-reasons", "null"], chat("x", finish_reason="banana")),
        (["--judge-finish-reasons", "done"], chat("x", finish_reason="done")),
        (["--finish-reasons", "done"], {"error": OVERLOADED, **chat("x", finish_reason="done")}),
    ],
)
def test_further_reasons(options: list[str], reply: Reply, attempt: Callable[[Ending], None]) -> None:
    attempt(answering(reply, *options))


@pytest.mark.parametrize(
    ("reasons", "reply"),
    [
        ("done", chat("x", finish_reason="done")),
        ("other Done", chat("x", finish_reason="DONE")),
        ("null", chat("x", finish_reason=None)),
        ("null", without(chat("x"), "finish_reason")),
    ],
)
def test_honest_further_reasons_pass(reasons: str, reply: Reply) -> None:
    assert answering(reply, "--finish-reasons", reasons).green


# Who answers


@pytest.mark.parametrize("model", [HALF, f"a{HALF}", "", None, 7, True, ["a"], {"a": 1}])
def test_names_of_models(model: Any, attempt: Callable[[Ending], None]) -> None:
    ending = answering(chat("x"), model=model)
    fails_closed(ending)
    attempt(ending)


# What is measured beside the text


def tokens(*texts: Any, logprob: Any = -0.1, **extra: Any) -> dict[str, Any]:
    return {"content": [{"token": text, "logprob": logprob, **extra} for text in texts]}


SURE = "{type: perplexity, threshold: 2}"
SCORED = "{type: perplexity-score, threshold: 0.3}"


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ('{"a": 1}', tokens('{"a":', "1}")),  # row 18
        ("Paris", tokens("London")),
        ("Paris", tokens("Par")),
        ("Paris", tokens("Par", "is", "!")),
        ("Paris", tokens("Par", "is", " no", "<|im_end|>")),
        ("Paris", tokens("Par", "is", "<|im_end|>", "<|im_end|>")),
        ("Paris", tokens("<think>", "Paris")),
        ("Paris", tokens("  Paris")),
        ("", tokens("Paris")),
        ("Paris", tokens("Paris", bytes=[76, 111, 110])),
        ("Paris", tokens("Paris", bytes=["P"])),
        ("Paris", tokens("Paris", bytes=[80, 300])),
        ("Paris", tokens("Paris", logprob=10**400)),
        ("Paris", tokens("Paris", logprob=-(10**400))),
        ("Paris", tokens("Paris", logprob=True)),
        ("Paris", tokens("Paris", logprob=3)),
        ("7", tokens(7)),
        ("Paris", None),
        ("Paris", {"content": []}),
    ],
)
def test_perplexity_of_another_text(text: str, reported: Any, project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, SURE)
    ending = answering(chat(text, logprobs=reported))
    fails_closed(ending)
    attempt(ending)


def test_perplexity_score_of_another_text(project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, SCORED)
    ending = answering(chat("Paris", logprobs=tokens("London")))
    fails_closed(ending)
    attempt(ending)


@pytest.mark.parametrize("asserts", [SURE, SCORED])
def test_honest_perplexity_of_the_text_passes(asserts: str, project: Path) -> None:
    write(project, asserts)
    assert answering(chat("Paris", logprobs=tokens("Par", "is", "<|im_end|>"))).green


PRICES = "prices: {prompt: 1, completion: 1}\n"


@pytest.mark.parametrize(
    ("asserts", "count"),
    [
        pytest.param("{type: cost, threshold: 1}", 10**400, id="cost of 400 digits"),
        ("{type: cost, threshold: 1}", -1),
        pytest.param("{type: token-budget, threshold: 100}", 10**400, id="budget of 400 digits"),
        ("{type: token-budget, threshold: 100}", -1000),
        ("{type: token-budget, threshold: 100}", True),
        ("{type: token-budget, threshold: 100}", "8"),
    ],
)
def test_counts_that_are_none(asserts: str, count: Any, project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, asserts, extra=PRICES)
    ending = answering(chat("x", usage={"prompt_tokens": count}))
    fails_closed(ending)
    attempt(ending)


@pytest.mark.parametrize("asserts", ["{type: cost, threshold: 1}", "{type: token-budget, threshold: 100}"])
def test_honest_counts_pass(asserts: str, project: Path) -> None:
    write(project, asserts, extra=PRICES)
    assert answering(chat("x")).green


# Judges and embeddings


JUDGED = "{type: not-llm-rubric, value: is rude}"
NO = json.dumps({"reason": "no", "pass": False, "score": 0})


@pytest.mark.parametrize(
    "reply",
    [
        chat(NO, finish_reason="content_filter"), chat(NO, finish_reason="error"), chat(NO, finish_reason="banana"),
        chat(NO, finish_reason=None), {"error": OVERLOADED, **chat(NO)}, chat(NO, error=OVERLOADED),
        chat("", finish_reason="length"), chat(NO, finish_reason="tool_calls"), chat(f"{NO}{HALF}"), b"",
        {"choices": [*chat(NO)["choices"], *chat(NO)["choices"]]},
    ],
)  # fmt: skip
def test_judges(reply: Reply, project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, JUDGED, gate="min: 0.2, unadmitted: allow")
    with scripted_endpoint(lambda *_: reply) as (judge, _):
        ending = answering(chat("x"), "--judge-endpoint", judge, "--finish-reasons", "banana null")
    fails_closed(ending)
    attempt(ending)


def test_honest_judges_may_have_reasons_of_their_own(project: Path) -> None:
    write(project, JUDGED.replace("not-", ""), gate="min: 0.2, unadmitted: allow")
    yes = json.dumps({"reason": "yes", "pass": True, "score": 1})
    with scripted_endpoint(lambda *_: chat(yes, finish_reason="done")) as (judge, _):
        assert answering(chat("x"), "--judge-endpoint", judge, "--judge-finish-reasons", "done").green


def embedded(change: Callable[[dict[str, Any]], Any]) -> Callable[[str, dict[str, Any]], Reply]:
    def reply(path: str, body: dict[str, Any]) -> Reply:
        if not path.endswith("/embeddings"):
            return chat("x")
        found = vectors(body, lambda text: [1.0, 0.0] if text == "x" else [0.0, 1.0])
        changed = change(found)
        return found if changed is None else changed

    return reply


EMBEDDINGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "error": lambda found: found.update(error=OVERLOADED),
    "error in an entry": lambda found: found["data"][1].update(error="no"),
    "object named error": lambda found: found.update(object="error"),
    "one too few": lambda found: found["data"].pop() and None,
    "one too many": lambda found: found["data"].append({"index": 2, "embedding": [0.0, 1.0]}),
    "the same index twice": lambda found: found["data"][1].update(index=0),
    "index true": lambda found: found["data"][1].update(index=True),
    "index 1.0": lambda found: found["data"][1].update(index=1.0),
    "index in a text": lambda found: found["data"][1].update(index="1"),
    "index 2": lambda found: found["data"][1].update(index=2),
    "index -1": lambda found: found["data"][1].update(index=-1),
    "no index": lambda found: found["data"][1].pop("index") and None,
    "NaN": lambda found: found["data"][1].update(embedding=[float("nan"), 1.0]),
    "infinite": lambda found: json.dumps(found).replace("1.0", "1e999").encode(),
    "an integer of 400 digits": lambda found: found["data"][1].update(embedding=[10**400, 1]),
    "true": lambda found: found["data"][1].update(embedding=[True, False]),
    "text": lambda found: found["data"][1].update(embedding="01"),
    "base64": lambda found: found["data"][1].update(embedding="AACAPwAAAAA="),
    "another length": lambda found: found["data"][1].update(embedding=[0.0, 1.0, 0.0]),
    "empty": lambda found: found["data"][1].update(embedding=[]),
    "all empty": lambda found: [entry.update(embedding=[]) for entry in found["data"]] and None,
    "all zeros": lambda found: found["data"][1].update(embedding=[0.0, 0.0]),
    "a list of lists": lambda found: found["data"][1].update(embedding=[[0.0, 1.0]]),
    "data named twice": lambda found: json.dumps(found).replace('{"data"', '{"data": [], "data"').encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings(name: str, project: Path, attempt: Callable[[Ending], None]) -> None:
    write(project, "{type: not-similar, value: something else, threshold: 0.5}")
    with scripted_endpoint(embedded(EMBEDDINGS[name])) as (url, _):
        ending = llmgate("run", "words.yaml", "--endpoint", url, "--embed-endpoint", url, "--retries", "0")
    fails_closed(ending)
    attempt(ending)


def test_honest_embeddings_pass(project: Path) -> None:
    write(project, "{type: not-similar, value: something else, threshold: 0.5}")
    with scripted_endpoint(embedded(lambda _: None)) as (url, _):
        assert llmgate("run", "words.yaml", "--endpoint", url, "--embed-endpoint", url, "--retries", "0").green
