"""Records that may not be compared are refused, naming the field and both values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.records import make_case, make_failed_result, make_policy, make_record, make_result, make_suite, seal

from llmgate.errors import NotComparableError, PolicyError, RecordError
from llmgate.gate.evidence.comparable import check_comparable, check_decidable, check_policy, same_answers
from llmgate.record.manifest import JudgeIdentity
from llmgate.record.policy import MetricPolicy, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.record.schema import Record

POLICY = make_policy()
CANDIDATE = make_record()
CHAMPION = make_record(run_id="run-champion")
JUDGED = make_policy([MetricPolicy(suite="support", metric="tone", role=Role.WATCH, judged=True)])
JUDGE = JudgeIdentity(model="judge-7b", prompt_digest="p1", sampling={"temperature": 0.0})


def test_two_runs_of_one_suite_are_comparable() -> None:
    check_comparable(CANDIDATE, CHAMPION, POLICY)


def with_suite(**changes: object) -> Record:
    (suite,) = CHAMPION.manifest.suites
    return replace(CHAMPION, manifest=replace(CHAMPION.manifest, suites=(replace(suite, **changes),)))  # type: ignore[arg-type]


def with_case(**changes: object) -> Record:
    first, *others = CHAMPION.cases
    return replace(CHAMPION, cases=(replace(first, **changes), *others))  # type: ignore[arg-type]


def with_manifest(**changes: object) -> Record:
    return replace(CHAMPION, manifest=replace(CHAMPION.manifest, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("champion", "field", "values"),
    [
        (with_suite(version="1.1.0"), "version is", ("'1.2.0'", "'1.1.0'")),
        (with_suite(digest="d0"), "digest is", ("'d0'",)),
        (with_suite(dataset_version="2025.9"), "dataset_version is", ("'2026.1'", "'2025.9'")),
        (with_suite(dataset_digest="d1"), "dataset_digest is", ("'d1'",)),
        (with_suite(cases=5), "cases is", ("4", "5")),
        (with_case(repeats=3), "repeats is", ("1", "3")),
        (with_case(cluster="doc"), "cluster is", ("None", "'doc'")),
        (with_case(request_digest="r"), "request_digest is", ("'r'",)),
        (with_manifest(major=2), "major is", ("1", "2")),
        (with_manifest(local_models={"mood": "w1"}), "weights of mood is", ("'unknown'", "'w1'")),
    ],
)
def test_a_difference_is_refused_with_field_and_both_values(
    champion: Record, field: str, values: tuple[str, ...]
) -> None:
    with pytest.raises(NotComparableError) as caught:
        check_comparable(CANDIDATE, champion, POLICY)
    assert field in caught.value.what
    assert all(value in caught.value.what for value in values)


@pytest.mark.parametrize("change", [{"prompt_digest": "p2"}, {"model": "judge-8b"}, {"sampling": {"temperature": 1.0}}])
def test_another_judge_is_refused(change: dict[str, object]) -> None:
    mine = make_record(judge=JUDGE)
    theirs = make_record(run_id="run-champion", judge=replace(JUDGE, **change))  # type: ignore[arg-type]
    with pytest.raises(NotComparableError, match="judge is"):
        check_comparable(mine, theirs, JUDGED)
    check_comparable(mine, theirs, POLICY)


def test_a_judge_on_one_side_only_is_refused_where_it_scores() -> None:
    with pytest.raises(NotComparableError) as caught:
        check_comparable(CANDIDATE, with_manifest(judge=JUDGE), JUDGED)
    assert "'none'" in caught.value.what
    assert "judge-7b (weights None, prompt p1, temperature=0.0)" in caught.value.what
    check_comparable(CANDIDATE, with_manifest(judge=JUDGE), POLICY)


def test_a_baseline_that_lacks_a_case_is_refused_and_the_case_named() -> None:
    champion = seal(replace(CHAMPION, cases=CHAMPION.cases[1:]))
    with pytest.raises(NotComparableError, match="the champion's record lacks 1 case: a"):
        check_comparable(CANDIDATE, champion, POLICY)
    with pytest.raises(NotComparableError, match="the candidate's record lacks 1 case: a"):
        check_comparable(seal(replace(champion, manifest=CANDIDATE.manifest)), CHAMPION, POLICY)


def test_a_copy_under_another_name_is_refused() -> None:
    copy = replace(CHAMPION, manifest=CANDIDATE.manifest)
    with pytest.raises(NotComparableError, match="hold the same answers, so one is a copy of the other"):
        check_comparable(copy, CHAMPION, POLICY)


@pytest.mark.parametrize(("again", "same"), [(4, True), (3, True), (2, False), (0, False)])
def test_a_copy_in_part_is_told_by_how_long_its_answers_took(again: int, same: bool) -> None:
    one, other = (
        make_record(
            run_id=name,
            results=[make_result(f"c{i}", latency_s=0.1 + i + (late if i >= again else 0)) for i in range(4)],
        )
        for name, late in (("a", 0.0), ("b", 0.01))
    )
    assert same_answers(one, other) is same


def test_times_that_were_not_measured_tell_nothing() -> None:
    assert not same_answers(CANDIDATE, CHAMPION)


def test_a_baseline_that_lacks_a_suite_is_refused() -> None:
    other = make_record(
        run_id="run-champion", results=[make_result("a", suite="other")], suites=[make_suite("other", cases=1)]
    )
    with pytest.raises(NotComparableError, match="the champion's record has no suite 'support'"):
        check_comparable(CANDIDATE, other, POLICY)


def test_suites_that_the_policy_does_not_name_may_differ() -> None:
    extra = make_record(
        run_id="run-champion",
        results=[*CHAMPION.results.values(), make_result("x", suite="more")],
    )
    check_comparable(CANDIDATE, extra, POLICY)


def test_a_run_is_not_compared_with_itself() -> None:
    with pytest.raises(NotComparableError, match="the same run, run-candidate"):
        check_comparable(CANDIDATE, CANDIDATE, POLICY)


@pytest.mark.parametrize("side", ["candidate", "champion"])
def test_an_unfinished_record_is_refused(side: str) -> None:
    records = {"candidate": CANDIDATE, "champion": CHAMPION}
    records[side] = replace(records[side], seal=None)
    with pytest.raises(NotComparableError, match=f"seal: the {side}'s record"):
        check_comparable(records["candidate"], records["champion"], POLICY)


def test_a_record_without_a_seal_cannot_be_decided_on() -> None:
    with pytest.raises(RecordError, match="no seal"):
        check_decidable(replace(CANDIDATE, seal=None))


def test_a_record_that_lost_a_result_after_sealing_cannot_be_decided_on() -> None:
    fewer = dict(list(CANDIDATE.results.items())[1:])
    with pytest.raises(RecordError, match="the seal counts 4 results, but the record holds 3"):
        check_decidable(replace(CANDIDATE, results=fewer))


def test_a_case_planned_twice_cannot_be_decided_on() -> None:
    with pytest.raises(RecordError, match="planned more than once: support::a"):
        check_decidable(replace(CANDIDATE, cases=(make_case("a"), *CANDIDATE.cases)))


@pytest.mark.parametrize(
    ("suite", "metric", "advice"),
    [
        ("suport", "accuracy", "Did you mean support?"),
        ("zzz", "accuracy", "Valid names: support"),
        ("support", "acuracy", "Did you mean accuracy?"),
        ("support", "zzz", "Valid names: accuracy"),
    ],
)
def test_a_misspelt_policy_is_refused_with_the_nearest_name(suite: str, metric: str, advice: str) -> None:
    with pytest.raises(PolicyError) as caught:
        check_policy(CANDIDATE, make_policy([MetricPolicy(suite=suite, metric=metric)]))
    assert caught.value.fix == advice


def test_a_metric_named_twice_is_refused() -> None:
    metric = MetricPolicy(suite="support", metric="accuracy")
    with pytest.raises(PolicyError, match="twice"):
        check_policy(CANDIDATE, make_policy([metric, replace(metric, margin=0.5)]))


@pytest.mark.parametrize("result", [make_failed_result, lambda case: make_result(case, checks=[], judged=False)])
def test_a_metric_is_not_called_unknown_before_anything_was_judged(result: Callable[[str], object]) -> None:
    record = make_record(results=[result("a")])  # type: ignore[list-item]
    check_policy(record, POLICY)


def test_other_weights_of_a_model_that_asserts_ask_are_refused() -> None:
    def run(record: Record, digest: str) -> Record:
        return replace(record, manifest=replace(record.manifest, local_models={"models/mood": digest}))

    check_comparable(run(CANDIDATE, "w1"), run(CHAMPION, "w1"), POLICY)
    with pytest.raises(NotComparableError, match="weights of models/mood is 'w1'.*'w2'"):
        check_comparable(run(CANDIDATE, "w1"), run(CHAMPION, "w2"), POLICY)
