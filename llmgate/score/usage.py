"""Checks of what was measured and reported beside the text: latency, cost, perplexity, finish-reason, token-budget.

A measurement that is absent, or is none, is an error: it meets no limit and misses none.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError, UndefinedError
from llmgate.score.assertion import references
from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind, Need, Prepare
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import graded, least, most
from llmgate.suite.asserts import with_members
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmgate.record.schema import Generation
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "expects_finish_reason", "misspelt", "perplexity"]

ROUNDING: Final = 1e-3
"""What the logarithm of a probability of 1 may be above 0, in the number formats of engines."""
_SPECIAL: Final = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]")
"""How special tokens are written: `<|im_end|>`, `</s>`, `<end_of_turn>`, `[EOS]`."""


def _measured(value: object, name: str) -> float:
    number = javascript.to_number(value) if javascript.is_number(value) else math.nan
    if not math.isfinite(number):
        reported = "was reported" if value is None else f"but {javascript.text(value)[:60]!r} was reported"
        raise UndefinedError(f"no {name} {reported}")
    if number < 0:
        raise UndefinedError(f"the {name} is {number:g}, below 0")
    return number


def _at_most(name: str, unit: str, read: Callable[[CheckContext], object]) -> Prepare:
    def prepare(spec: AssertSpec) -> Evaluate:
        limit = most(spec)

        def evaluate(context: CheckContext) -> Finding:
            measured = _measured(read(context), name)
            return Finding.of(measured <= limit, f"{name} {measured:g}{unit}, at most {limit:g}{unit} wanted")

        return evaluate

    return prepare


def misspelt(answer: Generation, *, stops: object = None) -> str | None:
    """The text that an answer's tokens spell, if it is another one than the answer's; else None, also without tokens.

    What tokens spell besides an answer that was not cut: the special token that ended it, or the stop sequence, whose
    last token may go on; and before it the space with which words begin in SentencePiece.

    Args:
        answer: The answer with its tokens.
        stops: The request's stop sequences, one or a list.
    """
    tokens = [token.token for token in answer.logprobs or ()]
    spelt, text = "".join(tokens), answer.text
    if not tokens or text in {spelt, spelt.removeprefix(" ")}:
        return None
    start = 0 if spelt.startswith(text) else 1
    if not spelt.removeprefix(" " * start).startswith(text):
        return spelt
    rest = spelt[start + len(text) :]
    ended = [rest] if _SPECIAL.fullmatch(rest) and rest == tokens[-1] else stops if isinstance(stops, list) else [stops]
    if any(isinstance(stop, str) and stop and _ends_with(rest, stop, tokens[-1]) for stop in ended):
        return None
    return spelt


def _ends_with(rest: str, stop: str, last: str) -> bool:
    """Whether what follows the text is the stop sequence, completed by the last token."""
    return rest.startswith(stop) and len(rest) - len(last) < len(stop)


def perplexity(logprobs: object) -> float:
    """exp(−mean of the tokens' log probabilities); infinite if the tokens are too improbable for a float.

    Raises:
        UndefinedError: If there are none, or one is no finite number or above 0, as of no probability.
    """
    if not isinstance(logprobs, list | tuple) or not logprobs:
        raise UndefinedError("no log probabilities were reported", fix="Ask the endpoint for logprobs")
    values = [javascript.to_number(value) if javascript.is_number(value) else math.nan for value in logprobs]
    if not all(map(math.isfinite, values)):
        raise UndefinedError("a log probability is missing or not a number")
    if max(values) > ROUNDING:
        raise UndefinedError(f"a log probability is {max(values):g}, above 0", fix="Report natural logarithms")
    # Divided first: the sum of finite numbers can be infinite.
    mean = math.fsum(value / len(values) for value in values)
    try:
        return math.exp(-mean)
    except OverflowError:
        return math.inf


def _perplexity_of(context: CheckContext) -> float:
    if context.misspelt is not None:
        raise UndefinedError(
            f"the log probabilities are those of another text, {context.misspelt[:60]!r}",
            fix="Ask an endpoint that reports the tokens of its answer, without a parser of reasoning or tool calls",
        )
    return perplexity(context.logprobs)


def _perplexity(spec: AssertSpec) -> Evaluate:
    limit = most(spec)

    def evaluate(context: CheckContext) -> Finding:
        measured = _perplexity_of(context)
        return Finding.of(measured <= limit, f"perplexity {measured:.4g}, at most {limit:g} wanted")

    return evaluate


def _perplexity_score(spec: AssertSpec) -> Evaluate:
    most(spec)
    threshold = least(spec, 0.0, unreachable=True)

    def evaluate(context: CheckContext) -> Finding:
        return graded("perplexity score", 1 / (1 + _perplexity_of(context)), threshold)

    return evaluate


def expects_finish_reason(asserts: Iterable[AssertSpec], variables: Mapping[str, object], reason: str) -> bool:
    """Whether an assert `finish-reason`, also a member of a set, passes answers that end for this reason.

    A `not-finish-reason` expects nothing: the other asserts of its case would be measured on what was withheld.
    """
    context = CheckContext(output="", variables=variables, finish_reason=reason)
    naming = (spec for spec in with_members(asserts) if spec.type == "finish-reason" and not spec.negated)
    try:
        return any(_finish_reason(spec)(context).passed for spec in naming)
    except LlmgateError:
        return False  # its own evaluation says what is wrong with it


def _finish_reason(spec: AssertSpec) -> Evaluate:
    def build(value: object) -> str:
        wanted = references.text(spec, value)
        if not wanted:
            raise invalid_value(spec, "the value is empty, and no answer ends for an empty reason")
        return wanted.lower()

    rule = AssertRule.compile(spec, build)

    def evaluate(context: CheckContext) -> Finding:
        wanted, reason = rule.on(context), context.finish_reason
        if not isinstance(reason, str) or not reason:
            raise UndefinedError("no finish reason was reported")
        return Finding.of(reason.lower() == wanted, f"finished because of {reason[:60]!r}, wanted {wanted[:60]!r}")

    return evaluate


_COUNTS: Final = ("completion", "prompt", "total")


def _token_budget(spec: AssertSpec) -> Evaluate:
    limits = dict(spec.config)
    if spec.threshold is not None:
        if "total" in limits:
            raise invalid_value(spec, "the limit of all tokens is given twice", "Write either `threshold:` or `total:`")
        limits["total"] = spec.threshold
    if not limits:
        raise invalid_value(
            spec, "no limit is given", "Add `threshold:`, or `config:` with prompt, completion or total"
        )
    bounds = {name: _token_limit(spec, name, limit) for name, limit in sorted(limits.items())}

    def evaluate(context: CheckContext) -> Finding:
        used = {name: _tokens(context.tokens, name) for name in bounds}
        within = all(used[name] <= limit for name, limit in bounds.items())
        return Finding.of(
            within, ", ".join(f"{used[name]:g} {name} tokens of {limit:g}" for name, limit in bounds.items())
        )

    return evaluate


def _token_limit(spec: AssertSpec, name: str, limit: object) -> float:
    if not javascript.is_number(limit) or not math.isfinite(javascript.to_number(limit)) or limit < 0:
        raise invalid_value(spec, f"the limit of {name} tokens must be 0 or more, not {shown(limit)}")
    return limit


def _tokens(counts: Mapping[str, object], name: str) -> float:
    if name == "total" and counts.get(name) is None and {"prompt", "completion"} <= counts.keys():
        return _tokens(counts, "prompt") + _tokens(counts, "completion")
    return _measured(counts.get(name), f"count of {name} tokens")


_PERPLEXITY: Final = CheckKind(
    id="perplexity",
    passes="exp(−mean log probability) is at most",
    threshold="must be there",
    example={"threshold": 2},
    asks=frozenset({Need.LOGPROBS}),
    prepare=_perplexity,
)

TYPES: Final = (
    CheckKind(
        id="latency",
        passes="the whole answer took at most so many milliseconds",
        threshold="must be there",
        example={"threshold": 1},
        prepare=_at_most("latency", " ms", lambda context: context.latency_ms),
    ),
    CheckKind(
        id="cost",
        passes="it cost at most so much; in a suite by its `prices:`",
        threshold="must be there",
        example={"threshold": 1},
        prepare=_at_most("cost", "", lambda context: context.cost),
    ),
    CheckKind(
        id="token-budget",
        passes="it needed at most so many tokens",
        threshold="all tokens",
        settings=dict.fromkeys(_COUNTS, "at most so many"),
        example={"threshold": 5},
        prepare=_token_budget,
    ),
    _PERPLEXITY,
    replace(
        _PERPLEXITY,
        id="perplexity-score",
        passes="it is at least so sure",
        score="1/(1 + perplexity)",
        example={"threshold": 0.3},
        prepare=_perplexity_score,
    ),
    CheckKind(
        id="finish-reason",
        passes="it ended for this reason",
        value="`stop`, `length`, …",
        example={"value": "stop"},
        prepare=_finish_reason,
    ),
)
