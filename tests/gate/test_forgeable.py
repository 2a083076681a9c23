"""Checks that answers could have forged: recorded, and never all that a PASS rests on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.records import make_check, make_policy, make_record, make_result

from llmgate.gate.decide import decide
from llmgate.gate.decision.types import Verdict
from llmgate.gate.evidence.gather import gather
from llmgate.record.policy import MetricPolicy, Role
from llmgate.record.run.stored import RESULT

if TYPE_CHECKING:
    from llmgate.record.schema import Record


def record_of(*flags: tuple[str, bool], weight: float = 1.0) -> Record:
    results = [
        make_result(
            f"case-{i}",
            checks=[
                replace(make_check(metric=metric, weight=weight if forgeable else 1.0), forgeable=forgeable)
                for metric, forgeable in flags
            ],
        )
        for i in range(20)
    ]
    return make_record(results=results)


def verdict(record: Record, *metrics: tuple[str, Role]) -> Verdict:
    suite = record.cases[0].suite
    policies = [MetricPolicy(suite=suite, metric=metric, min=0.5, role=role) for metric, role in metrics]
    return decide(gather(record, make_policy(policies)), None, make_policy(policies)).verdict


@pytest.mark.parametrize(
    ("flags", "metrics", "expected"),
    [
        ([("code", False)], [("code", Role.PRIMARY)], Verdict.PASS),
        ([("code", True)], [("code", Role.PRIMARY)], Verdict.INCONCLUSIVE),
        ([("code", True)], [("code", Role.GUARDRAIL)], Verdict.INCONCLUSIVE),
        ([("code", True), ("words", False)], [("code", Role.PRIMARY), ("words", Role.PRIMARY)], Verdict.PASS),
        ([("code", True), ("words", False)], [("code", Role.PRIMARY), ("words", Role.WATCH)], Verdict.INCONCLUSIVE),
        ([("code", True), ("words", True)], [("code", Role.PRIMARY), ("words", Role.PRIMARY)], Verdict.INCONCLUSIVE),
        ([("code", True), ("code", False)], [("code", Role.PRIMARY)], Verdict.INCONCLUSIVE),
    ],
)
def test_forgeable_checks_do_not_gate_alone(
    flags: list[tuple[str, bool]], metrics: list[tuple[str, Role]], expected: Verdict
) -> None:
    assert verdict(record_of(*flags), *metrics) is expected


def test_a_check_without_a_weight_rests_on_nothing() -> None:
    assert verdict(record_of(("code", True), ("code", False), weight=0.0), ("code", Role.PRIMARY)) is Verdict.PASS


def test_the_problem_says_what_to_do() -> None:
    record = record_of(("code", True))
    policies = make_policy([MetricPolicy(suite=record.cases[0].suite, metric="code", min=0.5)])
    (problem,) = decide(gather(record, policies), None, policies).problems
    assert "forge" in problem.what
    assert "judged: inside" in problem.fix


def test_the_journal_says_so_only_where_it_holds() -> None:
    for forgeable in (False, True):
        result = make_result("a", checks=[replace(make_check(), forgeable=forgeable)])
        line = RESULT.dump_json(result)
        assert (b"forgeable" in line) is forgeable
        assert RESULT.validate_json(line) == result
