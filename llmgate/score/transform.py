"""Named transforms of an output, applied before an assert looks at it: `transform: [strip-thinking, after:####]`.

A transform that finds nothing to take (no code block, no `####`) leaves no output to check. That is the model's
mistake, so the assert fails; a `not-` form would turn it into a pass and is an error instead.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, SuiteError, did_you_mean
from llmgate.score.assertion.check import CheckContext, Finding
from llmgate.score.expression.checks import javascript_transform
from llmgate.score.expression.spending import ThrownError
from llmgate.score.javascript.pattern import Pattern
from llmgate.score.structured.parse import json_end, parse_json
from llmgate.score.text.code_fence import code_blocks
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.score.assertion.check import Consult, Evaluate
    from llmgate.score.assertion.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["NAMES", "NothingLeftError", "compile_transforms", "consult_transformed", "evaluate_transformed"]

Transform = Callable[[object], object]
TextTransform = Callable[[str], str]

_SPACES = re.compile(r"\s+")
_THOUGHT_END = "</think>"
_THOUGHT_START = "<think>"


class NothingLeftError(CannotRunError):
    """A transform found nothing to take."""


def compile_transforms(spec: AssertSpec) -> Callable[[object], object]:
    """What an assert's transforms make of an output; without any, the output as it is.

    Raises:
        SuiteError: If a name is unknown, or its argument is missing or of no use.
    """
    steps = [_compile(spec, written) for written in spec.transform]
    return lambda output: reduce(lambda value, step: step(value), steps, output)


def evaluate_transformed(spec: AssertSpec, transform: Callable[[object], object], evaluate: Evaluate) -> Evaluate:
    """An assert on what its transforms make of an output."""

    def transformed(context: CheckContext) -> Finding:
        taken = _taken(spec, transform, context)
        return taken if isinstance(taken, Finding) else evaluate(taken)

    return transformed


def consult_transformed(spec: AssertSpec, transform: Callable[[object], object], consult: Consult) -> Consult:
    """The same for one that asks a model."""

    async def transformed(context: CheckContext, models: Models) -> Finding:
        taken = _taken(spec, transform, context)
        return taken if isinstance(taken, Finding) else await consult(taken, models)

    return transformed


def _taken(spec: AssertSpec, transform: Callable[[object], object], context: CheckContext) -> CheckContext | Finding:
    """The context with what the transforms take from the output; the finding where they find nothing."""
    try:
        return replace(context, output=transform(context.output))
    except NothingLeftError as error:
        if spec.negated:
            raise
        return Finding.of(False, error.what)


def _compile(spec: AssertSpec, written: str) -> Transform:
    name, colon, argument = written.partition(":")
    where = spec.where or None
    if name in _WITH_ARGUMENT or name in _OF_DATA:
        if not argument:
            raise SuiteError(f"{spec.name}: the transform {name!r} needs an argument", where=where, fix=f"{name}:TEXT")
        return _of_text(_WITH_ARGUMENT[name](argument)) if name in _WITH_ARGUMENT else _OF_DATA[name](argument)
    if written == "parsed":
        return _parsed
    if name not in _PLAIN or colon:
        what = "takes no argument" if name in _PLAIN else "does not exist"
        raise SuiteError(
            f"{spec.name}: the transform {written!r} {what}", where=where, fix=did_you_mean(written, sorted(NAMES))
        )
    return _of_text(_PLAIN[name])


def _of_text(transform: Callable[[str], str]) -> Transform:
    """Data is compact JSON to transforms of texts."""
    return lambda output: transform(output if isinstance(output, str) else javascript.json_text(output))


def _parsed(output: object) -> object:
    """The data of an answer that is JSON, any other answer as it is, which is what providers hand to promptfoo."""
    if not isinstance(output, str):
        return output
    try:
        return parse_json(output)
    except ValueError:
        return output


def _javascript(code: str) -> Transform:
    change = javascript_transform(code)

    def take(output: object) -> object:
        try:
            return change(output)
        except ThrownError as error:
            raise NothingLeftError(f"the transform fails on this answer: {error}"[:300]) from error

    return take


def _strip_thinking(text: str) -> str:
    """What follows the last end of thinking; a thought that never ends leaves nothing."""
    before, end, after = text.rpartition(_THOUGHT_END)
    if end:
        return after.strip()
    if _THOUGHT_START in before + after:
        raise NothingLeftError("the model never stopped thinking")
    return text


def _code_block(index: int) -> TextTransform:
    def take(text: str) -> str:
        blocks = [block.code for block in code_blocks(text) if block.closed]
        if not blocks:
            raise NothingLeftError("there is no fenced code block in the answer")
        return blocks[index]

    return take


def _line(index: int) -> TextTransform:
    def take(text: str) -> str:
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            raise NothingLeftError("the answer has no line with text")
        return lines[index].strip()

    return take


def _json(text: str) -> str:
    """The first JSON object or list in the text, whatever stands around it."""
    for start, _ in zip(re.finditer(r"[{\[]", text), range(_MOST_STARTS), strict=False):
        try:
            end = json_end(text, start.start())
        except RecursionError as error:
            # To go on would take what stands deeper inside for the whole.
            raise NothingLeftError("the JSON in the answer is nested too deeply") from error
        if end is not None:
            return text[start.start() : end]
    raise NothingLeftError("there is no JSON object or list in the answer")


_MOST_STARTS: Final = 1000
"""Brackets that are tried; text with more of them before any JSON is not an answer in JSON."""


def _strip_markdown(text: str) -> str:
    text = re.sub(r"^[ ]{0,3}(?:`{3,}|~{3,})[^\n]*\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ ]{0,3}(?:#{1,6}[ ]+|>[ ]?|[-*+][ ]+|[0-9]{1,9}[.)][ ]+)", "", text, flags=re.MULTILINE)
    return re.sub(r"\*{1,3}|__|`+", "", text)


def _beside(split: Callable[[str, str], tuple[str, str, str]], side: int) -> Callable[[str], TextTransform]:
    """What stands on one side of a text, which `split` finds."""

    def compiled(argument: str) -> TextTransform:
        def take(text: str) -> str:
            parts = split(text, argument)
            if not parts[1]:
                raise NothingLeftError(f"{argument[:60]!r} is not in the answer")
            return parts[side].strip()

        return take

    return compiled


def _match(argument: str) -> TextTransform:
    pattern = Pattern.compile(argument)

    def take(text: str) -> str:
        match = pattern.first_in(text)
        if match is None:
            raise NothingLeftError(f"the pattern {argument[:60]!r} does not match the answer")
        return match

    return take


def _found(argument: str) -> TextTransform:
    """`findall:-1:PATTERN`: one of Python's `findall`, of several groups the first that holds something."""
    index, colon, source = argument.partition(":")
    if not colon or not source or not _INDEX.fullmatch(index):
        raise SuiteError(
            f"findall:{argument[:60]} does not say which match to take",
            fix="Write findall:0:PATTERN for the first match, findall:-1:PATTERN for the last",
        )
    pattern = Pattern.compile(source, python=True)
    wanted = int(index)

    def take(text: str) -> str:
        matches = pattern.all_in(text)
        if not -len(matches) <= wanted < len(matches):
            raise NothingLeftError(f"the pattern {source[:60]!r} does not match the answer")
        found = matches[wanted]
        if isinstance(found, str):
            return found.strip()
        groups = [group for group in found if group]
        if not groups:
            raise NothingLeftError(f"the pattern {source[:60]!r} matches nothing of the answer")
        return groups[0].strip()

    return take


_INDEX: Final = re.compile(r"-?[0-9]{1,4}")


_PLAIN: Final[Mapping[str, TextTransform]] = MappingProxyType(
    {
        "code-block": _code_block(0),
        "collapse-whitespace": lambda text: _SPACES.sub(" ", text).strip(),
        "first-line": _line(0),
        "json": _json,
        "last-code-block": _code_block(-1),
        "last-line": _line(-1),
        "lower": str.lower,
        "nfkc": lambda text: unicodedata.normalize("NFKC", text),
        "strip-markdown": _strip_markdown,
        "strip-thinking": _strip_thinking,
        "trim": javascript.trim,
        "upper": str.upper,
    }
)
_WITH_ARGUMENT: Final[Mapping[str, Callable[[str], TextTransform]]] = MappingProxyType(
    {
        "after": _beside(str.rpartition, 2),
        "before": _beside(str.partition, 0),
        "findall": _found,
        "match": _match,
        "remove": lambda argument: Pattern.compile(argument, python=True).removed_from,
    }
)
_OF_DATA: Final[Mapping[str, Callable[[str], Transform]]] = MappingProxyType({"javascript": _javascript})
NAMES: Final = frozenset({*_PLAIN, "parsed"}) | {f"{name}:" for name in (*_WITH_ARGUMENT, *_OF_DATA)}
"""All transforms; those that end in a colon take an argument: `after` and `before` a text, `match` a pattern, `remove`
one as Python reads it, `findall` such a one after the number of the match, `javascript` an expression."""
