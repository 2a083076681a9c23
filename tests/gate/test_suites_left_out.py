"""Leaving a suite out is not a way to pass."""

from __future__ import annotations

from support.records import make_record, make_result, make_suite

from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.types import Verdict
from llmgate.record.policy import MetricPolicy, Policy

POLICY = Policy(metrics=(MetricPolicy(suite="support", metric="accuracy", margin=0.5),))


def test_a_suite_that_only_the_champion_ran_bars_pass() -> None:
    cases = [make_result(f"case-{i}") for i in range(60)]
    suites = [make_suite("support", cases=60)]
    candidate = make_record(results=cases, suites=suites)
    same = make_record(run_id="run-champion", results=cases, suites=suites)
    assert decide_records(candidate, same, POLICY).verdict is Verdict.PASS

    more = [*cases, make_result("x", suite="safety")]
    champion = make_record(run_id="run-champion", results=more, suites=[*suites, make_suite("safety", cases=1)])
    decision = decide_records(candidate, champion, POLICY)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert [problem.where for problem in decision.problems] == ["safety"]
    assert decision.exit_code == 3
