"""Results of promptfoo: `promptfoo eval -o results.json`, versions 1 to 3 of its format, `.jsonl` and `.csv`.

A row is an error if the provider failed or nothing was graded. What promptfoo calls `error` is not enough to tell: it
is also the reason of a failed assertion, which is an ordinary 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError
from llmgate.record.growth import RESULT, json_cost
from llmgate.record.results.foreign import ForeignRow, digest_of, json_of, listing, mapping, parsed, score_of, tables_of
from llmgate.record.results.promptfoo_csv import csv_rows, repeats_among
from llmgate.record.results.rows import shown_number
from llmgate.record.results.source import lines_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["PASS", "is_row", "read_promptfoo", "rows_in"]

PASS: Final = "pass"  # noqa: S105 - a metric
"""1 where all assertions held."""
FAILED_TO_RUN: Final = 2
"""promptfoo's `failureReason` of a row that could not be evaluated; 1 is a failed assertion."""
ROUNDING: Final = 1e-9
NOTHING_ASSERTED: Final = "No assertions"
"""promptfoo's reason for passing a test that asserts nothing."""


def rows_in(data: object) -> list[Any] | None:
    """The rows of a file of promptfoo, None if it is none."""
    results = mapping(data).get("results")
    rows = mapping(results).get("results") if isinstance(results, dict) else results
    if not isinstance(rows, list) or not all("success" in mapping(row) for row in rows):
        return None
    return rows


def is_row(row: object) -> bool:
    """Whether a line of a file is a row of promptfoo: what its `.jsonl` consists of."""
    return {"success", "testIdx", "testCase"} <= mapping(row).keys()


def read_promptfoo(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """`pass` (all assertions held), `score` (promptfoo's own), and every named metric.

    An item is a test: its number and a digest of its variables, so that a test that was changed is another one.

    Raises:
        RecordError: If it is no such file, or holds several providers or prompts and none is chosen.
    """
    start = source.data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith((b"{", b"[")):
        return tables_of(csv_rows(source), layout, source, suite=suite)
    if source.suffix in {".jsonl", ".ndjson"} or one_per_line(start.partition(b"\n")[0]):
        return tables_of(line_rows(source), layout, source, suite=suite)
    data = json_of(source)
    rows, repeats = rows_in(data), repeats_in(data)
    if rows is None:
        raise RecordError("not results of promptfoo", where=source.path, fix="Write them with: promptfoo eval -o FILE")
    read = [row_of(mapping(row), repeats, f"{source.path}: results[{i}]") for i, row in enumerate(rows)]
    return tables_of(read, layout, source, suite=suite, repeats=repeats)


def one_per_line(first: bytes) -> bool:
    """Whether the first line is a row by itself."""
    try:
        return is_row(parsed(first))
    except (ValueError, RecursionError):
        return False


def line_rows(source: ResultsFile) -> list[ForeignRow]:
    """The rows of a `.jsonl`, which says neither the version nor how often tests were repeated.

    Raises:
        RecordError: With file and line, if it is no such file.
    """
    read: list[tuple[str, Mapping[str, Any]]] = []
    for where, line in lines_in(source):
        source.growth.spend(RESULT + json_cost(line), where)
        try:
            row = parsed(line)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"not JSON: {error}", where=where, fix="Write it again: it may be cut off") from error
        if not is_row(row):
            raise RecordError(
                "not a row of promptfoo", where=where, fix="Write them with: promptfoo eval -o FILE.jsonl"
            )
        read.append((where, row))
    numbers = {row["testIdx"]: row for _, row in read if isinstance(row["testIdx"], int)}
    keys = [digest_of([numbers[i].get("vars"), numbers[i].get("testCase")]) for i in sorted(numbers)]
    whole = sorted(numbers) == list(range(len(numbers)))
    repeats = repeats_among(keys) if whole else 1
    return [row_of(row, repeats, where) for where, row in read]


def repeats_in(data: object) -> int:
    """How often each test was run: `--repeat`, of which every run has a number of its own among the tests."""
    repeats = mapping(mapping(data).get("runtimeOptions")).get("repeat")
    return repeats if isinstance(repeats, int) and repeats > 0 else 1


def row_of(row: Mapping[str, Any], repeats: int, where: str) -> ForeignRow:
    """One test with one prompt and one provider."""
    test = mapping(row.get("testCase"))
    variables = mapping(row.get("vars")) or mapping(test.get("vars"))
    provider, prompt = row.get("provider"), mapping(row.get("prompt"))
    named = mapping(provider)
    about = {
        **mapping(test.get("metadata")),
        **variables,
        "provider": (named.get("label") or named.get("id")) if named else provider,
        "prompt": prompt.get("label") or prompt.get("raw"),
    }
    error = error_of(row)
    number, repeat = row.get("testIdx", ""), row.get("repeatIndex") or mapping(row.get("metadata")).get("repeatIndex")
    if isinstance(number, int) and repeats > 1:
        number, repeat = divmod(number, repeats)
    return ForeignRow(
        item=f"{number}-{digest_of(variables)}",
        repeat=str(repeat or ""),
        scores={} if error else scores_of(row, test),
        error=error,
        fields=about,
        where=where,
    )


def error_of(row: Mapping[str, Any]) -> str:
    """Why a row could not be evaluated, "" if it was."""
    error = str(row.get("error") or "")[:200]
    grading = mapping(row.get("gradingResult"))
    if row.get("failureReason") == FAILED_TO_RUN:
        return error or "it could not be run"
    if not grading:
        return error or "it was not graded"
    if grading.get("reason") == NOTHING_ASSERTED:
        return "nothing was asserted of it"
    if isinstance(grading.get("pass"), bool) and grading["pass"] is not row.get("success"):
        return "`success` and `gradingResult.pass` disagree"
    return ""


def scores_of(row: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, float | str]:
    """The scores of a row that was graded."""
    grading = mapping(row.get("gradingResult"))
    scores = {
        PASS: score_of(row["success"]) if isinstance(row.get("success"), bool) else "no score",
        "score": score_of(row.get("score")),
    }
    parts = [mapping(part) for part in listing(grading.get("componentResults"))]
    for name, value in (mapping(grading.get("namedScores")) or mapping(row.get("namedScores"))).items():
        scores[name] = named_score(name, value, mapping(grading.get("namedScoreWeights")), parts)
    wanted = [mapping(given).get("metric") for given in listing(test.get("assert"))]
    for metric in (*map(metric_of, parts), *wanted):
        # A template stands for a name that is not known here.
        if isinstance(metric, str) and metric and "{" not in metric:
            scores.setdefault(metric, "no score")
    return scores


def named_score(
    name: str, value: object, weights: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]
) -> float | str:
    """The weighted mean of the assertions that feed a metric.

    Up to 0.121.3 promptfoo adds their scores up, without weights; from 0.121.4 on it writes the mean, and what the
    weights add up to. A score that does not come out of the assertions in either way is an error.

    Args:
        name: The metric's.
        value: What promptfoo writes.
        weights: What it says that the weights add up to.
        parts: Its assertions.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return score_of(value)
    mine = [part for part in parts if metric_of(part) == name]
    if not mine and name not in weights:
        mine = [part for part in parts if name in mapping(part.get("namedScores"))]
    shares, given = [share_in(part, name) for part in mine], [weight_of(part) for part in mine]
    total = weights.get(name, math.fsum(given))
    if name not in weights and not (mine and math.isclose(value, math.fsum(shares), abs_tol=ROUNDING)):
        return f"its score {shown_number(value)} is not what its {len(mine)} assertions add up to"
    if isinstance(total, bool) or not isinstance(total, int | float) or not total > 0:
        return f"its weights add up to {total:g}" if isinstance(total, float) else f"its weights add up to {total}"
    if not math.isclose(math.fsum(given), total):
        # Scripts and sets feed it besides.
        return score_of(value)
    mean = math.fsum(weight * share for weight, share in zip(given, shares, strict=True)) / total
    if name in weights and not math.isclose(value, mean, abs_tol=ROUNDING):
        return f"its score {shown_number(value)} is not the mean of its {len(mine)} assertions, {shown_number(mean)}"
    return score_of(mean)


def metric_of(part: Mapping[str, Any]) -> object:
    """The metric that an assertion feeds."""
    return mapping(part.get("metadata")).get("renderedMetric") or mapping(part.get("assertion")).get("metric")


def share_in(part: Mapping[str, Any], name: str) -> float:
    """What an assertion adds to a metric, NaN if it does not say."""
    score = part.get("score") if metric_of(part) == name else mapping(part.get("namedScores")).get(name)
    return float(score) if isinstance(score, int | float) else math.nan


def weight_of(part: Mapping[str, Any]) -> float:
    """What an assertion weighs in its metric, NaN if it does not say."""
    assertion = mapping(part.get("assertion"))
    weight = 1 if assertion.get("metricOnly") else assertion.get("weight", 1)
    return float(weight) if isinstance(weight, int | float) else math.nan
