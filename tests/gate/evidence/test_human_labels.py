"""Labels beside records: complete, of these runs and these cases, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import make_case, make_failed_result, make_policy, make_record, make_result, make_suite

from llmgate.errors import NotComparableError, RecordError
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.types import Verdict
from llmgate.record.labels import AnswerKey, AnswerLabels, answer_digest, draw_cases, own_seed
from llmgate.record.schema import CaseKey, Generation

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.record.schema import Record

CASES = [f"case-{i:03d}" for i in range(120)]


def run(name: str, score: Callable[[int], float], *, repeats: int = 1, failed: frozenset[str] = frozenset()) -> Record:
    results = [
        make_failed_result(case)
        if case in failed
        else make_result(case, repeat=k, score=score(i), text=f"{name} says {score(i)} {k}")
        for i, case in enumerate(CASES)
        for k in range(repeats)
    ]
    return make_record(
        results=results,
        cases=[make_case(case, repeats=repeats) for case in CASES],
        suites=[make_suite(cases=len(CASES))],
        policy=make_policy(margin=0.1),
        run_id=f"run-{name}",
    )


CANDIDATE = run("candidate", lambda i: float(i % 10 != 0))
CHAMPION = run("champion", lambda i: float(i % 11 != 0))


def journal(record: Record) -> str:
    assert record.seal is not None
    return record.seal.journal_digest


def labels(
    candidate: Record = CANDIDATE,
    champion: Record | None = CHAMPION,
    *,
    cases: int = 60,
    seed: int | None = None,
    say: Callable[[str, str], float] = lambda _, text: float("1.0" in text),
) -> AnswerLabels:
    """What people say of every answer to the drawn cases."""
    records = [candidate] if champion is None else [candidate, champion]
    if seed is None:
        seed = own_seed("support", "accuracy", journal(records[-1]))
    drawn = set(draw_cases(CASES, cases, seed=seed))
    given_labels = {
        AnswerKey(case=key.case, answer=answer_digest(result.answer)): say(key.case, result.answer.text)
        for record in records
        for key, result in record.results.items()
        if key.case in drawn and isinstance(result.answer, Generation)
    }
    return AnswerLabels(
        source="labels.jsonl",
        digest="d1",
        suite="support",
        metric="accuracy",
        cases=cases,
        seed=seed,
        candidate=journal(candidate),
        champion=None if champion is None else journal(champion),
        labels=given_labels,
    )


def test_labels_are_bound_into_the_decision() -> None:
    decision = decide_records(CANDIDATE, CHAMPION, labels=[labels()])
    (metric,) = decision.metrics
    assert (metric.labels, metric.labels_digest, metric.method.startswith("PPI++")) == (60, "d1", True)
    assert any("sha256:d1" in note and "somebody chose" not in note for note in metric.notes)
    assert not any("somebody chose" in note for note in metric.notes)
    chosen = decide_records(CANDIDATE, CHAMPION, labels=[labels(seed=3)]).metrics[0]
    assert any("drawn by seed 3, which somebody chose" in note for note in chosen.notes)
    assert decide_records(CANDIDATE, CHAMPION).metrics[0].labels == 0


def test_people_who_find_it_worse_than_the_judge_does_turn_the_verdict() -> None:
    assert decide_records(CANDIDATE, CHAMPION).verdict is not Verdict.FAIL
    found = decide_records(
        CANDIDATE, CHAMPION, labels=[labels(say=lambda case, text: float("champion" in text or case > "case-060"))]
    )
    assert found.verdict is Verdict.FAIL


@given(st.data())
def test_a_label_that_is_left_out_is_missed(data: st.DataObject) -> None:
    sheet = labels()
    gone = data.draw(st.sampled_from(sorted(sheet.labels)))
    kept = {key: label for key, label in sheet.labels.items() if key != gone}
    with pytest.raises(RecordError, match=f"1 answer to the cases that were drawn have no label: {gone.case}"):
        decide_records(CANDIDATE, CHAMPION, labels=[replace(sheet, labels=kept)])


def test_labels_of_other_cases_are_refused() -> None:
    sheet = labels()
    more = {**sheet.labels, AnswerKey(case="case-000", answer="x"): 1.0}
    with pytest.raises(RecordError, match="1 label belong to no answer to a case that was drawn: case-000"):
        decide_records(CANDIDATE, CHAMPION, labels=[replace(sheet, labels=more)])
    with pytest.raises(RecordError, match="have no label"):
        decide_records(CANDIDATE, CHAMPION, labels=[replace(sheet, seed=sheet.seed + 1)])
    with pytest.raises(RecordError, match="belong to no answer"):
        decide_records(CANDIDATE, CHAMPION, labels=[replace(sheet, cases=50)])


def test_labels_of_other_runs_are_refused() -> None:
    other = run("other", lambda i: float(i % 7 != 0))
    for sheet in (labels(candidate=other), labels(champion=other), labels(champion=None)):
        with pytest.raises(NotComparableError, match="labels are about answers of another"):
            decide_records(CANDIDATE, CHAMPION, labels=[sheet])
    with pytest.raises(NotComparableError, match="another champion"):
        decide_records(CANDIDATE, None, labels=[labels()])


def test_two_files_for_one_metric_and_a_metric_that_is_none() -> None:
    with pytest.raises(RecordError, match="is labelled in labels.jsonl already"):
        decide_records(CANDIDATE, CHAMPION, labels=[labels(), labels()])
    with pytest.raises(RecordError, match="no metric support/acuracy. Did you mean support/accuracy"):
        decide_records(CANDIDATE, CHAMPION, labels=[replace(labels(), metric="acuracy")])


def test_repeats_are_averaged() -> None:
    two = run("candidate", lambda i: float(i % 10 != 0), repeats=2)
    one = run("champion", lambda i: float(i % 11 != 0), repeats=2)
    sheet = labels(two, one, say=lambda _, text: 1.0 if text.endswith("1") else 0.5)
    metric = decide_records(two, one, labels=[sheet]).metrics[0]
    assert metric.labels == 60
    assert metric.delta == pytest.approx(0.0, abs=0.05)


def test_an_answer_that_never_came_has_no_label_and_bars_a_pass() -> None:
    drawn = draw_cases(CASES, 60, seed=own_seed("support", "accuracy", journal(CHAMPION)))
    broken = run("candidate", lambda i: float(i % 10 != 0), failed=frozenset(drawn[:2]))
    decision = decide_records(broken, CHAMPION, labels=[labels(broken)])
    assert decision.metrics[0].labels == 58
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert CaseKey(suite="support", case=drawn[0]) in broken.results


def test_a_minimum_without_a_champion() -> None:
    policy = make_policy([replace(make_policy().metrics[0], margin=None, min=0.7)])
    sheet = labels(champion=None, cases=100, say=lambda case, text: float("1.0" in text and case > "case-060"))
    assert decide_records(CANDIDATE, None, policy).verdict is Verdict.PASS
    found = decide_records(CANDIDATE, None, policy, labels=[sheet])
    assert found.metrics[0].labels == 100
    assert found.verdict is Verdict.FAIL
