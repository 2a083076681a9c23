"""Builders of admission records: small, deterministic, admitted unless a test asks otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.record.judges.admission import (
    AdmissionRecord,
    AdmissionResults,
    BiasFigures,
    CanaryCount,
    Figure,
    Instrument,
)
from llmgate.record.manifest import JudgeIdentity
from support.records import CREATED_AT, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JUDGE", "RUBRIC_PROMPTS", "make_admission", "make_instrument", "make_results"]

RUBRIC_PROMPTS = digest_of("the prompts of llm-rubric")
JUDGE = JudgeIdentity(
    model="judge",
    prompt_digest=RUBRIC_PROMPTS,
    sampling={"max_tokens": 400, "temperature": 0.0, "seed": 0},
    weights_digest=digest_of("the judge's weights"),
)


def figure(lower: float, *, of: int = 200) -> Figure:
    return Figure(of=of, estimate=min(1.0, lower + 0.1), lower=lower, upper=1.0, method="made up")


def make_results(*, kappa: float = 0.7, repeat: float = 0.9, bias: float = 0.01) -> AdmissionResults:
    """Figures of a judge of single answers."""
    return AdmissionResults(
        kind="answers",
        items=200,
        settled=200,
        labels={"pass": 120, "fail": 80},
        unparseable=0,
        agreement=figure(0.85),
        kappa=figure(kappa),
        ac1=figure(0.72),
        alpha=figure(0.7),
        sensitivity=figure(0.8, of=120),
        specificity=figure(0.8, of=80),
        repeat=figure(repeat, of=50),
        canaries=(CanaryCount(canary="empty", tried=4, passed=0, lost=0),),
        bias=BiasFigures(difference=bias, rate=bias),
    )


def make_instrument(*, criterion: str = "Names the city.", judges: Sequence[JudgeIdentity] = (JUDGE,)) -> Instrument:
    """An llm-rubric with one judge."""
    return Instrument(type="llm-rubric", criterion=criterion, assert_digest=digest_of(criterion), judges=tuple(judges))


def make_admission(
    *,
    instrument: Instrument | None = None,
    results: AdmissionResults | None = None,
    admitted: bool = True,
    reasons: tuple[str, ...] = (),
) -> AdmissionRecord:
    """A record, not sealed."""
    return AdmissionRecord(
        created_at=CREATED_AT,
        llmgate_version="0.4.0",
        instrument=instrument or make_instrument(),
        labels_name="labels.jsonl",
        labels_digest=digest_of("labels"),
        verdicts_digest=digest_of("verdicts"),
        results=results or make_results(),
        admitted=admitted,
        reasons=reasons,
    )
