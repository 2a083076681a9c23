"""Sealed records on disk and the decisions on them, for tests of promotion."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from llmgate.gate.decide_records import decide_records
from llmgate.gate.decision.statement import decision_to_json
from llmgate.record.manifest import Hardware, Manifest, ModelIdentity, ServerIdentity, SuiteIdentity
from llmgate.record.policy import Binding, MetricPolicy, Policy
from llmgate.record.run.files import cases_digest
from llmgate.record.run.loading import load_record
from llmgate.record.run.rundir import RunDir
from llmgate.record.schema import CaseKey, CaseResult, CheckResult, Generation, Outcome, PlannedCase

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.gate.decision.types import Decision
    from llmgate.record.arms import ServingArms

__all__ = ["POLICY", "SUITE", "digest_of", "make_manifest", "redecide", "store_decision", "write_record"]

SUITE = "support"
CASES = tuple(PlannedCase(suite=SUITE, case=f"case-{i}", request_digest=f"{i:064d}") for i in range(100))
POLICY = Policy(metrics=(MetricPolicy(suite=SUITE, metric="accuracy", margin=0.1, min=0.7),))


def digest_of(text: str) -> str:
    """Full SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_manifest(
    run_id: str,
    *,
    registry_uri: str | None = None,
    weights: str | None = "weights",
    source: str = "models/candidate",
    policy: Policy = POLICY,
    endpoint: str | None = None,
    binding: Binding = Binding.WEIGHTS,
) -> Manifest:
    """A manifest of a hundred cases in one suite.

    Args:
        run_id: Its run.
        registry_uri: The version that the run names.
        weights: Text that stands for the weights that llmgate served, None if it served none.
        source: As the model was given.
        policy: What is gated.
        endpoint: Who answered, where llmgate served nothing.
        binding: What was found when the run began; where no weights were served, it is claimed.
    """
    bound = Binding.CLAIMED if weights is None else binding
    return Manifest(
        run_id=run_id,
        created_at=datetime.now(UTC).isoformat(),
        llmgate_version="0.1.0",
        model=ModelIdentity(
            name="support-bot",
            source=source,
            weights_digest=None if weights is None else digest_of(weights),
            registry_uri=registry_uri,
            binding=None if registry_uri is None else bound,
        ),
        server=ServerIdentity(engine="vllm", version="0.25.1", owned=True, flags=("--seed", "0"))
        if endpoint is None
        else ServerIdentity(engine="vllm", owned=False, url=endpoint),
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
        policy=policy,
        hardware=Hardware(cpu="AMD EPYC 9654", cores=16, memory_gib=128.0),
        concurrency=64,
        labels={"git.commit": "0123abcd"},
    )


def write_record(
    folder: Path,
    manifest: Manifest,
    *,
    right: int = 100,
    shift: int = 0,
    age: timedelta = timedelta(),
    metrics: tuple[str, ...] = ("accuracy",),
    arms: tuple[ServingArms, ...] = (),
) -> Path:
    """A sealed record in which `right` of a hundred cases passed.

    Args:
        folder: Where it is made.
        manifest: Who is measured.
        right: How many passed.
        shift: The first case that passed; the others follow it, round the end.
        age: How long ago it was sealed.
        metrics: What each case was scored on, alike.
        arms: Serving, measured on two arms.
    """
    with RunDir.create(folder, manifest, CASES) as run:
        for number, case in enumerate(CASES):
            score = 1.0 if (number - shift) % len(CASES) < right else 0.0
            outcome = Outcome.PASS if score else Outcome.FAIL
            checks = tuple(CheckResult(type="icontains", outcome=outcome, score=score, metric=m) for m in metrics)
            answer = Generation(text=f"Answer {number} of {manifest.run_id}.", latency_s=0.1)
            run.append(CaseResult(key=CaseKey(suite=SUITE, case=case.case), answer=answer, checks=checks))
        for measured in arms:
            run.plan_arms(measured.plan)
            for arm_run in measured.runs:
                run.add_arm_run(arm_run)
        run.seal(sealed_at=(datetime.now(UTC) - age).isoformat())
    return folder


def redecide(candidate: Path, baseline: Path | None) -> Decision:
    """The real decision, from disk."""
    return decide_records(load_record(candidate), load_record(baseline) if baseline is not None else None)


def store_decision(folder: Path, decision: Decision) -> Path:
    """The decision as a file named as MLflow keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "decision.json"
    path.write_text(decision_to_json(decision), encoding="utf-8")
    return path
