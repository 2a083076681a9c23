"""Asserts, thresholds and metrics that rows bring themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.fake_server import FakeServer

import llmgate
from llmgate.cli import main
from llmgate.errors import SuiteError
from llmgate.record.policy import Role
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.cases import PlannedSuite, plan_suite
from llmgate.suite.data.dataset import write_lock
from llmgate.suite.spec import load_suite

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
llmgate: 1
suite: own
version: 1.0.0
dataset: {data}
case: {case}
prompt: [{{role: user, content: "{{{{ q }}}}"}}]
"""


def write(folder: Path, rows: list[dict[str, Any]] | str, *, case: str = "{asserts: checks}", more: str = "") -> Path:
    data = folder / ("own.csv" if isinstance(rows, str) else "own.jsonl")
    text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    data.write_text(text, encoding="utf-8")
    write_lock(data)
    path = folder / "own.yaml"
    path.write_text(HEAD.format(data=data.name, case=case) + more, encoding="utf-8")
    return path


def plan(path: Path) -> PlannedSuite:
    return plan_suite(load_suite(path, VOCABULARY), VOCABULARY)


def row(name: str, checks: object, **more: Any) -> dict[str, Any]:
    return {"id": name, "q": name, "checks": checks, **more}


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ("contains: a", "no list of asserts"),
        ([3], "no list of asserts"),
        ([{"type": "contians", "value": "a"}], "unknown assert type 'contians'. Did you mean contains"),
        ([{"type": "contains", "value": "a", "weigth": 1}], "weigth"),
        ([{"value": "a"}], "type"),
        ([{"type": "contains"}], "no value"),
        ([{"type": "contains", "value": "{{ nothing }}"}], "'nothing', which is no column"),
        ([], "nothing checks the row 'b'"),
        (None, "nothing checks the row 'b'"),
    ],
)
def test_what_a_row_gets_wrong_is_refused_with_its_line(tmp_path: Path, checks: object, message: str) -> None:
    good = [{"type": "contains", "value": "a"}]
    with pytest.raises(SuiteError) as caught:
        plan(write(tmp_path, [row("a", good), row("b", checks)]))
    assert message in str(caught.value)
    assert "own.jsonl:2" in str(caught.value)


@pytest.mark.parametrize("threshold", [0, -1, True, "0.5", [1]])
def test_a_threshold_that_cannot_be_missed_is_refused(tmp_path: Path, threshold: object) -> None:
    rows = [row("a", [{"type": "contains", "value": "a"}], least=threshold)]
    with pytest.raises(SuiteError, match="threshold"):
        plan(write(tmp_path, rows, case="{asserts: checks, threshold: least}"))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no column 'cheks'. Did you mean checks"):
        plan(write(tmp_path, [row("a", None)], case="{asserts: cheks}", more="assert: [{type: contains, value: a}]\n"))


def test_a_suite_without_any_assert_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no assert"):
        plan(write(tmp_path, [row("a", None)], case="{id: id}"))


def test_an_empty_list_of_asserts_lets_rows_go_unchecked(tmp_path: Path) -> None:
    rows = [row("a", [{"type": "contains", "value": "{{ q }}"}], least=0.5), row("b", [], least=0.5), row("c", None)]
    rows[2]["least"] = None
    planned = plan(write(tmp_path, rows, case="{asserts: checks, threshold: least}", more="assert: []\n"))
    assert [case.planned.metrics for case in planned.cases] == [("accuracy",), (), ()]
    assert [case.planned.unchecked for case in planned.cases] == [False, True, True]
    assert [case.planned.threshold for case in planned.cases] == [0.5, None, None]  # nothing could miss one


def test_a_suite_of_nothing_but_recorded_answers_has_no_metric(tmp_path: Path) -> None:
    planned = plan(write(tmp_path, [row("a", None)], case="{id: id}", more="assert: []\n"))
    assert planned.suite.metrics == ()
    assert [case.planned.metrics for case in planned.cases] == [()]


def test_no_gate_rests_on_rows_that_nothing_checks(tmp_path: Path) -> None:
    more = "assert: []\ngate: {accuracy: {min: 0.5}}\n"
    with pytest.raises(SuiteError, match="no assert feeds the metric 'accuracy'"):
        plan(write(tmp_path, [row("a", None)], case="{id: id}", more=more))


def test_rows_add_to_what_the_suite_checks_and_say_which_metrics_they_feed(tmp_path: Path) -> None:
    more = "assert: [{type: not-contains, value: sorry}]\ndefaults: {metric: base}\nthreshold: 0.9\n"
    rows = [
        row("a", [{"type": "contains", "value": "{{ q }}", "metric": "extra"}], least=0.5),
        row("b", None, least=None),
        row("c", [{"type": "contains", "value": "{{ q }}", "metric": "extra"}], least=None),
    ]
    planned = plan(write(tmp_path, rows, case="{asserts: checks, threshold: least}", more=more))
    assert [case.planned.metrics for case in planned.cases] == [("base", "extra"), ("base",), ("base", "extra")]
    assert [case.planned.threshold for case in planned.cases] == [0.5, 0.9, 0.9]
    assert [metric.metric for metric in planned.suite.metrics] == ["base", "extra"]
    assert planned.cases[0].asserts[1] is planned.cases[2].asserts[1], "equal asserts are prepared once"
    assert "contains: a" in planned.cases[0].planned.expected


def test_the_digest_covers_the_meaning_of_row_asserts(tmp_path: Path) -> None:
    one = plan(write(tmp_path, [row("a", [{"type": "contains", "value": "a"}])]))
    assert one.suite.digest != load_suite(tmp_path / "own.yaml", VOCABULARY).digest


def test_a_gate_may_name_a_metric_that_only_rows_feed(tmp_path: Path) -> None:
    rows = [row("a", [{"type": "llm-rubric", "value": "kind", "metric": "tone"}, {"type": "contains", "value": "a"}])]
    planned = plan(write(tmp_path, rows, more="gate: {accuracy: {min: 0.5}, tone: {role: watch}}\n"))
    assert {m.metric: (m.role, m.judged) for m in planned.suite.metrics} == {
        "tone": (Role.WATCH, True), "accuracy": (Role.PRIMARY, False),
    }  # fmt: skip
    with pytest.raises(SuiteError, match="no assert feeds the metric 'accurcy'. Did you mean accuracy"):
        plan(write(tmp_path, rows, more="gate: {accurcy: {min: 0.5}}\n"))


CSV = """\
id,q,__expected,__expected2,__threshold
a,Paris,icontains: paris,starts-with: P,
b,Rome,"contains-any: Rome, Roma",not-contains: Paris,0.5
"""


def test_csv_files_bring_expected_cells(tmp_path: Path) -> None:
    planned = plan(write(tmp_path, CSV, case="{id: id}"))
    assert [[spec.name for spec in case.asserts] for case in planned.cases] == [
        ["icontains", "starts-with"], ["contains-any", "not-contains"],
    ]  # fmt: skip
    assert [case.planned.threshold for case in planned.cases] == [None, 0.5]
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(SuiteError, match=r"own.csv:2.*threshold"):
        plan(write(other, CSV.replace(",\nb", ",much\nb"), case="{id: id}"))


def test_a_run_decides_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    some = [{"type": "contains", "value": "{{ q }}"}, {"type": "contains", "value": "nowhere", "metric": "rare"}]
    rows = [row(f"r{i}", some if i < 3 else some[:1], least=0.5 if i == 0 else None) for i in range(20)]
    write(tmp_path, rows, case="{asserts: checks, threshold: least}", more="gate: {accuracy: {min: 0.5}}\n")
    with FakeServer() as server:
        done = CliRunner().invoke(main, ["run", "own.yaml", "--endpoint", server.url, "--out", "run"])
    assert done.exit_code == 0, done.output
    record = llmgate.load_record(tmp_path / "run")
    passed = {key.case: result.passed for key, result in record.results.items()}
    assert passed == {f"r{i}": i == 0 or i > 2 for i in range(20)}
    # `rare` is fed by three cases; the others are not missing from it.
    decision = json.loads((tmp_path / "run" / "decision.json").read_text(encoding="utf-8"))
    rare = next(metric for metric in decision["metrics"] if metric["metric"] == "rare")
    assert (rare["expected"], rare["evaluated"], rare["errors"]) == (3, 3, 0)
