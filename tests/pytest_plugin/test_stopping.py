"""Suites that stop early under pytest: what was never asked says so and fails nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fake_server import FakeServer
from support.project import answer_right, let_stop, write_suite

from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from pathlib import Path


def run(pytester: pytest.Pytester, server: FakeServer, *args: str | Path) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        *args,
        f"--llmgate-endpoint={server.url}",
        "--llmgate-out=run",
        "--llmgate-concurrency=4",
        "-p",
        "no:cacheprovider",
        timeout=600,
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_cases_that_were_never_asked_have_a_status_of_their_own(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    suite = let_stop(write_suite(pytester.path, cases=100, gate="min: 0.7"), "looks: 4")
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, *workers)
    assert result.ret == 0
    asked = len(load_record(pytester.path / "run").results)
    assert asked < 100
    assert result.parseoutcomes() == {"passed": asked + 1, "unasked": 100 - asked}
    result.stdout.fnmatch_lines([f"*words stopped at interim look * of 4: {asked} of 100 cases asked*"])


def test_a_part_of_a_suite_never_stops(pytester: pytest.Pytester) -> None:
    suite = let_stop(write_suite(pytester.path, cases=100, gate="min: 0.7"), "looks: 4")
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, "--deselect", "words.yaml::gate::accuracy")
    assert result.parseoutcomes() == {"passed": 100, "deselected": 1}
    assert load_record(pytester.path / "run").manifest.looks == ()
