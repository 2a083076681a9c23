"""Settings that the checks for leaks share: what to look for, and what is no leak although it looks like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import did_you_mean
from llmgate.score.rule import broken
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.suite.asserts import AssertSpec

__all__ = ["masked", "read_allowed", "read_kinds", "refuse_value"]


def refuse_value(spec: AssertSpec) -> None:
    """Refuses a value, which could only be meant as something that the check does not do.

    Raises:
        SuiteError: If there is one.
    """
    if spec.has_value and spec.value is not None and spec.value != "":
        raise broken(spec, "the check takes no value", "Settings stand in `config`")


def read_kinds(spec: AssertSpec, known: Collection[str], default: Collection[str]) -> frozenset[str]:
    """`config: kinds`, what to look for.

    Raises:
        SuiteError: If it is not a list of known names, or empty.
    """
    kinds = spec.config.get("kinds", list(default))
    if not isinstance(kinds, list) or not kinds:
        raise broken(spec, "`kinds` must be a list that is not empty", f"Known kinds: {', '.join(sorted(known))}")
    for kind in kinds:
        if not isinstance(kind, str) or kind not in known:
            raise broken(spec, f"unknown kind {javascript.json_text(kind)[:60]}", did_you_mean(str(kind), known))
    return frozenset(map(str, kinds))


def read_allowed(spec: AssertSpec) -> frozenset[str]:
    """`config: allow`, texts that are no leak, as they are found in outputs.

    Raises:
        SuiteError: If it is not a list of texts.
    """
    allowed = spec.config.get("allow", [])
    if not isinstance(allowed, list) or not all(isinstance(one, str) and javascript.trim(one) for one in allowed):
        raise broken(spec, "`allow` must be a list of texts, none of them empty")
    return frozenset(javascript.trim(str(one)) for one in allowed)


def masked(text: str) -> str:
    """What was found, for a reader who must not learn it from a report."""
    return f"{text[:2]}…({len(text)} characters)"
