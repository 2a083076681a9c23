"""Sealed records on disk and the decisions on them, for tests of promotion."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.types import Decision
from llmgate.record.manifest import Hardware, Manifest, ModelIdentity, ServerIdentity, SuiteIdentity
from llmgate.record.policy import MetricPolicy, Policy
from llmgate.record.run.files import cases_digest
from llmgate.record.run.loading import load_record
from llmgate.record.run.rundir import RunDir
from llmgate.record.schema import CaseKey, CaseResult, CheckResult, Generation, Outcome, PlannedCase

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["digest_of", "make_manifest", "redecide", "store_decision", "write_record"]

SUITE = "support"
CASES = tuple(PlannedCase(suite=SUITE, case=f"case-{i}", request_digest=f"{i:064d}") for i in range(100))
MARGIN, MIN = 0.1, 0.7


def digest_of(text: str) -> str:
    """Full SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_manifest(
    run_id: str, *, registry_uri: str | None = None, weights: str | None = "weights", source: str = "models/candidate"
) -> Manifest:
    """A manifest of a hundred cases in one suite."""
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
    folder: Path, manifest: Manifest, *, right: int = 100, shift: int = 0, age: timedelta = timedelta()
) -> Path:
    """A sealed record in which `right` of a hundred cases passed.

    Args:
        folder: Where it is made.
        manifest: Who is measured.
        right: How many passed.
        shift: The first case that passed; the others follow it, round the end.
        age: How long ago it was sealed.
    """
    with RunDir.create(folder, manifest, CASES) as run:
        for number, case in enumerate(CASES):
            score = 1.0 if (number - shift) % len(CASES) < right else 0.0
            check = CheckResult(type="icontains", outcome=Outcome.PASS if score else Outcome.FAIL, score=score)
            answer = Generation(text=f"Answer {number} of {manifest.run_id}.", latency_s=0.1)
            run.append(CaseResult(key=CaseKey(suite=SUITE, case=case.case), answer=answer, checks=(check,)))
        run.seal(sealed_at=(datetime.now(UTC) - age).isoformat())
    return folder


def redecide(candidate: Path, baseline: Path | None) -> Decision:
    """The real decision, from disk."""
    return decide_records(load_record(candidate), load_record(baseline) if baseline is not None else None)


def store_decision(folder: Path, decision: Decision) -> Path:
    """The decision as a file named as MLflow keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "decision.json"
    path.write_bytes(TypeAdapter(Decision).dump_json(decision))
    return path
