"""A suite in code becomes a planned suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import llmgate
from llmgate.errors import LlmgateError, UsageError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.code.definition import CodeSuite
from llmgate.suite.code.plan import CODE_PLAN, CodePlan, CollectedCase, plan_code
from llmgate.suite.data.dataset import write_lock


def write_rows(folder: Path, **more: Any) -> None:
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps({"id": i, "q": i, **more}) + "\n" for i in "abc"), encoding="utf-8")
    write_lock(data)


def plan(folder: Path, *cases: tuple[str, str], **document: Any) -> CodePlan:
    return CodePlan(
        path=str(folder / "test_x.py"),
        document={"llmgate": 1, "suite": "s", "dataset": "rows.jsonl", **document},
        digest="d" * 64,
        metrics=("accuracy",),
        asserts=(),
        cases=tuple(CollectedCase(node=f"test_x.py::test[{case}]", row=row, case=case) for row, case in cases),
        node="test_x.py",
    )


def test_a_plan_survives_the_way_to_another_process(tmp_path: Path) -> None:
    written = plan(tmp_path, ("a", "a"), gate={"accuracy": {"min": 0.5}})
    assert CODE_PLAN.validate_json(CODE_PLAN.dump_json(written)) == written


def test_the_prompt_of_a_suite_is_filled_with_its_rows(tmp_path: Path) -> None:
    write_rows(tmp_path)
    planned = plan_code(plan(tmp_path, ("a", "a"), prompt="Say {{ q }}"), VOCABULARY)
    (case,) = planned.cases
    assert case.messages == ({"role": "user", "content": "Say a"},)
    assert case.code
    assert planned.suite.code is not None


def test_a_column_of_messages_is_asked_where_there_is_no_prompt(tmp_path: Path) -> None:
    write_rows(tmp_path, messages=[{"role": "user", "content": "hello"}])
    assert plan_code(plan(tmp_path, ("b", "b")), VOCABULARY).cases[0].messages[0]["content"] == "hello"
    (tmp_path / "bare").mkdir()
    write_rows(tmp_path / "bare")
    assert plan_code(plan(tmp_path / "bare", ("b", "b")), VOCABULARY).cases[0].messages == ()


def test_several_cases_of_a_row_belong_together(tmp_path: Path) -> None:
    write_rows(tmp_path)
    cases = plan_code(plan(tmp_path, ("a", "a[x]"), ("a", "a[y]"), ("b", "b")), VOCABULARY).cases
    assert [(case.planned.case, case.planned.cluster) for case in cases] == [("a[x]", "a"), ("a[y]", "a"), ("b", None)]


def test_source_and_version_enter_the_digest_and_the_gate_does_not(tmp_path: Path) -> None:
    write_rows(tmp_path)

    def digest(written: CodePlan) -> str:
        return plan_code(written, VOCABULARY).suite.digest

    first = digest(plan(tmp_path, ("a", "a")))
    assert digest(plan(tmp_path, ("a", "a"), gate={"accuracy": {"min": 0.1}})) == first
    assert digest(plan(tmp_path, ("a", "a"), version="2.0.0")) != first
    other = plan(tmp_path, ("a", "a"))
    assert digest(CodePlan(**{**{f: getattr(other, f) for f in CodePlan.__slots__}, "digest": "e" * 64})) != first


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"gate": {"stopping": {"looks": 3}}}, "cannot stop early"),
        ({"sampling": {"temprature": 1}}, "unknown key 'temprature'"),
        ({"dataset": "none.jsonl"}, "none.jsonl"),
        ({"gate": {"metrics": {"manners": {}}}}, "no check feeds the metric 'manners'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, document: dict[str, Any], what: str) -> None:
    write_rows(tmp_path)
    with pytest.raises(LlmgateError, match=what):
        plan_code(plan(tmp_path, ("a", "a"), **document), VOCABULARY)


def test_the_package_is_called_to_declare_a_suite() -> None:
    made = llmgate.suite("support", dataset=Path("x.jsonl"), allow_leakage=True)
    assert isinstance(made, CodeSuite)
    assert made.path == Path(__file__)
    assert made.document == {"llmgate": 1, "suite": "support", "dataset": "x.jsonl", "allow-leakage": True}


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"dataset": "x", "gates": {}}, "gate"),
        ({}, "no dataset"),
        ({"dataset": "x", "asserts": []}, "asserts are what"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(given: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        llmgate.suite("support", **given)
