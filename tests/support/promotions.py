"""Sealed records on disk, and a decision rule that can be followed by eye, for tests of promotion.

The rule reads the records like the real one, so whatever is edited on disk changes what it says.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from llmgate.gate.decision import Decision, MetricDecision, Verdict
from llmgate.record.policy import MetricPolicy, Policy, Role
from llmgate.record.rundir import RunDir, cases_digest, load_record
from llmgate.record.schema import (
    CaseKey,
    CaseResult,
    CheckResult,
    Generation,
    Hardware,
    Manifest,
    ModelIdentity,
    Outcome,
    PlannedCase,
    Record,
    ServerIdentity,
    SuiteIdentity,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["digest_of", "make_manifest", "redecide", "store_decision", "write_record"]

SUITE = "support"
CASES = tuple(PlannedCase(suite=SUITE, case=f"case-{i}", request_digest=f"{i:064d}") for i in range(10))
MARGIN, MIN = 0.2, 0.7


def digest_of(text: str) -> str:
    """Full SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_manifest(
    run_id: str, *, registry_uri: str | None = None, weights: str | None = "weights", source: str = "models/candidate"
) -> Manifest:
    """A manifest of ten cases in one suite."""
    return Manifest(
        run_id=run_id,
        created_at=datetime.now(UTC).isoformat(),
        llmgate_version="0.1.0",
        model=ModelIdentity(
            name="support-bot",
            source=source,
            weights_digest=None if weights is None else digest_of(weights),
            registry_uri=registry_uri,
        ),
        server=ServerIdentity(engine="vllm", version="0.25.1", owned=True, flags=("--seed", "0")),
        suites=(
            SuiteIdentity(
                name=SUITE,
                version="1.2.0",
                digest=digest_of("suite"),
                path="suites/support.yaml",
                dataset_version="2026.1",
                dataset_digest=digest_of("dataset"),
                cases=len(CASES),
            ),
        ),
        cases_digest=cases_digest(CASES),
        policy=Policy(metrics=(MetricPolicy(suite=SUITE, metric="accuracy", margin=MARGIN, min=MIN),)),
        hardware=Hardware(cpu="AMD EPYC 9654", cores=16, memory_gib=128.0),
        concurrency=64,
        labels={"git.commit": "0123abcd"},
    )


def write_record(
    folder: Path, manifest: Manifest, *, right: int = 10, sealed: bool = True, age: timedelta = timedelta()
) -> Path:
    """A record on disk in which the first `right` of ten cases passed, sealed `age` ago."""
    with RunDir.create(folder, manifest, CASES) as run:
        for number, case in enumerate(CASES):
            score = 1.0 if number < right else 0.0
            check = CheckResult(type="icontains", outcome=Outcome.PASS if score else Outcome.FAIL, score=score)
            answer = Generation(text=f"Answer {number}.", latency_s=0.1)
            run.append(CaseResult(key=CaseKey(suite=SUITE, case=case.case), answer=answer, checks=(check,)))
        if sealed:
            run.seal(sealed_at=(datetime.now(UTC) - age).isoformat())
    return folder


def rate(record: Record) -> float:
    """The share of cases that passed."""
    return sum(result.passed for result in record.results.values()) / len(record.cases)


def redecide(candidate: Path, baseline: Path | None) -> Decision:
    """PASS within the margin or above the minimum, INCONCLUSIVE one case below either, FAIL below that."""
    new = load_record(candidate)
    old = load_record(baseline) if baseline is not None else None
    score = rate(new)
    limit = MIN if old is None else rate(old) - MARGIN
    verdict = Verdict.PASS if score >= limit else Verdict.FAIL if score < limit - 0.15 else Verdict.INCONCLUSIVE
    metric = MetricDecision(
        suite=SUITE,
        metric="accuracy",
        role=Role.PRIMARY,
        verdict=verdict,
        reference="threshold" if old is None else "champion",
        method="by eye",
        alpha=0.05,
        candidate=score,
        champion=None if old is None else rate(old),
        delta=None if old is None else score - rate(old),
        lower=score - 0.1,
        upper=score + 0.1,
        margin=None if old is None else MARGIN,
        min=MIN if old is None else None,
        expected=len(CASES),
        evaluated=len(new.results),
        errors=0,
        reason="By eye.",
    )
    assert new.seal is not None
    decision = Decision(
        verdict=verdict,
        sentence=f"The verdict is {verdict} | see <report>.",
        metrics=(metric,),
        candidate_run=new.manifest.run_id,
        candidate_digest=new.seal.journal_digest,
    )
    if old is None or old.seal is None:
        return decision
    return replace(decision, champion_run=old.manifest.run_id, champion_digest=old.seal.journal_digest)


def store_decision(folder: Path, decision: Decision) -> Path:
    """The decision as a file named as MLflow keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "decision.json"
    path.write_bytes(TypeAdapter(Decision).dump_json(decision))
    return path
