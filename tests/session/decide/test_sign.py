"""What is signed about a run, what is refused, and that all of it fits into a tag."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.promotions import POLICY, SUITE, digest_of, make_manifest, redecide, write_record
from support.records import make_decision, make_metric
from support.records import make_manifest as any_manifest
from support.verdicts import make_keys, registry_facts

from llmgate.attest.check import Holder, about, may_hold, open_verdict
from llmgate.attest.envelope import read_envelope
from llmgate.attest.statement import SVR_TYPE, ChampionFacts, canonical
from llmgate.attest.tags import MAX_ENVELOPE
from llmgate.errors import AttestationError, RecordError
from llmgate.gate.decision.statement import statement
from llmgate.gate.decision.statement_size import PAYLOAD_BYTES, fitted
from llmgate.gate.decision.types import OutputDrift, SliceDecision, Verdict
from llmgate.record.output_features import OutputFeature
from llmgate.record.policy import MetricPolicy, Policy, Role
from llmgate.record.run.loading import record_digest
from llmgate.session.decide.sign import ENVELOPE_NAME, SVR_NAME, sign_statement, statement_of_run, write_signed

if TYPE_CHECKING:
    from pathlib import Path

    from support.verdicts import Keys

NOW = datetime.now(UTC).replace(microsecond=123_000)
URI = "models:/support-bot/2"
FACTS = registry_facts()
CHAMPION = ChampionFacts(version="1", created_at=NOW - timedelta(days=9), verdict=digest_of("first"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    manifest = make_manifest("champion", registry_uri="models:/support-bot/1", weights="v1")
    return write_record(tmp_path_factory.mktemp("champion") / "run", manifest)


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    manifest = make_manifest("candidate", registry_uri=URI, weights="v2")
    return write_record(tmp_path_factory.mktemp("candidate") / "run", manifest)


def sign(keys: Keys, out: Path, baseline: Path | None = None, **given: Any) -> Any:
    """Sign a run as the command does."""
    options: dict[str, Any] = {
        "registry": FACTS,
        "champion": CHAMPION if baseline else None,
        "now": NOW,
        "environ": {},
    }
    decision = given.pop("decision", None) or redecide(out, baseline)
    signer = given.pop("signer", keys.signers["gate"])
    return sign_statement(statement_of_run(out, decision, baseline=baseline, **{**options, **given}), signer)


def test_a_signed_pass_promotes(keys: Keys, candidate: Path, champion: Path) -> None:
    signed = sign(keys, candidate, champion)
    opened = open_verdict(signed.envelope, policy=keys.policy, model="support-bot", now=NOW)
    about(opened.verdict, FACTS)
    told = opened.verdict
    assert told == signed.verdict
    assert told.weights == digest_of("v2")
    assert told.champion == replace(
        CHAMPION, weights=digest_of("v1"), journal=redecide(candidate, champion).champion_digest
    )
    assert told.records["candidate"] == record_digest(candidate)
    assert told.records["baseline"] == record_digest(champion)
    assert told.expires_at - told.issued_at == timedelta(days=30)
    rule = keys.policy.rule_for("support-bot")
    assert rule is not None
    with pytest.raises(AttestationError, match="alias has moved"):
        may_hold(opened, rule=rule, now=NOW, holder=holder(verdict=digest_of("other")))
    assert may_hold(opened, rule=rule, now=NOW, holder=holder()) == "promoted"


def holder(**changed: Any) -> Holder:
    """The champion as the registry's ledger has it."""
    facts = {
        "version": "1",
        "created_at": CHAMPION.created_at.replace(microsecond=CHAMPION.created_at.microsecond // 1000 * 1000),
    }
    return Holder(**{**facts, "verdict": digest_of("first"), "weights": digest_of("v1"), **changed})


@pytest.mark.parametrize("outcome", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_what_does_not_pass_is_signed_too(keys: Keys, tmp_path: Path, champion: Path, outcome: Verdict) -> None:
    run = write_record(tmp_path / "run", make_manifest("worse", registry_uri=URI, weights="v2"), right=60)
    signed = sign(keys, run, champion, decision=replace(redecide(run, champion), verdict=outcome))
    assert signed.verdict.outcome == outcome
    assert signed.svr is None


def test_files_beside_the_record(keys: Keys, tmp_path: Path, champion: Path) -> None:
    run = write_record(tmp_path / "run", make_manifest("c", registry_uri=URI, weights="v2"))
    before = record_digest(run)
    signed = sign(keys, run, champion)
    assert [path.name for path in write_signed(run, signed)] == [ENVELOPE_NAME, SVR_NAME]
    assert record_digest(run) == before
    svr = json.loads(read_envelope((run / SVR_NAME).read_text()).payload)
    assert svr["predicateType"] == SVR_TYPE
    assert svr["subject"] == [{"name": "support-bot", "digest": {"sha256": digest_of("v2")}}]
    write_signed(run, replace(signed, svr=None))
    assert not (run / SVR_NAME).exists()


def test_where_an_endpoint_answered_the_journal_is_the_subject(keys: Keys, tmp_path: Path) -> None:
    manifest = make_manifest("endpoint", registry_uri=URI, weights=None, endpoint="http://127.0.0.1:1/v1")
    signed = sign(keys, write_record(tmp_path / "run", manifest))
    assert signed.verdict.subject_is == "journal"
    assert signed.verdict.weights is None


def test_a_champion_that_nothing_was_compared_with_is_not_named(keys: Keys, candidate: Path) -> None:
    assert sign(keys, candidate, champion=CHAMPION).verdict.champion is None


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"version": "3"}, "the run judged models:/support-bot/2 and not models:/support-bot/3"),
        ({"model": "support-other"}, "and not models:/support-other/2"),
    ],
)
def test_another_version(keys: Keys, candidate: Path, facts: dict[str, str], why: str) -> None:
    with pytest.raises(AttestationError, match=why):
        sign(keys, candidate, registry=registry_facts(**facts))


def test_other_files_at_the_source(keys: Keys, candidate: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    for source in (str(tmp_path), tmp_path.as_uri()):
        with pytest.raises(AttestationError, match="not the weights that were measured"):
            sign(keys, candidate, registry=registry_facts(source=source))


def test_another_digest_on_the_version(keys: Keys, candidate: Path) -> None:
    with pytest.raises(AttestationError, match="digest on models:/support-bot/2"):
        sign(keys, candidate, tagged=digest_of("others"))
    assert sign(keys, candidate, tagged=digest_of("v2")).verdict.outcome == "PASS"


def test_weights_that_nothing_ties_to_the_version(keys: Keys, tmp_path: Path) -> None:
    run = write_record(tmp_path / "run", make_manifest("c", weights="v2"))
    with pytest.raises(AttestationError, match="nothing ties the weights"):
        sign(keys, run)
    assert sign(keys, run, tagged=digest_of("v2")).verdict.outcome == "PASS"


def test_a_record_that_knows_weights_nobody_served(keys: Keys, tmp_path: Path) -> None:
    manifest = make_manifest("c", registry_uri=URI, weights="v2", endpoint="http://127.0.0.1:1/v1")
    with pytest.raises(AttestationError, match="an endpoint answered"):
        sign(keys, write_record(tmp_path / "run", manifest))


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"weights": digest_of("v0")}, "weights are not those of version 1"),
        ({"version": "7"}, "a run of models:/support-bot/1, and version 7 holds the alias"),
    ],
)
def test_another_baseline(keys: Keys, candidate: Path, champion: Path, known: dict[str, Any], why: str) -> None:
    with pytest.raises(AttestationError, match=why):
        sign(keys, candidate, champion, champion=replace(CHAMPION, **known))


def test_a_baseline_of_an_endpoint_has_to_be_the_record_that_earned_the_alias(keys: Keys, tmp_path: Path) -> None:
    old = make_manifest("old", weights=None, endpoint="http://127.0.0.1:1/v1")
    baseline = write_record(tmp_path / "old", old)
    new = make_manifest("new", registry_uri=URI, weights=None, endpoint="http://127.0.0.1:2/v1")
    run = write_record(tmp_path / "new", new)
    with pytest.raises(AttestationError, match="not the record by which version 1 holds the alias"):
        sign(keys, run, baseline, champion=replace(CHAMPION, journal=digest_of("another journal")))
    journal = redecide(run, baseline).champion_digest
    assert sign(keys, run, baseline, champion=replace(CHAMPION, journal=journal)).verdict.outcome == "PASS"


def test_one_endpoint_compared_with_itself(keys: Keys, tmp_path: Path) -> None:
    sides = [
        write_record(tmp_path / name, make_manifest(name, weights=None, endpoint="http://127.0.0.1:1/v1"))
        for name in ("new", "old")
    ]
    with pytest.raises(AttestationError, match="nothing shows that they are two models"):
        sign(keys, *sides)


def test_a_decision_on_other_records(keys: Keys, candidate: Path, champion: Path, tmp_path: Path) -> None:
    decision = redecide(candidate, champion)
    other = write_record(tmp_path / "run", make_manifest("candidate", registry_uri=URI, weights="v2"), right=99)
    with pytest.raises(AttestationError, match="not taken on this candidate's record"):
        sign(keys, other, champion, decision=decision)
    with pytest.raises(AttestationError, match="not taken on this baseline's record"):
        sign(keys, candidate, None, decision=decision)


def test_a_record_that_changed(keys: Keys, tmp_path: Path) -> None:
    run = write_record(tmp_path / "run", make_manifest("c", registry_uri=URI, weights="v2"))
    decision = redecide(run, None)
    (run / "journal.jsonl").write_bytes((run / "journal.jsonl").read_bytes() + b"\n")
    with pytest.raises(RecordError, match="changed after the run was sealed"):
        sign(keys, run, decision=decision)
    with pytest.raises(RecordError, match="changed after the run was sealed"):
        record_digest(run)


def test_a_pass_that_proves_nothing(keys: Keys, tmp_path: Path, champion: Path) -> None:
    watched = Policy(metrics=(MetricPolicy(suite=SUITE, metric="accuracy", role=Role.WATCH, margin=0.1),))
    run = write_record(tmp_path / "run", make_manifest("c", registry_uri=URI, weights="v2", policy=watched))
    decision = replace(redecide(run, champion), verdict=Verdict.PASS, problems=())
    with pytest.raises(AttestationError, match="no metric gates"):
        sign(keys, run, champion, decision=decision)
    lax = Policy(metrics=(replace(POLICY.metrics[0], margin=0.6),))
    run = write_record(tmp_path / "lax", make_manifest("c", registry_uri=URI, weights="v2", policy=lax))
    with pytest.raises(AttestationError, match="needs a reason"):
        sign(keys, run, champion)


def test_a_weaker_policy_is_told(keys: Keys, tmp_path: Path, champion: Path) -> None:
    lax = Policy(metrics=(replace(POLICY.metrics[0], margin=0.2, reason="a trial"),))
    run = write_record(tmp_path / "run", make_manifest("c", registry_uri=URI, weights="v2", policy=lax))
    told = sign(keys, run, champion).verdict.predicate["weakerPolicy"]
    assert len(told) == 1
    assert "margin" in told[0]


def test_nothing_is_signed_for_a_fork(keys: Keys, candidate: Path) -> None:
    with pytest.raises(AttestationError, match="nothing is signed for code of a fork"):
        sign(keys, candidate, environ={"GITHUB_ACTIONS": "true"})


def big_statement(*, watched: int, gating: int, slices: int, problems: int = 0) -> dict[str, Any]:
    """A statement about a run with many metrics and failed slices."""
    roles = [Role.PRIMARY] * gating + [Role.WATCH] * watched
    metrics = [
        make_metric(
            metric=f"metric-number-{i}", role=role, se=0.0123456789012345, p_worse=1 / 3, pass_if_unchanged=2 / 3
        )
        for i, role in enumerate(roles)
    ]
    policy = Policy(
        metrics=tuple(
            MetricPolicy(suite=m.suite, metric=m.metric, role=m.role, margin=m.margin, alpha=m.alpha) for m in metrics
        )
    )
    manifest = any_manifest(policy=policy)
    parts = tuple(
        SliceDecision(
            suite=SUITE, metric="metric-number-0", field="language", value=f"value-{i}", cases=20, candidate=0.5,
            champion=0.9, delta=-0.4, lower=-0.6, upper=-0.2, method="Tango", p_worse=0.001, failed=True,
        )
        for i in range(slices)
    )  # fmt: skip
    drifts = tuple(
        OutputDrift(suite=SUITE, trait=OutputFeature.LENGTH, role=Role.WATCH, champion=1 / 3, candidate=2 / 3)
        for _ in range(8)
    )
    decision = make_decision(metrics=metrics, slices=parts, outputs=drifts)
    decision = replace(decision, candidate_run=manifest.run_id, champion_run=None, champion_digest=None)
    made: Any = statement(decision, candidate=manifest, issued_at=NOW.isoformat())
    made["predicate"]["problems"] = [f"problem {i}: {'text ' * 40}" for i in range(problems)]
    return dict(made)


def test_what_fits_is_left_alone() -> None:
    whole = big_statement(watched=3, gating=3, slices=20)
    assert fitted(whole) == whole
    assert "leftOut" not in fitted(whole)["predicate"]


def test_watched_metrics_are_left_out_first_and_counted() -> None:
    whole = big_statement(watched=57, gating=3, slices=200)
    assert len(canonical(whole)) > PAYLOAD_BYTES
    told = fitted(whole)["predicate"]
    assert len(canonical(fitted(whole))) <= PAYLOAD_BYTES
    kept = len(told["metrics"])
    assert told["leftOut"] == {"watchedMetrics": 60 - kept}
    assert told["metrics"] == whole["predicate"]["metrics"][:kept]
    assert kept > 20
    assert len(whole["predicate"]["metrics"]) == 60


def test_sixty_gating_metrics_keep_their_intervals() -> None:
    whole = big_statement(watched=0, gating=60, slices=200, problems=50)
    told = fitted(whole)["predicate"]
    assert len(canonical(fitted(whole))) <= PAYLOAD_BYTES
    assert [(m["metric"], m["lower"], m["upper"]) for m in told["metrics"]] == [
        (m["metric"], m["lower"], m["upper"]) for m in whole["predicate"]["metrics"]
    ]
    assert told["leftOut"]["metricsInShort"] <= 60
    assert told["leftOut"]["outputs"] == 8
    assert "watchedMetrics" not in told["leftOut"]


def test_an_envelope_of_many_metrics_fits_into_a_tag(keys: Keys, tmp_path: Path) -> None:
    names = ("accuracy", *(f"metric-{i}" for i in range(120)))
    metrics = tuple(MetricPolicy(suite=SUITE, metric=name, role=Role.WATCH, margin=0.1) for name in names[1:])
    policy = Policy(metrics=(*POLICY.metrics, *metrics))
    run = write_record(
        tmp_path / "run", make_manifest("c", registry_uri=URI, weights="v2", policy=policy), metrics=names
    )
    signed = sign(keys, run)
    assert len(signed.envelope) <= MAX_ENVELOPE
    assert signed.verdict.predicate["leftOut"]["watchedMetrics"] > 0
    assert open_verdict(signed.envelope, policy=keys.policy, model="support-bot", now=NOW).verdict == signed.verdict
