"""checklist: which of these points does the answer meet? The score is their share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError
from llmgate.score.assertion.check import CheckContext, Consult, Finding
from llmgate.score.assertion.definition import ModelGradedKind
from llmgate.score.assertion.rule import AssertRule, invalid_value, shown
from llmgate.score.assertion.settings import least
from llmgate.score.judge.prompt import Question, object_schema
from llmgate.score.judge.reply import the_object
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.score.assertion.models import JudgeReply, Models
    from llmgate.suite.asserts import AssertSpec

__all__ = ["TYPES", "read_items"]

DEFAULT_THRESHOLD: Final = 1.0
MOST_ITEMS: Final = 50
MAX_REASON_CHARS: Final = 200


def _checklist(spec: AssertSpec) -> Consult:
    rule, threshold = AssertRule.compile(spec, lambda value: _points(spec, value)), least(spec, DEFAULT_THRESHOLD)

    async def consult(context: CheckContext, models: Models) -> Finding:
        points = rule.on(context)
        met = await _question(len(points)).ask(
            models,
            given={"checklist": "\n".join(f"{number}. {point}" for number, point in enumerate(points, start=1))},
            case={"question": context.prompt, "answer": context.text},
        )
        missed = [
            f"{number}. {point}" for number, (point, here) in enumerate(zip(points, met, strict=True), 1) if not here
        ]
        score = sum(met) / len(met)
        shown = f"; not {' | '.join(missed)}" if missed else ""
        return Finding(score >= threshold, score, f"judge: {sum(met)} of {len(met)} points met{shown}")

    return consult


def _points(spec: AssertSpec, value: object) -> list[str]:
    if not isinstance(value, list):
        raise invalid_value(spec, f"a checklist is a list of texts, not {shown(value)}", "Write a YAML list")
    if not 1 <= len(value) <= MOST_ITEMS:
        raise invalid_value(spec, f"a checklist has 1 to {MOST_ITEMS} points, this one has {len(value)}")
    for point in value:
        if not isinstance(point, str):
            raise invalid_value(spec, f"a point must be a text, not {shown(point)}")
        if not javascript.trim(point):
            raise invalid_value(spec, "a point is empty, so there is nothing to check")
    return value


def _question(count: int) -> Question[list[bool]]:
    return Question(
        task="Say for each point of the checklist, by itself, whether the answer to the question meets it.",
        form='{"items": [{"item": the number of the point, "reason": why, in a few words, "met": true or false}, …]}, '
        "each point once",
        reminder="Which points does the answer meet? Reply with the JSON object.",
        properties={"items": _items_schema(count)},
        read=lambda reply: read_items(reply, count),
    )


def _items_schema(count: int) -> dict[str, object]:
    item = object_schema(
        {
            "item": {"type": "integer", "minimum": 1, "maximum": count},
            "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
            "met": {"type": "boolean"},
        }
    )
    return {"type": "array", "items": item, "minItems": count, "maxItems": count}


def read_items(reply: JudgeReply, count: int) -> list[bool]:
    """Reads whether each point is met, in the order of the checklist.

    Args:
        reply: The judge's.
        count: How many points there are.

    Raises:
        JudgeError: If a point is missing, given twice or unknown, or its verdict is not yes or no.
    """
    items = the_object(reply, "items").get("items")
    if not isinstance(items, list):
        raise JudgeError("the judge's `items` is no list")
    met: dict[int, bool] = {}
    for item in items:
        number, verdict = _item(item)
        if not 1 <= number <= count:
            raise JudgeError(f"the judge's reply names a point {number}, but there are {count}")
        if number in met:
            raise JudgeError(f"the judge's reply names point {number} twice")
        met[number] = verdict
    missing = [str(number) for number in range(1, count + 1) if number not in met]
    if missing:
        raise JudgeError(f"the judge's reply leaves out the points {', '.join(missing)}")
    return [met[number] for number in range(1, count + 1)]


def _item(item: object) -> tuple[int, bool]:
    number, met = (item.get("item"), item.get("met")) if isinstance(item, Mapping) else (None, None)
    if not isinstance(number, int) or isinstance(number, bool) or not isinstance(met, bool):
        raise JudgeError(f"the judge's reply holds an item without a number and a yes or no: {item!r:.100}")
    return number, met


TYPES: Final = (
    ModelGradedKind(
        id="checklist",
        use="several small points; one question for all",
        passes="it meets all points",
        score="share of points that are met",
        value="list of points",
        threshold="1",
        example={"value": ["Greets {{ x }}", "Is short"]},
        prepare=_checklist,
        prompts=_question(1).prompts,
    ),
)
