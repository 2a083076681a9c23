"""Recorded traffic: when requests came, and how long they and their answers were.

Two forms are read. Mooncake's is JSONL, `{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids":
[46, 47, …]}`: times in ms, and a number for every block of 512 tokens of the prompt, so that prompts which begin alike
have the same first numbers. BurstGPT's is CSV or JSONL with `Timestamp` in seconds, `Request tokens` and
`Response tokens`; rows whose response has no token are requests that failed there, and are left out.
"""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import DatasetError
from llmgate.record.disk import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.record.serving.plan import WorkloadSpec

__all__ = ["RecordedRequest", "read_trace"]

MOST_BYTES: Final = 2**30
MOST_TOKENS: Final = 1_000_000
MOST_BLOCKS: Final = 100_000
MOONCAKE: Final = ("timestamp", "input_length", "output_length")
BURSTGPT: Final = ("Timestamp", "Request tokens", "Response tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """One request of a trace.

    Attributes:
        at_s: When it came, in seconds since the first one, as recorded.
        input: Tokens of the prompt.
        output: Tokens of the answer.
        blocks: Numbers of the prompt's blocks; empty if the trace has none.
    """

    at_s: float
    input: int
    output: int
    blocks: tuple[int, ...] = ()


def read_trace(spec: WorkloadSpec, requests: int) -> tuple[RecordedRequest, ...]:
    """The first requests of a trace, lengths cut as the workload asks.

    Args:
        spec: Of kind `trace`.
        requests: How many; 0 for all.

    Raises:
        DatasetError: With file and line, if it cannot be read, has no known form, an impossible value, times that go
            back, or fewer requests.
    """
    name = str(spec.path)
    found: list[RecordedRequest] = []
    begin_s: float | None = None
    for line, fields in _rows(spec):
        where = f"{name}:{line}"
        request = _read(fields, spec, where)
        if request is None:
            continue
        begin_s = request.at_s if begin_s is None else begin_s
        at_s = request.at_s - begin_s
        if found and at_s < found[-1].at_s:
            raise DatasetError("the time is before that of the request above", where=where, fix="Sort it by time")
        found.append(
            RecordedRequest(
                at_s=at_s,
                input=min(request.input, spec.max_input or request.input),
                output=min(request.output, spec.max_output or request.output),
                blocks=request.blocks,
            )
        )
        if len(found) == requests:
            break
    if not found or len(found) < requests:
        raise DatasetError(
            f"the trace has {len(found)} requests with an answer"
            + (f", and {requests} are to be sent" if requests else ""),
            where=name,
            fix=f"Ask for {len(found)} or fewer" if found else "Look at its form",
        )
    return tuple(found)


def _rows(spec: WorkloadSpec) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line, fields) of each row."""
    path, name = spec.path, str(spec.path)
    if path is None:
        raise DatasetError("the workload names no trace", where=spec.where, fix="Write `trace: {file: …}`")
    try:
        text = read_regular(path, limit=MOST_BYTES, within=spec.within).decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"cannot be read ({error.strerror})", where=name, fix="Check the path") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"not UTF-8 at byte {error.start}", where=name, fix="Save it as UTF-8") from error
    if path.suffix.lower() == ".csv":
        yield from _csv_rows(text, name)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(
                "the line is not JSON", where=f"{name}:{number}", fix="Write a JSON object on each line"
            ) from error
        if not isinstance(fields, dict):
            raise DatasetError("the line is no JSON object", where=f"{name}:{number}", fix="Write one on each line")
        yield number, fields


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            if None in fields or None in fields.values():
                raise DatasetError(
                    "the row has another number of cells than the first line",
                    where=f"{name}:{reader.line_num}",
                    fix="Look for a missing or an additional comma",
                )
            yield reader.line_num, fields
    except csv.Error as error:
        raise DatasetError(
            f"the row is not CSV ({error})", where=f"{name}:{reader.reader.line_num}", fix="Look at its quotes"
        ) from error


def _read(fields: Mapping[str, Any], spec: WorkloadSpec, where: str) -> RecordedRequest | None:
    """One row; None if it had no answer."""
    burstgpt = "Timestamp" in fields
    time, prompt, answer = BURSTGPT if burstgpt else MOONCAKE
    missing = [name for name in (time, prompt, answer) if name not in fields]
    if missing:
        raise DatasetError(
            f"{missing[0]!r} is missing",
            where=where,
            fix=f"A trace has {', '.join(MOONCAKE)} (Mooncake), or {', '.join(BURSTGPT)} (BurstGPT)",
        )
    unit = spec.unit or ("s" if burstgpt else "ms")
    at_s = _number(fields[time], time, where) / (1.0 if unit == "s" else 1e3)
    tokens = _whole(fields[answer], answer, where)
    length = _whole(fields[prompt], prompt, where)
    if tokens == 0 or length == 0:
        return None
    return RecordedRequest(at_s=at_s, input=length, output=tokens, blocks=_blocks(fields.get("hash_ids"), where))


def _number(value: object, name: str, where: str) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise DatasetError(
            f"{name!r} is {str(value)[:40]!r}, but must be a number of 0 or more", where=where, fix="Correct the value"
        )
    return number


def _whole(value: object, name: str, where: str) -> int:
    number = _number(value, name, where)
    if number != int(number) or number > MOST_TOKENS:
        raise DatasetError(
            f"{name!r} is {str(value)[:40]!r}, but must be a whole number up to {MOST_TOKENS}",
            where=where,
            fix="Correct the value",
        )
    return int(number)


def _blocks(value: object, where: str) -> tuple[int, ...]:
    if value is None:
        return ()
    if (
        not isinstance(value, list)
        or len(value) > MOST_BLOCKS
        or not all(isinstance(each, int) and not isinstance(each, bool) for each in value)
    ):
        raise DatasetError("'hash_ids' must be a list of whole numbers", where=where, fix="Correct the value")
    return tuple(value)
