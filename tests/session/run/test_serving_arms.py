"""Serving in a run's verdict: what is compared with what, what is said when it cannot be, and that it then never passes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer
from support.project import answer_right, write_suite
from support.records import make_manifest
from support.servers import FAKE_VLLM, MARK, marked, model_folder, wait_until
from support.serving_runs import busy, make_trace

from llmgate.bench.workload.workload import digest_bodies
from llmgate.cli import main
from llmgate.record.run.files import MANIFEST
from llmgate.record.run.loading import load_record
from llmgate.record.serving.trace import ServingTrace
from llmgate.session.run.plan import plan_paths
from llmgate.session.run.serving_arms import serving_warnings
from llmgate.session.serving import measuring
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.bench.workload.load import Load
    from llmgate.bench.workload.workload import Workload
    from llmgate.generate.client import Endpoint

SERVING = "serving: {{concurrency: 2, requests: 12, max_tokens: 8, pairs: 6, {gates}}}\n"
COMPARED = "gate: {output_throughput: {margin: 0.05}}"
LIMITED = "min: {output_throughput: 80}"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@dataclass
class Played:
    """A client whose servers have the throughput that is wanted."""

    speed: dict[str, float] = field(default_factory=lambda: {"old": 100.0, "new": 100.0})
    then: Callable[[int, ServingTrace], ServingTrace] = lambda _, trace: trace
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, workload: Workload, endpoint: Endpoint, load: Load, **_: Any) -> ServingTrace:
        number = len(self.asked)
        self.asked.append((endpoint.model, endpoint.url))
        trace = make_trace(
            self.speed.get(endpoint.model, 100.0) * (1.0 + 0.004 * ((number * 7) % 5 - 2)), name=workload.name,
            requests=load.requests, concurrency=load.concurrency, workload_digest=digest_bodies(workload.take(load.requests)), model=endpoint.model,
        )  # fmt: skip
        return self.then(number, trace)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Played:
    """In the place of the real one, for runs of two arms."""
    played = Played()
    monkeypatch.setattr(measuring, "measure_serving", played)
    return played


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def suite(tmp_path: Path, gates: str) -> Path:
    path = write_suite(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + SERVING.format(gates=gates), encoding="utf-8")
    return path


def run(url: str, out: str, *args: object) -> Result:
    return llmgate("run", "words.yaml", "--endpoint", url, "--out", out, *args)


def answers(model: str) -> FakeServer:
    return FakeServer(model=model, answer=answer_right)


def test_an_equal_candidate_passes_with_serving_in_the_verdict(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)
    with answers("old") as old, answers("new") as new:
        first = run(old.url, "champion", "--as-baseline")
        assert first.exit_code == 0, first.output
        done = run(new.url, "candidate", "--baseline", "champion")
        assert done.exit_code == 0, done.output
    assert "6 pairs of runs, together" in done.output
    assert "output throughput" in done.output
    assert {model for model, _ in client.asked} == {"old", "new"}
    record = load_record(tmp_path / "candidate")
    assert [arms.plan.suite for arms in record.arms] == ["words"]
    assert record.arms[0].plan.champion is not None
    assert record.arms[0].plan.champion.model == load_record(tmp_path / "champion").manifest.model
    assert record.serving == (), "runs of two arms stand for the single measurement"
    again = llmgate("decide", "candidate", "champion")
    assert again.exit_code == 0, again.output


def test_a_slower_candidate_fails_although_its_answers_are_as_good(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)
    client.speed["new"] = 90.0
    with answers("old") as old, answers("new") as new:
        run(old.url, "champion", "--as-baseline")
        done = run(new.url, "candidate", "--baseline", "champion")
    assert done.exit_code == 1, done.output
    assert "FAIL Do not ship: " in done.output
    assert "output throughput" in done.output.split("FAIL Do not ship: ")[1]


def test_on_a_busy_machine_it_is_not_decided(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)
    client.then = lambda _, trace: busy(trace)
    with answers("old") as old, answers("new") as new:
        run(old.url, "champion", "--as-baseline")
        done = run(new.url, "candidate", "--baseline", "champion")
    assert done.exit_code == 3, done.output
    assert "no further attempt is left" in done.output
    assert "other processes used" in done.output.split("INCONCLUSIVE")[-1]


def test_a_champion_that_is_gone_is_told_before_anything_is_asked(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)
    with answers("old") as old:
        run(old.url, "champion", "--as-baseline")
    with answers("new") as new:
        done = run(new.url, "candidate", "--baseline", "champion")
    assert done.exit_code == 3, done.output
    warning = "serving is not compared with the champion, so the run will not pass"
    assert done.output.index(warning) < done.output.index("asking new")
    assert client.asked == []
    assert "INCONCLUSIVE" in done.output


def test_another_place_of_the_champion_can_be_named(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)
    with answers("old") as old:
        run(old.url, "champion", "--as-baseline")
    with answers("old") as moved, answers("new") as new:
        wrong = run(new.url, "x", "--baseline", "champion", "--serving-champion", "http://127.0.0.1:9")
        assert wrong.exit_code == 4, wrong.output
        assert new.seen == [], "nothing was asked"
        done = run(new.url, "candidate", "--baseline", "champion", "--serving-champion", moved.url)
    assert {url for model, url in client.asked if model == "old"} == {f"{moved.url}/v1"}
    assert done.exit_code in {0, 3}, done.output


def test_two_names_on_one_server_share_it(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)
    with answers("old") as old:
        run(old.url, "champion", "--as-baseline")
        old.model = "new"
        done = run(old.url, "candidate", "--baseline", "champion", "--serving-champion", f"{old.url}#new")
    assert "shared (one server serves both)" in done.output
    assert done.exit_code != 0, "the champion's arm is another model than the champion's run asked"
    assert len(client.asked) == 12


def test_without_measuring_nothing_passes(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)
    with answers("old") as old, answers("new") as new:
        run(old.url, "champion", "--as-baseline")
        done = run(new.url, "candidate", "--baseline", "champion", "--no-bench")
    assert done.exit_code == 3, done.output
    assert "is not measured (--no-bench)" in done.output
    assert client.asked == []


@pytest.mark.parametrize(("speed", "code"), [(100.0, 0), (60.0, 1)])
def test_limits_need_no_champion(tmp_path: Path, client: Played, speed: float, code: int) -> None:
    suite(tmp_path, LIMITED)
    client.speed["new"] = speed
    with answers("new") as new:
        done = run(new.url, "candidate")
    assert done.exit_code == code, done.output
    assert [model for model, _ in client.asked] == ["new"] * 6
    assert load_record(tmp_path / "candidate").arms[0].plan.champion is None


def test_without_a_champion_margins_leave_the_single_measurement(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)
    with answers("new") as new:
        done = run(new.url, "candidate", "--as-baseline")
    assert done.exit_code == 0, done.output
    assert client.asked == []
    assert [trace.name for trace in load_record(tmp_path / "candidate").serving] == ["words"]


def test_a_comparison_that_was_interrupted_is_gone_on_with(tmp_path: Path, client: Played) -> None:
    suite(tmp_path, COMPARED)

    def end(number: int, trace: ServingTrace) -> ServingTrace:
        if number == 5:
            raise KeyboardInterrupt
        return trace

    with answers("old") as old, answers("new") as new:
        run(old.url, "champion", "--as-baseline")
        client.then = end
        stopped = run(new.url, "candidate", "--baseline", "champion")
        assert stopped.exit_code == 4
        asked = len(new.seen)
        client.then = lambda _, trace: trace
        done = run(new.url, "candidate", "--baseline", "champion", "--resume")
        assert len(new.seen) == asked, "answers are kept"
    assert done.exit_code == 0, done.output
    arms = load_record(tmp_path / "candidate").arms[0]
    assert [bool(each.discarded) for each in arms.runs[:6]] == [False, False, False, False, True, False]
    assert len(arms.runs) == 13


def test_a_champion_whose_folder_is_gone_is_told_before_any_server_starts(tmp_path: Path) -> None:
    path = suite(tmp_path, COMPARED)
    settings = settings_from({}, root=tmp_path)
    plan = plan_paths([path], settings)
    manifest = make_manifest()
    own = replace(manifest.server, owned=True, flags=("--seed", "0"))
    (tmp_path / "old").mkdir()
    MANIFEST.write(tmp_path / "old", replace(manifest, server=own, model=replace(manifest.model, source="/gone/model")))
    (line,) = serving_warnings(settings, plan, tmp_path / "old")
    assert "/gone/model is not there" in line
    assert "the run will not pass" in line
    assert list(serving_warnings(settings, plan, None)) == []
    assert list(serving_warnings(replace(settings, no_bench=True), plan, tmp_path / "old")) == []


@pytest.mark.usefixtures("own_lock")
@pytest.mark.parametrize(("hosting", "starts"), [("together", 2), ("restarts", 13)])
def test_servers_of_ours_serve_both_and_end(
    tmp_path: Path, client: Played, monkeypatch: pytest.MonkeyPatch, hosting: str, starts: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv(MARK, str(tmp_path))
    suite(tmp_path, COMPARED)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = model_folder(tmp_path / "old"), model_folder(tmp_path / "new")
    (new / "generation_config.json").write_text("{}", encoding="utf-8")
    first = llmgate("run", "words.yaml", "--model", old, "--out", "champion", "--as-baseline", "--server-args", "--x 1")
    assert first.exit_code == 0, first.output
    done = llmgate(
        "run",
        "words.yaml",
        "--model",
        new,
        "--out",
        "candidate",
        "--baseline",
        "champion",
        "--serving-hosting",
        hosting,
    )
    assert done.exit_code == 0, done.output
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30)
    assert done.output.count("vLLM: ready") == done.output.count("stopping the server") == starts
    record = load_record(tmp_path / "candidate")
    plan = record.arms[0].plan
    assert plan.hosting == hosting
    assert plan.champion is not None
    assert plan.champion.model.weights_digest == load_record(tmp_path / "champion").manifest.model.weights_digest
    assert plan.champion.server.flags == load_record(tmp_path / "champion").manifest.server.flags
    assert "--x" not in plan.candidate.server.flags
    assert plan.candidate.model.weights_digest == record.manifest.model.weights_digest
