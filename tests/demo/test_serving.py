"""The demo of serving: what it shows, the processes that keep the machine busy, and the engine that pauses."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.servers import wait_until
from support.serving_runs import make_arms

from llmgate.demo.serving import FIGURE, Scene, burners, show
from llmgate.demo.slow_engine import SHARE, slowed, with_pause
from llmgate.gate.decide import decide_serving
from llmgate.gate.decision.types import Verdict
from llmgate.gate.serving.arms import run_serving_tests
from llmgate.record.serving.policy import ServingPolicy
from llmgate.session.run.by_hand import Comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

OLD = [100.0 + (7 * k) % 5 for k in range(8)]


def comparison(new: Sequence[float]) -> Comparison:
    arms = make_arms(list(new), OLD)
    policy = ServingPolicy(suite=arms.plan.suite, metric=FIGURE)
    return Comparison(
        decision=decide_serving(run_serving_tests([policy], [arms], champion=True)), arms=arms, gpu_minutes=0.0
    )


def test_the_table_fits_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    new = [value * (0.9 + 0.01 * (k % 2)) for k, value in enumerate(OLD)]
    done = [
        (Scene(title="a slower one", expected=Verdict.FAIL), comparison(new)),
        (Scene(title="a busy machine", expected=Verdict.INCONCLUSIVE), comparison(OLD[:3])),
    ]
    assert [each.decision.verdict for _, each in done] == [Verdict.FAIL, Verdict.INCONCLUSIVE]
    show(done)
    shown = capsys.readouterr().out
    assert "FAIL" in shown
    assert "INCONCLUSIVE" in shown
    assert max(map(len, shown[: shown.rindex("└")].splitlines())) <= 80
    assert "a slower one: Do not ship: output throughput fell" in shown


def computing(flag_in: Path) -> list[int]:
    """Processes that burn for a file in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(os.fsencode(flag_in)) for word in words) and b"-c" in words and b"/bin/sh" not in words:
            found.append(int(process.name))
    return found


def test_busy_processes_are_nobodys_children_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with burners(2):
        assert wait_until(lambda: len(computing(tmp_path)) == 2)
        parents = [
            int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            for pid in computing(tmp_path)
        ]
        assert os.getpid() not in parents
    assert wait_until(lambda: not computing(tmp_path))


def test_the_slow_engine_is_found_by_its_entry_point(tmp_path: Path) -> None:
    env = slowed(tmp_path, 0.2)
    assert float(env[SHARE]) == pytest.approx(0.25)
    first = env["PYTHONPATH"].split(os.pathsep)[0]
    found = [
        entry
        for dist in importlib.metadata.distributions(path=[first])
        for entry in dist.entry_points.select(group="vllm.general_plugins")
    ]
    assert [entry.value for entry in found] == ["llmgate.demo.slow_engine:install"]
    assert callable(found[0].load())


def test_a_step_is_followed_by_a_pause_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", slept.append)

    def step(executed: bool) -> tuple[str, bool]:
        now[0] += 2.0
        return "outputs", executed

    paused = with_pause(step, 0.25)
    assert paused(True) == ("outputs", True)
    assert paused(False) == ("outputs", False)
    assert slept == [0.5]
