"""promptfoo's asserts: what can be carried over as it is, and what is left out and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError
from llmgate.suite.form.asserts import ASSERT_SET
from llmgate.suite.form.part import NAME
from llmgate.suite.importers.files import listing
from llmgate.suite.importers.promptfoo.code import (
    LANGUAGES,
    is_boolean,
    obstacle_of_code,
    sees_data,
    transform_of,
    translated,
)
from llmgate.suite.importers.table import slug

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.result import Notebook

__all__ = ["CODE_TYPES", "carried", "names_files"]

CODE_TYPES: Final = frozenset({"ruby", "webhook"})
JUDGED: Final = "judged"
_KEPT: Final = ("type", "value", "threshold", "weight", "metric", "config")
_CHANGES: Final = {
    "contextTransform": "its context comes from code, which is not run",
    "rubricPrompt": "it words the question to the judge itself",
}
"""Keys without which an assert would check something else."""


def carried(
    written: Any,
    where: str,
    row: Mapping[str, Json],
    notes: Notebook,
    before: Sequence[Json] = (),
    *,
    data: bool = False,
) -> dict[str, Json] | None:
    """One assert as it stands in our suite, or None if it is left out, which is noted.

    Args:
        written: promptfoo's assert.
        where: Its place.
        row: A dataset row, to try it on.
        notes: What is left out.
        before: Transforms that the provider and the test apply to the output before any assert sees it.
        data: Whether the provider may hand on data where we have its JSON.
    """
    if not isinstance(written, Mapping) or not isinstance(written.get("type"), str):
        notes.lost(f"an assert without a type: {written!r}"[:160], where)
        return None
    if written["type"] == ASSERT_SET:
        return carried_set(written, where, row, notes, before, data=data)
    reason = obstacle(written)
    if reason:
        notes.lost(f"assert {written['type']!r} left out: {reason}", where)
        return None
    if written.get("provider") is not None:
        notes.lost(
            f"the own `provider` of an assert {written['type']!r} (judges are named when the suite is run)", where
        )
    kept = {key: written[key] for key in _KEPT if written.get(key) is not None}
    base = written["type"].removeprefix("not-")
    if data and not before and base in LANGUAGES and sees_data(base, str(written.get("value"))):
        before = ["parsed"]
        notes.remark("asserts in code that see data are given what the answer's JSON holds", where)
    transforms: list[Json] = [*before, *(transform_of(written.get("transform")) or ())]
    if transforms:
        kept["transform"] = transforms
    if base in LANGUAGES:
        return carried_code(kept, where, row, notes)
    result = named(kept, where, notes)
    if "metric" not in result and notes.vocabulary.is_judge(base):
        # Beside them, deterministic asserts could not gate: a metric that a judge scores is only watched.
        result["metric"] = JUDGED
        notes.remark(f"asserts that ask a judge feed the metric {JUDGED!r}, so that the others can gate")
    return result if notes.accepts(result, row, where) else None


def carried_code(kept: dict[str, Json], where: str, row: Mapping[str, Json], notes: Notebook) -> dict[str, Json] | None:
    """An assert that is code, as an assert that says the same."""
    written, code = str(kept["type"]), str(kept["value"])
    language, first = written.removeprefix("not-"), " ".join(code.split())[:80]
    try:
        says = translated(language, code, structured="transform" in kept)
    except SuiteError as error:
        notes.lost(f"assert {written!r} left out: {error.what} ({first})", where)
        return None
    prefix = "not-" if written.startswith("not-") else ""
    if prefix and str(says["type"]).startswith("not-"):
        prefix, says = "", {**says, "type": str(says["type"]).removeprefix("not-")}
    plain = {key: value for key, value in kept.items() if key != "config"}
    if says["type"] != "expression" or (language == "javascript" and is_boolean(code)):
        plain.pop("threshold", None)  # it bounds numbers
    result = named({**plain, **says, "type": f"{prefix}{says['type']}"}, where, notes)
    return result if notes.accepts(result, row, where, (written, first)) else None


def obstacle(written: Mapping[str, Any]) -> str | None:
    """Why an assert cannot be carried over, as far as its keys say."""
    base = written["type"].removeprefix("not-")
    if base in CODE_TYPES:
        first = " ".join(str(written.get("value", "")).split())[:80]
        return f"code is not run ({first})" if first else "code is not run"
    if base in LANGUAGES and (reason := obstacle_of_code(written)):
        return reason
    for key, why in _CHANGES.items():
        if written.get(key) is not None:
            return why
    if written.get("transform") is not None and transform_of(written["transform"]) is None:
        return "it sees a transformed output, and code is not run"
    if base not in LANGUAGES and names_files(written.get("value")):
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
    written: Mapping[str, Any],
    where: str,
    row: Mapping[str, Json],
    notes: Notebook,
    before: Sequence[Json],
    *,
    data: bool,
) -> dict[str, Json] | None:
    """An assert-set. Without one of its members a set with a threshold would weigh differently: it goes as a whole."""
    members = [carried(member, where, row, notes, before, data=data) for member in listing(written.get("assert"))]
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
