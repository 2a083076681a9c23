"""Twenty thousand damaged replies: none ends in a traceback, and none counts that is damaged where it matters.

What matters of a chat completion: `error` in the reply, its choice and message; that there is one choice; its finish
reason; its text; its tool calls. Of embeddings: `error`, one entry for each text with its index, and the numbers. And
that the body is JSON in UTF-8 that names each key once, without halves of surrogate pairs. The oracles are a JSON
Schema and a loop, which share nothing with the code. Both directions are checked: whatever is well in these counts.
"""

from __future__ import annotations

import copy
import json
import math
import random
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from support.endpoint import chat

from llmgate.generate.finish import FinishRule
from llmgate.generate.replies import Vectors, read_completion, read_vectors
from llmgate.record.run.stored import RESULT
from llmgate.record.schema import CaseKey, CaseResult, Failure, Generation

if TYPE_CHECKING:
    from collections.abc import Callable

CHATS = 14_000
EMBEDDINGS = 6_000

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CHAT_REPLIES: tuple[dict[str, Any], ...] = (
    chat("Paris"),
    chat("Par", finish_reason="length"),
    chat("Paris \U0001f600", finish_reason="eos_token", error=None),
    chat(None, finish_reason="tool_calls", message={"tool_calls": [CALL, CALL]}),
    chat("I call", message={"tool_calls": [CALL]}),
    {"id": "x", "object": "chat.completion", "model": "m", "error": None, **chat("Paris", index=0, stop_reason=None)},
    chat("ab", logprobs={"content": [{"token": t, "logprob": -0.5, "bytes": [97], "top_logprobs": []} for t in "ab"]}),
)
VECTORS: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": i, "embedding": [0.5, float(i), -1]} for i in range(3)],
    "model": "m",
}

WORDS = (
    *("stop", "STOP", "length", "max_tokens", "tool_calls", "end_turn"),
    *("content_filter", "error", "abort", "done", "banana", "null"),
)
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, -1, 0.5, 1e308, 10**400, "", " ", "x", "0", "stop\n", "\ud800", "a\udc00", "\ud83d"),
    *([], {}, [[]], [None], ["x"], {"a": "\ud800"}, [CALL], [{}], {"content": "x"}, [0.5], [0.5, 1, 10**400]),
    *(WORDS),
)
KEYS = (
    *("error", "object", "choices", "message", "finish_reason", "content", "tool_calls", "function", "custom", "name"),
    *("data", "index", "embedding", "usage", "logprobs", "\ud800"),
)


class Damage:
    """Damages replies, each in one to three places."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def damaged(self, reply: Any) -> bytes:
        reply = copy.deepcopy(reply)
        for _ in range(self.random.randint(1, 3)):
            holder, key = self.random.choice(places(reply))
            self.random.choice((self.replace, self.replace, self.remove, self.add, self.wrap, self.move))(holder, key)
        content = json.dumps(reply, ensure_ascii=self.random.random() < 0.9).encode(errors="surrogatepass")
        if self.random.random() < 0.2:
            at = self.random.randrange(len(content))
            return self.random.choice((self.cut, self.flip, self.twice, self.put, self.no_number))(content, at)
        return content

    def junk(self) -> Any:
        if self.random.random() < 0.02:
            deep: Any = "x"
            for _ in range(self.random.choice((10, 60, 70, 300))):
                deep = [deep]
            return deep
        return copy.deepcopy(self.random.choice(JUNK))

    def replace(self, holder: Any, key: Any) -> None:
        holder[key] = self.junk()

    def remove(self, holder: Any, key: Any) -> None:
        del holder[key]

    def add(self, holder: Any, _: Any) -> None:
        if isinstance(holder, dict):
            holder[self.random.choice(KEYS)] = self.junk()
        else:
            holder.insert(self.random.randint(0, len(holder)), self.junk())

    def wrap(self, holder: Any, key: Any) -> None:
        holder[key] = self.random.choice(([holder[key]], {"a": holder[key]}, [holder[key], holder[key]]))

    def move(self, holder: Any, key: Any) -> None:
        if isinstance(holder, dict):
            holder[self.random.choice(KEYS)] = holder.pop(key)
        else:
            self.random.shuffle(holder)

    def cut(self, content: bytes, at: int) -> bytes:
        return content[:at]

    def flip(self, content: bytes, at: int) -> bytes:
        return content[:at] + bytes([self.random.randrange(256)]) + content[at + 1 :]

    def put(self, content: bytes, at: int) -> bytes:
        return content[:at] + self.random.choice((b"NaN", b"\\ud800", b"\xff", b" ", b"}", b",", b'"')) + content[at:]

    def no_number(self, content: bytes, _: int) -> bytes:
        return re.sub(rb": [0-9.]+", b": NaN", content, count=1)

    def twice(self, content: bytes, _: int) -> bytes:
        key, value = self.random.choice(KEYS[:-1]), json.dumps(self.junk()).encode()
        return content.replace(b"{", b'{"%s": %s, ' % (key.encode(), value), self.random.randint(1, 4))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every holder and key in a document; of an empty one, a place of its own."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found or [({"": None}, "")]


# Oracles


def well_formed(content: bytes) -> Any:
    """The document, or ValueError."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    def no(name: str) -> None:
        raise ValueError(name)

    try:
        document = json.loads(content.decode().removeprefix("\ufeff"), object_pairs_hook=once, parse_constant=no)
    except (AssertionError, RecursionError) as error:
        raise ValueError from error
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise ValueError("half a pair")
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        if isinstance(value, list):
            waiting += value
    return document


def depth(value: Any) -> int:
    level, depths = [value], 0
    while level:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depths += 1
    return depths


SOUND = {"error": {"type": "null"}, "object": {"not": {"const": "error"}}}
CALLED = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}}
NOTHING: dict[str, Any] = {"enum": [None, False, 0, "", [], {}]}
WITH_CALLS = {"required": ["tool_calls"], "properties": {"tool_calls": {"type": "array", "minItems": 1}}}


def chat_schema(reasons: str, *, unnamed: bool) -> Draft202012Validator:
    call = {
        "type": "object",
        "if": {"required": ["function"], "not": {"properties": {"function": NOTHING}}},
        "then": {"properties": {"function": CALLED}},
        "else": {"required": ["custom"], "properties": {"custom": CALLED}},
    }
    message = {
        "type": "object",
        "properties": {
            **SOUND,
            "content": {"type": ["string", "null"]},
            "tool_calls": {"type": ["array", "null"], "items": call},
        },
        "anyOf": [{"required": ["content"], "properties": {"content": {"type": "string"}}}, WITH_CALLS],
    }
    text = {"required": ["content"], "properties": {"content": {"type": "string", "pattern": r"\S"}}}

    def ends(words: str) -> dict[str, Any]:
        return {
            "required": ["finish_reason"],
            "properties": {"finish_reason": {"type": "string", "pattern": rf"\A(?i:{words})\Z"}},
        }

    def where(words: str, then: dict[str, Any]) -> dict[str, Any]:
        return {"if": ends(words), "then": {"properties": {"message": then}}}

    none: dict[str, Any] = {"properties": {"finish_reason": {"enum": [None, ""]}}}
    choice = {
        "type": "object",
        "required": ["message"],
        "properties": {**SOUND, "message": message},
        "anyOf": [ends(reasons), *([none] if unnamed else [])],
        "allOf": [
            where("tool_calls|function_call|tool_use", WITH_CALLS),
            where("length|max_tokens|model_length", {"anyOf": [text, WITH_CALLS]}),
        ],
    }
    choices = {"type": "array", "minItems": 1, "maxItems": 1, "items": choice}
    schema = {"type": "object", "required": ["choices"], "properties": {**SOUND, "choices": choices}}
    return Draft202012Validator(schema)


REASONS = "stop|length|tool_calls|function_call|eos_token|stop_sequence|end_turn|max_tokens|tool_use|model_length|eos|complete"
RULES = (
    (FinishRule(), chat_schema(REASONS, unnamed=False)),
    (FinishRule(further=frozenset({"done", "null"})), chat_schema(f"{REASONS}|done|null", unnamed=True)),
)


def is_answer(content: bytes, schema: Draft202012Validator) -> bool:
    try:
        document = well_formed(content)
    except ValueError:
        return False
    if not schema.is_valid(document):
        return False
    calls = document["choices"][0]["message"].get("tool_calls") or []
    # A call's own object is the first level of 65, and what stands in the last is one more.
    return all(depth(call) <= 66 for call in calls)


def are_vectors(content: bytes, texts: int = 3) -> bool:
    try:
        document = well_formed(content)
    except ValueError:
        return False
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        return False
    vectors = [entry.get("embedding") for entry in data]
    return (
        not any(part.get("error") is not None or part.get("object") == "error" for part in (document, *data))
        and sorted(repr(entry.get("index")) for entry in data) == [str(index) for index in range(texts)]
        and all(isinstance(vector, list) and all(map(is_finite, vector)) for vector in vectors)
        and len({len(vector) for vector in vectors}) == 1
        and all(any(number != 0 for number in vector) for vector in vectors)
    )


def is_finite(number: Any) -> bool:
    if type(number) is int:
        return abs(number) < 2**1024
    return type(number) is float and not math.isnan(number) and not math.isinf(number)


# The fuzzer


@pytest.fixture
def damage(request: pytest.FixtureRequest) -> Damage:
    """By the seed that is printed at the head of the log."""
    return Damage(request.config.getoption("--hypothesis-seed"))


def written(answer: Generation | Failure) -> None:
    """Whatever comes of a reply can be written to the journal, and read again."""
    result = CaseResult(key=CaseKey(suite="s", case="c"), answer=answer)
    assert RESULT.validate_json(RESULT.dump_json(result)).answer.attempts == 1


def counts(content: bytes, got: object, oracle: Callable[[bytes], bool], *, thorough: bool) -> bool:
    """Whether a body counts, which it must only if the oracle says so; `thorough` checks that it does where it may."""
    counted = not isinstance(got, Failure)
    if counted or thorough:
        assert oracle(content) is counted, (content[:2000], got)
        if isinstance(got, Generation | Failure):
            written(got)
    return counted


def test_no_damaged_chat_completion_counts(damage: Damage) -> None:
    counted = 0
    for number in range(CHATS):
        content = damage.damaged(CHAT_REPLIES[number % len(CHAT_REPLIES)])
        rule, schema = RULES[number % 3 == 0]
        got = read_completion(content, 0.1, 1, finish=rule)
        counted += counts(content, got, partial(is_answer, schema=schema), thorough=number % 5 == 0)
    assert CHATS * 0.1 < counted < CHATS * 0.9, "damage that always or never matters tests nothing"


def test_no_damaged_embeddings_count(damage: Damage) -> None:
    counted = 0
    for _ in range(EMBEDDINGS):
        content = damage.damaged(VECTORS)
        counted += counts(content, read_vectors(content, 0.1, 1, texts=3), are_vectors, thorough=True)
    assert EMBEDDINGS * 0.1 < counted < EMBEDDINGS * 0.9, "damage that always or never matters tests nothing"


@pytest.mark.parametrize("reply", CHAT_REPLIES)
def test_what_is_not_damaged_counts(reply: dict[str, Any]) -> None:
    content = json.dumps(reply).encode()
    assert all(is_answer(content, schema) for _, schema in RULES)
    assert isinstance(read_completion(content, 0.1, 1), Generation)
    assert isinstance(read_vectors(json.dumps(VECTORS).encode(), 0.1, 1, texts=3), Vectors)
