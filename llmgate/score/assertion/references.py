"""Expected texts: one, or a list of which the best counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.score.assertion.rule import invalid_value, shown
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["answers", "text", "texts"]


def text(spec: AssertSpec, value: object) -> str:
    """One text, which may be empty.

    Raises:
        SuiteError: If it is something else.
    """
    if isinstance(value, str):
        return value
    raise invalid_value(spec, f"the value must be a text, not {shown(value)}")


def texts(spec: AssertSpec, value: object) -> list[str]:
    """One text or several; each may be empty.

    Raises:
        SuiteError: If it is something else, or an empty list.
    """
    items = value if isinstance(value, list) else [value]
    if not items:
        raise invalid_value(spec, "the list is empty, so there is nothing to compare with")
    strings = [item for item in items if isinstance(item, str)]
    if len(strings) != len(items):
        raise invalid_value(spec, f"the value must be a text or a list of texts, not {shown(value)}")
    return strings


def answers(spec: AssertSpec, value: object) -> list[str]:
    """Expected answers: texts or numbers, none of them blank.

    Raises:
        SuiteError: If one is something else or blank, or there is none.
    """
    items = value if isinstance(value, list) else [value]
    expected = texts(spec, [javascript.number_text(item) if javascript.is_number(item) else item for item in items])
    if not all(map(javascript.trim, expected)):
        raise invalid_value(spec, "an expected text is empty, so there is nothing to compare with")
    return expected
