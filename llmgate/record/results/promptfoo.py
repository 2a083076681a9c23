"""Results of promptfoo: `promptfoo eval -o results.json`, versions 1 to 3 of its format.

A row is an error if the provider failed or nothing was graded. What promptfoo calls `error` is not enough to tell: it
is also the reason of a failed assertion, which is an ordinary 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import RecordError
from llmgate.record.results.foreign import ForeignRow, digest_of, json_of, mapping, score_of, tables_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["PASS", "read_promptfoo", "rows_in"]

PASS: Final = "pass"  # noqa: S105 - a metric
"""1 where all assertions held."""
FAILED_TO_RUN: Final = 2
"""promptfoo's `failureReason` of a row that could not be evaluated; 1 is a failed assertion."""


def rows_in(data: object) -> list[Any] | None:
    """The rows of a file of promptfoo, None if it is none."""
    results = mapping(data).get("results")
    rows = mapping(results).get("results") if isinstance(results, dict) else results
    if not isinstance(rows, list) or not all("success" in mapping(row) for row in rows):
        return None
    return rows


def read_promptfoo(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """`pass` (all assertions held), `score` (promptfoo's own), and every named metric.

    An item is a test: its number and a digest of its variables, so that a test that was changed is another one.

    Raises:
        RecordError: If it is no such file, or holds several providers or prompts and none is chosen.
    """
    rows = rows_in(json_of(source))
    if rows is None:
        raise RecordError("not results of promptfoo", where=source.path, fix="Write them with: promptfoo eval -o FILE")
    read = [row_of(mapping(row), f"{source.path}: results[{i}]") for i, row in enumerate(rows)]
    return tables_of(read, layout, source, suite=suite)


def row_of(row: Mapping[str, Any], where: str) -> ForeignRow:
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
    return ForeignRow(
        item=f"{row.get('testIdx', '')}-{digest_of(variables)}",
        repeat=str(row.get("repeatIndex") or mapping(row.get("metadata")).get("repeatIndex") or ""),
        scores={} if error else scores_of(row, test),
        error=error,
        fields=about,
        where=where,
    )


def error_of(row: Mapping[str, Any]) -> str:
    """Why a row could not be evaluated, "" if it was."""
    error = str(row.get("error") or "")[:200]
    if row.get("failureReason") == FAILED_TO_RUN:
        return error or "it could not be run"
    if not mapping(row.get("gradingResult")):
        return error or "it was not graded"
    return ""


def scores_of(row: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, float | str]:
    """The scores of a row that was graded.

    promptfoo adds up the scores of the assertions that share a metric, times their weights where it also writes what
    these add up to; here they are means.
    """
    grading = mapping(row.get("gradingResult"))
    scores = {
        PASS: score_of(row["success"]) if isinstance(row.get("success"), bool) else "no score",
        "score": score_of(row.get("score")),
    }
    weights = mapping(grading.get("namedScoreWeights"))
    asserted = [
        mapping(mapping(result).get("assertion")).get("metric") for result in grading.get("componentResults") or []
    ]
    wanted = [mapping(given).get("metric") for given in test.get("assert") or []]
    named = mapping(grading.get("namedScores")) or mapping(row.get("namedScores"))
    for name, value in named.items():
        weight = weights.get(name) or asserted.count(name) or 1
        plain = isinstance(value, int | float) and isinstance(weight, int | float)
        scores[name] = score_of(value / weight if plain else value)
    for metric in (*asserted, *wanted):
        # A template stands for a name that is not known here.
        if isinstance(metric, str) and metric and "{" not in metric:
            scores.setdefault(metric, "no score")
    return scores
