"""Files of labels: JSON Lines, a head and one line per answer, to be filled in by people and read without mercy."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError, did_you_mean
from llmgate.record.disk import lines_of, read_bytes
from llmgate.record.labels import LABELS_MAJOR, AnswerKey, AnswerLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["LabelRow", "LabelsHead", "labels_to_text", "read_given_labels", "read_labels"]

SAMPLE: Final = "Make it with `llmgate labels sample`"
FORMAT_KEY: Final = "llmgate-labels"
HEAD_TYPES: Final = {
    "suite": str, "metric": str, "cases": int, "seed": int, "candidate": str, "champion": str | None
}  # fmt: skip
STRATA: Final = "strata"
"""Of files whose cases were drawn by what the judge says of them."""
ROW_KEYS: Final = ("case", "prompt", "expected", "answer", "digest", "human")

LabelRow = dict[str, Any]
LabelsHead = dict[str, Any]


def labels_to_text(labels: AnswerLabels, rows: Iterable[Mapping[str, str]]) -> str:
    """A file to fill in.

    Args:
        labels: The head, and the labels that are known already.
        rows: `case`, `prompt`, `expected`, `answer` and `digest` of each answer.
    """
    head = {FORMAT_KEY: LABELS_MAJOR, **{key: getattr(labels, key) for key in HEAD_TYPES}}
    if labels.strata:
        head[STRATA] = {part: list(counts) for part, counts in labels.strata.items()}
    known = labels.labels
    lines = [head, *({**row, "human": known.get(AnswerKey(case=row["case"], answer=row["digest"]))} for row in rows)]
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)


def read_labels(path: Path) -> AnswerLabels:
    """Read a file that people filled in.

    Raises:
        RecordError: With file and line: for a file that is none, an unknown, missing or repeated key, an answer without
            a label or with two, and a label that is no number in [0, 1] and neither true nor false.
    """
    head, rows, digest = _parsed(path)
    labels = {}
    for where, row in rows:
        key = AnswerKey(case=row["case"], answer=row["digest"])
        if row["human"] is None:
            raise RecordError(
                "nobody labelled this answer",
                where=where,
                fix="Fill in `human` on every line; leaving some out would not be at random",
            )
        labels[key] = _number(row["human"], where)
    if not labels:
        raise RecordError("the file holds no answers", where=str(path), fix=SAMPLE)
    return _labels(path, digest, head, labels)


def read_given_labels(path: Path) -> AnswerLabels:
    """Read what is filled in so far, such as of an earlier comparison.

    Raises:
        RecordError: As `read_labels`, but for answers without a label, which are left out.
    """
    head, rows, digest = _parsed(path)
    given = {
        AnswerKey(case=row["case"], answer=row["digest"]): _number(row["human"], where)
        for where, row in rows
        if row["human"] is not None
    }
    return _labels(path, digest, head, given)


def _labels(path: Path, digest: str, head: LabelsHead, labels: Mapping[AnswerKey, float]) -> AnswerLabels:
    about = {key: head[key] for key in HEAD_TYPES}
    strata = {part: (of, drawn) for part, (of, drawn) in head.get(STRATA, {}).items()}
    return AnswerLabels(source=str(path), digest=digest, labels=labels, strata=strata, **about)


def _parsed(path: Path) -> tuple[LabelsHead, list[tuple[str, LabelRow]], str]:
    data = read_bytes(path, fix=SAMPLE)
    lines = [(f"{path}:{number}", line) for number, line in enumerate(lines_of(data), start=1) if line.strip()]
    if not lines:
        raise RecordError("the file is empty", where=str(path), fix=SAMPLE)
    head = _head(*lines[0])
    rows: list[tuple[str, LabelRow]] = []
    seen: dict[tuple[str, str], str] = {}
    for where, line in lines[1:]:
        row = _row(where, line)
        key = (row["case"], row["digest"])
        if key in seen:
            raise RecordError(
                f"this answer to {row['case']!r} stands already at {seen[key]}", where=where, fix="Keep one of them"
            )
        seen[key] = where
        rows.append((where, row))
    return head, rows, hashlib.sha256(data).hexdigest()


def _head(where: str, line: bytes) -> LabelsHead:
    head = _object(where, line)
    major = head.get(FORMAT_KEY)
    if major != LABELS_MAJOR or isinstance(major, bool):
        raise RecordError(
            f"the format of labels is {major!r}, and this llmgate reads format {LABELS_MAJOR}",
            where=where,
            fix="The first line has to be the one that `llmgate labels sample` wrote",
        )
    _check_keys({key: value for key, value in head.items() if key != STRATA}, (FORMAT_KEY, *HEAD_TYPES), where)
    if STRATA in head and not _are_strata(head[STRATA]):
        raise RecordError(f"{STRATA} is {head[STRATA]!r}", where=where, fix="Restore the first line")
    for key, kind in HEAD_TYPES.items():
        if not isinstance(head[key], kind) or isinstance(head[key], bool):
            raise RecordError(f"{key} is {head[key]!r}", where=where, fix="Restore the first line")
    return head


def _are_strata(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(counts, list) and [type(count) for count in counts] == [int, int] and 0 <= counts[1] <= counts[0]
            for counts in value.values()
        )
    )


def _row(where: str, line: bytes) -> LabelRow:
    row = _object(where, line)
    _check_keys(row, ROW_KEYS, where)
    for key in ("case", "digest"):
        if not isinstance(row[key], str):
            raise RecordError(f"{key} is {row[key]!r}, but must be a text", where=where, fix="Restore the line")
    return row


def _object(where: str, line: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) != len(pairs):
            raise RecordError("a key occurs twice in one line", where=where, fix="Keep one of them")
        return row

    try:
        value = json.loads(line, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}", where=where, fix="Restore the line, and change only `human`") from error
    if not isinstance(value, dict):
        raise RecordError("not an object", where=where, fix="Restore the line, and change only `human`")
    return value


def _check_keys(row: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in row:
        if key not in known:
            raise RecordError(f"unknown key {key!r}", where=where, fix=did_you_mean(key, known))
    for key in known:
        if key not in row:
            raise RecordError(f"no {key!r}", where=where, fix="Restore the line, and change only `human`")


def _number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise RecordError(
            f"the label is {value!r}", where=where, fix="Write true or false, or a number from 0 (bad) to 1 (good)"
        )
    return float(value)
