"""What scans for personal data and secrets share: the texts of an answer, and what is allowed to stand in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from llmgate.errors import CannotRunError, did_you_mean
from llmgate.score.assertion.rule import invalid_value, shown
from llmgate.score.structured.parse import parse_json
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.suite.asserts import AssertSpec

__all__ = ["masked", "read_allowed", "read_kinds", "searchable_text"]

_MOST_CHARS: Final = 4_000_000
"""Of an output: more cannot be searched in time."""


def read_kinds(spec: AssertSpec, known: Collection[str], default: Collection[str]) -> frozenset[str]:
    """`config: kinds`, what to look for.

    Raises:
        SuiteError: If it is not a list of known names, or empty.
    """
    kinds = spec.config.get("kinds", list(default))
    if not isinstance(kinds, list) or not kinds:
        raise invalid_value(
            spec, "`kinds` must be a list that is not empty", f"Known kinds: {', '.join(sorted(known))}"
        )
    for kind in kinds:
        if not isinstance(kind, str) or kind not in known:
            raise invalid_value(spec, f"unknown kind {shown(kind)}", did_you_mean(str(kind), known))
    return frozenset(map(str, kinds))


def read_allowed(spec: AssertSpec) -> frozenset[str]:
    """`config: allow`, texts that are no leak, as they are found in outputs.

    Raises:
        SuiteError: If it is not a list of texts.
    """
    allowed = spec.config.get("allow", [])
    if not isinstance(allowed, list) or not all(isinstance(text, str) and javascript.trim(text) for text in allowed):
        raise invalid_value(spec, "`allow` must be a list of texts, none of them empty")
    return frozenset(javascript.trim(str(text)) for text in allowed)


def masked(text: str) -> str:
    """What was found, for a reader who must not learn it from a report."""
    return f"{text[:2]}…({len(text)} characters)"


def searchable_text(output: object) -> str:
    """The texts and numbers of an output, each on a line of its own.

    A text that is JSON also stands there decoded: its escapes could hide what is looked for.

    Raises:
        CannotRunError: If that is more text than can be searched in time.
    """
    texts: list[str] = []
    size = 0
    stack = [output]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            stack.extend(value.values())
            stack.extend(value.keys())
        elif isinstance(value, list | tuple):
            stack.extend(value)
        elif isinstance(value, str):
            texts.append(value)
            stack.extend(_decoded(value))
        else:
            texts.append(javascript.text(value))
        size += len(texts[-1]) if texts else 0
        if size > _MOST_CHARS:
            raise CannotRunError(f"the output has more than {_MOST_CHARS} characters, too many to search")
    return "\n".join(texts)


def _decoded(text: str) -> list[object]:
    if not text.lstrip().startswith(("{", "[", '"')):
        return []
    try:
        return [parse_json(text)]
    except ValueError:
        return []
