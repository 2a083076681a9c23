"""promptfoo's tables and lines: the same results as its JSON, and nothing that they do not say."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from llmgate.errors import RecordError
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import Results, load_results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GROUP = ["[new] Say {{q}}", "Status", "Score", "Named Scores", "Metric: f1", "Grader Reason", "Comment"]
GOOD = ["yes", "PASS", "1.00", '{"f1":0.67}', "0.67", "All assertions passed", ""]


def table(tmp_path: Path, header: Sequence[str], *rows: Sequence[str], ends: str = "\n") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=ends).writerows([header, *rows])
    path = tmp_path / "results.csv"
    path.write_bytes(text.getvalue().encode())
    return path


def scores(results: Results, metric: str) -> dict[str, float | str | None]:
    (found,) = [one for one in results.tables if one.metric == metric]
    return {row.item_id.partition("-")[0]: row.error or row.score for row in found.rows()}


def test_a_table_says_what_passed_failed_and_could_not_be_run(tmp_path: Path) -> None:
    rows = [
        ["a", *GOOD],
        ["b", "no", "FAIL", "0.25", '{"f1":0}', "0.00", "Expected yes", ""],
        ["c", "", "ERROR", "0.00", "", "", "API error: 500", ""],
        ["d", "", "", "", "", "", "", ""],
        ["e", "x", "PASS", "1.00", "", "", "No assertions", ""],
        ["f", *GOOD[:4], "", *GOOD[5:]],
    ]
    results = load_results(table(tmp_path, ["q", *GROUP], *rows))
    assert (results.format, results.main) == ("promptfoo", ("pass",))
    lost = {"2": "API error: 500", "3": "its status is ''", "4": "nothing was asserted of it"}
    assert scores(results, "pass") == {"0": 1.0, "1": 0.0, **lost, "5": 1.0}
    assert scores(results, "score") == {"0": 1.0, "1": 0.25, **lost, "5": 1.0}
    assert scores(results, "f1") == {"0": 0.67, "1": 0.0, **lost, "5": "no score"}


def test_a_table_of_an_older_promptfoo_does_not_say_what_its_named_scores_are(tmp_path: Path) -> None:
    header = ["q", *(name for name in GROUP if not name.startswith("Metric"))]
    results = load_results(table(tmp_path, header, ["a", "yes", "PASS", "1.00", '{"f1":1}', "All", ""]))
    assert scores(results, "pass") == {"0": 1.0}
    assert str(scores(results, "f1")["0"]).startswith("this version of promptfoo may have written a sum or a mean")


def test_the_oldest_tables_have_the_status_before_the_output(tmp_path: Path) -> None:
    header = ["q", "[new] Say {{q}}", "Grader Reason", "Comment"]
    rows = [
        ["a", "[PASS] yes", "All", ""],
        ["b", "[FAIL] no", "x", ""],
        ["c", "[ERROR] 500", "", ""],
        ["d", "?", "", ""],
    ]
    results = load_results(table(tmp_path, header, *rows))
    assert [one.metric for one in results.tables] == ["pass"]
    assert scores(results, "pass") == {"0": 1.0, "1": 0.0, "2": "[ERROR] 500", "3": "its status is ''"}


def test_prompts_with_line_breaks_formulas_and_several_providers(tmp_path: Path) -> None:
    other = ["[old] Say\n{{q}}, please", *GROUP[1:]]
    bad = ["no", "FAIL", "0.00", '{"f1":0}', "0.00", "Expected", ""]
    rows = [["'=HYPERLINK(1)", *GOOD, *bad], ['say "x"\nnow', *GOOD, *bad]]
    path = table(tmp_path, ["a\nb", *GROUP, *other], *rows, ends="\r\n")
    with pytest.raises(RecordError, match="occurs twice. Choose one model or prompt"):
        load_results(path)
    for side, score in (("new", 1.0), ("old", 0.0)):
        found = load_results(path, Layout(only=(("provider", side),), cluster="a\nb"))
        assert scores(found, "pass") == {"0": score, "1": score}


def test_repeats_are_averaged_where_all_tests_were_repeated_alike(tmp_path: Path) -> None:
    bad = ["no", "FAIL", "0.00", '{"f1":0}', "0.00", "Expected", ""]
    rows = [["a", *GOOD], ["a", *bad], ["b", *GOOD], ["b", *GOOD]]
    assert scores(load_results(table(tmp_path, ["q", *GROUP], *rows)), "pass") == {"0": 0.5, "1": 1.0}
    # A test that stands there twice beside others is two tests.
    assert scores(load_results(table(tmp_path, ["q", *GROUP], *rows[:3])), "pass") == {"0": 1.0, "1": 0.0, "2": 1.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q,x,Grader Reason,Comment\n", "no scores"),
        ("q,x,Grader Reason,Comment\na,[PASS] y\n", ":2: the row has 2 cells"),
        ('q,x,Grader Reason,Comment\na,"[PASS] y', "this is not CSV"),
        ("q,x,Grader Reason,Comment\na,[PASS] \xff,,\n", "not CSV in UTF-8"),
        ("q,[n] x,Status,Score,Named Scores,Grader Reason,Comment\na,y,pass,1,,,\n", "no scores"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordError, match=says):
        load_results(path)


@pytest.mark.parametrize("score", ["nan", "inf", "-1", "1.5", "=1", "yes?"])
def test_a_score_that_is_no_fraction_is_an_error_of_its_item(tmp_path: Path, score: str) -> None:
    rows = [["a", *GOOD], ["b", "x", "PASS", score, "", "0.5", "All", ""]]
    found = scores(load_results(table(tmp_path, ["q", *GROUP], *rows)), "score")
    assert found["0"] == 1.0
    assert isinstance(found["1"], str)


def row(test: int, **more: Any) -> dict[str, Any]:
    assertions = [{"metric": "f1", "weight": 2}, {"metric": "f1"}]
    parts = [{"score": score, "assertion": one} for score, one in zip((1, 0.25), assertions, strict=True)]
    grading = {"pass": True, "namedScores": {"f1": 0.75}, "namedScoreWeights": {"f1": 3}, "componentResults": parts}
    return {
        "testIdx": test,
        "promptIdx": 0,
        "vars": {"q": f"question {test}"},
        "testCase": {"vars": {"q": f"question {test}"}, "assert": assertions},
        "provider": {"id": "x", "label": "new"},
        "success": True,
        "score": 0.75,
        "failureReason": 0,
        "gradingResult": grading,
        **more,
    }


def lines(tmp_path: Path, *rows: dict[str, Any], name: str = "results.jsonl", ends: str = "\n") -> Path:
    path = tmp_path / name
    path.write_bytes("".join(json.dumps(one) + ends for one in rows).encode())
    return path


@pytest.mark.parametrize("name", ["results.jsonl", "results.txt"])
def test_lines_are_rows(tmp_path: Path, name: str) -> None:
    failed = row(1, success=False, score=0, failureReason=1, gradingResult={"pass": False, "componentResults": []})
    down = row(2, success=False, score=0, failureReason=2, error="API error: 500", gradingResult=None)
    results = load_results(lines(tmp_path, row(0), failed, down, name=name, ends="\r\n"))
    assert (results.format, results.main) == ("promptfoo", ("pass",))
    assert scores(results, "pass") == {"0": 1.0, "1": 0.0, "2": "API error: 500"}
    assert scores(results, "f1")["0"] == pytest.approx(0.75)


def test_lines_of_before_and_after_0_121_4_say_the_same(tmp_path: Path) -> None:
    # Earlier ones write sums without weights and say no weights.
    grading = {**row(0)["gradingResult"], "namedScores": {"f1": 1.25}}
    del grading["namedScoreWeights"]
    for one in (row(0), row(0, gradingResult=grading)):
        assert scores(load_results(lines(tmp_path, one)), "f1")["0"] == pytest.approx(0.75)
    wrong = {**row(0)["gradingResult"], "namedScores": {"f1": 2.25}}
    assert "is not the mean" in str(scores(load_results(lines(tmp_path, row(0, gradingResult=wrong))), "f1")["0"])


def test_repeats_in_lines(tmp_path: Path) -> None:
    same = {key: row(0)[key] for key in ("vars", "testCase")}
    failed = {"success": False, "gradingResult": {"pass": False, "componentResults": []}}
    results = load_results(lines(tmp_path, row(0), row(1, **same, **failed)))
    assert scores(results, "pass") == {"0": 0.5}
    results = load_results(lines(tmp_path, row(0), row(1, **same), row(2)))
    assert len(scores(results, "pass")) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(row(0)) + "\n" + json.dumps(row(1))[:-9], r":2: not JSON.*cut off"),
        (json.dumps(row(0)) + "\n[1]\n", ":2: not a row of promptfoo"),
        (json.dumps(row(0)) + "\n" + "[" * 100_000, "not JSON|grows"),
        (json.dumps(row(0)) + "\n" + json.dumps(row(0)), "occurs twice"),
        (json.dumps(row(0))[:-1] + ',"score":1}', "unknown key|not JSON"),
    ],
)
def test_broken_lines_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=says):
        load_results(path)
