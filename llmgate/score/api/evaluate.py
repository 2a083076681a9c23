"""One output, scored: the function that users and tests call.

Specifications are read once and remembered by content, so that a loop over many outputs pays for the checks alone.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from llmgate.errors import JudgeError, SuiteError, UsageError
from llmgate.score.api.arguments import (
    given_asserts,
    given_context,
    given_judges,
    given_mean,
    given_retries,
    given_spec,
)
from llmgate.score.api.sync import SyncRunner
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.models import Ask, Embed, JudgeReply, JudgeRequest, JudgeSampling, Models
from llmgate.score.execute import apply_negation, combine, consult, error_reason, one_line
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.form.asserts import ASSERT_SET, read_assert

__all__ = ["Evaluation", "Judge", "Vector", "evaluate_assert", "evaluate_asserts"]

Judge = Callable[[str], Any]
"""A judge as a plain function: the prompt as one text → the reply as text, as data already parsed, or as a `JudgeReply`
with the log probabilities of its tokens. May be async."""
Vector = Callable[[str], Any]
"""An embedding model as a plain function: a text → its vector. May be async."""

REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an assert, or a whole test, says about one output.

    Attributes:
        outcome: `pass`, `fail`, or `error` if it could not be evaluated.
        score: Finite, in [0, 1] except for similarities, which may be negative; None exactly for an error.
        reason: One line for a reader.
        type: The assert type as written; `test` for a whole test.
        parts: The members of a test or of an assert-set.
        named_scores: Weighted mean score by metric name, of a whole test's asserts that were evaluated.
    """

    outcome: Literal["pass", "fail", "error"]
    score: float | None
    reason: str
    type: str = ""
    parts: tuple[Evaluation, ...] = ()
    named_scores: Mapping[str, float] | None = None


def evaluate_assert(
    spec: Mapping[str, Any],
    output: object,
    *,
    vars: Mapping[str, object] | None = None,  # noqa: A002 - promptfoo's name
    prompt: str | None = None,
    latency_ms: object = None,
    cost: object = None,
    logprobs: object = None,
    finish_reason: object = None,
    tokens: Mapping[str, object] | None = None,
    tools: object = None,
    functions: object = None,
    options: Mapping[str, object] | None = None,
    judge: Judge | Mapping[str, Judge] | None = None,
    embed: Vector | None = None,
    judge_retries: int = 0,
) -> Evaluation:
    """Score one output with one assert.

    Never raises for what a suite, a model or a judge can cause: that is the outcome `error`.

    Args:
        spec: The assert as it stands in a suite, e.g. `{"type": "icontains", "value": "paris"}`.
        output: The model's answer: text, or data such as tool calls.
        vars: The dataset row, for templates in the assert.
        prompt: What the model was asked.
        latency_ms: How long the answer took, in milliseconds.
        cost: What the answer cost.
        logprobs: Log probabilities of the answer's tokens.
        finish_reason: Why the answer ended.
        tokens: Token counts by name: `prompt`, `completion`, `total`.
        tools: The tools that the model was offered, as in the request.
        functions: The same in OpenAI's older form.
        options: Settings of the whole test, such as `factuality` scores.
        judge: A function from prompt to reply, or several by name.
        embed: A function from text to vector.
        judge_retries: How often an unreadable reply is asked again. A run asks twice more; a scripted judge is
            asked once unless told otherwise.
    """
    name = ""
    try:
        ready = _remembered(spec)
        name = ready.spec.name
        context = given_context(
            output,
            variables=vars,
            prompt=prompt,
            tokens=tokens,
            options=options,
            latency_ms=latency_ms,
            cost=cost,
            logprobs=logprobs,
            finish_reason=finish_reason,
            tools=tools,
            functions=functions,
        )
        if ready.evaluate is not None:
            return _evaluation(name, apply_negation(ready.spec, ready.evaluate(context)))
        if ready.spec.type == ASSERT_SET:
            raise SuiteError("an assert-set is part of a test", fix="Call evaluate_asserts")
        caller = SyncRunner()
        return caller.run(_consulted(ready.spec, context, _models(caller, judge, embed, judge_retries)))
    except Exception as error:  # noqa: BLE001 - fail closed
        return _failed(error, name or _named(spec))


def evaluate_asserts(
    specs: Sequence[Mapping[str, Any]], output: object, *, threshold: float | None = None, **context: Any
) -> Evaluation:
    """Score one output with a whole test: weights, assert-sets, threshold.

    Args:
        specs: The asserts.
        output: The model's answer.
        threshold: The least weighted mean that passes; None if every assert has to pass.
        **context: As `evaluate_assert` takes it.

    Returns:
        The test's outcome and weighted mean score, with a part per assert. One assert that could not be evaluated
        makes the whole an error.
    """
    try:
        written, least = given_asserts(specs), given_mean(threshold)
    except Exception as error:  # noqa: BLE001 - fail closed
        return _failed(error, "test")
    parts = tuple(_part(spec, output, context) for spec in written)
    try:
        _refuse_errors(parts)
        read = [_remembered(spec).spec for spec in written]
        finding = combine(read, list(map(_finding, parts)), least)
    except Exception as error:  # noqa: BLE001 - fail closed
        return _failed(error, "test", parts)
    return _evaluation("test", finding, parts=parts, named_scores=_named_scores(written, read, parts))


def _refuse_errors(parts: Sequence[Evaluation]) -> None:
    for part in parts:
        if part.score is None:
            raise SuiteError(f"{part.type}: {part.reason}" if part.type else part.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """An assert that has been read; `evaluate` is None if it asks models or is a set."""

    spec: AssertSpec
    evaluate: Evaluate | None


def _remembered(spec: Mapping[str, Any]) -> _Ready:
    written = spec if type(spec) is dict else given_spec(spec)
    try:
        # By content and type (1 is not 1.0), and faster than any other digest. Version 2 knows no references.
        key = marshal.dumps(written, 2)
    except (ValueError, TypeError):
        return _ready(written)
    return _read(key)


@lru_cache(maxsize=REMEMBERED)
def _read(key: bytes) -> _Ready:
    return _ready(marshal.loads(key))  # noqa: S302 - our own bytes


def _ready(written: Mapping[str, Any]) -> _Ready:
    spec = read_assert(written, VOCABULARY.names)
    if spec.type == ASSERT_SET or VOCABULARY.defers(spec):
        return _Ready(spec=spec, evaluate=None)
    return _Ready(spec=spec, evaluate=VOCABULARY.prepare(spec).evaluate)


def _named(spec: object) -> str:
    """The type as written, of an assert that could not be read."""
    return str(spec.get("type", "")) if isinstance(spec, Mapping) else ""


def _part(spec: Mapping[str, Any], output: object, context: Mapping[str, Any]) -> Evaluation:
    """One entry of a test: an assert, or a set of them."""
    try:
        read = _remembered(spec).spec
    except Exception as error:  # noqa: BLE001 - fail closed
        return _failed(error, _named(spec))
    if read.type != ASSERT_SET:
        return evaluate_assert(spec, output, **context)
    parts: tuple[Evaluation, ...] = ()
    try:
        parts = tuple(evaluate_assert(member, output, **context) for member in spec["assert"])
        _refuse_errors(parts)
        return _evaluation(ASSERT_SET, combine(read.asserts, list(map(_finding, parts)), read.threshold), parts=parts)
    except Exception as error:  # noqa: BLE001 - fail closed
        return _failed(error, ASSERT_SET, parts)


async def _consulted(spec: AssertSpec, context: CheckContext, models: Models) -> Evaluation:
    return _evaluation(spec.name, await consult(spec, context, models))


def _finding(part: Evaluation) -> Finding:
    return Finding(part.outcome == "pass", part.score or 0.0, part.reason)


def _named_scores(
    written: Sequence[Mapping[str, Any]], specs: Sequence[AssertSpec], parts: Sequence[Evaluation]
) -> dict[str, float]:
    """Weighted means by metric, of asserts that name one; members of sets count too."""
    scores: dict[str, list[tuple[float, float]]] = {}
    for raw, spec, part in zip(written, specs, parts, strict=True):
        inner = zip(raw.get("assert") or (), spec.asserts, part.parts, strict=True)
        for mapping, read, evaluation in [(raw, spec, part), *inner]:
            if mapping.get("metric") and evaluation.score is not None:
                scores.setdefault(mapping["metric"], []).append((read.weight, evaluation.score))
    totals = {name: sum(weight for weight, _ in pairs) for name, pairs in scores.items()}
    return {
        name: sum(weight * score for weight, score in pairs) / totals[name] if totals[name] else 0.0
        for name, pairs in scores.items()
    }


def _evaluation(
    name: str,
    finding: Finding,
    *,
    parts: tuple[Evaluation, ...] = (),
    named_scores: Mapping[str, float] | None = None,
) -> Evaluation:
    return Evaluation(
        outcome="pass" if finding.passed else "fail",
        score=finding.score,
        reason=one_line(finding.reason),
        type=name,
        parts=parts,
        named_scores=named_scores,
    )


def _failed(error: Exception, name: str, parts: tuple[Evaluation, ...] = ()) -> Evaluation:
    return Evaluation(outcome="error", score=None, reason=one_line(error_reason(error)), type=name, parts=parts)


def _models(
    caller: SyncRunner, judge: Judge | Mapping[str, Judge] | None, embed: Vector | None, retries: int
) -> Models:
    if embed is not None and not callable(embed):
        raise UsageError("embed is not a function", fix="Give a function from text to vector")
    return Models(
        judges={name: _ask(caller, function) for name, function in given_judges(judge).items()},
        embed=None if embed is None else _embed(caller, embed),
        sampling=JudgeSampling(),
        retries=given_retries(retries),
    )


def _ask(caller: SyncRunner, judge: Judge) -> Ask:
    async def ask(request: JudgeRequest) -> JudgeReply:
        reply = await caller.call("judge", judge, request.prompt)
        if reply is None:
            raise JudgeError("the judge gave no reply")
        return reply if isinstance(reply, JudgeReply) else JudgeReply(content=reply)

    return ask


def _embed(caller: SyncRunner, embed: Vector) -> Embed:
    async def vectors(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [await caller.call("embedding model", embed, text) for text in texts]

    return vectors
