"""Cases that nothing checks: asked, recorded and compared, and neither passed nor missed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner
from support.fake_server import FakeServer, Fault
from support.project import answer_right

# Loaded before pytester takes its snapshots: C extensions cannot be imported twice in one process.
import llmgate.pytest_plugin.items  # noqa: F401
from llmgate.cli import main
from llmgate.gate.decide_records import decide_records
from llmgate.record.run.loading import load_record
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    import pytest

HEAD = """\
llmgate: 1
suite: {name}
version: 1.0.0
dataset: {name}.jsonl
prompt: [{{role: user, content: "Say {{{{ q }}}}"}}]
"""


def write(folder: Path, name: str, rest: str, rows: list[dict[str, object]]) -> Path:
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_lock(data, licence="Apache-2.0")
    path = folder / f"{name}.yaml"
    path.write_text(HEAD.format(name=name) + rest, encoding="utf-8")
    return path


def bare(folder: Path) -> Path:
    return write(folder, "bare", "assert: []\n", [{"id": f"c{i}", "q": f"word {i}"} for i in range(5)])


def mixed(folder: Path, cases: int = 30) -> Path:
    own: list[object] = [{"type": "contains", "value": "word"}]
    rows: list[dict[str, object]] = [
        {"id": f"c{i}", "q": f"word {i}", "own": own if i % 2 else []} for i in range(2 * cases)
    ]
    return write(folder, "mixed", "case: {asserts: own}\nassert: []\ngate: {accuracy: {min: 0.5}}\n", rows)


def run(pytester: pytest.Pytester, server: FakeServer, *args: str | Path) -> pytest.RunResult:
    return pytester.runpytest_inprocess(
        *args, f"--llmgate-endpoint={server.url}", "--llmgate-out=run", "-p", "no:cacheprovider", "-p", "no:randomly"
    )


def test_recorded_cases_have_a_status_of_their_own(pytester: pytest.Pytester) -> None:
    with FakeServer() as server:
        result = run(pytester, server, mixed(pytester.path))
    assert result.parseoutcomes() == {"passed": 31, "recorded": 30}
    assert result.ret == 0
    record = load_record(pytester.path / "run")
    assert [case.unchecked for case in record.cases[:2]] == [True, False]
    (metric,) = [m for m in decide_records(record, None).metrics if m.metric == "accuracy"]
    assert (metric.expected, metric.evaluated, metric.errors) == (30, 30, 0)


def test_a_session_of_nothing_but_recorded_cases_decides_nothing(pytester: pytest.Pytester) -> None:
    suite = bare(pytester.path)
    with FakeServer() as server:
        result = run(pytester, server, suite)
        assert result.parseoutcomes() == {"recorded": 5}
        result.stdout.no_fnmatch_line("PASS*")
        (pytester.path / "run").rename(pytester.path / "first")
        strict = run(pytester, server, suite, "--llmgate-require-verdict")
    assert strict.ret == 1


def test_the_command_never_says_pass_of_a_suite_that_checks_nothing(tmp_path: Path) -> None:
    suite = bare(tmp_path)
    with FakeServer() as server:
        champion, candidate = str(tmp_path / "champion"), str(tmp_path / "candidate")
        first = CliRunner().invoke(main, ["run", str(suite), "--endpoint", server.url, "--out", champion])
        options = ["--endpoint", server.url, "--out", candidate, "--baseline", champion]
        second = CliRunner().invoke(main, ["run", str(suite), *options])
    for done in (first, second):
        assert done.exit_code == 3, done.output
        assert "INCONCLUSIVE" in done.output
        assert "PASS" not in done.output.replace("INCONCLUSIVE", "")
    decision = decide_records(load_record(Path(candidate)), load_record(Path(champion)))
    assert {change.trait.value for change in decision.outputs} >= {"length", "refusals"}


def test_a_trait_may_gate_where_nothing_else_is_checked(tmp_path: Path) -> None:
    suite = bare(tmp_path)
    suite.write_text(suite.read_text(encoding="utf-8") + "drift: {refusals: {max: 0.9}}\n", encoding="utf-8")
    with FakeServer() as server:
        done = CliRunner().invoke(main, ["run", str(suite), "--endpoint", server.url, "--out", str(tmp_path / "run")])
    assert "refusals" in done.output


def test_an_unanswered_recorded_case_keeps_no_gate_shut(tmp_path: Path) -> None:
    suite = mixed(tmp_path)

    # c4 is asked for word 4 and has no assert.
    with FakeServer(faults=lambda _, body: Fault.HTTP_400 if answer_right(body) == "word 4" else None) as server:
        done = CliRunner().invoke(main, ["run", str(suite), "--endpoint", server.url, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
