"""Judges that follow a script, for tests."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from llmgate.score.assertion.check import CheckContext
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.execute import run_consult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmgate.record.schema import CheckResult
    from llmgate.suite.asserts import AssertSpec

CONTEXT = CheckContext(output="Hello Ina!", variables={"name": "Ina"}, prompt="Greet Ina.")


def scripted(
    *replies: object, seen: list[JudgeRequest] | None = None
) -> Callable[[JudgeRequest], Awaitable[JudgeReply]]:
    """A judge that gives these replies in turn, the last one for ever; an exception is raised."""
    script = list(replies)

    async def ask(request: JudgeRequest) -> JudgeReply:
        if seen is not None:
            seen.append(request)
        reply = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, JudgeReply) else JudgeReply(content=reply)

    return ask


def models(*replies: object, seen: list[JudgeRequest] | None = None, retries: int = 0) -> Models:
    """One judge without a name."""
    return Models(judges={"": scripted(*replies, seen=seen)}, retries=retries)


def judge(spec: AssertSpec, asked: Models, context: CheckContext = CONTEXT) -> CheckResult:
    """What an assert says about the context's output."""
    return asyncio.run(run_consult(spec, context, asked))


def parts_of(request: JudgeRequest) -> dict[str, str]:
    """The fenced parts of a question, as a reader sees them who believes only announced codes."""
    return {name: text for name, _, text in _fenced(request)}


def codes_of(request: JudgeRequest) -> list[str]:
    """The codes that a question announces, without repeats."""
    return list(dict.fromkeys(code for _, code, _ in _fenced(request)))


def _fenced(request: JudgeRequest) -> list[tuple[str, str, str]]:
    text = request.messages[1].content
    found: list[tuple[str, str, str]] = []
    position, code = 0, ""
    announced = re.compile(r"The code is (?:now )?([0-9a-f]{16})\.\n\n")
    while True:
        note = announced.match(text, position)
        if note:
            position, code = note.end(), note[1]
        tag = re.compile(rf"<([a-z-]+)-{code}>\n").match(text, position)
        if not tag:
            return found
        close = f"\n</{tag[1]}-{code}>\n\n"
        end = text.index(close, tag.end() - 1)
        found.append((tag[1], code, text[tag.end() : end]))
        position = end + len(close)
