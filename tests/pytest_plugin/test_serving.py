"""Serving that gates, under pytest: the same way as `llmgate run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer
from support.project import answer_right, write_suite
from support.serving_runs import make_trace

# Loaded before pytester takes its snapshots: C extensions cannot be imported twice in one process.
import llmgate.pytest_plugin.items  # noqa: F401
from llmgate.bench.workload.workload import digest_bodies
from llmgate.record.run.loading import load_record
from llmgate.session.serving import measuring

if TYPE_CHECKING:
    from llmgate.record.serving.trace import ServingTrace

SERVING = (
    "serving: {concurrency: 2, requests: 12, max_tokens: 8, pairs: 6, gate: {output_throughput: {margin: 0.05}}}\n"
)


def run(pytester: pytest.Pytester, server: FakeServer, out: str, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(
        "words.yaml", f"--llmgate-endpoint={server.url}", f"--llmgate-out={out}", *args,
        "-p", "no:cacheprovider", "-p", "no:randomly",
    )  # fmt: skip


@pytest.mark.parametrize(("speed", "code", "says"), [(100.0, 0, "PASS Ship: *"), (90.0, 1, "FAIL Do not ship: *")])
def test_a_slower_candidate_does_not_pass_here_either(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, speed: float, code: int, says: str
) -> None:
    made = {"old": 100.0, "new": speed, "runs": 0.0}

    async def play(workload: Any, endpoint: Any, load: Any, **_: Any) -> ServingTrace:
        made["runs"] += 1
        noise = 1.0 + 0.004 * ((made["runs"] * 7) % 5 - 2)
        digest = digest_bodies(workload.take(load.requests))
        return make_trace(
            made[endpoint.model] * noise, name=workload.name, model=endpoint.model, workload_digest=digest
        )

    monkeypatch.setattr(measuring, "measure_serving", play)
    suite = write_suite(pytester.path)
    suite.write_text(suite.read_text(encoding="utf-8") + SERVING, encoding="utf-8")
    with FakeServer(model="old", answer=answer_right) as old, FakeServer(model="new", answer=answer_right) as new:
        assert run(pytester, old, "champion", "--llmgate-as-baseline").ret == 0
        result = run(pytester, new, "candidate", "--llmgate-baseline=champion")
    assert result.ret == code
    result.stdout.fnmatch_lines([says])
    assert made["runs"] == 12
    assert len(load_record(pytester.path / "candidate").arms[0].runs) == 12


def test_a_part_of_a_suite_measures_no_serving(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    suite.write_text(suite.read_text(encoding="utf-8") + SERVING, encoding="utf-8")
    with FakeServer(model="old", answer=answer_right) as old, FakeServer(model="new", answer=answer_right) as new:
        assert run(pytester, old, "champion", "--llmgate-as-baseline").ret == 0
        result = run(pytester, new, "candidate", "--llmgate-baseline=champion", "-k", "word-3")
    result.assert_outcomes(passed=11)
    assert load_record(pytester.path / "candidate").arms == ()
