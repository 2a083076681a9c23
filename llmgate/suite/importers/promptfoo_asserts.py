"""promptfoo's asserts: what can be carried over as it is, and what is left out and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.form.asserts import ASSERT_SET
from llmgate.suite.form.part import NAME
from llmgate.suite.importers.files import listing
from llmgate.suite.importers.table import slug

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.result import Notebook

__all__ = ["CODE_TYPES", "carried", "transform_names"]

CODE_TYPES: Final = frozenset({"javascript", "python", "ruby", "webhook"})
JUDGED: Final = "judged"
_KEPT: Final = ("type", "value", "threshold", "weight", "metric", "config")
_TRANSFORMS: Final = {"trim": "trim", "toLowerCase": "lower", "toUpperCase": "upper"}
_SIMPLE_CODE: Final = re.compile(rf"output((?:\.(?:{'|'.join(_TRANSFORMS)})\(\))+);?")
_CHANGES: Final = {
    "contextTransform": "its context comes from code, which is not run",
    "rubricPrompt": "it words the question to the judge itself",
}
"""Keys without which an assert would check something else."""


def carried(written: Any, where: str, row: Mapping[str, Json], notes: Notebook) -> dict[str, Json] | None:
    """One assert as it stands in our suite, or None if it is left out, which is noted.

    Args:
        written: promptfoo's assert.
        where: Its place.
        row: A dataset row, to try it on.
        notes: What is left out.
    """
    if not isinstance(written, Mapping) or not isinstance(written.get("type"), str):
        notes.lost(f"an assert without a type: {written!r}"[:160], where)
        return None
    if written["type"] == ASSERT_SET:
        return carried_set(written, where, row, notes)
    reason = obstacle(written)
    if reason:
        notes.lost(f"assert {written['type']!r} left out: {reason}", where)
        return None
    if written.get("provider") is not None:
        notes.lost(
            f"the own `provider` of an assert {written['type']!r} (judges are named when the suite is run)", where
        )
    kept = {key: written[key] for key in _KEPT if written.get(key) is not None}
    if written.get("transform") is not None:
        kept["transform"] = transform_names(written["transform"])
    result = named(kept, where, notes)
    if "metric" not in result and notes.vocabulary.is_judge(written["type"].removeprefix("not-")):
        # Beside them, deterministic asserts could not gate: a metric that a judge scores is only watched.
        result["metric"] = JUDGED
        notes.remark(f"asserts that ask a judge feed the metric {JUDGED!r}, so that the others can gate")
    return result if notes.accepts(result, row, where) else None


def transform_names(code: Any) -> list[Json] | None:
    """The transforms that a few simple expressions stand for, None for all other code."""
    match = _SIMPLE_CODE.fullmatch(code.strip()) if isinstance(code, str) else None
    return [_TRANSFORMS[name] for name in re.findall(r"\w+", match[1])] if match else None


def obstacle(written: Mapping[str, Any]) -> str | None:
    """Why an assert cannot be carried over, as far as its keys say."""
    base = written["type"].removeprefix("not-")
    if base in CODE_TYPES:
        first = " ".join(str(written.get("value", "")).split())[:80]
        return f"code is not run ({first})" if first else "code is not run"
    for key, why in _CHANGES.items():
        if written.get(key) is not None:
            return why
    if written.get("transform") is not None and transform_names(written["transform"]) is None:
        return "it sees a transformed output, and code is not run"
    if names_files(written.get("value")):
        return "its value comes from a file"
    extra = sorted(set(written) - set(_KEPT) - {"provider", "transform"})
    return f"it has keys that are not known here: {', '.join(extra)}" if extra else None


def names_files(value: Any) -> bool:
    """Whether a value, or an item of it, is a file name."""
    if isinstance(value, list):
        return any(names_files(item) for item in value)
    if isinstance(value, Mapping):
        return any(names_files(item) for item in value.values())
    return isinstance(value, str) and value.startswith(("file://", "package:"))


def carried_set(
    written: Mapping[str, Any], where: str, row: Mapping[str, Json], notes: Notebook
) -> dict[str, Json] | None:
    """An assert-set. Without one of its members a set with a threshold would weigh differently: it goes as a whole."""
    members = [carried(member, where, row, notes) for member in listing(written.get("assert"))]
    kept: list[Json] = [member for member in members if member is not None]
    if not kept or (written.get("threshold") is not None and len(kept) < len(members)):
        notes.lost("an assert-set left out, because members of it cannot be carried over", where)
        return None
    if written.get("config"):
        notes.lost("the `config` of an assert-set", where)
    own = {key: written[key] for key in ("type", "threshold", "weight", "metric") if written.get(key) is not None}
    result = named({**own, "assert": kept}, where, notes)
    return result if notes.accepts(result, row, where) else None


def named(written: dict[str, Json], where: str, notes: Notebook) -> dict[str, Json]:
    """An assert whose metric has a name that llmgate can use."""
    metric = written.get("metric")
    if metric is None:
        return written
    name = str(metric) if re.fullmatch(NAME, str(metric)) else slug(str(metric), limit=90)
    if name != metric:
        notes.remark(f"the metric {metric!r} is called {name!r}", where)
    return {**written, "metric": name}
