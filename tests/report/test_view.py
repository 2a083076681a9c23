from __future__ import annotations

import math
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from support.hostile import HOSTILE
from support.records import (
    make_case,
    make_check,
    make_decision,
    make_failed_result,
    make_flip,
    make_metric,
    make_problem,
    make_record,
    make_result,
)
from support.reports import LOOKS, hostile_view, look, texts_of

from llmgate.errors import RecordError
from llmgate.gate.decision.types import Verdict
from llmgate.record.policy import OnInconclusive, Role
from llmgate.record.schema import CaseKey, Record
from llmgate.report.limits import ReportLimits
from llmgate.report.pieces import State
from llmgate.report.view import build_view

CHAMPION = make_record(scores={"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0}, run_id="run-champion", version=7)
CANDIDATE = make_record(scores={"a": 0.0, "b": 1.0, "c": 0.0, "d": 1.0})


def test_a_decision_about_another_run_is_refused() -> None:
    decision = replace(make_decision(candidate=CANDIDATE, champion=CHAMPION), candidate_run="run-other")
    with pytest.raises(RecordError, match="'run-other', but the record is run 'run-candidate'"):
        build_view(CANDIDATE, CHAMPION, decision)


def test_a_record_that_changed_after_the_decision_is_refused() -> None:
    decision = make_decision(candidate=CANDIDATE, champion=CHAMPION)
    changed = make_record(scores={"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0})
    with pytest.raises(RecordError, match="decide again"):
        build_view(changed, CHAMPION, decision)
    unsealed = replace(CANDIDATE, seal=None)
    with pytest.raises(RecordError, match="not sealed"):
        build_view(unsealed, CHAMPION, decision)


def test_a_missing_champion_is_refused() -> None:
    with pytest.raises(RecordError, match="no champion record was given"):
        build_view(CANDIDATE, None, make_decision(candidate=CANDIDATE, champion=CHAMPION))


def test_a_champion_that_was_not_compared_is_refused() -> None:
    with pytest.raises(RecordError, match="champion is run None"):
        build_view(CANDIDATE, CHAMPION, make_decision(candidate=CANDIDATE))


def test_a_pass_may_have_counted_what_is_missing_and_shows_it() -> None:
    counted = replace(make_problem(), counted=True)
    decision = make_decision(Verdict.PASS, candidate=CANDIDATE, champion=CHAMPION, problems=(counted,))
    view = build_view(CANDIDATE, CHAMPION, decision)
    assert [problem.what for problem in view.problems] == [counted.what]
    assert "could not be evaluated" not in view.qualifier


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"problems": (make_problem(),)}, "lists problems"),
        ({"required_failures": ("support::a",)}, "failed required asserts"),
    ],
)
def test_a_pass_that_contradicts_itself_is_refused(broken: dict[str, Any], words: str) -> None:
    decision = make_decision(Verdict.PASS, candidate=CANDIDATE, champion=CHAMPION, **broken)
    with pytest.raises(RecordError, match=words):
        build_view(CANDIDATE, CHAMPION, decision)


def test_a_pass_on_an_unfinished_run_is_refused() -> None:
    unsealed = make_record(sealed=False)
    with pytest.raises(RecordError, match="candidate run that was never finished"):
        build_view(unsealed, None, make_decision(Verdict.PASS, candidate=unsealed))
    champion = replace(CHAMPION, seal=None)
    with pytest.raises(RecordError, match="champion run that was never finished"):
        build_view(CANDIDATE, champion, make_decision(Verdict.PASS, candidate=CANDIDATE, champion=champion))


@pytest.mark.parametrize(
    ("name", "state", "qualifier"),
    [
        ("pass", State.PASS, ""),
        ("fail", State.FAIL, ""),
        ("inconclusive", State.INCONCLUSIVE, ""),
        ("not-evaluated", State.NOT_EVALUATED, "could not be evaluated"),
        ("no-champion", State.PASS, ""),
    ],
)
def test_states(name: str, state: State, qualifier: str) -> None:
    view = look(name)
    assert (view.state, view.qualifier) == (state, qualifier)


def test_only_a_pass_allows_a_promotion() -> None:
    allowing = {name for name in LOOKS if "allows" in look(name).consequence}
    assert allowing == {"pass", "no-champion"}
    assert all("blocked" in look(name).consequence for name in set(LOOKS) - allowing)


def test_an_interrupted_run_says_so() -> None:
    notice = look("not-evaluated").notices[0]
    assert notice.serious
    assert notice.text == "The candidate's run did not finish: 4 of 6 planned answers exist."


def test_a_lenient_policy_is_told() -> None:
    decision = make_decision(
        Verdict.INCONCLUSIVE, candidate=CANDIDATE, champion=CHAMPION, on_inconclusive=OnInconclusive.ALLOW
    )
    assert any(
        "never allows a promotion" in notice.text for notice in build_view(CANDIDATE, CHAMPION, decision).notices
    )


def test_flips_come_worse_first_gating_metrics_before_watched_ones() -> None:
    metrics = [make_metric(Verdict.FAIL), make_metric(metric="tone", role=Role.WATCH)]
    flips = (
        make_flip("d", 1.0, 0.0, metric="tone"),
        make_flip("a", 1.0, 0.5),
        make_flip("c", 1.0, 0.0),
        make_flip("b", 0.0, 1.0),
    )
    decision = make_decision(Verdict.FAIL, candidate=CANDIDATE, champion=CHAMPION, metrics=metrics, flips=flips)
    view = build_view(CANDIDATE, CHAMPION, decision)
    assert [(row.case, row.metric, row.change) for row in view.worse.rows] == [
        ("c", "accuracy", "100 % → 0 %"),
        ("a", "accuracy", "100 % → 50 %"),
        ("d", "tone", "100 % → 0 %"),
    ]
    assert [row.case for row in view.better.rows] == ["b"]


def test_flips_beyond_the_limit_are_counted() -> None:
    decision = make_decision(Verdict.FAIL, candidate=CANDIDATE, champion=CHAMPION)
    view = build_view(CANDIDATE, CHAMPION, decision, limits=ReportLimits(worse=1))
    assert (len(view.worse.rows), view.worse.total, view.worse.left_out) == (1, 2, 1)


def test_a_flip_of_an_unknown_case_is_shown_as_such() -> None:
    decision = make_decision(Verdict.FAIL, candidate=CANDIDATE, champion=CHAMPION, flips=(make_flip("ghost"),))
    (row,) = build_view(CANDIDATE, CHAMPION, decision).worse.rows
    assert row.note == "This case is not in the record."


def test_missed_cases_say_what_the_champion_did() -> None:
    champion = make_record(scores={"a": 1.0, "b": 0.0, "c": None, "d": 1.0}, run_id="run-champion")
    candidate = make_record(scores={"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.0})
    decision = make_decision(Verdict.FAIL, candidate=candidate, champion=champion, flips=())
    view = build_view(candidate, champion, decision)
    assert [(row.case, row.change) for row in view.missed.rows] == [
        ("a", "new: the champion passed it"),
        ("b", "missed by the champion too"),
        ("c", "champion not evaluated"),
    ]


def test_errors_are_grouped_by_cause_and_none_is_lost() -> None:
    results = [
        make_failed_result("a"),
        make_failed_result("b"),
        make_result("c", score=None, reason="no JSON"),
        make_result("d", judged=False),
        make_result("e"),
    ]
    candidate = make_record(results=results, cases=[make_case(case) for case in "abcdef"])
    decision = make_decision(Verdict.INCONCLUSIVE, candidate=candidate, problems=(make_problem(),))
    view = build_view(candidate, None, decision)
    assert [(row.cause, row.count, row.cases) for row in view.errors] == [
        ("timeout: no answer within 60 s (after 3 attempts)", 2, ("support::a", "support::b")),
        ("icontains: no JSON", 1, ("support::c",)),
        ("judge asserts are still to come", 1, ("support::d",)),
        ("planned, but the record holds no result", 1, ("support::f",)),
    ]
    fact = next(fact for fact in view.facts if fact.label == "Cases evaluated")
    assert (fact.value, fact.detail, fact.serious) == ("1 of 6", "5 with errors", True)


def test_error_lists_beyond_their_limits_are_counted() -> None:
    results = [make_failed_result(case, message=f"cause {i // 3}") for i, case in enumerate("abcdef")]
    candidate = make_record(results=results)
    decision = make_decision(Verdict.INCONCLUSIVE, candidate=candidate, problems=(make_problem(),))
    view = build_view(candidate, None, decision, limits=ReportLimits(errors=1, names=2))
    assert (len(view.errors), view.errors_left_out) == (1, 1)
    assert (view.errors[0].count, len(view.errors[0].cases), view.errors[0].left_out) == (3, 2, 1)


def test_repeats_that_differ_are_shown_first() -> None:
    before = [make_result("a", repeat=k) for k in range(5)]
    after = [make_result("a", repeat=k, score=0.0 if k == 4 else 1.0) for k in range(5)]
    champion = make_record(results=before, run_id="run-champion")
    candidate = make_record(results=after)
    decision = make_decision(Verdict.FAIL, candidate=candidate, champion=champion, flips=(make_flip("a", 1.0, 0.8),))
    (row,) = build_view(candidate, champion, decision).worse.rows
    assert [pair.repeat for pair in row.pairs] == [4, 0, 1]
    assert row.note == "2 further repeats not shown."


def test_failed_checks_come_first() -> None:
    checks = [make_check(1.0, type="equals"), make_check(0.0, type="icontains"), make_check(None, type="llm-rubric")]
    candidate = make_record(results=[make_result("a", checks=checks), make_result("b", score=0.0)])
    decision = make_decision(Verdict.FAIL, candidate=candidate, required_failures=("support::a",))
    (row,) = build_view(candidate, None, decision).required.rows
    answer = row.pairs[0].candidate
    assert answer is not None
    assert [check.type for check in answer.checks] == ["llm-rubric", "icontains", "equals"]
    assert answer.outcome == "error"


def test_slices_count_only_pairs_that_both_sides_evaluated() -> None:
    cases = [make_case(case, slices={"language": "de"}) for case in "abc"]
    before = [make_result("a"), make_result("b"), make_failed_result("c")]
    after = [make_result("a"), make_result("b", score=0.0), make_result("c")]
    champion = make_record(results=before, cases=cases, run_id="run-champion")
    candidate = make_record(results=after, cases=cases)
    view = build_view(candidate, champion, make_decision(Verdict.FAIL, candidate=candidate, champion=champion))
    (row,) = view.slices
    assert (row.cases, row.errors, row.champion, row.candidate, row.difference) == (3, 1, "100.0 %", "50.0 %", "−50.0")


def test_a_slice_without_a_single_pair_has_no_share() -> None:
    cases = [make_case("a", slices={"language": "de"})]
    candidate = make_record(results=[make_failed_result("a")], cases=cases)
    decision = make_decision(Verdict.INCONCLUSIVE, candidate=candidate, problems=(make_problem(),))
    (row,) = build_view(candidate, None, decision).slices
    assert (row.candidate, row.champion, row.errors) == ("–", "–", 1)


def test_undefined_figures_are_words_and_are_not_drawn() -> None:
    nan = math.nan
    metric = make_metric(
        Verdict.INCONCLUSIVE,
        candidate=nan,
        champion=nan,
        delta=nan,
        lower=nan,
        upper=math.inf,
        p_worse=0.5,
        evaluated=0,
    )
    decision = make_decision(Verdict.INCONCLUSIVE, candidate=CANDIDATE, champion=CHAMPION, metrics=[metric])
    (row,) = build_view(CANDIDATE, CHAMPION, decision).metrics
    assert (row.candidate, row.difference, row.bounds) == ("undefined", "undefined", "undefined to undefined")
    assert row.interval is None
    assert row.state is State.NOT_EVALUATED


def test_a_metric_without_evidence_is_worded() -> None:
    metric = make_metric(
        Verdict.INCONCLUSIVE, reference="none", candidate=None, champion=None, delta=None, lower=None, upper=None,
        margin=None, p_worse=None, pass_if_unchanged=None, pass_if_margin_lost=None, evaluated=0, errors=300,
    )  # fmt: skip
    decision = make_decision(Verdict.INCONCLUSIVE, candidate=CANDIDATE, metrics=[metric])
    (row,) = build_view(CANDIDATE, None, decision).metrics
    assert (row.candidate, row.bounds, row.level, row.limit, row.chances) == (
        "–",
        "no interval",
        "",
        "no threshold",
        "",
    )


def test_both_error_rates_are_shown_together_or_not_at_all() -> None:
    full = look("pass").metrics[0].chances
    assert full == (
        "An identical model would pass this gate 91 % of the time; "
        "a true 3-point loss would pass at most 5 % of the time."
    )
    metric = make_metric(pass_if_margin_lost=None)
    decision = make_decision(candidate=CANDIDATE, champion=CHAMPION, metrics=[metric])
    assert build_view(CANDIDATE, CHAMPION, decision).metrics[0].chances == ""


def test_provenance_marks_what_differs_and_hides_folders() -> None:
    groups = {group.title: {row.label: row for row in group.rows} for group in look("pass").provenance}
    record = groups["Run"]["Record"]
    assert (record.champion, record.candidate, record.differs) == ("…/runs/run-champion", "runs/run-candidate", True)
    assert groups["Model"]["Weights digest"].differs
    assert not groups["Suite support"]["Dataset digest"].differs
    assert len(groups["Suite support"]["Dataset digest"].candidate) == 64
    assert groups["Gates"]["support::gate::refusals"].candidate == (
        "guardrail, all asserts, margin 5 points, min 90.0 %, α = 0.05"
    )
    assert "/home/ci" not in str(look("pass"))


def test_an_unsealed_record_has_no_digest() -> None:
    (run,) = [group for group in look("not-evaluated").provenance if group.title == "Run"]
    digest = next(row for row in run.rows if row.label == "Journal digest")
    assert digest.candidate == "NOT SEALED"


def test_a_model_against_itself_is_told_apart_by_run() -> None:
    champion = make_record(run_id="run-a")
    candidate = make_record(run_id="run-b")
    view = build_view(candidate, champion, make_decision(candidate=candidate, champion=champion))
    assert (view.candidate, view.champion) == ("support-bot v8 (run-b)", "support-bot v8 (run-a)")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_string_of_a_view_acts_unseen(text: str) -> None:
    for path, shown in texts_of(hostile_view(text)):
        shown.encode("utf-8")
        allowed = {"\n", "\t"} if path.endswith(("text.text", "expected.text")) else set()
        acting = {char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert acting <= allowed, path


def test_a_megabyte_of_answer_does_not_fit_in_a_view() -> None:
    huge = make_record(results=[make_result("a", text="x" * 1_000_000, score=0.0, reason="y" * 1_000_000)])
    champion = make_record(results=[make_result("a")], run_id="run-champion")
    view = build_view(huge, champion, make_decision(Verdict.FAIL, candidate=huge, champion=champion))
    assert sum(len(text) for _, text in texts_of(view)) < 20_000
    assert view.worse.rows[0].pairs[0].candidate is not None
    assert [piece.kind for piece in view.worse.rows[0].pairs[0].candidate.text] == ["plain", "note", "plain"]


def test_the_champions_plan_serves_cases_that_the_candidate_lacks() -> None:
    candidate = make_record(scores={"a": 1.0})
    champion = make_record(scores={"a": 1.0, "z": 1.0}, run_id="run-champion")
    decision = make_decision(Verdict.FAIL, candidate=candidate, champion=champion, flips=(make_flip("z"),))
    (row,) = build_view(candidate, champion, decision).worse.rows
    assert CaseKey(suite="support", case="z") in champion.results
    assert row.pairs[0].candidate is not None
    assert row.pairs[0].candidate.failure == "planned, but the record holds no result"


def test_what_is_only_watched_is_counted_apart() -> None:
    checks = (make_check(), make_check(metric="tone", score=None, reason="no verdict"))
    results = [make_result("a", checks=checks), make_result("b")]
    candidate = make_record(results=results, cases=[make_case(case) for case in "ab"])
    metrics = [make_metric(), make_metric(metric="tone", role=Role.WATCH)]
    view = build_view(candidate, None, make_decision(candidate=candidate, metrics=metrics))
    fact = next(fact for fact in view.facts if fact.label == "Cases evaluated")
    detail = "no errors on gates; 1 case lacks a score that is only watched"
    assert (fact.value, fact.detail, fact.serious) == ("2 of 2", detail, False)


def test_scores_that_changed_are_those_of_gates() -> None:
    metrics = [make_metric(better=1, worse=2), make_metric(metric="tone", role=Role.WATCH, better=40, worse=50)]
    view = build_view(CANDIDATE, CHAMPION, make_decision(candidate=CANDIDATE, champion=CHAMPION, metrics=metrics))
    fact = next(fact for fact in view.facts if fact.label == "Scores that changed")
    assert (fact.value, fact.detail) == ("3", "of 300 scores on gates: 1 better, 2 worse")


@pytest.mark.parametrize(
    ("mine", "theirs", "names"),
    [
        ({}, {}, ("m (one)", "m (two)")),
        ({"url": "http://a:8001/v1"}, {"url": "http://b:8002/v1"}, ("m (a:8001/v1)", "m (b:8002/v1)")),
        (
            {"weights_digest": "aa" * 32},
            {"weights_digest": "bb" * 32},
            (f"m (weights {'aa' * 6})", f"m (weights {'bb' * 6})"),
        ),
        ({"deployment": "v8"}, {"deployment": "v7"}, ("m (v8)", "m (v7)")),
        ({"deployment": "v8"}, {}, ("m (v8)", "m (no label)")),
        (
            {"registry_uri": "models:/bot@challenger"},
            {"registry_uri": "models:/bot@champion"},
            ("m (version models:/bot@challenger)", "m (version models:/bot@champion)"),
        ),
    ],
)
def test_models_of_one_name_are_told_apart(
    mine: dict[str, str], theirs: dict[str, str], names: tuple[str, str]
) -> None:
    def arm(run: str, differs: dict[str, str]) -> Record:
        record = make_record(scores={"a": 1.0}, run_id=run)
        server: dict[str, Any] = {name: value for name, value in differs.items() if name in {"url", "deployment"}}
        model: dict[str, Any] = {name: value for name, value in differs.items() if name not in server}
        plain = replace(record.manifest.model, name="m", registry_uri=None, weights_digest=None, source="x")
        manifest = replace(
            record.manifest,
            model=replace(plain, **model),
            server=replace(record.manifest.server, **{"url": "", "deployment": "", **server}),
        )
        return replace(record, manifest=manifest)

    candidate, champion = arm("one", mine), arm("two", theirs)
    view = build_view(candidate, champion, make_decision(candidate=candidate, champion=champion))
    assert (view.candidate, view.champion) == names


def test_the_next_step_and_what_the_figures_do_not_say_stand_below_the_verdict() -> None:
    view = look("fail")
    assert view.next.startswith("look at the cases that got worse in report.html")
    labels = [label for label, _ in view.details]
    assert "Required" in labels
    assert not {"Gates", "Cases", "Flips"} & set(labels)
