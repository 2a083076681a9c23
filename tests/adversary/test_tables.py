"""Tables of scores that hide what the candidate got wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CASES = 300
WRONG = range(0, CASES, 5)
"""What a bad candidate gets wrong: 60 cases, 20 points."""
GOOD: list[dict[str, Any]] = [{"item_id": f"q{i}", "score": 1} for i in range(CASES)]
NEARLY: list[dict[str, Any]] = [{"item_id": "q0", "score": 0}, *GOOD[:0:-1]]
BAD: list[dict[str, Any]] = [{"item_id": f"q{i}", "score": int(i not in WRONG)} for i in range(CASES)]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(rows: list[dict[str, Any]]) -> str:
    """CSV, with the cells as they are."""
    return "\n".join([",".join(rows[0]), *(",".join(str(cell) for cell in row.values()) for row in rows)]) + "\n"


def decide(candidate: str, baseline: str, *options: str, suffix: str = "jsonl") -> Ending:
    for name, text in (("new", candidate), ("old", baseline)):
        Path(f"{name}.{suffix}").write_text(text, encoding="utf-8")
    return llmgate(
        *("decide", "--candidate", f"new.{suffix}", "--baseline", f"old.{suffix}", "--margin", "0.05"), *options
    )


def instead(put: Mapping[str, Any], rows: list[dict[str, Any]] = BAD) -> list[dict[str, Any]]:
    """The rows, with something else wherever the candidate is wrong."""
    return [{**row, **put} if row["score"] == 0 else row for row in rows]


def test_honest_tables_decide() -> None:
    assert decide(lines(GOOD), lines(NEARLY)).green
    assert decide(table(GOOD), table(NEARLY), suffix="csv").green
    assert decide(table([{**row, "score": "true"} for row in GOOD]), table(GOOD), suffix="csv").green
    assert decide(lines(BAD), lines(GOOD)).exit_code == 1


HIDDEN_IN_CSV: dict[str, str] = {
    "no rows": table(GOOD)[: len("item_id,score\n")],
    "nothing": "",
    "wrong rows left out": table([row for row in BAD if row["score"]]),
    "wrong rows of other ids": table([{**row, "item_id": f"x{row['item_id']}"} if not row["score"] else row for row in BAD]),
    "ids in capitals": table([{**row, "item_id": row["item_id"].upper()} for row in GOOD]),
    "ids with a space": table([{**row, "item_id": f"{row['item_id']} "} for row in GOOD]),
    "NaN": table(instead({"score": "NaN"})),
    "empty": table(instead({"score": ""})),
    "null": table(instead({"score": "null"})),
    "percent": table(instead({"score": "100%"})),
    "infinite": table(instead({"score": "inf"})),
    "0_1": table(instead({"score": "0_1"})),
    "other digits": table(instead({"score": "\uff11"})),
    "hexadecimal": table(instead({"score": "0x1"})),
    "decimal comma": table(instead({"score": '"1,0"'})),
    "columns swapped": table([{"score": row["item_id"], "item_id": row["score"]} for row in BAD]),
    "an id twice": table([*GOOD, *BAD]),
    "an id twice, right last": table([*BAD, *GOOD]),
    "ids missing": table(instead({"item_id": ""})),
    "score twice": table(BAD).replace("item_id,score", "item_id,score,score").replace(",1\n", ",1,1\n").replace(",0\n", ",0,1\n"),
    "score in another case": table([{"item_id": row["item_id"], "Score": 1} for row in BAD]),
    "semicolons": table(GOOD).replace(",", ";"),
    "a cell too many": table(GOOD).replace(",1\n", ",0,1\n"),
    "error beside a score": table([{**row, "error": "" if row["score"] else "timeout"} for row in [{**r, "score": r["score"]} for r in BAD]]),
    "an open quotation": table(BAD[:1]) + '"q1,1\n' + table(GOOD[2:]).partition("\n")[2],
    "scores in percent": table([{**row, "score": 100 * row["score"]} for row in BAD]),
    "nul": table(instead({"score": "0\x00"})),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN_IN_CSV)
def test_csv(name: str, attempt: Callable[[Ending], None]) -> None:
    attempt(decide(HIDDEN_IN_CSV[name], table(GOOD), suffix="csv"))


def clustered(rows: list[dict[str, Any]], *, lost: int) -> str:
    return lines([{**row, "cluster": None if i < lost else row["item_id"]} for i, row in enumerate(rows)])


@pytest.mark.parametrize("lost", [1, CASES - 1])
def test_some_items_without_a_cluster(lost: int, attempt: Callable[[Ending], None]) -> None:
    attempt(decide(clustered(GOOD, lost=lost), clustered(NEARLY[::-1], lost=0)))
    attempt(decide(clustered(GOOD, lost=0), clustered(NEARLY[::-1], lost=lost)))


def test_honest_clusters_pass() -> None:
    assert decide(clustered(GOOD, lost=0), clustered(NEARLY[::-1], lost=0)).green


HIDDEN_IN_JSON: dict[str, str] = {
    "NaN": lines(BAD).replace('"score": 0', '"score": NaN'),
    "infinite": lines(BAD).replace('"score": 0', '"score": 1e999'),
    "score twice": lines(BAD).replace('"score": 0', '"score": 0, "score": 1'),
    "id twice in a row": lines(BAD).replace('"item_id"', '"item_id": "a", "item_id"'),
    "as a text": lines(BAD).replace('"score": 0', '"score": "1"'),
    "as truth": lines(BAD).replace('"score": 0', '"score": true'),
    "null": lines(BAD).replace('"score": 0', '"score": null'),
    "a list": lines(BAD).replace('"score": 0', '"score": [1]'),
    "left out": lines([row for row in BAD if row["score"]]),
    "a row less": lines(BAD[1:]),
    "escaped key twice": lines(BAD).replace('"score": 0', '"score": 0, "sc\\u006fre": 1'),
    "cut in the middle": lines(BAD)[:-3],
    "error as a flag": lines(instead({"error": False})),
    "an array": json.dumps(GOOD),
    "nothing": "",
    "blank lines": "\n\n",
}


@pytest.mark.parametrize("name", HIDDEN_IN_JSON)
def test_json_lines(name: str, attempt: Callable[[Ending], None]) -> None:
    attempt(decide(HIDDEN_IN_JSON[name], lines(GOOD)))


@pytest.mark.parametrize(
    "rows", [GOOD[1:], [], GOOD[:5], [{**row, "item_id": f"old-{row['item_id']}"} for row in GOOD]]
)
def test_a_champion_that_lacks_cases(rows: list[dict[str, Any]], attempt: Callable[[Ending], None]) -> None:
    attempt(decide(lines(BAD), lines(rows)))
    attempt(decide(lines(GOOD), lines(rows)))


def test_a_champion_of_errors(attempt: Callable[[Ending], None]) -> None:
    attempt(decide(lines(GOOD), lines([{"item_id": row["item_id"], "score": None, "error": "down"} for row in GOOD])))


@pytest.mark.parametrize(
    "options",
    [
        ("--id", "score", "--score", "score"),
        ("--score", "cost"),
        ("--candidate-only", "score=1"),
        ("--candidate-only", "score=1", "--baseline-only", "score=1"),
        ("--candidate-only", "side=none"),
        ("--format", "promptfoo"),
        ("--format", "csv"),
        ("--metric", "other"),
        ("--slice", "topic"),
        ("--margin", "1"),
    ],
)
def test_options_that_choose_away_what_is_wrong(options: tuple[str, ...], attempt: Callable[[Ending], None]) -> None:
    attempt(decide(lines(BAD), lines(GOOD), *options))


DATA = Path(__file__).parents[1] / "record" / "results" / "data"


def of_promptfoo(version: str, wrong: int, rows: int = CASES, **more: Any) -> str:
    """A file as that version wrote it: tests that it wrote of a right and a worse answer, many times over."""
    data = json.loads(gzip.decompress((DATA / f"promptfoo-{version}.json.gz").read_bytes()))
    right, worse = (next(r for r in data["results"]["results"] if r["testIdx"] == test and r["provider"]["label"] == "new") for test in (0, 1))  # fmt: skip
    data["results"]["results"] = [
        {**(worse if i < wrong else right), "testIdx": i, "vars": {"q": f"question {i}"}, **more} for i in range(rows)
    ]
    return json.dumps(data)


@pytest.mark.parametrize("version", ["0.120.0", "0.123.1"])
@pytest.mark.parametrize("against", ["0.120.0", "0.123.1"])
def test_a_loss_in_a_metric_that_several_assertions_feed(
    version: str, against: str, attempt: Callable[[Ending], None]
) -> None:
    # 25 of 300 tests lose three quarters: 6.25 points.
    ending = decide(of_promptfoo(version, 25), of_promptfoo(against, 0), "--metric", "safety", suffix="json")
    attempt(ending)
    assert ending.exit_code in {1, 3}, ending


@pytest.mark.parametrize("version", ["0.120.0", "0.123.1"])
def test_honest_results_of_promptfoo_pass(version: str) -> None:
    assert decide(
        of_promptfoo(version, 0), of_promptfoo(version, 0)[:-1] + " }", "--metric", "safety", suffix="json"
    ).green


def edited(change: Callable[[dict[str, Any]], object]) -> str:
    """A file of 0.123.1 whose worse rows somebody changed."""
    data = json.loads(of_promptfoo("0.123.1", 60))
    for row in data["results"]["results"][:60]:
        change(row)
    return json.dumps(data)


def asserting_nothing(row: dict[str, Any]) -> None:
    row |= {"success": True, "score": 1, "gradingResult": {"pass": True, "score": 1, "reason": "No assertions"}}


def said_to_be_right(row: dict[str, Any]) -> None:
    row["success"] = True


def named_right(row: dict[str, Any]) -> None:
    row["gradingResult"]["namedScores"]["safety"] = 1


def named_without_weights(row: dict[str, Any]) -> None:
    row["gradingResult"]["namedScores"]["safety"] = 3
    del row["gradingResult"]["namedScoreWeights"]


def weighed_nothing(row: dict[str, Any]) -> None:
    row["gradingResult"]["namedScoreWeights"]["safety"] = 0


def not_graded(row: dict[str, Any]) -> None:
    row["gradingResult"] = None


def named_no_more(row: dict[str, Any]) -> None:
    del row["gradingResult"]["namedScores"]["safety"]


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        (asserting_nothing, "pass"),
        (said_to_be_right, "pass"),
        (not_graded, "pass"),
        (named_right, "safety"),
        (named_without_weights, "safety"),
        (weighed_nothing, "safety"),
        (named_no_more, "safety"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_rows_of_promptfoo_that_prove_nothing(
    change: Callable[[dict[str, Any]], object], metric: str, attempt: Callable[[Ending], None]
) -> None:
    attempt(decide(edited(change), of_promptfoo("0.123.1", 0), "--metric", metric, suffix="json"))


def test_a_metric_without_weight_is_no_evidence(attempt: Callable[[Ending], None]) -> None:
    attempt(decide(of_promptfoo("0.123.1", 60), of_promptfoo("0.123.1", 0), "--metric", "unweighed", suffix="json"))


def test_repeats_are_not_cases(attempt: Callable[[Ending], None]) -> None:
    def repeated(wrong: int) -> str:
        data = json.loads(of_promptfoo("0.123.1", 0))
        rows = data["results"]["results"]
        for i, row in enumerate(rows):
            row["vars"] = {"q": f"question {i // 100}"}
            row["success"] = row["gradingResult"]["pass"] = i >= wrong
        data["runtimeOptions"]["repeat"] = 100
        return json.dumps(data)

    # Three questions, a hundred times each, are three cases.
    attempt(decide(repeated(3), repeated(0), "--metric", "pass", suffix="json"))


def inspect_log(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    samples = [
        {"id": row["item_id"], "epoch": 1, "scores": {"match": {"value": "C" if row["score"] else "I"}}} for row in rows
    ]
    return {"version": 2, "status": "success", "eval": {"task": "t"}, "samples": samples} | more


def lm_eval(rows: list[dict[str, Any]]) -> str:
    return lines(
        [
            {
                "doc_id": row["item_id"],
                "doc": {"q": row["item_id"]},
                "resps": [],
                "metrics": ["acc"],
                "acc": row["score"],
            }
            for row in rows
        ]
    )


def deepeval(rows: list[dict[str, Any]], *, bias: bool = False) -> str:
    metric = {"name": "Bias" if bias else "Exact", "threshold": 0.5, "evaluationModel": None}
    cases = [
        {
            "name": row["item_id"],
            "input": row["item_id"],
            "metricsData": [{**metric, "score": row["score"], "success": (row["score"] <= 0.5) is bias}],
        }
        for row in rows
    ]
    return json.dumps({"testCases": cases})


def mlflow(rows: list[dict[str, Any]], name: str = "exact") -> str:
    return json.dumps({"columns": ["inputs", f"{name}/value"], "data": [[r["item_id"], r["score"]] for r in rows]})


def inspect(rows: list[dict[str, Any]], **more: Any) -> str:
    return json.dumps(inspect_log(rows, **more))


ASKED = {"task": "t", "dataset": {"sample_ids": [row["item_id"] for row in GOOD]}}
RIGHT = [row for row in BAD if row["score"]]
OF_TOOLS: dict[str, tuple[str, str]] = {
    "inspect: samples left out": (inspect(RIGHT), inspect(GOOD)),
    "inspect: left out on both sides": (inspect(RIGHT, eval=ASKED), inspect(RIGHT, eval=ASKED)),
    "inspect: a limit": (inspect(RIGHT, eval={**ASKED, "config": {"limit": 240}}), inspect(GOOD, eval=ASKED)),
    "inspect: not finished": (inspect(GOOD, status="started"), inspect(GOOD)),
    "inspect: cancelled": (inspect(GOOD, status="cancelled"), inspect(GOOD)),
    "inspect: status twice": (inspect(GOOD).replace('"status"', '"status": "error", "status"'), inspect(GOOD)),
    "inspect: a value twice": (inspect(BAD).replace('"I"', '"I", "value": "C"'), inspect(GOOD)),
    "inspect: epochs missing": (inspect(GOOD, eval={"task": "t", "config": {"epochs": 2}}), inspect(GOOD)),
    "inspect: samples twice": (inspect([*GOOD, *BAD]), inspect(GOOD)),
    "lm-eval: a limit": (lm_eval(RIGHT), lm_eval(GOOD)),
    "lm-eval: documents of another text": (lm_eval(GOOD).replace('"q": "q', '"q": "easy q'), lm_eval(GOOD)),
    "lm-eval: a metric twice": (lm_eval(BAD).replace('"acc": 0', '"acc": 0, "acc": 1'), lm_eval(GOOD)),
    "lm-eval: NaN": (lm_eval(BAD).replace('"acc": 0', '"acc": NaN'), lm_eval(GOOD)),
    "lm-eval: a document twice": (lm_eval([*GOOD, *BAD]), lm_eval(GOOD)),
    "deepeval: more bias": (deepeval(GOOD, bias=True), deepeval(BAD, bias=True)),
    "deepeval: left out": (deepeval(RIGHT), deepeval(GOOD)),
    "deepeval: no score": (deepeval(BAD).replace('"score": 0', '"score": null'), deepeval(GOOD)),
    "deepeval: a score as a text": (deepeval(BAD).replace('"score": 0', '"score": "1"'), deepeval(GOOD)),
    "deepeval: an error beside a score": (
        deepeval(BAD).replace('"score": 0', '"error": "x", "score": 1'),
        deepeval(GOOD),
    ),
    "mlflow: more toxic": (mlflow(GOOD, "toxicity"), mlflow(BAD, "toxicity")),
    "mlflow: slower": (mlflow(GOOD, "latency"), mlflow(BAD, "latency")),
    "mlflow: left out": (mlflow(RIGHT), mlflow(GOOD)),
    "mlflow: null": (mlflow(BAD).replace(", 0]", ", null]"), mlflow(GOOD)),
    "two tools": (deepeval(GOOD), mlflow(GOOD)),
}


@pytest.mark.parametrize("name", OF_TOOLS)
def test_results_of_tools(name: str, attempt: Callable[[Ending], None]) -> None:
    attempt(decide(*OF_TOOLS[name], suffix="json"))


@pytest.mark.parametrize("write", [inspect, lm_eval, deepeval, mlflow])
def test_honest_results_of_tools_pass(write: Callable[[list[dict[str, Any]]], str]) -> None:
    assert decide(write(GOOD), write(NEARLY), suffix="json").green
    assert decide(write(BAD), write(GOOD), suffix="json").exit_code == 1
