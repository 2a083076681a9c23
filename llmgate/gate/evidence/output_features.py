"""Output features as scores: what a record says about how answers look, and what it does not say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmgate.errors import UndefinedError
from llmgate.gate.evidence.feature_metrics import LENGTH_SCALE, EmbeddedAnswers
from llmgate.record.output_features import FORMAT_TYPES, OutputFeature
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from llmgate.record.policy import Policy
    from llmgate.record.schema import CaseResult, PlannedCase, Record

__all__ = ["embedded_answers", "feature_score", "has_feature", "rule_versions_of"]


def has_feature(case: PlannedCase, feature: OutputFeature) -> bool:
    """Whether a case counts; in records that are older than output features, any case may."""
    return case.traits is None or feature in case.traits


def feature_score(result: CaseResult, case: PlannedCase, feature: OutputFeature) -> float:
    """The score of one answer.

    Refusals are 1 for an answer that declines; schema is 1 for one that every format assert of its case found in
    order; length is log(1 + characters) / 64, one being added because an answer may be empty.

    Raises:
        UndefinedError: If the record does not say.
    """
    if feature is OutputFeature.SCHEMA:
        return _formatted(result, case)
    if result.traits is None or case.traits is None:
        raise UndefinedError("the record is older than traits of answers")
    if feature is OutputFeature.REFUSALS:
        return float(result.traits.refusal)
    return math.log1p(result.traits.characters) / LENGTH_SCALE


def _formatted(result: CaseResult, case: PlannedCase) -> float:
    if case.traits is None:
        raise UndefinedError("the record is older than traits of answers")
    checks = [check for check in result.checks if check.type in FORMAT_TYPES]
    if not checks:
        raise UndefinedError("no check of its format is in the record")
    broken = next((check for check in checks if check.score is None), None)
    if broken is not None:
        raise UndefinedError(f"{broken.type} ended in error" + (f": {broken.reason}" if broken.reason else ""))
    # By the score: a check of weight 0 passes whatever it finds.
    return float(all(check.score == 1.0 for check in checks))


def rule_versions_of(record: Record) -> frozenset[int]:
    """The versions of the rules by which a record's output features were read."""
    return frozenset(result.traits.reading for result in record.scored.values() if result.traits is not None)


def embedded_answers(record: Record, policy: Policy) -> tuple[EmbeddedAnswers, ...]:
    """The embeddings of the suites that a policy watches."""
    names = [watch.suite for watch in policy.watched if watch.trait is OutputFeature.EMBEDDINGS]
    return tuple(
        EmbeddedAnswers(
            suite=name,
            packed={
                key: _packed(record.scored.get(key)) for case in record.cases if case.suite == name for key in case.keys
            },
            clusters={case.case: case.cluster for case in record.cases if case.suite == name},
        )
        for name in names
    )


def _packed(result: CaseResult | None) -> str | None:
    if result is None or not isinstance(result.answer, Generation) or result.traits is None:
        return None
    return result.traits.vector
