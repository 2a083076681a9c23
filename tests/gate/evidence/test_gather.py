"""From records to scores: whatever was not evaluated becomes an error with its cause."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import make_case, make_check, make_failed_result, make_policy, make_record, make_result, make_suite

from llmgate.errors import UndefinedError
from llmgate.gate.evidence.gather import gather, score_checks
from llmgate.record.policy import Aggregate, MetricPolicy, Role
from llmgate.record.schema import CaseKey, CaseResult, CheckResult, Outcome, Record

POLICY = make_policy()
GRADED = make_policy([MetricPolicy(suite="support", metric="accuracy", aggregate=Aggregate.MEAN)])


def scores(record: Record, policy: object = POLICY) -> dict[str, float | str]:
    assert isinstance(policy, type(POLICY))
    (table,) = gather(record, policy).tables
    return {i.item_id: i.score if i.score is not None else i.error or "" for i in table.rows()}


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (make_failed_result("a"), "timeout: no answer within 60 s"),
        (make_result("a", judged=False), "not judged"),
        (
            make_result("a", score=None, reason="no verdict in the answer"),
            "icontains ended in error: no verdict in the answer",
        ),
        (make_result("a", checks=[]), "no check with a weight feeds this metric"),
        (make_result("a", checks=[make_check(metric="tone")]), "no check with a weight feeds this metric"),
        (make_result("a", checks=[make_check(weight=0.0)]), "no check with a weight feeds this metric"),
        (make_result("a", checks=[make_check(), make_check(None, weight=0.0)]), "icontains ended in error"),
    ],
)
@pytest.mark.parametrize("policy", [POLICY, GRADED])
def test_what_was_not_evaluated_is_an_error_with_its_cause(result: CaseResult, cause: str, policy: object) -> None:
    assert scores(make_record(results=[result]), policy) == {"a": cause}


def test_a_planned_case_without_a_result_is_an_error() -> None:
    record = make_record(results=[make_result("a")], cases=[make_case("a"), make_case("b")])
    assert scores(record) == {"a": 1.0, "b": "no result"}


def test_a_case_that_nothing_checks_is_in_no_table_and_no_problem() -> None:
    cases = [make_case("a"), *(replace(make_case(name), metrics=()) for name in ("b", "c"))]
    record = make_record(results=[make_result("a"), make_result("b", checks=[])], cases=cases)
    evidence = gather(record, POLICY)
    assert scores(record) == {"a": 1.0}
    assert evidence.problems == ()


def test_one_bad_repeat_spoils_the_case() -> None:
    results = [make_result("a"), make_failed_result("a", repeat=1), make_result("a", repeat=2)]
    assert scores(make_record(results=results)) == {"a": "timeout: no answer within 60 s (repeat 2 of 3)"}


def test_a_case_planned_without_a_repeat_is_an_error() -> None:
    record = make_record(results=[make_result("a")], cases=[make_case("a"), make_case("b", repeats=0)])
    assert scores(record)["b"] == "planned without a repeat"


def test_repeats_are_averaged() -> None:
    results = [make_result("a", repeat=k, score=s) for k, s in enumerate([1.0, 0.0, 1.0, 1.0])]
    assert scores(make_record(results=results)) == {"a": 0.75}


@pytest.mark.parametrize(
    ("checks", "every", "mean"),
    [
        ([make_check(1.0), make_check(1.0)], 1.0, 1.0),
        ([make_check(1.0), make_check(0.0)], 0.0, 0.5),
        ([make_check(1.0, weight=3), make_check(0.0)], 0.0, 0.75),
        ([make_check(0.6), make_check(0.8)], 1.0, 0.7),
        # Without a weight a check is only shown, unless it is required.
        ([make_check(1.0), make_check(0.0, weight=0)], 1.0, 1.0),
        ([make_check(1.0), make_check(0.0, weight=0, required=True)], 0.0, 1.0),
    ],
)
def test_both_ways_to_aggregate(checks: list[CheckResult], every: float, mean: float) -> None:
    assert score_checks(checks, Aggregate.ALL) == every
    assert score_checks(checks, Aggregate.MEAN) == pytest.approx(mean)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100)), max_size=8), st.sampled_from(Aggregate))
def test_a_score_is_in_range_or_does_not_exist(pairs: list[tuple[float, float]], aggregate: Aggregate) -> None:
    checks = [make_check(score, weight=weight) for score, weight in pairs]
    try:
        score = score_checks(checks, aggregate)
    except UndefinedError:
        assert sum(weight for _, weight in pairs) == 0
    else:
        assert 0.0 <= score <= 1.0


def test_clusters_come_from_the_plan() -> None:
    record = make_record(results=[make_result("a")], cases=[make_case("a", cluster="doc-1")])
    assert next(gather(record, POLICY).tables[0].rows()).cluster == "doc-1"


def test_failed_required_checks_are_listed_once_per_case_whatever_their_metric() -> None:
    broken = make_check(0.0, metric="safety", required=True)
    results = [make_result(case, repeat=k, checks=[make_check(), broken]) for case in ("b", "a") for k in (0, 1)]
    assert gather(make_record(results=results), POLICY).required_failures == ("support::a", "support::b")


def test_a_required_check_that_could_not_be_evaluated_is_a_problem_even_outside_the_policy() -> None:
    unknown = make_check(None, type="llm-rubric", metric="safety", required=True, reason="judge gave no verdict")
    evidence = gather(make_record(results=[make_result("a", checks=[make_check(), unknown])]), POLICY)
    assert evidence.required_failures == ()
    (problem,) = evidence.problems
    assert problem.what == "1 required check could not be evaluated: a (llm-rubric: judge gave no verdict)"


def test_lost_cases_of_a_suite_that_nothing_gates_are_a_problem() -> None:
    policy = make_policy([MetricPolicy(suite="support", metric="accuracy", role=Role.WATCH)])
    evidence = gather(make_record(scores={"a": None, "b": None, "c": 1.0}), policy)
    (problem,) = evidence.problems
    assert problem.what.startswith("2 of 3 cases have no complete answer: a (timeout")
    evidence = gather(make_record(scores={"a": None, "c": 1.0}), policy)
    assert evidence.problems[0].what.startswith("1 of 2 cases has no complete answer: a (timeout")


MUST = make_check(required=True)


@pytest.mark.parametrize(
    ("checks", "own", "beside", "needed"),
    [
        pytest.param([make_check()], False, None, False, id="the others tell, as all have the same asserts"),
        pytest.param([make_check(), MUST], False, None, True, id="the others tell that it must never fail"),
        pytest.param([make_check()], True, None, True, id="the others cannot tell"),
        pytest.param([make_check()], True, [make_check()], False, id="the champion's answer tells"),
        pytest.param([make_check()], True, [MUST], True, id="the champion's answer tells that it must never fail"),
    ],
)
def test_a_case_that_must_never_fail_is_needed_and_what_nobody_knows_is_too(
    checks: list[CheckResult], own: bool, beside: list[CheckResult] | None, needed: bool
) -> None:
    cases = [replace(make_case(name), metrics=("accuracy",) if own else None) for name in "abc"]
    results = [make_failed_result("a"), *(make_result(name, checks=checks) for name in "bc")]
    record = make_record(results=results, cases=cases)
    others = [] if beside is None else [make_record(results=[make_result("a", checks=beside)], cases=cases)]
    (table,) = gather(record, POLICY, beside=others).tables
    assert table.needed == (frozenset({0}) if needed else frozenset())


def test_a_case_that_only_watched_metrics_look_at_and_must_never_fail_is_not_lost_unseen() -> None:
    policy = make_policy(
        [
            MetricPolicy(suite="support", metric="accuracy"),
            MetricPolicy(suite="support", metric="safety", role=Role.WATCH),
        ]
    )
    cases = [replace(make_case("a"), metrics=("safety",)), replace(make_case("b"), metrics=("accuracy",))]
    record = make_record(results=[make_failed_result("a"), make_result("b")], cases=cases)
    for check, problems in ((make_check(metric="safety", required=True), 1), (make_check(metric="safety"), 0)):
        other = make_record(results=[make_result("a", checks=[check]), make_result("b")], cases=cases)
        assert len(gather(record, policy, beside=[other]).problems) == problems
    assert len(gather(record, policy).problems) == 1


@pytest.mark.parametrize(
    ("metric", "repeats", "expected"),
    [
        (MetricPolicy(suite="support", metric="accuracy"), 1, True),
        (MetricPolicy(suite="support", metric="accuracy"), 2, False),
        (MetricPolicy(suite="support", metric="accuracy", aggregate=Aggregate.MEAN), 1, False),
    ],
)
def test_what_is_missing_is_right_or_wrong_where_nothing_else_can_be(
    metric: MetricPolicy, repeats: int, expected: bool
) -> None:
    results = [make_result("a", repeat=repeat) for repeat in range(repeats)]
    (table,) = gather(make_record(results=results), make_policy([metric])).tables
    assert table.right_or_wrong is expected


def test_fewer_planned_cases_than_the_suite_has_are_a_problem() -> None:
    record = make_record(scores={"a": 1.0}, suites=[make_suite(cases=4)])
    assert "1 of 4 cases is in the record" in str(gather(record, POLICY).problems[0])


def test_results_that_nobody_planned_are_a_problem() -> None:
    record = make_record(scores={"a": 1.0})
    extra = CaseKey(suite="support", case="z")
    record = replace(record, results={**record.results, extra: make_result("z")})
    (problem,) = gather(record, POLICY).problems
    assert problem.what == "1 result belongs to no planned case: support::z"


def test_evidence_knows_its_run() -> None:
    record = make_record()
    evidence = gather(record, POLICY)
    assert record.seal is not None
    assert (evidence.run, evidence.digest) == ("run-candidate", record.seal.journal_digest)
    assert gather(replace(record, seal=None), POLICY).digest == ""
    assert evidence.table("support", "none") is None


def test_a_fail_keeps_its_score_of_zero() -> None:
    check = CheckResult(type="icontains", outcome=Outcome.FAIL, score=0.0)
    assert score_checks([check], Aggregate.MEAN) == 0.0
