"""The conformance rows: what each assert type says about a given output, compared with promptfoo's own runner.

Rows are JSON lines. `expect` is what promptfoo does, `llmgate_expect` what llmgate does on purpose instead. Rows with
`engine: js-only` need JavaScript's regular expressions, which are translated; they are not required, so they are kept
apart.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llmgate.record.schema import CaseKey, CaseResult, CheckResult, Generation, Outcome
from llmgate.score.check import CheckContext
from llmgate.score.checks import KINDS, run_check
from llmgate.score.judge import JudgeRequest, RubricJudge
from llmgate.suite import jsvalues
from llmgate.suite.asserts import AssertSpec

Row = dict[str, Any]

ROWS: list[Row] = [
    json.loads(line)
    for path in sorted((Path(__file__).parent / "rows").glob("*.jsonl"))
    for line in path.read_text(encoding="utf-8").splitlines()
]
IMPLEMENTED = frozenset({*KINDS, "unknown"})


def base_type(assertion: Row) -> str:
    return str(assertion["type"]).removeprefix("not-")


def applies(row: Row) -> bool:
    """Whether a row asks only for what exists: no types of later issues, no assert-set, no test threshold."""
    if row["type"] == "aggregate":
        kinds = {base_type(assertion) for assertion in row["assert"]}
        return kinds <= KINDS.keys() | {"contain"} and row.get("threshold") is None
    if row["type"] == "weight-zero":
        return base_type(row["assertion"]) in KINDS
    return row["type"] in IMPLEMENTED


APPLICABLE = [row for row in ROWS if applies(row)]
REQUIRED = [row for row in APPLICABLE if row.get("engine") != "js-only"]
JS_ONLY = [row for row in APPLICABLE if row.get("engine") == "js-only"]


def spec_of(assertion: Row) -> AssertSpec:
    name = assertion["type"]
    threshold = assertion.get("threshold")
    return AssertSpec(
        type=name.removeprefix("not-"),
        negated=name.startswith("not-"),
        value=assertion.get("value"),
        has_value="value" in assertion,
        threshold=None if threshold is None else jsvalues.to_number(threshold),
        weight=assertion.get("weight", 1.0),
        where="suite.yaml:1",
    )


def asker(row: Row) -> Any:
    async def ask(_: JudgeRequest) -> Any:
        reply = row["judge_reply"]
        if isinstance(reply, dict):
            if "error" in reply:
                raise ConnectionError(reply["error"])
            return reply["json"]
        return reply

    return ask


def check(assertion: Row, row: Row) -> CheckResult:
    spec = spec_of(assertion)
    context = CheckContext(
        output=row["output"], variables=row.get("vars", {}), prompt=row.get("prompt", "What is the answer?")
    )
    if spec.type == "llm-rubric":
        return asyncio.run(RubricJudge().judge(spec, context, asker(row)))
    return run_check(spec, context)


def outcome_of(row: Row) -> tuple[str, float | None]:
    if row["type"] != "aggregate":
        result = check(row["assertion"], row)
        return result.outcome, result.score
    checks = tuple(check(assertion, row) for assertion in row["assert"])
    case = CaseResult(
        key=CaseKey(suite="s", case="c"), answer=Generation(text=str(row["output"]), latency_s=0.1), checks=checks
    )
    if not case.evaluated:
        return Outcome.ERROR, None
    total = sum(result.weight for result in checks)
    weighted = sum(result.weight * result.score for result in checks if result.score is not None)
    # Nothing to check is fully right, nothing that counts is 0: promptfoo's means of nothing.
    score = weighted / total if total else float(not checks)
    return (Outcome.PASS if case.passed else Outcome.FAIL), score


def expected(row: Row) -> Row:
    return dict(row.get("llmgate_expect") or row["expect"])


@pytest.mark.parametrize("row", REQUIRED, ids=lambda row: row["id"])
def test_required_row(row: Row) -> None:
    outcome, score = outcome_of(row)
    want = expected(row)
    assert outcome == want["outcome"]
    if want["outcome"] != "error":
        assert score == pytest.approx(want["score"], abs=1e-6)


@pytest.mark.parametrize("row", JS_ONLY, ids=lambda row: row["id"])
def test_javascript_only_row(row: Row) -> None:
    outcome, _ = outcome_of(row)
    assert outcome == expected(row)["outcome"]


def test_no_row_was_lost() -> None:
    counts = Counter(row["type"] for row in REQUIRED)
    assert counts == {
        "aggregate": 19, "contains": 40, "contains-all": 51, "contains-any": 50, "equals": 88, "icontains": 42,
        "icontains-all": 46, "icontains-any": 48, "is-json": 146, "llm-rubric": 82, "regex": 107, "starts-with": 30,
        "unknown": 11, "weight-zero": 5, "word-count": 65,
    }  # fmt: skip
    assert len(JS_ONLY) == 24
