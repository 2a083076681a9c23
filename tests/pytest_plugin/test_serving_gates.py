"""Serving figures that gate are items of their own: what is too slow fails the session, whatever was answered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from support.fake_server import FakeServer
from support.project import answer_right, write_suite
from support.serving_runs import make_trace, noisy

# Loaded before pytester takes its snapshots: C extensions cannot be imported twice in one process.
import llmgate.pytest_plugin.terminal  # noqa: F401
from llmgate.bench.workload.workload import digest_bodies
from llmgate.session.serving import measuring

if TYPE_CHECKING:
    import pytest

    from llmgate.bench.workload.load import Load
    from llmgate.bench.workload.workload import Workload
    from llmgate.generate.client import Endpoint
    from llmgate.record.serving.trace import ServingTrace

SERVING = """serving:
  concurrency: 2
  requests: 12
  max_tokens: 8
  pairs: 6
  gate: {output_throughput: {min: 80, margin: null}, median_ttft_ms: {max: 1, margin: null, role: watch}}
"""


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, speed: float, *args: str) -> pytest.RunResult:
    figures = iter(noisy(speed, 100))

    async def measured(workload: Workload, endpoint: Endpoint, load: Load, **_: Any) -> ServingTrace:
        return make_trace(
            next(figures),
            name=workload.name,
            requests=load.requests,
            concurrency=load.concurrency,
            workload_digest=digest_bodies(workload.take(load.requests)),
            model=endpoint.model,
        )

    monkeypatch.setattr(measuring, "measure_serving", measured)
    path = write_suite(pytester.path, cases=10, gate="min: 0.2")
    path.write_text(path.read_text(encoding="utf-8") + SERVING, encoding="utf-8")
    with FakeServer(answer=answer_right) as server:
        return pytester.runpytest_inprocess(
            path, f"--llmgate-endpoint={server.url}", "--llmgate-out=run", "-p", "no:cacheprovider", *args
        )


def test_fast_enough_passes_and_says_how_it_was_measured(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, 100.0, "--junitxml=junit.xml")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 12}
    result.stdout.fnmatch_lines(["*words::output throughput*", "Runs *6 of 6 runs were measured.*", "PASS Ship: *"])
    names = re.findall(r'classname="([^"]*)" name="([^"]*)"', (pytester.path / "junit.xml").read_text(encoding="utf-8"))
    gates = [(where, name) for where, name in names if "gate" in where]
    assert gates == [("words.yaml.gate", "accuracy"), ("words.yaml.gate.serving", "output_throughput")]


def test_too_slow_fails_although_the_answers_are_good(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, 50.0)
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 11, "failed": 1}
    result.stdout.fnmatch_lines(["FAIL Do not ship: *", "FAILED *gate::serving::output_throughput - FAIL: *"])


def test_what_was_not_measured_passes_no_gate(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(pytester, monkeypatch, 100.0, "--llmgate-no-bench")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED *gate::serving::output_throughput - INCONCLUSIVE: *"])
