"""A decision read back from paper; apart from writing one, which needs no pydantic."""

from __future__ import annotations

import json
import math
from typing import NoReturn

from pydantic import TypeAdapter, ValidationError

from llmgate.errors import RecordError
from llmgate.gate.decision.statement import DECISION_MAJOR
from llmgate.gate.decision.types import Decision
from llmgate.record.disk import first_problem

__all__ = ["decision_from_json"]


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
