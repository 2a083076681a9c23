"""Decisions as JSON and as in-toto statements."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import make_decision, make_flip, make_manifest, make_metric, make_policy, make_problem, make_record

from llmgate.errors import RecordError, UndefinedError
from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.reread import decision_from_json
from llmgate.gate.decision.statement import PREDICATE_TYPE, STATEMENT_TYPE, decision_to_json, policy_digest, statement
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.record.manifest import JudgeIdentity
from llmgate.record.policy import OnInconclusive

if TYPE_CHECKING:
    from collections.abc import Callable

ISSUED = "2026-11-23T12:00:00+00:00"
CANDIDATE = make_record(scores={f"c{i}": 1.0 for i in range(100)})
CHAMPION = make_record(scores={f"c{i}": 1.0 for i in range(100)}, run_id="run-champion")
DECISION = decide_records(CANDIDATE, CHAMPION)
FULL = make_decision(
    Verdict.INCONCLUSIVE,
    flips=(make_flip("refund-017"), make_flip("größe-1", 0.25, 0.5)),
    problems=(make_problem(),),
    required_failures=("support::x",),
    on_inconclusive=OnInconclusive.ALLOW,
    champion_run="run-champion",
    champion_digest="d" * 64,
)


@pytest.mark.parametrize("decision", [DECISION, FULL, make_decision(metrics=())])
def test_what_is_written_is_read_back(decision: Decision) -> None:
    text = decision_to_json(decision)
    assert decision_from_json(text) == decision
    assert decision_to_json(decision_from_json(text)) == text
    assert text.endswith("}\n")


@given(st.floats(-1, 1), st.floats(0, 1))
def test_floats_survive_exactly(delta: float, p: float) -> None:
    decision = make_decision(metrics=[make_metric(delta=delta, p_worse=p)])
    assert decision_from_json(decision_to_json(decision)) == decision


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_written(number: float) -> None:
    with pytest.raises(UndefinedError, match="not finite"):
        decision_to_json(make_decision(metrics=[make_metric(delta=number)]))


def test_keys_are_sorted() -> None:
    values = json.loads(decision_to_json(FULL))
    assert list(values) == sorted(values)
    assert list(values["metrics"][0]) == sorted(values["metrics"][0])


def test_a_newer_minor_version_may_add_keys() -> None:
    values = json.loads(decision_to_json(FULL))
    values |= {"minor": 7, "weather": "fine"}
    values["metrics"][0]["colour"] = "green"
    assert decision_from_json(json.dumps(values)) == FULL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"major": 2}, "major version 2, but this llmgate reads 1"),
        ({"major": None}, "major version None"),
        ({"verdict": "MAYBE"}, "verdict"),
        ({"sentence": None}, "sentence"),
        ({"metrics": [{}]}, "metrics.0"),
    ],
)
def test_what_is_no_decision_is_refused(change: dict[str, object], message: str) -> None:
    values = json.loads(decision_to_json(FULL)) | change
    with pytest.raises(RecordError, match=message):
        decision_from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[" * 100_000])
def test_broken_json_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        decision_from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    text = decision_to_json(DECISION).replace('"alpha": 0.05', f'"alpha": {number}')
    with pytest.raises(RecordError, match="no number that a decision may hold"):
        decision_from_json(text)


def test_a_statement_is_about_the_weights() -> None:
    made = statement(
        DECISION,
        candidate=CANDIDATE.manifest,
        champion=CHAMPION.manifest,
        issued_at=ISSUED,
        expires_at="2026-12-23T12:00:00Z",
    )
    assert made["_type"] == STATEMENT_TYPE
    assert made["predicateType"] == PREDICATE_TYPE
    model = CANDIDATE.manifest.model
    assert made["subject"] == [{"name": "support-bot", "digest": {"sha256": model.weights_digest}}]
    predicate = made["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["verdict"] == "PASS"
    assert predicate["subjectIs"] == "weights"
    assert predicate["model"]["registry_uri"] == "models:/support-bot/8"
    assert predicate["journal"] == DECISION.candidate_digest
    assert predicate["championJournal"] == DECISION.champion_digest
    assert predicate["policy"] == policy_digest(CANDIDATE.manifest.policy)
    assert predicate["suites"][0]["digest"] == CANDIDATE.manifest.suites[0].digest
    assert predicate["metrics"][0]["lower"] == DECISION.metrics[0].lower
    assert (predicate["issuedAt"], predicate["expiresAt"]) == (ISSUED, "2026-12-23T12:00:00Z")
    assert predicate["judge"] is None
    json.dumps(made, allow_nan=False)


def test_without_weights_a_statement_vouches_for_the_record_only() -> None:
    manifest = replace(CANDIDATE.manifest, model=replace(CANDIDATE.manifest.model, weights_digest=None))
    made = statement(DECISION, candidate=manifest, issued_at=ISSUED)
    assert made["subject"] == [{"name": "run-candidate", "digest": {"sha256": DECISION.candidate_digest}}]
    predicate = made["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["subjectIs"] == "journal"


def test_digests_follow_what_they_cover() -> None:
    def predicate(**judge: object) -> dict[str, object]:
        identity = JudgeIdentity(model="j", prompt_digest="p", sampling={"temperature": 0.0})
        manifest = replace(CANDIDATE.manifest, judge=replace(identity, **judge))  # type: ignore[arg-type]
        made = statement(DECISION, candidate=manifest, issued_at=ISSUED)["predicate"]
        assert isinstance(made, dict)
        return made

    assert predicate()["judge"] == predicate()["judge"]
    assert predicate()["judge"] != predicate(prompt_digest="q")["judge"]
    assert policy_digest(make_policy()) != policy_digest(make_policy(margin=0.04))


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-23T12:00:00", ""])
def test_a_time_without_zone_is_refused(moment: str) -> None:
    with pytest.raises(RecordError, match="issued_at"):
        statement(DECISION, candidate=CANDIDATE.manifest, issued_at=moment)


def test_a_decision_is_only_stated_with_what_it_was_taken_on() -> None:
    other = make_manifest(run_id="run-other")
    calls: list[Callable[[], object]] = [
        lambda: statement(DECISION, candidate=other, issued_at=ISSUED),
        lambda: statement(DECISION, candidate=CANDIDATE.manifest, champion=other, issued_at=ISSUED),
        lambda: statement(DECISION, candidate=CANDIDATE.manifest, policy=make_policy(margin=0.2), issued_at=ISSUED),
        lambda: statement(DECISION, candidate=CANDIDATE.manifest, policy=make_policy(metric="x"), issued_at=ISSUED),
    ]
    for call in calls:
        with pytest.raises(RecordError, match="of the decision is"):
            call()
