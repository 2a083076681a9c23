"""Builders of records and decisions: small, deterministic, valid unless a test asks otherwise.

The statistics in `make_metric` are plausible figures, not computed ones; tests of the gate compute their own.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmgate.gate.decision.types import Decision, Flip, MetricDecision, Problem, Verdict
from llmgate.record.manifest import Hardware, JudgeIdentity, Manifest, ModelIdentity, ServerIdentity, SuiteIdentity
from llmgate.record.policy import MetricPolicy, Policy, Role
from llmgate.record.schema import (
    CaseKey,
    CaseResult,
    CheckResult,
    Failure,
    FailureKind,
    Generation,
    Message,
    Outcome,
    PlannedCase,
    Record,
    Seal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmgate.record.serving.trace import ServingTrace

__all__ = [
    "CREATED_AT",
    "digest_of",
    "flips_between",
    "make_case",
    "make_check",
    "make_decision",
    "make_failed_result",
    "make_flip",
    "make_manifest",
    "make_metric",
    "make_policy",
    "make_problem",
    "make_record",
    "make_result",
    "make_suite",
    "seal",
]

CREATED_AT = "2026-11-23T03:04:05+00:00"
SUITE = "support"
METRIC = "accuracy"


def digest_of(text: str) -> str:
    """Full SHA-256 of a text, as hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def make_case(
    case: str,
    *,
    suite: str = SUITE,
    prompt: str | None = None,
    expected: str = "",
    repeats: int = 1,
    cluster: str | None = None,
    slices: Mapping[str, str] | None = None,
) -> PlannedCase:
    """A planned case with a one-message prompt."""
    content = f"Question of {case}?" if prompt is None else prompt
    return PlannedCase(
        suite=suite,
        case=case,
        repeats=repeats,
        cluster=cluster,
        slices=dict(slices or {}),
        messages=(Message(role="user", content=content),),
        expected=expected or f"contains: {case}",
        request_digest=digest_of(f"{suite}/{case}/{content}"),
    )


def make_check(
    score: float | None = 1.0,
    *,
    type: str = "icontains",  # noqa: A002 - the field's name
    metric: str = METRIC,
    reason: str = "",
    weight: float = 1.0,
    required: bool = False,
) -> CheckResult:
    """A check: score None is an error, 0.5 and above a pass."""
    outcome = Outcome.ERROR if score is None else Outcome.PASS if score >= 0.5 else Outcome.FAIL
    return CheckResult(
        type=type, outcome=outcome, score=score, reason=reason, metric=metric, weight=weight, required=required
    )


def make_result(
    case: str,
    *,
    suite: str = SUITE,
    repeat: int = 0,
    text: str | None = None,
    score: float | None = 1.0,
    metric: str = METRIC,
    reason: str | None = None,
    checks: Sequence[CheckResult] | None = None,
    judged: bool = True,
    latency_s: float = 0.25,
) -> CaseResult:
    """An answered case with one check of `score`, unless `checks` are given."""
    if checks is None:
        worded = f"score {score}" if reason is None else reason
        checks = (make_check(score, metric=metric, reason=worded),)
    return CaseResult(
        key=CaseKey(suite=suite, case=case, repeat=repeat),
        answer=Generation(
            text=f"The answer to {case}." if text is None else text,
            finish_reason="stop",
            prompt_tokens=12,
            completion_tokens=7,
            latency_s=latency_s,
        ),
        checks=tuple(checks),
        judged=judged,
    )


def make_failed_result(
    case: str,
    *,
    suite: str = SUITE,
    repeat: int = 0,
    kind: FailureKind = FailureKind.TIMEOUT,
    message: str = "no answer within 60 s",
    attempts: int = 3,
) -> CaseResult:
    """A case without an answer."""
    return CaseResult(
        key=CaseKey(suite=suite, case=case, repeat=repeat),
        answer=Failure(kind=kind, message=message, attempts=attempts),
    )


def make_suite(name: str = SUITE, *, cases: int = 4, version: str = "1.2.0", description: str = "") -> SuiteIdentity:
    """The identity of a suite whose digests follow from its name and version."""
    return SuiteIdentity(
        name=name,
        version=version,
        digest=digest_of(f"suite {name} {version}"),
        path=f"suites/{name}.yaml",
        dataset_version="2026.1",
        dataset_digest=digest_of(f"dataset {name} 2026.1"),
        cases=cases,
        description=description,
    )


def make_policy(
    metrics: Sequence[MetricPolicy] | None = None, *, suite: str = SUITE, metric: str = METRIC, margin: float = 0.03
) -> Policy:
    """A policy of one primary metric, unless metrics are given."""
    return Policy(metrics=tuple(metrics or (MetricPolicy(suite=suite, metric=metric, margin=margin),)))


def make_manifest(
    *,
    run_id: str = "run-candidate",
    model: str = "support-bot",
    version: int = 8,
    suites: Sequence[SuiteIdentity] | None = None,
    policy: Policy | None = None,
    judge: JudgeIdentity | None = None,
    seed: int = 20261123,
    **overrides: Any,
) -> Manifest:
    """A manifest; `overrides` replace any of its fields."""
    suites = tuple(suites) if suites is not None else (make_suite(),)
    manifest = Manifest(
        run_id=run_id,
        created_at=CREATED_AT,
        llmgate_version="0.1.0",
        model=ModelIdentity(
            name=model,
            source=f"models/{model}-v{version}",
            weights_digest=digest_of(f"weights {model} {version}"),
            registry_uri=f"models:/{model}/{version}",
        ),
        server=ServerIdentity(
            engine="vllm",
            version="0.25.1",
            owned=True,
            flags=("--max-model-len", "4096", "--dtype", "bfloat16"),
            url="http://127.0.0.1:8000/v1",
        ),
        judge=judge,
        suites=suites,
        cases_digest=digest_of("cases " + " ".join(suite.name for suite in suites)),
        policy=policy or make_policy(),
        hardware=Hardware(
            cpu="AMD EPYC 9654", cores=16, memory_gib=128.0, gpus=("NVIDIA H100 80GB HBM3",), driver="580.65"
        ),
        packages={"torch": "2.11.0", "vllm": "0.25.1"},
        seed=seed,
        concurrency=256,
        labels={"git.commit": "0123abcd", "git.branch": "main"},
    )
    return replace(manifest, **overrides)


def seal(record: Record) -> Record:
    """The same record, sealed."""
    lines = (f"{key} {result.evaluated} {result.passed}" for key, result in sorted(record.results.items()))
    journal = "\n".join(lines)
    digest = digest_of(record.manifest.run_id + journal)
    return replace(
        record,
        seal=Seal(sealed_at="2026-11-23T03:14:15+00:00", journal_digest=digest, results=len(record.results)),
    )


def make_record(
    *,
    scores: Mapping[str, float | None] | None = None,
    results: Iterable[CaseResult] | None = None,
    cases: Iterable[PlannedCase] | None = None,
    run_id: str = "run-candidate",
    sealed: bool = True,
    serving: Sequence[ServingTrace] = (),
    path: str = "",
    manifest: Manifest | None = None,
    **manifest_fields: Any,
) -> Record:
    """A complete, sealed record.

    Args:
        scores: Case id to score on `accuracy`, None for a case that failed to answer. Ignored if results are given.
        results: What happened; a planned case without a result is the caller's choice.
        cases: What was planned; by default one case per result.
        run_id: Also distinguishes champion from candidate.
        sealed: Whether the run came to its end.
        serving: Raw serving measurements.
        path: Folder that the record claims to come from.
        manifest: Replaces the default manifest, and with it `run_id`.
        manifest_fields: Fields for `make_manifest`.
    """
    if results is None:
        chosen = {"a": 1.0, "b": 1.0, "c": 0.0, "d": 1.0} if scores is None else scores
        results = [
            make_failed_result(case) if score is None else make_result(case, score=score)
            for case, score in chosen.items()
        ]
    results = tuple(results)
    if cases is None:
        repeats: dict[tuple[str, str], int] = {}
        for result in results:
            name = (result.key.suite, result.key.case)
            repeats[name] = max(repeats.get(name, 0), result.key.repeat + 1)
        cases = tuple(make_case(case, suite=suite, repeats=count) for (suite, case), count in repeats.items())
    cases = tuple(cases)
    if manifest is None:
        if "suites" not in manifest_fields:
            names = dict.fromkeys(case.suite for case in cases)
            manifest_fields["suites"] = tuple(
                make_suite(name, cases=sum(case.suite == name for case in cases)) for name in names
            )
        manifest = make_manifest(run_id=run_id, **manifest_fields)
    record = Record(
        manifest=manifest,
        cases=cases,
        results={result.key: result for result in results},
        serving=tuple(serving),
        path=path,
    )
    return seal(record) if sealed else record


def make_flip(
    case: str, champion: float = 1.0, candidate: float = 0.0, *, suite: str = SUITE, metric: str = METRIC
) -> Flip:
    """A case that got worse, unless the scores say otherwise."""
    return Flip(suite=suite, case=case, metric=metric, champion=champion, candidate=candidate)


def flips_between(champion: Record, candidate: Record, *, metric: str = METRIC) -> tuple[Flip, ...]:
    """Flips of the results with a check on `metric` that both records evaluated; the first such check counts."""
    flips = []
    for key, after in candidate.results.items():
        before = champion.results.get(key)
        if before is None or not (before.evaluated and after.evaluated):
            continue
        old = next((check.score for check in before.checks if check.metric == metric), None)
        new = next((check.score for check in after.checks if check.metric == metric), None)
        if old is not None and new is not None and old != new:
            flips.append(make_flip(key.case, old, new, suite=key.suite, metric=metric))
    return tuple(flips)


def make_metric(verdict: Verdict = Verdict.PASS, **overrides: Any) -> MetricDecision:
    """A paired decision on 300 cases that fits the verdict; `overrides` replace any of its fields."""
    delta, lower, upper = {
        Verdict.PASS: (-0.006, -0.021, 0.009),
        Verdict.FAIL: (-0.052, -0.081, -0.024),
        Verdict.INCONCLUSIVE: (-0.013, -0.043, 0.017),
    }[verdict]
    metric = MetricDecision(
        suite=SUITE,
        metric=METRIC,
        role=Role.PRIMARY,
        verdict=verdict,
        reference="champion",
        method="Tango score interval for paired proportions",
        alpha=0.05,
        candidate=0.91 + delta,
        champion=0.91,
        delta=delta,
        lower=lower,
        upper=upper,
        margin=0.03,
        expected=300,
        evaluated=300,
        errors=0,
        better=19,
        worse=22,
        p_worse=0.31,
        pass_if_unchanged=0.91,
        pass_if_margin_lost=0.05,
        reason=f"at most {-lower * 100:.1f} points worse (95 %), tolerance 3",
    )
    return replace(metric, **overrides)


def make_problem(
    what: str = "3 of 300 cases were not evaluated", *, where: str = SUITE, fix: str = "Run them again"
) -> Problem:
    """A problem."""
    return Problem(where=where, what=what, fix=fix)


def make_decision(
    verdict: Verdict = Verdict.PASS,
    *,
    candidate: Record | None = None,
    champion: Record | None = None,
    metrics: Sequence[MetricDecision] | None = None,
    **overrides: Any,
) -> Decision:
    """A decision of one metric with that verdict; bound to the records that are given.

    Args:
        verdict: Of the whole decision and of the default metric.
        candidate: Record to take run id and digest from.
        champion: Record to take run id, digest and, together with the candidate, the flips from.
        metrics: Replace the default metric.
        overrides: Replace any other field of the decision.
    """
    decision = Decision(
        verdict=verdict,
        sentence=f"{verdict}: at most 2.1 points worse (95 %), tolerance 3. 41 answers changed: 19 better, 22 worse.",
        metrics=tuple(metrics) if metrics is not None else (make_metric(verdict),),
        candidate_run="run-candidate",
    )
    if candidate is not None:
        decision = replace(
            decision,
            candidate_run=candidate.manifest.run_id,
            candidate_digest=candidate.seal.journal_digest if candidate.seal else "",
        )
    if champion is not None:
        decision = replace(
            decision,
            champion_run=champion.manifest.run_id,
            champion_digest=champion.seal.journal_digest if champion.seal else "",
            flips=flips_between(champion, candidate) if candidate is not None else (),
        )
    return replace(decision, **overrides)
