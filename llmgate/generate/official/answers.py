"""What replies and streams of OpenAI's three text interfaces say, all read by the one reader of chat completions.

A legacy completion, a response of the Responses API and the events of a stream are written as the chat completion that
says the same, so that there is one rule of what counts as an answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from llmgate.generate.replies import read_completion, read_json, unusable
from llmgate.record.schema import Failure, FailureKind, Generation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from llmgate.generate.finish import FinishRule

__all__ = ["TEXT_PATHS", "read_answer", "reply_of", "says_why_it_ended", "whole_reply"]

CUT_OFF: Final = {"max_output_tokens": "length"}
"""Why a response is incomplete → the finish reason that says the same."""
MAX_CALLS: Final = 128
"""OpenAI allows no more; the place of a piece of a call is believed so far."""


def of_completion(reply: Mapping[str, Any]) -> dict[str, Any]:
    """A legacy completion as a chat completion."""
    choices = [
        {"message": {"content": choice.get("text")}, "finish_reason": choice.get("finish_reason")}
        for choice in reply["choices"]
    ]
    return {**reply, "choices": choices}


def of_response(reply: Mapping[str, Any]) -> dict[str, Any]:
    """A response of the Responses API as a chat completion."""
    output = reply["output"]
    parts = [part for entry in output if entry.get("type") == "message" for part in entry.get("content") or ()]
    texts = [part["text"] for part in parts if part.get("type") == "output_text"]
    calls = [
        {
            "id": entry.get("call_id"),
            "type": "function",
            "function": {"name": entry.get("name"), "arguments": entry.get("arguments")},
        }
        for entry in output
        if entry.get("type") == "function_call"
    ]
    status = reply.get("status")
    details = reply.get("incomplete_details")
    why = details.get("reason") if isinstance(details, dict) else None
    finish = why if status == "incomplete" else "stop" if status == "completed" else status
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    message = {"content": "".join(texts) if texts else None, "tool_calls": calls or None}
    return {
        "model": reply.get("model"),
        "error": reply.get("error"),
        "choices": [{"message": message, "finish_reason": CUT_OFF.get(finish, finish) if finish else None}],
        "usage": {
            "prompt_tokens": usage.get("input_tokens"),
            "completion_tokens": usage.get("output_tokens"),
            "prompt_tokens_details": usage.get("input_tokens_details"),
        },
    }


TEXT_PATHS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]] | None]] = {
    "chat/completions": None,
    "completions": of_completion,
    "responses": of_response,
}
"""Paths whose replies are answers of a model → how they are written as a chat completion; None if they are one."""


def read_answer(
    path: str, content: bytes, latency_s: float, attempt: int, *, finish: FinishRule
) -> Generation | Failure | None:
    """What a reply answers; None if its path is not of those that ask a model for text.

    Args:
        path: Below the base URL.
        content: The body.
        latency_s: How long it took, in seconds.
        attempt: The number of the attempt.
        finish: Which finish reasons an answer may have.
    """
    if path not in TEXT_PATHS:
        return None
    rewrite = TEXT_PATHS[path]
    if rewrite is None:
        return read_completion(content, latency_s, attempt, finish=finish)
    try:
        reply = read_json(content)
    except ValueError as error:
        return unusable(content, attempt, f"the answer {error}")
    if isinstance(reply, dict) and reply.get("error") is not None:
        return unusable(content, attempt, "the server reported an error", FailureKind.ERROR_REPLY)
    try:
        chat = json.dumps(rewrite(reply)).encode()
    except (KeyError, TypeError, AttributeError):
        return unusable(content, attempt, f"the answer is none of {path}")
    return read_completion(chat, latency_s, attempt, finish=finish)


def reply_of(content: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, None if it is none."""
    try:
        reply = read_json(content)
    except ValueError:
        return None
    return reply if isinstance(reply, dict) else None


def whole_reply(path: str, stream: bytes) -> dict[str, Any] | None:
    """What the events of a stream say together: the reply that would have come at once.

    Args:
        path: Below the base URL.
        stream: All of the stream's bytes so far.

    Returns:
        None if no event says anything of the kind that belongs to the path.
    """
    events = list(events_of(stream))
    if path == "responses":
        return response_of(events)
    failed = next((event for event in events if event.get("error") is not None), None)
    if failed is not None:
        return failed
    choices: dict[int, dict[str, Any]] = {}
    whole: dict[str, Any] = {}
    for event in events:
        whole.update({name: value for name, value in event.items() if name != "choices" and value is not None})
        for piece in event.get("choices") or ():
            if isinstance(piece, dict):
                add(choices.setdefault(place_of(piece), {}), piece, legacy=path == "completions")
    if not choices:
        return None
    return {**whole, "choices": [choices[place] for place in sorted(choices)]}


def says_why_it_ended(whole: Mapping[str, Any]) -> bool:
    """Whether a stream said all that it had to say: an error, a response, or a finish reason."""
    choices = whole.get("choices")
    return choices is None or any(choice.get("finish_reason") for choice in choices)


def response_of(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The response that the last event of a stream carries whole."""
    for event in reversed(events):
        if event.get("type") in {"response.completed", "response.incomplete", "response.failed"}:
            response = event.get("response")
            return response if isinstance(response, dict) else None
        if event.get("type") == "error":
            return {"error": event}
    return None


def events_of(stream: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects that a stream's events carry; what is no JSON object is passed over."""
    lines: list[str] = []
    for line in [*stream.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            data, lines = "\n".join(lines), []
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event


def place_of(piece: Mapping[str, Any]) -> int:
    """Which of several answers a piece belongs to."""
    place = piece.get("index")
    return place if type(place) is int else 0


def add(choice: dict[str, Any], piece: Mapping[str, Any], *, legacy: bool) -> None:
    """Add a piece of a stream to the answer that it belongs to."""
    if piece.get("finish_reason") is not None:
        choice["finish_reason"] = piece["finish_reason"]
    logprobs = piece.get("logprobs")
    if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
        choice.setdefault("logprobs", {"content": []})["content"] += logprobs["content"]
    if legacy:
        choice["text"] = choice.get("text", "") + text_of(piece.get("text"))
        return
    message = choice.setdefault("message", {"content": None})
    delta = piece.get("delta")
    if not isinstance(delta, dict):
        return
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for call in value if isinstance(value, list) else ():
                add_call(calls, call)
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value


def add_call(calls: list[dict[str, Any]], piece: object) -> None:
    """Add a piece of a tool call: its name and identity come once, its arguments bit by bit."""
    if not isinstance(piece, dict) or not 0 <= (place := place_of(piece)) < MAX_CALLS:
        return
    while len(calls) <= place:
        calls.append({"type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[place]
    if isinstance(piece.get("id"), str) and piece["id"]:
        call["id"] = piece["id"]
    if isinstance(piece.get("type"), str):
        call["type"] = piece["type"]
    function = piece.get("function")
    if isinstance(function, dict):
        call["function"]["name"] += text_of(function.get("name"))
        call["function"]["arguments"] += text_of(function.get("arguments"))


def text_of(value: object) -> str:
    """The text in a piece, empty if there is none."""
    return value if isinstance(value, str) else ""
