"""Checks that look for text: contains and its relatives, starts-with, word-count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from llmgate.score.assertion.check import CheckContext, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind, Prepare
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import between, bound, bounds
from llmgate.suite.form.promptfoo_csv import split_list
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES"]


def _needle(spec: AssertSpec, value: object, *, numbers: bool) -> str:
    if isinstance(value, str):
        if value:
            return value
        raise invalid_value(spec, "the value is empty, so there is nothing to look for")
    if numbers and javascript.is_number(value):
        return javascript.number_text(value)
    raise invalid_value(spec, f"the value must be a text{' or a number' if numbers else ''}, not {shown(value)}")


def _contains(*, fold: bool) -> Prepare:
    def prepare(spec: AssertSpec) -> Evaluate:
        def build(value: object) -> str:
            needle = _needle(spec, value, numbers=True)
            return needle.lower() if fold else needle

        rule = AssertRule.compile(spec, build)

        def evaluate(context: CheckContext) -> Finding:
            needle = rule.on(context)
            is_there = needle in (context.text.lower() if fold else context.text)
            return Finding.of(is_there, f"{'found' if is_there else 'did not find'} {needle[:80]!r}")

        return evaluate

    return prepare


def _contains_several(quantifier: Callable[[list[bool]], bool], *, fold: bool) -> Prepare:
    def prepare(spec: AssertSpec) -> Evaluate:
        def build(value: object) -> list[str]:
            needles = _needles(spec, value)
            return [needle.lower() for needle in needles] if fold else needles

        rule = AssertRule.compile(spec, build)

        def evaluate(context: CheckContext) -> Finding:
            needles = rule.on(context)
            text = context.text.lower() if fold else context.text
            hits = [needle in text for needle in needles]
            missing = [needle for needle, here in zip(needles, hits, strict=True) if not here]
            return Finding.of(quantifier(hits), f"found {sum(hits)} of {len(hits)}; missing {missing!r}"[:200])

        return evaluate

    return prepare


def _needles(spec: AssertSpec, value: object) -> list[str]:
    if isinstance(value, str):
        try:
            needles = split_list(value)
        except ValueError as error:
            raise invalid_value(
                spec, f"the value cannot be read as a comma list: {error}", "Write a YAML list"
            ) from error
    elif isinstance(value, list):
        if any(isinstance(item, Mapping) for item in value):
            raise invalid_value(spec, "an item of the list is a mapping", "List texts to look for")
        needles = [javascript.text(item) for item in value]
    else:
        raise invalid_value(spec, f"the value must be a list or a comma-separated text, not {shown(value)}")
    if not needles or not all(needles):
        raise invalid_value(spec, "there is nothing to look for: the list, or an item of it, is empty")
    return needles


def _starts_with(spec: AssertSpec) -> Evaluate:
    rule = AssertRule.compile(spec, lambda value: _needle(spec, value, numbers=False))

    def evaluate(context: CheckContext) -> Finding:
        start = rule.on(context)
        matches = context.text.startswith(start)
        return Finding.of(matches, f"{'starts' if matches else 'does not start'} with {start[:80]!r}")

    return evaluate


def _word_count(spec: AssertSpec) -> Evaluate:
    def build(value: object) -> tuple[float, float]:
        return bounds(spec, value) if isinstance(value, Mapping) else (bound(spec, value),) * 2

    rule = AssertRule.compile(spec, build)

    def evaluate(context: CheckContext) -> Finding:
        least, most = rule.on(context)
        count = len(javascript.words(context.text))
        wanted = javascript.number_text(least) if least == most else between(least, most)
        return Finding.of(least <= count <= most, f"{count} word{'s' * (count != 1)}, wanted {wanted}")

    return evaluate


def _contains_family(*, fold: bool) -> tuple[CheckKind, ...]:
    """Three types, whose names begin with `i` where case does not count."""
    name, case = ("icontains", ", in any case") if fold else ("contains", "")
    return (
        CheckKind(
            id=name,
            passes=f"the text stands in the answer{case}",
            value="text or number",
            example={"value": 7},
            prepare=_contains(fold=fold),
        ),
        CheckKind(
            id=f"{name}-any",
            passes=f"one of the texts stands in it{case}",
            value="list, or `a, b`",
            example={"value": "{{ x }}, b"},
            prepare=_contains_several(any, fold=fold),
        ),
        CheckKind(
            id=f"{name}-all",
            passes=f"all of the texts stand in it{case}",
            value="list, or `a, b`",
            example={"value": ["{{ x }}", "b"]},
            prepare=_contains_several(all, fold=fold),
        ),
    )


TYPES: Final = (
    *_contains_family(fold=False),
    *_contains_family(fold=True),
    CheckKind(
        id="starts-with",
        passes="the answer starts with it",
        value="text",
        example={"value": "{{ x }}"},
        prepare=_starts_with,
    ),
    CheckKind(
        id="word-count",
        passes="it has so many words",
        value="`5`, or `{min: 3, max: 20}`",
        example={"value": {"min": 1, "max": 3}},
        prepare=_word_count,
    ),
)
