"""Files of anchors: answers with the verdict that the judge gave them once, to be judged again in every run.

JSON Lines, one anchor per line:
{"id": "a1", "assert": {"type": "llm-rubric", "value": "Is kind"}, "prompt": "Hi", "output": "Hello", "verdict": "pass"}
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import SuiteError, did_you_mean
from llmgate.record.disk import read_regular
from llmgate.suite.asserts import AssertSpec, Json
from llmgate.suite.form.asserts import ASSERT_SET, read_assert

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.asserts import Vocabulary

__all__ = ["FEWEST_ANCHORS", "FEWEST_PER_VERDICT", "Anchor", "AnchorFile", "read_anchors"]

FEWEST_ANCHORS: Final = 50
FEWEST_PER_VERDICT: Final = 10
"""A judge that always says the same must not look steady."""
KEYS: Final = ("id", "assert", "prompt", "vars", "output", "verdict")
NEEDED: Final = ("id", "assert", "output", "verdict")
VERDICTS: Final = {"pass": True, "fail": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """An answer, what is asked about it, and what the judge said once.

    Attributes:
        id: Unique in its file.
        spec: The judged assert.
        prompt: What was answered.
        variables: For templates in the assert.
        output: The answer.
        passed: The stored verdict.
    """

    id: str
    spec: AssertSpec
    prompt: str
    variables: Mapping[str, Json]
    output: Json
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorFile:
    """A frozen set of anchors.

    Attributes:
        source: Its file.
        digest: SHA-256 over its bytes.
        anchors: In order.
    """

    source: str
    digest: str
    anchors: tuple[Anchor, ...]


def read_anchors(path: Path, vocabulary: Vocabulary) -> AnchorFile:
    """Read a file of anchors.

    Raises:
        SuiteError: With file and line: for a line that is no anchor, an assert that asks no judge, an id that occurs
            twice, and too few anchors, altogether or of one verdict.
    """
    try:
        data = read_regular(path)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(
            f"the anchors cannot be read ({error})", where=str(path), fix="Check --judge-anchors"
        ) from error
    anchors: list[Anchor] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        anchor = _anchor(line, f"{path}:{number}", vocabulary)
        if anchor.id in seen:
            raise SuiteError(
                f"the id {anchor.id!r} stands on line {seen[anchor.id]} already",
                where=f"{path}:{number}",
                fix="Give each anchor its own",
            )
        seen[anchor.id] = number
        anchors.append(anchor)
    counts = Counter(anchor.passed for anchor in anchors)
    if len(anchors) < FEWEST_ANCHORS or min(counts[True], counts[False]) < FEWEST_PER_VERDICT:
        raise SuiteError(
            f"{counts[True]} anchors that pass and {counts[False]} that fail are too few to see a judge drift",
            where=str(path),
            fix=f"Freeze {FEWEST_ANCHORS} at least, {FEWEST_PER_VERDICT} of each verdict",
        )
    return AnchorFile(source=str(path), digest=hashlib.sha256(data).hexdigest(), anchors=tuple(anchors))


def _anchor(line: str, where: str, vocabulary: Vocabulary) -> Anchor:
    row = _row(line, where)
    spec = read_assert(row["assert"], vocabulary.names, where)
    if spec.type == ASSERT_SET or not vocabulary.is_judge(spec.type):
        raise SuiteError(f"{spec.name} asks no judge", where=where, fix="Anchors are for judged asserts")
    variables = row.get("vars", {})
    vocabulary.validate(spec, variables)
    return Anchor(
        id=row["id"],
        spec=spec,
        prompt=row.get("prompt", ""),
        variables=variables,
        output=row["output"],
        passed=VERDICTS[row["verdict"]],
    )


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"not JSON: {error}", where=where, fix="Write one JSON object per line") from error
    if not isinstance(row, dict):
        raise SuiteError("not an object", where=where, fix="Write one JSON object per line")
    for key in row:
        if key not in KEYS:
            raise SuiteError(f"unknown key {key!r}", where=where, fix=did_you_mean(key, KEYS))
    for key in NEEDED:
        if key not in row:
            raise SuiteError(f"no {key!r}", where=where, fix=f"An anchor has {', '.join(NEEDED)}")
    kinds = {"id": str, "assert": dict, "prompt": str, "vars": dict}
    for key, kind in kinds.items():
        if key in row and not isinstance(row[key], kind):
            raise SuiteError(f"{key} is {row[key]!r}"[:200], where=where, fix="Correct the value")
    if row["verdict"] not in VERDICTS:
        raise SuiteError(f"verdict is {row['verdict']!r}"[:200], where=where, fix="Write pass or fail")
    return row
