"""Tables of promptfoo: `promptfoo eval -o results.csv`. A row is a test, and each prompt and provider has its columns.

Three generations of them are about: up to 0.118 a cell of output begins with its status; then status, score and named
scores have columns; then each metric has one besides. Scores are rounded to hundredths, `pass` is exact.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError
from llmgate.record.growth import CELL, RESULT
from llmgate.record.results.foreign import ForeignRow, digest_of, mapping, score_of
from llmgate.record.results.rows import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.record.results.source import ResultsFile

__all__ = ["csv_rows", "groups_in", "is_table"]

REASON, COMMENT, METRIC = "Grader Reason", "Comment", "Metric: "
SCORED: Final = ["Status", "Score", "Named Scores"]
STATUS: Final = re.compile(r"\[(PASS|FAIL|ERROR)\] ")
SYSTEM: Final = re.compile(r"\[(?P<provider>.*?)\] (?P<prompt>.*)", re.DOTALL)
SUM_OR_MEAN: Final = "this version of promptfoo may have written a sum or a mean: give the .json"
NOTHING_ASSERTED: Final = "No assertions"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputColumns:
    """The columns of one prompt with one provider.

    Attributes:
        output: The column of outputs, whose title names the two.
        scored: Whether status and scores have columns of their own.
        metrics: The columns of named metrics.
        reason: The column of the grader's reason.
        title: As the header has it.
    """

    output: int
    scored: bool
    metrics: range
    reason: int
    title: str


def is_table(header: Sequence[str]) -> bool:
    """Whether a header is that of a table of promptfoo."""
    return any(pair == (REASON, COMMENT) for pair in pairwise(header))


def groups_in(header: Sequence[str]) -> list[OutputColumns]:
    """The groups of columns, in order; what stands before the first are variables."""
    groups = []
    for reason in range(1, len(header) - 1):
        if (header[reason], header[reason + 1]) != (REASON, COMMENT):
            continue
        first = reason
        while first > 0 and header[first - 1].startswith(METRIC):
            first -= 1
        scored = first > len(SCORED) and list(header[first - len(SCORED) : first]) == SCORED
        output = first - len(SCORED) - 1 if scored else reason - 1
        metrics = range(first, reason) if scored else range(reason, reason)
        groups.append(OutputColumns(output=output, scored=scored, metrics=metrics, reason=reason, title=header[output]))
    return groups


def csv_rows(source: ResultsFile) -> list[ForeignRow]:
    """A row per test, prompt and provider; tests that were repeated stand in blocks, each as long as the others.

    Raises:
        RecordError: With file and line, if it is no such table.
    """
    text = io.TextIOWrapper(io.BytesIO(source.data), encoding="utf-8-sig", newline="")
    source.growth.afford(CELL * source.data.count(b"\n"))
    reader = csv.reader(text, strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        header = next(reader, [])
        for cells in reader:
            source.growth.spend(RESULT, f"{source.path}:{reader.line_num}")
            if cells:
                lines.append((reader.line_num, cells))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(
            f"this is not CSV in UTF-8 ({error})", where=f"{source.path}:{reader.line_num}", fix="Write it again"
        ) from error
    groups = groups_in(header)
    if not groups:
        raise RecordError("not a table of promptfoo", where=f"{source.path}:1", fix="promptfoo eval -o results.csv")
    known = groups[0].output
    for line, cells in lines:
        if len(cells) != len(header):
            raise RecordError(
                f"the row has {len(cells)} cells, but the header names {len(header)} columns",
                where=f"{source.path}:{line}",
                fix="Write it again",
            )
    keys = [digest_of(cells[:known]) for _, cells in lines]
    repeats = repeats_among(keys)
    return [
        row
        for number, (line, cells) in enumerate(lines)
        for row in rows_of(header, cells, groups, (number // repeats, number % repeats), f"{source.path}:{line}")
    ]


def repeats_among(keys: Sequence[str]) -> int:
    """How often each test stands there, if all stand there as often, one block after the other; else 1.

    Nothing in these files says what `--repeat` was. Counted as tests of their own, repeats would narrow the bounds.
    """
    lengths = [0]
    for i, key in enumerate(keys):
        if i and key != keys[i - 1]:
            lengths.append(0)
        lengths[-1] += 1
    return lengths[0] if lengths[0] and len(set(lengths)) == 1 and len(set(keys)) == len(lengths) else 1


def rows_of(
    header: Sequence[str], cells: Sequence[str], groups: Sequence[OutputColumns], place: tuple[int, int], where: str
) -> Iterator[ForeignRow]:
    """What one test came to with each prompt and provider."""
    known = groups[0].output
    variables = dict(zip(header[:known], cells[:known], strict=True))
    for group in groups:
        system = SYSTEM.fullmatch(group.title)
        about = system.groupdict() if system else {"prompt": group.title}
        error, scores = outcome_of(header, cells, group)
        yield ForeignRow(
            item=f"{place[0]}-{digest_of(list(cells[:known]))}",
            repeat=str(place[1] or ""),
            scores={} if error else scores,
            error=error,
            fields={**variables, **about},
            where=where,
        )


def outcome_of(header: Sequence[str], cells: Sequence[str], group: OutputColumns) -> tuple[str, dict[str, float | str]]:
    """Why there is no score, "" if there is; and the scores."""
    found = STATUS.match(cells[group.output])
    status = cells[group.output + 1] if group.scored else found[1] if found else ""
    if status not in {"PASS", "FAIL"}:
        why = cells[group.reason] or cells[group.output]
        return (why[:200] or "it could not be run") if status == "ERROR" else f"its status is {status!r}", {}
    if cells[group.reason] == NOTHING_ASSERTED:
        return "nothing was asserted of it", {}
    scores: dict[str, float | str] = {"pass": float(status == "PASS")}
    if not group.scored:
        return "", scores
    scores["score"] = score_of(number_of(cells[group.output + 2]))
    if group.metrics:
        scores |= {header[i].removeprefix(METRIC): score_of(number_of(cells[i])) for i in group.metrics}
    else:
        scores |= dict.fromkeys(named_in(cells[group.output + 3]), SUM_OR_MEAN)
    return "", scores


def named_in(cell: str) -> list[str]:
    """The names in the column of named scores."""
    try:
        return [str(name) for name in mapping(json.loads(cell or "{}"))]
    except (ValueError, RecursionError):
        return []
