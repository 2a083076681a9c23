"""Test runs of DeepEval: the JSON that it writes into DEEPEVAL_RESULTS_FOLDER."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmgate.errors import RecordError
from llmgate.record.results.foreign import ForeignRow, digest_of, json_of, listing, mapping, score_of, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.record.results.layout import Layout
    from llmgate.record.results.source import ResultsFile
    from llmgate.record.scores import ScoreTable

__all__ = ["cases_in", "judged_in", "read_deepeval"]


def cases_in(data: object) -> list[Mapping[str, Any]] | None:
    """The test cases of a run, None if it is none; `.latest_test_run.json` has it under a key of its own."""
    run = mapping(mapping(data).get("testRunData", data))
    if "testCases" not in run and "conversationalTestCases" not in run:
        return None
    return [mapping(case) for key in ("testCases", "conversationalTestCases") for case in listing(run.get(key))]


def metrics_in(cases: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """What was measured of the cases."""
    return (mapping(metric) for case in cases for metric in listing(case.get("metricsData")))


def judged_in(cases: list[Mapping[str, Any]]) -> frozenset[str]:
    """The metrics that a model scored."""
    return frozenset(str(metric.get("name")) for metric in metrics_in(cases) if metric.get("evaluationModel"))


def read_deepeval(source: ResultsFile, layout: Layout, *, suite: str) -> tuple[ScoreTable, ...]:
    """A metric per name, with its graded score. An item is a test case: its name and a digest of its input.

    Raises:
        RecordError: If it is no such file.
    """
    cases = cases_in(json_of(source))
    if cases is None:
        raise RecordError("not a test run of DeepEval", where=source.path, fix="Set DEEPEVAL_RESULTS_FOLDER")
    names = {str(metric.get("name")) for metric in metrics_in(cases)}
    for name in layout.scores or sorted(names):
        if lower_is_better([metric for metric in metrics_in(cases) if str(metric.get("name")) == name]):
            raise RecordError(
                f"of {name!r} the lower score is better, and here the higher one is",
                where=source.path,
                fix="Name the other metrics: --score NAME; or give a table with 1 - score",
            )
    rows = [row_of(case, names, f"{source.path}: testCases[{i}]") for i, case in enumerate(cases)]
    return tables_of(rows, layout, source, suite=suite)


def lower_is_better(measured: list[Mapping[str, Any]]) -> bool:
    """Whether DeepEval calls the low scores of a metric a success, such as those of a bias."""
    said = [
        (metric["success"], metric["score"], metric["threshold"])
        for metric in measured
        if isinstance(metric.get("success"), bool)
        and all(isinstance(metric.get(key), int | float) for key in ("score", "threshold"))
    ]
    upwards = all(success is (score >= threshold) for success, score, threshold in said)
    return not upwards and all(success is (score <= threshold) for success, score, threshold in said)


def row_of(case: Mapping[str, Any], names: set[str], where: str) -> ForeignRow:
    """One test case; it lacks no metric of the run."""
    scores: dict[str, float | str] = dict.fromkeys(names, "no score")
    seen: set[str] = set()
    for metric in metrics_in([case]):
        name = str(metric.get("name"))
        if name in seen:
            raise RecordError(f"the metric {name!r} occurs twice", where=where, fix="Give metrics different names")
        seen.add(name)
        error = metric.get("error")
        scores[name] = str(error)[:200] if error else score_of(metric.get("score"))
    asked = case.get("input") if "input" in case else case.get("turns") or case.get("scenario")
    return ForeignRow(
        item=f"{case.get('name')}-{digest_of(asked)}",
        scores=scores,
        fields={**mapping(case.get("additionalMetadata")), **mapping(case.get("metadata"))},
        where=where,
    )
