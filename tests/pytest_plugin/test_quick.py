"""Cases that passed already are reported as if they had gone through all phases, where nobody takes part in these."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from support.fake_server import FakeServer
from support.project import answer_right, write_suite

# Loaded before pytester takes its snapshots: C extensions cannot be imported twice in one process.
import llmgate.pytest_plugin.items  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES = 40
TAKES_PART = "def pytest_runtest_call(item):\n    print('TAKES', item.name)\n"
SKIPS = """
import pytest

def pytest_collection_modifyitems(items):
    items[CASES - 2].add_marker(pytest.mark.skip(reason='not today'))
""".replace("CASES", str(CASES))


class Reports:
    """Keeps what is reported, and which cases went through pytest's phases."""

    def __init__(self) -> None:
        self.all: list[dict[str, object]] = []
        self.in_phases: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and os.environ.get("PYTEST_CURRENT_TEST", "").startswith(report.nodeid):
            self.in_phases.add(report.nodeid)
        told = {"when": report.when, "outcome": report.outcome, "id": report.nodeid, "location": report.location}
        more = {"keywords": sorted(report.keywords), "sections": report.sections, "said": report.user_properties}
        self.all.append(json.loads(json.dumps({**told, **more})))


def run(pytester: pytest.Pytester, *args: str) -> tuple[Reports, pytest.RunResult]:
    """One run of a suite that all cases pass."""
    folder = pytester.path / "suites"
    if not folder.exists():
        folder.mkdir()
        write_suite(folder, cases=CASES)
    reports = Reports()
    with FakeServer(answer=answer_right) as server:
        fixed = [f"--llmgate-endpoint={server.url}/v1", "--llmgate-as-baseline", "-p", "no:cacheprovider"]
        result = pytester.runpytest_inprocess("suites", *fixed, *args, plugins=[reports])
    return reports, result


def cases(reports: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    return [one for one in reports if "gate::" not in str(one["id"])]


def test_nobody_can_tell_the_difference(pytester: pytest.Pytester) -> None:
    quick, result = run(pytester, "--llmgate-out=quick", "--junitxml=quick.xml")
    assert result.ret == 0
    assert len(quick.in_phases) < CASES  # the first waits for its answer
    pytester.makeconftest(TAKES_PART)
    usual, result = run(pytester, "--llmgate-out=usual", "--junitxml=usual.xml", "-s")
    assert result.ret == 0
    assert sum("TAKES" in line for line in result.outlines) == CASES + 1  # and the gate
    assert len(usual.in_phases) == CASES + 1
    assert cases(quick.all) == cases(usual.all)
    assert len(cases(quick.all)) == 3 * CASES


@pytest.mark.parametrize("option", ["--setup-show", "--pdb"])
def test_whoever_looks_at_phases_sees_them(pytester: pytest.Pytester, option: str) -> None:
    reports, result = run(pytester, "--llmgate-out=run", option)
    assert result.ret == 0
    assert len(reports.in_phases) == CASES + 1


def test_what_marks_a_case_counts(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SKIPS)
    _, result = run(pytester, "--llmgate-out=run")
    assert result.parseoutcomes() == {"passed": CASES, "skipped": 1}
