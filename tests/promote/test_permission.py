from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.promotions import digest_of, make_manifest

from llmgate.gate.decision.types import Decision, MetricDecision, Problem, Verdict
from llmgate.promote import tags
from llmgate.promote.permission import Permission, Refusal, may_promote
from llmgate.promote.target import PromotionEvidence, RecordIdentity, VersionFacts
from llmgate.record.manifest import ModelIdentity
from llmgate.record.policy import Role
from llmgate.record.schema import Seal

if TYPE_CHECKING:
    from collections.abc import Callable

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SEALED = T0 + timedelta(minutes=30)
NOW = T0 + timedelta(hours=1)


def version(number: int, *, created_at: datetime = T0, weights: str | None = None, run: str = "") -> VersionFacts:
    weights = weights or f"weights {number}"
    return VersionFacts(
        name="support-bot",
        version=str(number),
        source=f"s3://models/{number}",
        created_at=created_at,
        tags={tags.WEIGHTS_DIGEST: digest_of(weights), tags.RUN_ID: run or f"run-{number}"},
    )


def identity(number: int, *, bound: bool = True, sealed_at: datetime = SEALED) -> RecordIdentity:
    uri = f"models:/support-bot/{number}" if bound else None
    return RecordIdentity(
        manifest=make_manifest(f"run-{number}", registry_uri=uri, weights=f"weights {number}"),
        seal=Seal(sealed_at=sealed_at.isoformat(), journal_digest=digest_of(f"journal {number}"), results=10),
    )


def metric(
    verdict: Verdict = Verdict.PASS, *, reference: str = "champion", role: Role = Role.PRIMARY
) -> MetricDecision:
    return MetricDecision(
        suite="support",
        metric="accuracy",
        role=role,
        verdict=verdict,
        reference="champion" if reference == "champion" else "threshold",
        method="by eye",
        alpha=0.05,
        expected=10,
        evaluated=10,
        errors=0,
        reason="By eye.",
    )


def decision(
    verdict: Verdict = Verdict.PASS, *metrics: MetricDecision, candidate: int = 7, champion: int | None = 6
) -> Decision:
    return Decision(
        verdict=verdict,
        sentence="A sentence.",
        metrics=metrics or (metric(verdict, reference="threshold" if champion is None else "champion"),),
        candidate_run=f"run-{candidate}",
        candidate_digest=digest_of(f"journal {candidate}"),
        champion_run=None if champion is None else f"run-{champion}",
        champion_digest=None if champion is None else digest_of(f"journal {champion}"),
    )


def evidence(**changes: object) -> PromotionEvidence:
    plain = PromotionEvidence(
        where="MLflow run abc",
        subject="models:/support-bot/7",
        ended_at=SEALED + timedelta(minutes=1),
        candidate=identity(7),
        baseline=identity(6),
        claimed=decision(),
        decision=decision(),
        source_digest=digest_of("weights 7"),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the fields of a frozen dataclass, by name


@dataclass(frozen=True, kw_only=True)
class Case:
    version: VersionFacts = field(default_factory=lambda: version(7))
    holder: VersionFacts | None = field(default_factory=lambda: version(6))
    evidence: PromotionEvidence | None = field(default_factory=evidence)
    alias: str = "champion"
    now: datetime = NOW

    def ask(self) -> Permission | Refusal:
        return may_promote(
            version=self.version, holder=self.holder, evidence=self.evidence, alias=self.alias, now=self.now
        )


def both(made: Decision) -> PromotionEvidence:
    return evidence(claimed=made, decision=made)


def with_model(number: int, **changes: object) -> RecordIdentity:
    plain = identity(number)
    model = replace(plain.manifest.model, **changes)  # type: ignore[arg-type]  # as above
    assert isinstance(model, ModelIdentity)
    return replace(plain, manifest=replace(plain.manifest, model=model))


def first(**changes: object) -> PromotionEvidence:
    alone = decision(champion=None)
    return evidence(**({"baseline": None, "claimed": alone, "decision": alone} | changes))


REFUSED: dict[str, tuple[Callable[[], Case], str]] = {
    "no verdict": (lambda: Case(evidence=None), "no verdict, run the gate"),
    "look-alike alias": (lambda: Case(alias="Champion"), "did you mean 'champion'"),
    "version not ready": (lambda: Case(version=replace(version(7), ready=False)), "READY"),
    "FAIL": (lambda: Case(evidence=both(decision(Verdict.FAIL))), "verdict is FAIL"),
    "INCONCLUSIVE": (lambda: Case(evidence=both(decision(Verdict.INCONCLUSIVE))), "INCONCLUSIVE, which never"),
    "PASS that has problems": (
        lambda: Case(evidence=both(replace(decision(), problems=(Problem(where="a", what="b"),)))),
        "PASS although",
    ),
    "PASS with a failed required case": (
        lambda: Case(evidence=both(replace(decision(), required_failures=("support::a",)))),
        "PASS although",
    ),
    "PASS with a gate that failed": (
        lambda: Case(evidence=both(decision(Verdict.PASS, metric(Verdict.FAIL)))),
        "PASS although",
    ),
    "PASS of metrics that only watch": (
        lambda: Case(evidence=both(decision(Verdict.PASS, metric(role=Role.WATCH)))),
        "no metric gates",
    ),
    "stored PASS over a FAIL": (
        lambda: Case(evidence=evidence(decision=decision(Verdict.FAIL))),
        "says PASS but its records give FAIL",
    ),
    "stored FAIL over a PASS": (
        lambda: Case(evidence=evidence(claimed=decision(Verdict.FAIL))),
        "says FAIL but its records give PASS",
    ),
    "stored decision of another record": (
        lambda: Case(evidence=evidence(claimed=replace(decision(), candidate_digest="f" * 64))),
        "differs from the one",
    ),
    "decision from another record": (
        lambda: Case(evidence=both(replace(decision(), candidate_digest="f" * 64))),
        "not taken from the candidate record",
    ),
    "decision from a score table": (
        lambda: Case(evidence=both(replace(decision(), candidate_run="", candidate_digest=""))),
        "not taken from the candidate record",
    ),
    "decision from another baseline": (
        lambda: Case(evidence=both(replace(decision(), champion_digest="f" * 64))),
        "not taken from the baseline record",
    ),
    "baseline record is gone": (lambda: Case(evidence=evidence(baseline=None)), "baseline record of .* is missing"),
    "verdict of v7 on v8": (lambda: Case(version=version(8)), "about models:/support-bot/7 and not about"),
    "verdict of another model": (
        lambda: Case(version=replace(version(7), name="other-bot")),
        "about models:/support-bot/7 and not about models:/other-bot/7",
    ),
    "run that says one version, record another": (
        lambda: Case(evidence=evidence(candidate=with_model(7, registry_uri="models:/support-bot/5"))),
        "about models:/support-bot/5",
    ),
    "run without a subject": (lambda: Case(evidence=evidence(subject=None)), "does not say which version"),
    "weights swapped": (
        lambda: Case(evidence=evidence(source_digest=digest_of("swapped"))),
        "files at s3://models/7 are not the weights",
    ),
    "weights that were never hashed": (
        lambda: Case(evidence=evidence(candidate=with_model(7, weights_digest=None))),
        "not the weights that were measured",
    ),
    "forged digest tag": (
        lambda: Case(version=version(7, weights="forged"), evidence=evidence(source_digest=None)),
        "weights digest on the version",
    ),
    "neither name nor digest": (
        lambda: Case(
            version=replace(version(7), tags={}),
            evidence=evidence(candidate=identity(7, bound=False), source_digest=None),
        ),
        "nothing ties",
    ),
    "recreated after the record": (
        lambda: Case(version=version(7, created_at=SEALED + timedelta(seconds=30))),
        "a version that was deleted",
    ),
    "recreated after the run, bound by digest": (
        lambda: Case(
            version=version(7, created_at=SEALED + timedelta(minutes=2)),
            evidence=evidence(candidate=identity(7, bound=False)),
        ),
        "a version that was deleted",
    ),
    "expired": (lambda: Case(now=NOW + timedelta(days=31)), "older than 30 days"),
    "from the future": (lambda: Case(now=T0), "still to come"),
    "unreadable time": (
        lambda: Case(
            evidence=evidence(candidate=replace(identity(7), seal=replace(identity(7).seal, sealed_at="noon")))
        ),
        "unreadable",
    ),
    "time without a zone": (
        lambda: Case(
            evidence=evidence(
                candidate=replace(identity(7), seal=replace(identity(7).seal, sealed_at="2026-11-23T03:30:00"))
            )
        ),
        "unreadable",
    ),
    "champion moved": (lambda: Case(holder=version(8)), "is stale; run the gate with models:/support-bot/8"),
    "champion gone": (lambda: Case(holder=None), "nobody holds the alias any more"),
    "champion recreated": (
        lambda: Case(holder=version(6, created_at=SEALED + timedelta(seconds=1))),
        "before the creation of version 6",
    ),
    "champion's weights differ": (
        lambda: Case(holder=version(6, weights="other")),
        "baseline's weights are not those of version 6",
    ),
    "baseline named by alias": (
        lambda: Case(evidence=evidence(baseline=with_model(6, registry_uri="models:/support-bot@champion"))),
        "may by now be another",
    ),
    "baseline of another model": (
        lambda: Case(evidence=evidence(baseline=with_model(6, registry_uri="models:/other/6"))),
        "compared with models:/other/6",
    ),
    "baseline that nothing ties to the champion": (
        lambda: Case(holder=version(6, run="another"), evidence=evidence(baseline=identity(6, bound=False))),
        "nothing shows",
    ),
    "champion exists, no comparison": (lambda: Case(evidence=first()), "version 6 holds the alias but"),
    "first promotion without a threshold": (
        lambda: Case(
            holder=None,
            evidence=first(
                claimed=decision(Verdict.PASS, metric(), champion=None),
                decision=decision(Verdict.PASS, metric(), champion=None),
            ),
        ),
        "no metric was held to a threshold",
    ),
    "baseline there, but only thresholds judged": (
        lambda: Case(evidence=both(decision(Verdict.PASS, metric(reference="threshold")))),
        "no metric was compared",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_one_sentence(name: str) -> None:
    make, pattern = REFUSED[name]
    answer = make().ask()
    assert isinstance(answer, Refusal)
    assert "\n" not in answer.reason
    assert not answer.reason.endswith(".")

    assert re.search(pattern, answer.reason), answer.reason


def test_a_proven_version_may_take_the_alias_from_the_champion() -> None:
    answer = Case().ask()
    assert isinstance(answer, Permission)
    assert answer.over == version(6)
    assert not answer.held


def test_the_first_promotion_needs_a_threshold_and_no_baseline() -> None:
    answer = Case(holder=None, evidence=first()).ask()
    assert isinstance(answer, Permission)
    assert answer.over is None


def test_a_version_registered_after_its_gate_run_is_bound_by_its_digest() -> None:
    registered = version(7, created_at=SEALED + timedelta(seconds=30))
    answer = Case(version=registered, evidence=evidence(candidate=identity(7, bound=False))).ask()
    assert isinstance(answer, Permission)


def test_an_unreachable_source_leaves_the_recorded_name() -> None:
    answer = Case(version=replace(version(7), tags={}), evidence=evidence(source_digest=None)).ask()
    assert isinstance(answer, Permission)


def test_the_champions_own_gate_run_is_a_baseline() -> None:
    assert isinstance(Case(evidence=evidence(baseline=identity(6, bound=False))).ask(), Permission)


def test_asking_again_for_what_is_held_changes_nothing() -> None:
    answer = Case(holder=version(7)).ask()
    assert isinstance(answer, Permission)
    assert answer.held


def without(proof: PromotionEvidence, gone: str) -> PromotionEvidence:
    nothing: dict[str, Any] = {gone: None}
    return replace(proof, **nothing)


@pytest.mark.parametrize("gone", ["subject", "baseline", "source_digest"])
def test_taking_evidence_away_never_turns_a_refusal_into_a_permission(gone: str) -> None:
    for make, _ in REFUSED.values():
        case = make()
        if case.evidence is None:
            continue
        less = replace(case, evidence=without(case.evidence, gone))
        if gone == "source_digest" and case.evidence.source_digest != digest_of("weights 7"):
            continue  # files that cannot be reached cannot be seen to differ; the name and the tag then decide
        assert isinstance(less.ask(), Refusal)
