"""All texts of an output, for checks that look for what must not leak: in data, in keys, in JSON inside a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from llmgate.errors import CannotRunError
from llmgate.score.jsontext import parse_json
from llmgate.suite.template import javascript

__all__ = ["searchable_text"]

_MOST_CHARS: Final = 4_000_000


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
