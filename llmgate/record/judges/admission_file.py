"""Admission records on disk: one JSON file each, bound to its own content."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pydantic import ValidationError

from llmgate.errors import RecordError
from llmgate.record.disk import JsonForm, decoded, first_problem, read_bytes, write_atomic
from llmgate.record.judges.admission import ADMISSION_MAJOR, AdmissionRecord

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.reach import Reach

__all__ = ["admission_from_json", "admission_to_json", "load_admission", "save_admission", "sealed"]

RECORD: Final[JsonForm[AdmissionRecord]] = JsonForm(AdmissionRecord)
AGAIN: Final = "Run `llmgate judge admit` again"
MADE: Final = "Name the file that `llmgate judge admit --out` wrote"


def sealed(record: AdmissionRecord) -> AdmissionRecord:
    """The record with the digest of its content."""
    return replace(record, digest=_digest(asdict(record)))


def admission_to_json(record: AdmissionRecord) -> str:
    """Sorted keys, no NaN, one final line feed; the digest is that of what is written.

    Raises:
        ValueError: If a number is not finite.
    """
    values = asdict(sealed(record))
    return json.dumps(values, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def admission_from_json(text: str, *, where: str = "admission") -> AdmissionRecord:
    """Read what `admission_to_json` wrote; unknown keys are a newer minor version's and are ignored.

    Raises:
        RecordError: If it is no admission record, of another major version, was changed after it was written, or
            holds a number that is not finite.
    """

    def refuse(constant: str) -> NoReturn:
        raise RecordError(f"{constant} is no number that a record may hold", where=where, fix=AGAIN)

    def finite(number: str) -> float:
        value = float(number)
        return value if math.isfinite(value) else refuse(number)

    try:
        values = json.loads(text, parse_constant=refuse, parse_float=finite)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}", where=where, fix=AGAIN) from error
    if not isinstance(values, dict) or "instrument" not in values:
        raise RecordError("this is no admission record", where=where, fix=MADE)
    if values.get("major") != ADMISSION_MAJOR:
        raise RecordError(
            f"major version {values.get('major')!r}, but this llmgate reads {ADMISSION_MAJOR}", where=where, fix=AGAIN
        )
    if values.get("digest") != _digest(values):
        raise RecordError("the admission record was changed after it was written", where=where, fix=AGAIN)
    try:
        return RECORD.validate_json(text, strict=True)
    except ValidationError as error:
        raise RecordError(f"cannot be understood: {first_problem(error)}", where=where, fix=AGAIN) from error


def load_admission(path: Path, within: Reach | None = None) -> AdmissionRecord:
    """Read an admission record.

    Args:
        path: The file.
        within: Where it has to lie; None for a file that the user named.

    Raises:
        RecordError: If it cannot be read or understood.
    """
    data = read_bytes(path, what="the admission record", fix=MADE, within=within)
    return admission_from_json(decoded(data, str(path), fix=AGAIN), where=str(path))


def save_admission(path: Path, record: AdmissionRecord) -> None:
    """Write an admission record.

    Raises:
        RecordError: If the file cannot be written.
    """
    write_atomic(path, admission_to_json(record).encode(), private=False)


def _digest(values: dict[str, Any]) -> str:
    """Over the values as JSON has them, whatever keys there are."""
    content = {key: value for key, value in values.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
