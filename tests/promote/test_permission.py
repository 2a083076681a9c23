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
from llmgate.promote.target import PastVerdict, PromotionEvidence, RecordIdentity, VersionFacts
from llmgate.record.manifest import ModelIdentity, ServerIdentity
from llmgate.record.policy import Binding, Policy, Role
from llmgate.record.schema import Seal
from llmgate.record.serving.policy import ServingPolicy

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


QUICK = replace(metric(reference="threshold"), metric="output_throughput", unit="tok/s")
"""A figure of serving that passes."""


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
        run="abc",
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
    earned: RecordIdentity | None = field(default_factory=lambda: identity(6))
    past: tuple[PastVerdict, ...] = ()
    accepted: bool = False

    def ask(self) -> Permission | Refusal:
        return may_promote(
            version=self.version,
            holder=self.holder,
            evidence=self.evidence,
            alias=self.alias,
            now=self.now,
            earned=self.earned if self.holder is not None else None,
            past=self.past,
            accepted=self.accepted,
        )


def both(made: Decision) -> PromotionEvidence:
    return evidence(claimed=made, decision=made)


def with_model(number: int, **changes: object) -> RecordIdentity:
    plain = identity(number)
    model = replace(plain.manifest.model, **changes)  # type: ignore[arg-type]  # as above
    assert isinstance(model, ModelIdentity)
    return replace(plain, manifest=replace(plain.manifest, model=model))


def judged_by(number: int, **changes: object) -> RecordIdentity:
    """The record with a policy that is its own but for these changes of the metric."""
    plain = identity(number)
    (gate,) = plain.manifest.policy.metrics
    policy = Policy(metrics=(replace(gate, **changes),))  # type: ignore[arg-type]  # as above
    return replace(plain, manifest=replace(plain.manifest, policy=policy))


def serving_by(number: int, *, margin: float) -> RecordIdentity:
    """The record with a serving gate of that margin."""
    plain = identity(number)
    figure = ServingPolicy(suite="support", metric="output_throughput", margin=margin)
    return replace(plain, manifest=replace(plain.manifest, policy=replace(plain.manifest.policy, serving=(figure,))))


def at(url: str, number: int, *, name: str = "served", binding: Binding = Binding.CLAIMED) -> RecordIdentity:
    """The record of a run at an endpoint, whose policy takes a claim unless told otherwise."""
    plain = with_model(number, weights_digest=None, binding=Binding.CLAIMED, name=name)
    server = ServerIdentity(engine="vllm", owned=False, url=url)
    policy = replace(plain.manifest.policy, binding=binding)
    return replace(plain, manifest=replace(plain.manifest, server=server, policy=policy))


def past(verdict: str, *, minutes: int, run: str = "other") -> PastVerdict:
    return PastVerdict(run=run, verdict=verdict, ended_at=SEALED + timedelta(minutes=minutes))


def promoted(number: int, *, minutes: int) -> VersionFacts:
    """A champion as an llmgate that kept no evidence left it."""
    told = {tags.PROMOTED_ALIAS: "champion", tags.PROMOTED_AT: (SEALED + timedelta(minutes=minutes)).isoformat()}
    plain = version(number)
    return replace(plain, tags={**plain.tags, **told})


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
    "champion moved": (
        lambda: Case(holder=version(8), earned=identity(8)),
        "is stale; run the gate with models:/support-bot@champion",
    ),
    "champion gone": (lambda: Case(holder=None), "nobody holds the alias any more"),
    "baseline of other weights": (
        lambda: Case(evidence=evidence(baseline=with_model(6, weights_digest=digest_of("other")))),
        "the baseline is run 'run-6' and not the one that earned version 6 the alias, so the verdict is stale",
    ),
    "baseline of the champion at an endpoint": (
        lambda: Case(evidence=evidence(baseline=at("http://bad", 6))),
        "not the one that earned version 6",
    ),
    "champion served with other flags": (
        lambda: Case(
            evidence=evidence(
                baseline=replace(
                    identity(6),
                    manifest=replace(
                        identity(6).manifest,
                        server=ServerIdentity(engine="vllm", owned=True, flags=("--max-model-len", "16")),
                    ),
                )
            )
        ),
        "not the one that earned version 6",
    ),
    "what earned the alias was not kept": (
        lambda: Case(earned=None),
        "run `llmgate promote models:/support-bot/6 --alias champion` first",
    ),
    "a champion that was judged again after its promotion, and nothing kept": (
        lambda: Case(version=promoted(7, minutes=0), holder=promoted(7, minutes=0), earned=None),
        "judged this version after it got the alias",
    ),
    "an alias that was set by other means, and nothing kept": (
        lambda: Case(holder=version(7), earned=None),
        "nothing shows what earned this version the alias",
    ),
    "a later verdict": (lambda: Case(past=(past("FAIL", minutes=2),)), "not the latest gate run .* with FAIL of"),
    "a verdict at the same moment": (lambda: Case(past=(past("FAIL", minutes=1),)), "not the latest gate run"),
    "claimed, and the policy wants weights": (
        lambda: Case(
            version=replace(version(7), tags={}),
            evidence=evidence(candidate=at("http://a", 7, binding=Binding.WEIGHTS), source_digest=None),
        ),
        "claimed and not shown .an endpoint answered.*binding: claimed",
    ),
    "a folder that nothing holds against the version": (
        lambda: Case(version=replace(version(7), tags={}), evidence=evidence(source_digest=None)),
        "claimed and not shown .its digest is not known",
    ),
    "a digest that a run wrote which nobody held against the version": (
        lambda: Case(evidence=evidence(candidate=with_model(7, binding=Binding.CLAIMED), source_digest=None)),
        "claimed and not shown",
    ),
    "both sides from one server": (
        lambda: Case(
            earned=at("http://a/v1", 6),
            evidence=evidence(candidate=at("http://a/v1/", 7), baseline=at("http://a/v1", 6), source_digest=None),
        ),
        "both answered by 'served' at http://a/v1",
    ),
    "a margin that nobody explains": (
        lambda: Case(evidence=evidence(candidate=judged_by(7, margin=0.999))),
        "support::gate::accuracy: margin is 0.999, which is above 0.5 and needs a reason",
    ),
    "an error rate that nobody explains": (
        lambda: Case(evidence=evidence(candidate=judged_by(7, alpha=0.49))),
        "alpha is 0.49, which is above 0.2 and needs a reason",
    ),
    "a policy that asks for less": (
        lambda: Case(evidence=evidence(candidate=judged_by(7, margin=0.2, min=0.6))),
        r"asks for less .*margin 0.1 → 0.2; .*min 0.7 → 0.6\).*--accept-policy-change",
    ),
    "a margin of serving that nobody explains": (
        lambda: Case(evidence=evidence(candidate=serving_by(7, margin=0.9))),
        "support::serving::output_throughput: margin is 0.9, which is above 0.5 and needs a reason",
    ),
    "speed alone held to a threshold": (
        lambda: Case(
            holder=None,
            evidence=first(
                claimed=decision(Verdict.PASS, QUICK, champion=None),
                decision=decision(Verdict.PASS, QUICK, champion=None),
            ),
        ),
        "no metric was held to a threshold",
    ),
    "speed alone compared": (
        lambda: Case(evidence=both(decision(Verdict.PASS, replace(QUICK, reference="champion")))),
        "no metric was compared",
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


def test_a_digest_that_was_checked_when_the_run_began_binds_where_the_source_is_out_of_reach() -> None:
    answer = Case(evidence=evidence(source_digest=None)).ask()
    assert isinstance(answer, Permission)
    assert answer.binding is Binding.WEIGHTS


def test_a_claim_is_enough_where_the_policy_says_so() -> None:
    champion = at("http://a", 6)
    answer = Case(earned=champion, evidence=evidence(candidate=at("http://b", 7), baseline=champion)).ask()
    assert isinstance(answer, Permission)
    assert answer.binding is Binding.CLAIMED


def test_a_policy_that_asks_for_less_needs_somebody_who_says_why() -> None:
    answer = Case(evidence=evidence(candidate=judged_by(7, margin=0.2)), accepted=True).ask()
    assert isinstance(answer, Permission)
    assert answer.weaker == ("support::gate::accuracy: margin 0.1 → 0.2",)


def test_earlier_verdicts_do_not_bar_the_latest() -> None:
    answer = Case(past=(past("FAIL", minutes=-5), past("PASS", minutes=1, run="abc"))).ask()
    assert isinstance(answer, Permission)


def test_a_champion_of_an_older_llmgate_keeps_what_earned_it_however_old_it_is() -> None:
    held = promoted(7, minutes=5)
    answer = Case(version=held, holder=held, earned=None, now=NOW + timedelta(days=400)).ask()
    assert isinstance(answer, Permission)
    assert (answer.held, answer.keep) == (True, True)


def test_a_champions_later_evidence_replaces_what_earned_it_only_for_a_reason() -> None:
    held = promoted(7, minutes=-60)
    proof = first(candidate=replace(identity(7), seal=replace(identity(7).seal, results=9)))
    quiet = Case(version=held, holder=held, earned=identity(7), evidence=proof).ask()
    assert isinstance(quiet, Permission)
    assert not quiet.keep
    told = Case(version=held, holder=held, earned=identity(7), evidence=proof, accepted=True).ask()
    assert isinstance(told, Permission)
    assert (told.held, told.keep) == (True, True)


def test_the_champions_own_gate_run_is_a_baseline() -> None:
    assert isinstance(Case(evidence=evidence(baseline=identity(6, bound=False))).ask(), Permission)


def test_asking_again_for_what_is_held_changes_nothing() -> None:
    answer = Case(holder=version(7), earned=identity(7)).ask()
    assert isinstance(answer, Permission)
    assert (answer.held, answer.keep) == (True, False)


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
