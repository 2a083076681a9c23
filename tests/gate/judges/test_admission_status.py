"""A judged metric gates if this very judge was admitted for this very criterion, or the policy says so in words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.admissions import JUDGE, RUBRIC_PROMPTS, make_admission, make_instrument, make_results
from support.records import digest_of, make_case, make_check, make_record, make_result
from support.tables import decide_by
from support.words import said

from llmgate.errors import PolicyError
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import decision_to_json, statement
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.judges.admission import status_in
from llmgate.record.judges.admission import BiasFigures
from llmgate.record.judges.admission_file import sealed
from llmgate.record.judges.identity import JudgedAssert
from llmgate.record.policy import MetricPolicy, Policy, Role, Unadmitted
from llmgate.record.scores import ItemScore, ScoreTable
from llmgate.report.panels.admissions import admission_panels

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.record.manifest import Manifest
    from llmgate.record.schema import Record

TONE = MetricPolicy(suite="support", metric="tone", min=0.5, judged=True)
ASKED = JudgedAssert(
    suite="support",
    metric="tone",
    type="llm-rubric",
    criterion="Names the city.",
    assert_digest=digest_of("Names the city."),
    prompt_digest=RUBRIC_PROMPTS,
)
ADMITTED = sealed(make_admission())
RAN = replace(JUDGE, prompt_digest=digest_of("the prompts of all types of the run"))


def run(*, score: float = 1.0, metric: MetricPolicy = TONE, **changes: Any) -> Record:
    """100 cases that the judge gave `score`; the judge was admitted unless something is changed."""
    cases = [f"c{i:03d}" for i in range(100)]
    check = make_check(score, type="llm-rubric", metric="tone")
    record = make_record(
        cases=[make_case(case) for case in cases], results=[make_result(case, checks=(check,)) for case in cases]
    )
    policy = Policy(metrics=(metric,))
    facts: dict[str, Any] = {"policy": policy, "judge": RAN, "judging": (ASKED,), "admissions": (ADMITTED,)} | changes
    return replace(record, manifest=replace(record.manifest, **facts))


def decided(record: Record) -> Decision:
    return decide_records(record, None)


def test_an_admitted_judge_gates() -> None:
    decision = decided(run())
    assert decision.verdict is Verdict.PASS
    assert decision.metrics[0].admission == "admitted"
    assert "The judge was admitted on 200 labelled items of labels.jsonl, κ at least 0.70." in decision.metrics[0].notes
    assert decision_from_json(decision_to_json(decision)) == decision


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing named": ({"admissions": ()}, "its judge was never admitted"),
    "another criterion": (
        {"judging": (replace(ASKED, assert_digest=digest_of("Is polite.")),)},
        "admitted for another criterion only",
    ),
    "a record of a time without it": ({"judging": ()}, "the record does not say what was asked of which judge"),
    "criteria of rows": ({"judging": (replace(ASKED, assert_digest=""),)}, "another criterion only"),
    "other prompts": ({"judging": (replace(ASKED, prompt_digest="0"),)}, "the judge was admitted with other prompts"),
    "other weights": (
        {"judge": replace(RAN, weights_digest="f" * 64)},
        f"another judge was admitted: weights {digest_of('the judge' + chr(39) + 's weights')[:12]}, now ffffffffffff",
    ),
    "weights that are not known": ({"judge": replace(RAN, weights_digest=None)}, "now unknown"),
    "other sampling": (
        {"judge": replace(RAN, sampling={**RAN.sampling, "max_tokens": 64})},
        "max_tokens 400, now 64",
    ),
    "nobody": ({"judge": None}, "the record does not say who the judge was"),
    "a panel": ({"judging": (replace(ASKED, judges=("a", "b")),)}, "1 judges were admitted together, and 2 are asked"),
    "refused": (
        {"admissions": (sealed(make_admission(admitted=False, reasons=("κ is low",))),)},
        "its judge was refused: κ is low",
    ),
    "an old record": (
        {"admissions": (sealed(make_admission(results=replace(make_results(), bias=None))),)},
        "made by llmgate 0.4.0, says nothing on how its error differs between systems; admit it again",
    ),
    "one system": (
        {
            "admissions": (
                sealed(make_admission(results=replace(make_results(), bias=BiasFigures(unknown="one only")))),
            )
        },
        "its judge was refused: one only, so nobody can know how far off its difference",
    ),
    "a bias": (
        {"admissions": (sealed(make_admission(results=make_results(bias=0.05))),)},
        "may be off by 5.0 points; less than 5 are needed, which is the margin",
    ),
    "figures that do not suffice": (
        {"admissions": (sealed(make_admission(results=make_results(kappa=0.2))),)},
        "its judge was refused: κ between judge and people is only known to be at least 0.20",
    ),
}


@pytest.mark.parametrize(("changes", "why"), CHANGES.values(), ids=CHANGES)
def test_whatever_is_not_the_judge_that_was_admitted_cannot_gate(changes: dict[str, Any], why: str) -> None:
    decision = decided(run(**changes))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.exit_code == 3
    (problem,) = decision.problems
    assert problem.where == "support::gate::tone"
    assert problem.what.startswith("the judge behind 'tone' was never admitted, so it cannot gate (")
    assert why in problem.what
    assert "llmgate judge admit" in problem.fix


@pytest.mark.parametrize(("changes", "why"), CHANGES.values(), ids=CHANGES)
def test_the_policy_can_allow_it_and_everybody_is_told(changes: dict[str, Any], why: str) -> None:
    allowed = replace(TONE, unadmitted=Unadmitted.ALLOW)
    record = run(metric=allowed, **changes)
    decision = decided(record)
    assert decision.verdict is Verdict.PASS
    assert decision.metrics[0].admission == "unadmitted"
    assert "Judge: never admitted: support::tone is a judge score, not human quality." in said(decision)
    (note,) = [one for one in decision.metrics[0].notes if one.startswith("Unadmitted judge")]
    assert why in note
    (panel,) = admission_panels(record, decision)
    assert panel.serious
    assert panel.rows[0].cells[-1].startswith("unadmitted judge: ")


def test_taking_the_admission_away_is_no_way_out_of_a_fail() -> None:
    assert decided(run(score=0.0)).verdict is Verdict.FAIL
    assert decided(run(score=0.0, admissions=())).verdict is Verdict.FAIL


def test_a_watched_metric_needs_no_admission() -> None:
    decision = decided(run(metric=replace(TONE, role=Role.WATCH), admissions=()))
    assert decision.metrics[0].admission == ""
    assert not any("admitted" in problem.what for problem in decision.problems)


def test_a_judge_that_is_known_by_name_alone_is_told_by_its_name() -> None:
    anonymous = replace(JUDGE, weights_digest=None)
    record = sealed(make_admission(instrument=make_instrument(judges=(anonymous,))))
    same = run(judge=replace(RAN, weights_digest=None), admissions=(record,))
    assert decided(same).verdict is Verdict.PASS
    other = run(judge=replace(RAN, weights_digest=None, model="other"), admissions=(record,))
    assert "another judge was admitted: 'judge', now 'other'" in decided(other).problems[0].what


def test_a_panel_is_admitted_as_a_whole() -> None:
    members = (JUDGE, replace(JUDGE, model="second", weights_digest="2" * 64))
    record = sealed(make_admission(instrument=make_instrument(judges=members)))
    asked = replace(ASKED, judges=("strict", "kind"))
    facts: dict[str, Any] = {"judge": None, "judging": (asked,), "admissions": (record,)}
    named = {"strict": RAN, "kind": replace(members[1], prompt_digest=RAN.prompt_digest)}
    assert decided(run(judges=named, **facts)).verdict is Verdict.PASS
    turned = {"strict": named["kind"], "kind": named["strict"]}
    assert "another judge was admitted" in decided(run(judges=turned, **facts)).problems[0].what


def test_every_judged_assert_of_a_metric_needs_its_own() -> None:
    second = replace(ASKED, criterion="Is polite.", assert_digest=digest_of("Is polite."))
    status = status_in(run(judging=(ASKED, second)).manifest, "support", "tone")
    assert not status.admitted
    assert len(status.missing) == 1
    polite = sealed(make_admission(instrument=make_instrument(criterion="Is polite.")))
    assert status_in(run(judging=(ASKED, second), admissions=(polite, ADMITTED)).manifest, "support", "tone").admitted


def test_scores_of_another_origin_have_no_admission() -> None:
    table = ScoreTable.of([ItemScore(item_id=f"i{i}", score=1.0) for i in range(400)], suite="support", metric="tone")
    decision = decide_by(table, table, Policy(metrics=(replace(TONE, min=None, margin=0.05),)))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "nothing says who judged" in decision.problems[0].what


def test_unadmitted_is_about_judges() -> None:
    with pytest.raises(PolicyError, match="`unadmitted` is about judges, and none scores this metric"):
        MetricPolicy(suite="s", metric="m", unadmitted=Unadmitted.ALLOW)


def test_the_verdict_names_the_admission() -> None:
    record = run()
    made = statement(decided(record), candidate=record.manifest, issued_at="2026-11-27T00:00:00+00:00")
    predicate = made["predicate"]
    assert isinstance(predicate, dict)
    (admission,) = predicate["admissions"]
    assert admission["digest"] == ADMITTED.digest
    assert (admission["labels"], admission["labelled"], admission["kappaLower"]) == (ADMITTED.labels_digest, 200, 0.7)
    assert json.dumps(predicate)


def test_the_panel_shows_what_the_judge_was_admitted_on() -> None:
    record = run()
    (panel,) = admission_panels(record, decided(record))
    assert not panel.serious
    (row,) = panel.rows
    assert row.cells[0] == "support::tone"
    assert "0.80 (0.70 to 1.00)" in row.cells
    assert row.cells[-3:] == ("4 of 4", "at most 1.0 points", "admitted")
    assert len(row.cells) == len(panel.columns)


MANIFEST_CHANGES: list[Callable[[Manifest], Manifest]] = [
    lambda manifest: replace(manifest, admissions=()),
    lambda manifest: replace(manifest, judging=()),
    lambda manifest: replace(manifest, judge=None),
]


@pytest.mark.parametrize("change", MANIFEST_CHANGES)
@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_taking_facts_away_never_improves_a_verdict(change: Callable[[Manifest], Manifest], score: float) -> None:
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    record = run(score=score)
    less = replace(record, manifest=change(record.manifest))
    assert order.index(decided(less).verdict) <= order.index(decided(record).verdict)
