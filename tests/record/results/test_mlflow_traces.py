"""Tables of `mlflow.genai.evaluate`: which columns are scores, what an item is, and what is an error."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import RecordError
from llmgate.record.results.load import Results, load_results

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.results.layout import Layout


def said(name: str, kind: str, value: object, source: str = "CODE") -> dict[str, Any]:
    return {"assessment_name": name, "source": {"source_type": source}, kind: {"value": value}}


def trace(number: int, *, right: object = True, state: str = "OK", **more: Any) -> dict[str, Any]:
    return {
        "trace_id": f"tr-{number}{id(more)}",
        "expected_response/value": "yes",
        "right/value": right,
        "answer/value": "no",
        "state": state,
        "request": {"q": f"question {number}", "i": number},
        "response": "x",
        "assessments": [said("right", "feedback", right), said("answer", "expectation", "no"), said("expected_response", "expectation", "yes")],
        **more,
    }  # fmt: skip


def split(rows: list[dict[str, Any]]) -> dict[str, Any]:
    columns = list(rows[0])
    return {"columns": columns, "index": list(range(len(rows))), "data": [[row[c] for c in columns] for row in rows]}


def by_column(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: {str(i): row[name] for i, row in enumerate(rows)} for name in rows[0]}


def as_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read(tmp_path: Path, data: object, layout: Layout | None = None, name: str = "t.json") -> Results:
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8", newline="")
    return load_results(path, layout)


def scores(results: Results, metric: str = "right/value") -> list[float | str | None]:
    (found,) = [one for one in results.tables if one.metric == metric]
    return [row.error or row.score for row in sorted(found.rows(), key=lambda row: row.item_id)]


@pytest.mark.parametrize("form", [split, list, by_column])
def test_expectations_are_no_metrics_and_requests_name_the_items(tmp_path: Path, form: Any) -> None:
    results = read(tmp_path, form([trace(0), trace(1, right=False)]))
    assert (results.format, results.main, results.judged) == ("mlflow", ("right/value",), frozenset())
    (table,) = results.tables
    assert [row.item_id for row in table.rows()] == ['{"i": 0, "q": "question 0"}', '{"i": 1, "q": "question 1"}']
    assert scores(results) == [1.0, 0.0]


def test_csv_knows_the_usual_ground_truth_by_its_name(tmp_path: Path) -> None:
    rows = [
        {k: v for k, v in trace(i, right=i == 0).items() if k not in {"assessments", "answer/value"}} for i in (0, 1)
    ]
    results = read(tmp_path, as_csv(rows), name="t.csv")
    assert (results.format, scores(results)) == ("mlflow", [1.0, 0.0])


@pytest.mark.parametrize(
    ("value", "score"),
    [
        ("yes", 1.0), ("no", 0.0), ("YES", 1.0), ("True", 1.0), ("0.5", 0.5), (True, 1.0), (0.25, 0.25),
        ("unknown", "the score is 'unknown', which is no number"), (None, "no score"), ("", "no score"),
        (5, "the score 5 lies outside [0, 1]"), (float("nan"), "the score is NaN"),
        (float("inf"), "the score inf lies outside [0, 1]"), ({"a": 1}, "the score is \"{'a': 1}\", which is no number"),
    ],
)  # fmt: skip
def test_yes_and_no_are_scores_and_other_words_are_errors(tmp_path: Path, value: object, score: float | str) -> None:
    assert scores(read(tmp_path, split([trace(0), trace(1, right=value)]))) == [1.0, score]


def test_a_trace_that_broke_and_a_scorer_that_broke_are_errors(tmp_path: Path) -> None:
    rows = [
        {**trace(0), "right/error_message": None},
        {**trace(1, right=False, state="ERROR"), "right/error_message": None},
        {**trace(2, right=None), "right/error_message": "division by zero"},
        {**trace(3), "right/error_message": float("nan")},
    ]
    assert scores(read(tmp_path, split(rows))) == [1.0, "its trace ended with ERROR", "division by zero", 1.0]


def test_a_column_called_state_says_nothing_where_there_are_no_traces(tmp_path: Path) -> None:
    data = {"columns": ["inputs", "state", "right/score"], "data": [["a", "Ohio", 1.0], ["b", "ERROR", 0.0]]}
    assert scores(read(tmp_path, data), "right/score") == [1.0, 0.0]


def test_what_a_judge_scored_is_a_judges(tmp_path: Path) -> None:
    rows = [trace(i, assessments=[said("right", "feedback", "yes", "LLM_JUDGE")], right="yes") for i in (0, 1)]
    results = read(tmp_path, split(rows))
    assert results.judged == {"right/value"}
    assert "answer/value" in results.main  # Nothing says that it is ground truth.


def test_without_a_request_the_trace_says_what_was_asked(tmp_path: Path) -> None:
    rows = []
    for i in (0, 1):
        row = trace(i)
        del row["request"]
        span = {"parent_span_id": None, "attributes": {"mlflow.spanInputs": json.dumps({"q": f"question {i}"})}}
        info = {"assessments": row.pop("assessments"), "trace_metadata": {"mlflow.traceInputs": "cut off"}}
        rows.append({**row, "trace": json.dumps({"info": info, "data": {"spans": [span] if i else []}})})
    (table,) = read(tmp_path, split(rows)).tables
    assert [row.item_id for row in table.rows()] == ["cut off", '{"q": "question 1"}']


def test_ids_of_traces_name_no_item(tmp_path: Path) -> None:
    rows = [{"request_id": f"tr-{i}9", "request": f"q{i}", "right/value": 1} for i in (0, 1)]
    (table,) = read(tmp_path, split(rows)).tables
    assert [row.item_id for row in table.rows()] == ["q0", "q1"]
    rows = [{"trace_id": f"tr-{i}9", "right/value": 1} for i in (0, 1)]
    with pytest.raises(RecordError, match="no column names the items. Name them: --id COLUMN --score COLUMN"):
        read(tmp_path, split(rows))


def test_long_inputs_are_named_by_their_beginning_and_told_apart(tmp_path: Path) -> None:
    rows = [trace(i, request="x" * 5000 + str(i)) for i in (0, 1)]
    (table,) = read(tmp_path, split(rows)).tables
    assert all(len(row.item_id) < 120 for row in table.rows())
    with pytest.raises(RecordError, match="occurs twice. Name a column that tells them apart"):
        read(tmp_path, split([trace(0, request="x" * 5000), trace(1, request="x" * 5000)]))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"columns": ["request", "a/value"], "data": [["x"]]}, "one value per column"),
        ({"columns": ["request", "a/value"], "data": [[None, 1]]}, "request is empty"),
        ({"columns": ["request", "b"], "data": [["x", 1]]}, "no column holds scores"),
        ({"columns": ["request", "a/value"], "data": []}, "no scores"),
        ({"columns": ["request", "toxicity/value"], "data": [["x", 1]]}, "the lower score is better"),
        ("request,a/value\nx,1\ny\n", "one value per column"),
        ('request,a/value\nx,"1', "this is not CSV"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, data: object, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        read(tmp_path, data, name="t.csv" if isinstance(data, str) else "t.json")
