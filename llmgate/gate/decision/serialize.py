"""A decision as files hold it: read back whole, and on one metric in a few keys for programs that want no more."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from pydantic import TypeAdapter, ValidationError

from llmgate.errors import RecordError
from llmgate.gate.decision.statement import DECISION_MAJOR, decision_to_json
from llmgate.gate.decision.types import Decision
from llmgate.record.disk import first_problem

__all__ = ["decision_from_json", "decision_with_headline", "headline"]

_HEADLINE: Final = (
    *("metric", "method", "delta", "lower", "upper", "margin", "alpha", "se", "se_clustered", "clusters"),
    *("better", "worse", "errors", "expected"),
)


def decision_from_json(text: str) -> Decision:
    """Read what `decision_to_json` wrote; unknown keys are a newer minor version's and are ignored.

    Raises:
        RecordError: If it is no decision, of another major version, or holds a number that is not finite.
    """
    try:
        values = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}", where="decision") from error
    major = values.get("major") if isinstance(values, dict) else None
    if major != DECISION_MAJOR:
        raise RecordError(
            f"major version {major!r}, but this llmgate reads {DECISION_MAJOR}",
            where="decision",
            fix="Decide again from the record with this version",
        )
    try:
        return TypeAdapter(Decision).validate_json(text, strict=True)
    except ValidationError as error:
        raise RecordError(first_problem(error), where="decision") from error


def _refuse(constant: str) -> NoReturn:
    raise RecordError(f"{constant} is no number that a decision may hold", where="decision")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse(text)
    return value


def headline(decision: Decision) -> dict[str, Any]:
    """The one gating metric's figures; empty where none or several gate.

    Returns:
        `delta`, `lower`, `upper`, `margin`, `se` and `se_clustered` as fractions, `n` evaluated pairs, `errors` and
        `expected` ones, `better` and `worse` pairs and their share `discordance`, `clusters`, `alpha`,
        `metric`, and the `method` of the interval.
    """
    gating = [metric for metric in decision.metrics if metric.gates]
    if len(gating) != 1:
        return {}
    metric = gating[0]
    n = metric.evaluated
    discordance = (metric.better + metric.worse) / n if n else None
    return {**{key: getattr(metric, key) for key in _HEADLINE}, "n": n, "discordance": discordance}


def decision_with_headline(decision: Decision) -> str:
    """The decision's JSON with the headline's keys beside its own; it reads back as the same decision."""
    return decision_to_json(decision, headline(decision))
