"""Results of other tools: what counts as a score, as an error, and as no file of theirs at all."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest

from llmgate.errors import RecordError
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import Results, load_results

DATA = Path(__file__).parent / "data"


def saved(tmp_path: Path, content: object, name: str = "results.json") -> Path:
    path = tmp_path / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def scores(results: Results, metric: str) -> dict[str, float | str | None]:
    """Item, without its digest, → score or why there is none."""
    (table,) = [table for table in results.tables if table.metric == metric]
    return {row.item_id.rpartition("-")[0] or row.item_id: row.error or row.score for row in table.rows()}


def promptfoo_row(test: int, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "testIdx": test,
        "promptIdx": 0,
        "vars": {"q": f"question {test}", "topic": "a"},
        "testCase": {"assert": [{"type": "equals", "value": "x"}], "metadata": {"doc": "d1"}},
        "provider": {"id": "openai:gpt", "label": "gpt"},
        "prompt": {"raw": "{{q}}", "label": "plain"},
        "success": True,
        "score": 1,
        "namedScores": {},
        "failureReason": 0,
        "gradingResult": {"pass": True, "score": 1, "namedScores": {}, "componentResults": []},
    }
    return row | more


def promptfoo(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"evalId": "eval-1", "results": {"version": 3, "results": list(rows), "stats": {}}, "config": {}}


def test_promptfoo_tells_failed_assertions_from_errors(tmp_path: Path) -> None:
    failed = {"success": False, "score": 0.25, "failureReason": 1, "error": "Expected x"}
    failed |= {"gradingResult": {"pass": False, "score": 0.25}}
    rows = [
        promptfoo_row(0),
        promptfoo_row(1, **failed),
        promptfoo_row(2, success=False, score=0, failureReason=2, error="API error: 500", gradingResult=None),
        promptfoo_row(3, success=False, score=0, failureReason=0, error="No output", gradingResult=None),
    ]
    results = load_results(saved(tmp_path, promptfoo(*rows)))
    assert (results.format, results.main) == ("promptfoo", ("pass",))
    assert scores(results, "pass") == {"0": 1.0, "1": 0.0, "2": "API error: 500", "3": "No output"}
    assert scores(results, "score") == {"0": 1.0, "1": 0.25, "2": "API error: 500", "3": "No output"}


def graded(*parts: object, weights: tuple[float, ...] = (), **more: Any) -> dict[str, Any]:
    """What promptfoo says of assertions that all feed the metric `exact`."""
    assertions = [{"metric": "exact", **({"weight": weight} if weights else {})} for weight in weights or parts]
    results = [{"score": score, "assertion": one} for score, one in zip(parts, assertions, strict=True)]
    return {"pass": True, "score": 1, "componentResults": results, **more}


@pytest.mark.parametrize(
    ("grading", "score"),
    [
        # Up to 0.121.3: sums, without weights.
        (graded(1, 0.5, namedScores={"exact": 1.5}), 0.75),
        (graded(1, namedScores={"exact": 1}), 1.0),
        # From 0.121.4 on: means, and what the weights add up to.
        (graded(1, 0.5, namedScores={"exact": 0.75}, namedScoreWeights={"exact": 2}), 0.75),
        (graded(1, 0, weights=(1, 3), namedScores={"exact": 0.25}, namedScoreWeights={"exact": 4}), 0.25),
        # A script or a set feeds it besides.
        (graded(1, namedScores={"exact": 0.75}, namedScoreWeights={"exact": 2}), 0.75),
        (graded(namedScores={"exact": 0.5}, namedScoreWeights={"exact": 3}), 0.5),
        # Neither.
        (graded(1, 0.5, namedScores={"exact": 0.75}), "its score 0.75 is not what its 2 assertions add up to"),
        (graded(namedScores={"exact": 0.75}), "its score 0.75 is not what its 0 assertions add up to"),
        (
            graded(1, 0.5, namedScores={"exact": 1.5}, namedScoreWeights={"exact": 2}),
            "its score 1.5 is not the mean of its 2 assertions, 0.75",
        ),
        (graded(1, weights=(0,), namedScores={"exact": 0}, namedScoreWeights={"exact": 0}), "its weights add up to 0"),
        (graded(1, namedScores={"exact": 1}, namedScoreWeights={"exact": "1"}), "its weights add up to 1"),
        (graded(9, namedScores={"exact": 9}), "the score 9 lies outside [0, 1]"),
        (graded("1", namedScores={"exact": 1}), "its score 1 is not what its 1 assertions add up to"),
        (graded(1, namedScores={"exact": None}), "no score"),
        (graded(1, namedScores={}), "no score"),
    ],
)
def test_named_scores_of_promptfoo_are_sums_or_means_as_its_assertions_say(
    grading: dict[str, Any], score: float | str, tmp_path: Path
) -> None:
    found = load_results(saved(tmp_path, promptfoo(promptfoo_row(0, gradingResult=grading))))
    assert scores(found, "exact") == {"0": score}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"gradingResult": {"pass": False, "score": 1}}, "`success` and `gradingResult.pass` disagree"),
        ({"gradingResult": {"pass": True, "score": 1, "reason": "No assertions"}}, "nothing was asserted of it"),
    ],
)
def test_promptfoo_rows_that_prove_nothing_are_errors(row: dict[str, Any], says: str, tmp_path: Path) -> None:
    found = load_results(saved(tmp_path, promptfoo(promptfoo_row(0, **row), promptfoo_row(1))))
    assert scores(found, "pass") == {"0": says, "1": 1.0}


def test_promptfoo_rows_of_several_providers_have_to_be_chosen(tmp_path: Path) -> None:
    other = {"provider": {"id": "openai:other"}, "gradingResult": {"pass": False, "score": 0}}
    path = saved(tmp_path, promptfoo(promptfoo_row(0), promptfoo_row(0, success=False, **other)))
    with pytest.raises(RecordError, match="occurs twice. Choose one model or prompt"):
        load_results(path)
    assert scores(load_results(path, Layout(only=(("provider", "gpt"),))), "pass") == {"0": 1.0}
    assert scores(load_results(path, Layout(only=(("provider", "openai:other"),))), "pass") == {"0": 0.0}
    with pytest.raises(RecordError, match="no scores with provider = none"):
        load_results(path, Layout(only=(("provider", "none"),)))


def test_promptfoo_variables_and_metadata_are_clusters_and_slices(tmp_path: Path) -> None:
    path = saved(tmp_path, promptfoo(promptfoo_row(0), promptfoo_row(1)))
    table = load_results(path, Layout(cluster="doc", slices=("topic",))).tables[0]
    assert table.items.clusters is not None
    assert table.items.clusters.names == ("d1",)
    assert table.items.slices["topic"].names == ("a",)
    with pytest.raises(RecordError, match="no field 'topik'. Did you mean topic"):
        load_results(path, Layout(slices=("topik",)))


def test_a_promptfoo_test_that_was_changed_is_another_one(tmp_path: Path) -> None:
    ids = [
        load_results(saved(tmp_path, promptfoo(promptfoo_row(0, vars={"q": q})))).tables[0].items.ids[0] for q in "ab"
    ]
    assert ids[0] != ids[1]


def inspect_log(*samples: dict[str, Any], status: str = "success", **task: Any) -> dict[str, Any]:
    return {"version": 2, "status": status, "eval": {"task": "t", **task}, "samples": list(samples)}


def sample(item: object, value: object, epoch: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": item, "epoch": epoch, "input": "q", "scores": {"match": {"value": value}}, **more}


@pytest.mark.parametrize(
    ("value", "score"),
    [
        ("C", 1.0),
        ("I", 0.0),
        ("P", 0.5),
        ("N", 0.0),
        (True, 1.0),
        (0.25, 0.25),
        ("0.75", 0.75),
        ("yes", 1.0),
        ("false", 0.0),
        (math.nan, "the score is NaN"),
        (7, "the score 7 lies outside [0, 1]"),
        ("good", "the score is 'good', which is no number"),
        (None, "no score"),
    ],
)
def test_inspects_letters_and_numbers(tmp_path: Path, value: object, score: float | str) -> None:
    results = load_results(saved(tmp_path, inspect_log(sample("a", value))))
    assert (results.format, scores(results, "match")) == ("inspect", {"a": score})


def test_inspect_samples_in_error_or_at_a_limit_are_errors(tmp_path: Path) -> None:
    log = inspect_log(
        sample("a", "C"),
        sample("b", "C", error={"message": "boom"}),
        sample("c", "C", limit={"type": "token", "limit": 10}),
        {"id": "d", "epoch": 1, "scores": None},
        dataset={"sample_ids": ["a", "b", "c", "d", "e"]},
    )
    assert scores(load_results(saved(tmp_path, log)), "match") == {
        "a": 1.0,
        "b": "boom",
        "c": "it ended at the token limit",
        "d": "it was not scored",
        "e": "the log does not hold it",
    }


def test_inspect_epochs_are_averaged_and_must_all_be_there(tmp_path: Path) -> None:
    log = inspect_log(sample("a", "C"), sample("a", "I", 2), sample("b", "C"), config={"epochs": 2})
    assert scores(load_results(saved(tmp_path, log)), "match") == {"a": 0.5, "b": "1 of 2 repeats"}
    with pytest.raises(RecordError, match="item 'a' occurs twice"):
        load_results(saved(tmp_path, inspect_log(sample("a", "C"), sample("a", "C"))))


def test_inspect_scorers_of_several_values_give_a_metric_each(tmp_path: Path) -> None:
    results = load_results(saved(tmp_path, inspect_log(sample("a", {"fact": 1, "tone": 0.5}))))
    assert results.main == ("match/fact", "match/tone")


@pytest.mark.parametrize("status", ["error", "started", "cancelled"])
def test_an_unfinished_inspect_log_is_refused(tmp_path: Path, status: str) -> None:
    with pytest.raises(RecordError, match=f"status is '{status}'"):
        load_results(saved(tmp_path, inspect_log(sample("a", "C"), status=status)))


def test_inspect_archives(tmp_path: Path) -> None:
    log = inspect_log(sample("a", "C"), sample("b", "I"))
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in log.pop("samples"):
            archive.writestr(f"samples/{one['id']}_epoch_1.json", json.dumps(one))
    with pytest.raises(RecordError, match="not finished"):
        load_results(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("header.json", json.dumps(log))
    assert scores(load_results(path), "match") == {"a": 1.0, "b": 0.0}
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("samples/b_epoch_1.json", json.dumps(sample("b", "C")))
    with pytest.raises(RecordError, match="it holds a file twice"):
        load_results(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RecordError, match="cannot be unpacked"):
        load_results(path)


def lm_eval(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def document(number: int, **more: Any) -> dict[str, Any]:
    return {
        "doc_id": number,
        "doc": {"question": f"q{number}", "subject": "law"},
        "target": "A",
        "resps": [["A"]],
        "filtered_resps": ["A"],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": f"{number:064x}"[::-1],
        **more,
    }


def test_lm_eval_documents_without_their_metric_are_errors(tmp_path: Path) -> None:
    text = lm_eval(document(0, acc=1.0), document(1, acc=0.0), document(2), document(3, acc=math.nan))
    results = load_results(saved(tmp_path, text, "samples_t.jsonl"), Layout(slices=("subject",)))
    assert (results.format, results.main) == ("lm-eval", ("acc",))
    assert scores(results, "acc") == {"0": 1.0, "1": 0.0, "2": "no score", "3": "the score is NaN"}
    assert results.tables[0].items.slices["subject"].names == ("law",)


def test_lm_eval_filters_are_metrics_of_their_own(tmp_path: Path) -> None:
    rows = [
        document(i, filter=name, metrics=["exact_match"], exact_match=float(name == "strict"))
        for i in range(2)
        for name in ("strict", "flexible")
    ]
    results = load_results(saved(tmp_path, lm_eval(*rows[:3]), "s.jsonl"))
    assert scores(results, "exact_match,strict") == {"0": 1.0, "1": 1.0}
    # The last line is not there: its document lacks one filter.
    assert scores(results, "exact_match,flexible") == {"0": 0.0, "1": "no score"}


def test_lm_eval_metrics_of_no_single_document_are_left_out_and_old_files_name_none(tmp_path: Path) -> None:
    row = document(0, acc=True, word_perplexity=[-3.0, 4])
    assert load_results(saved(tmp_path, lm_eval(row | {"metrics": ["acc", "word_perplexity"]}), "s.jsonl")).main == (
        "acc",
    )
    del row["metrics"]
    assert load_results(saved(tmp_path, lm_eval(row), "s.jsonl")).main == ("acc",)


def test_lm_eval_refuses_documents_twice_and_broken_lines(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="s.jsonl:2: document 0 occurs twice"):
        load_results(saved(tmp_path, lm_eval(document(0, acc=1.0), document(0, acc=1.0)), "s.jsonl"))
    with pytest.raises(RecordError, match="s.jsonl:2: not JSON"):
        load_results(saved(tmp_path, lm_eval(document(0, acc=1.0)) + '{"doc_id', "s.jsonl"))
    with pytest.raises(RecordError, match="s.jsonl:2: no 'doc_id'"):
        load_results(saved(tmp_path, lm_eval(document(0, acc=1.0), {"acc": 1.0}), "s.jsonl"))


def deepeval_case(number: int, *metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"test_case_{number}",
        "input": f"q{number}",
        "actualOutput": "a",
        "success": True,
        "metricsData": list(metrics),
        "order": number,
        "additionalMetadata": {"topic": "x"},
    }


def deepeval_metric(score: object, **more: Any) -> dict[str, Any]:
    return {"name": "Answer Relevancy", "threshold": 0.5, "success": True, "score": score, **more}


def test_deepeval_metrics_in_error_or_absent_are_errors(tmp_path: Path) -> None:
    run = {
        "testCases": [
            deepeval_case(0, deepeval_metric(0.75, evaluationModel="gpt-4")),
            deepeval_case(1, deepeval_metric(None, error="rate limit")),
            deepeval_case(2),
            deepeval_case(3, deepeval_metric(None)),
        ],
        "conversationalTestCases": [],
    }
    results = load_results(saved(tmp_path, run), Layout(slices=("topic",)))
    assert (results.format, results.judged) == ("deepeval", frozenset({"Answer Relevancy"}))
    assert scores(results, "Answer Relevancy") == {
        "test_case_0": 0.75,
        "test_case_1": "rate limit",
        "test_case_2": "no score",
        "test_case_3": "no score",
    }
    twice = {"testCases": [deepeval_case(0, deepeval_metric(1), deepeval_metric(0))]}
    with pytest.raises(RecordError, match="metric 'Answer Relevancy' occurs twice"):
        load_results(saved(tmp_path, twice))


def test_a_deepeval_metric_of_which_less_is_better_is_refused(tmp_path: Path) -> None:
    measured = [deepeval_metric(0.1), deepeval_metric(0.5), deepeval_metric(0.9, success=False)]
    bias = {"testCases": [deepeval_case(i, metric) for i, metric in enumerate(measured)]}
    with pytest.raises(RecordError, match="of 'Answer Relevancy' the lower score is better"):
        load_results(saved(tmp_path, bias))
    # A verdict of its own, which has to do with the threshold in neither way, says nothing about the scores.
    bias["testCases"].append(deepeval_case(3, deepeval_metric(0.1, success=False)))
    assert load_results(saved(tmp_path, bias)).main == ("Answer Relevancy",)


def test_mlflow_metrics_of_which_less_is_better_are_refused(tmp_path: Path) -> None:
    table = {"columns": ["inputs", "toxicity/v1/score", "exact_match/v1/score"], "data": [["q0", 0.5, 1]]}
    with pytest.raises(RecordError, match="of 'toxicity/v1/score' the lower score is better"):
        load_results(saved(tmp_path, table))
    assert load_results(saved(tmp_path, table), Layout(scores=("exact_match/v1/score",))).main


def test_an_mlflow_scorer_that_broke_gave_no_score(tmp_path: Path) -> None:
    table = {"columns": ["request", "exact/value", "exact/error_message"], "data": [["q0", 1, "boom"], ["q1", 1, None]]}
    assert scores(load_results(saved(tmp_path, table)), "exact/value") == {"q0": "boom", "q1": 1.0}


def test_a_key_stands_once_in_what_other_tools_write(tmp_path: Path) -> None:
    twice = json.dumps(inspect_log(sample("a", "I"))).replace('"value": "I"', '"value": "I", "value": "C"')
    with pytest.raises(RecordError, match="the key 'value' stands twice"):
        load_results(saved(tmp_path, twice), kind="inspect")
    twice = lm_eval(document(0, acc=0.0)).replace('"acc": 0.0', '"acc": 0.0, "acc": 1.0')
    with pytest.raises(RecordError, match="s.jsonl:1: not JSON: the key 'acc' stands twice"):
        load_results(saved(tmp_path, twice, "s.jsonl"), kind="lm-eval")


def test_mlflow_tables(tmp_path: Path) -> None:
    table = {
        "columns": ["inputs", "outputs", "faithfulness/v1/score", "exact_match/v1/score", "lang"],
        "data": [["q0", "a", 0.5, 1, "en"], ["q1", "b", None, 0, "en"]],
    }
    results = load_results(saved(tmp_path, table), Layout(slices=("lang",)))
    assert (results.format, results.main) == ("mlflow", ("exact_match/v1/score", "faithfulness/v1/score"))
    assert scores(results, "faithfulness/v1/score") == {"q0": 0.5, "q1": "no score"}
    chosen = load_results(saved(tmp_path, table), Layout(item="outputs", scores=("exact_match/v1/score",)))
    assert scores(chosen, "exact_match/v1/score") == {"a": 1.0, "b": 0.0}
    for broken, says in (
        ({"columns": ["inputs", "x"], "data": [["q", 1]]}, "no column holds scores. Name them: --id COLUMN"),
        ({"columns": ["a/score"], "data": [[1]]}, "no column names the items"),
        ({"columns": ["inputs", "a/score"], "data": [["q"]]}, "does not have one value per column"),
        ({"columns": ["inputs", "a/score"], "data": [["", 1]]}, "inputs is empty"),
        ({"columns": ["inputs", "a/score"], "data": [["q", 1], ["q", 1]]}, "item 'q' occurs twice"),
    ):
        with pytest.raises(RecordError, match=says):
            load_results(saved(tmp_path, broken))
    with pytest.raises(RecordError, match="no column 'y'. Valid names: exact_match/v1/score"):
        load_results(saved(tmp_path, table), Layout(scores=("y",)))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("promptfoo", "not results of promptfoo"),
        ("inspect", "status is None"),
        ("lm-eval", "no 'doc_id'"),
        ("deepeval", "not a test run of DeepEval"),
        ("mlflow", "not an evaluation table of MLflow"),
        ("jsonl", "unknown key 'x'"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, kind: str, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        load_results(saved(tmp_path, {"x": 1}), kind=kind)


def test_a_file_without_a_score_is_refused(tmp_path: Path) -> None:
    contents: list[dict[str, Any]] = [promptfoo(), inspect_log(), {"testCases": []}]
    for content in contents:
        with pytest.raises(RecordError, match="no scores"):
            load_results(saved(tmp_path, content))


def test_the_format_is_told_from_the_content(tmp_path: Path) -> None:
    for name, content, kind in (
        ("a.txt", "item_id,score\na,1\n", "csv"),
        ("a.txt", '{"item_id": "a", "score": 1}\n', "jsonl"),
        ("a.txt", json.dumps(promptfoo(promptfoo_row(0)), indent=1), "promptfoo"),
        ("a.json", json.dumps(inspect_log(sample("a", "C")), indent=2), "inspect"),
    ):
        assert load_results(saved(tmp_path, content, name)).format == kind


@pytest.mark.parametrize("name", ["inspect.eval", "inspect.json"])
def test_genuine_logs_of_inspect_are_read(name: str) -> None:
    """Written by Inspect itself, the first one packed by Zstandard."""
    pytest.importorskip("pyarrow")
    results = load_results(DATA / name, Layout(slices=("area",)))
    assert results.format == "inspect"
    assert [(row.item_id, row.score) for row in results.tables[0].rows()] == [
        ("capital-1", 1.0),
        ("capital-2", 0.5),
        ("capital-3", 0.0),
    ]
    assert results.tables[0].items.slices["area"].names == ("south",)


def test_a_damaged_log_packed_by_zstandard_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    data = bytearray((DATA / "inspect.eval").read_bytes())
    start = data.find(b"samples/capital-2_epoch_1.json")
    data[start + 60 : start + 70] = bytes(10)
    (tmp_path / "log.eval").write_bytes(data)
    with pytest.raises(RecordError, match="cannot be unpacked"):
        load_results(tmp_path / "log.eval")
