"""With pytest-xdist the controller asks and the workers report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fake_server import FakeServer, Fault
from support.project import WRONG, answer_right, write_suite

from llmgate.pytest_plugin.payload import PAYLOAD_VERSION, from_payload
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from pathlib import Path


def run(pytester: pytest.Pytester, server: FakeServer, *args: str | Path) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        *args, f"--llmgate-endpoint={server.url}", "--llmgate-out=run", "-p", "no:cacheprovider", timeout=600
    )


def test_two_workers_ask_once_and_keep_the_server_full(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=100)

    def answer(body: dict[str, object]) -> str:
        right = answer_right(body)
        return WRONG if right in {"word-3", "word-50"} else right

    with FakeServer(answer=answer, ttft_s=0.2) as server:
        result = run(pytester, server, suite, "-n", "2")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 99, "missed": 2}
    assert len(server.seen) == 100
    assert server.peak == 32
    result.stdout.fnmatch_lines(["PASS Ship: *"])
    assert len(load_record(pytester.path / "run").results) == 100


@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_suite_outside_the_root_is_run_too(pytester: pytest.Pytester, named: str) -> None:
    (pytester.path / "here").mkdir()
    (pytester.path / "there").mkdir()
    suite = write_suite(pytester.path / "there", cases=4, gate="min: 0.2")
    with FakeServer(answer=answer_right) as server:
        root = f"--rootdir={pytester.path / 'here'}"
        result = run(pytester, server, suite if named == "file" else suite.parent, root, "-n", "2")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 5}


def test_a_failing_gate_fails_under_xdist_too(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, gate="min: 0.9")
    with FakeServer(answer=lambda _: WRONG) as server:
        result = run(pytester, server, suite, "-n", "2")
    assert result.ret == 1
    assert result.parseoutcomes() == {"missed": 40, "failed": 1}
    result.stdout.fnmatch_lines(["FAIL Do not ship: *"])


def test_errors_bar_pass_under_xdist_too(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right, faults={3: Fault.HTTP_400}) as server:
        result = run(pytester, server, suite, "-n", "2")
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 39, "failed": 2}


def test_a_worker_that_crashes_loses_no_answer_and_the_session_fails(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    crash = pytester.makepyfile("import os\ndef test_crash(): os._exit(3)")
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, crash, "-n", "2")
    assert result.ret == 1
    assert len(server.seen) == 40
    assert len(load_record(pytester.path / "run").results) == 40


def test_an_endpoint_that_is_down_ends_workers_too(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=6)
    with FakeServer() as server:
        server.die()
        result = run(pytester, server, suite, "-n", "2")
    assert result.ret == 1
    assert "passed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["NO VERDICT: *cannot be reached*"])


def test_it_works_without_xdist(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=5, gate="min: 0.3")
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, "-p", "no:xdist")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 6}


def test_no_llmgate_collects_no_suite(pytester: pytest.Pytester) -> None:
    write_suite(pytester.path)
    pytester.makepyfile("def test_unrelated(): pass")
    result = pytester.runpytest_subprocess("-p", "no:llmgate")
    assert result.parseoutcomes() == {"passed": 1}


@pytest.mark.parametrize("payload", [{}, {"llmgate": {"version": PAYLOAD_VERSION + 1, "out": "x"}}])
def test_a_payload_of_another_version_is_refused(payload: dict[str, object]) -> None:
    with pytest.raises(pytest.UsageError, match="Install the same llmgate"):
        from_payload(payload)
