"""`llmgate bench --compare A B`: what it asks, what it says, and that servers of ours end."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.adapters import write_adapter
from support.fake_server import FakeServer
from support.project import write_suite
from support.servers import FAKE_VLLM, MARK, marked, model_folder, wait_until
from support.serving_runs import busy, make_trace

from llmgate.bench.workload.workload import digest_bodies
from llmgate.cli import main
from llmgate.errors import ServerError, UsageError
from llmgate.gate.decision.types import Verdict
from llmgate.record.policy_words import Role
from llmgate.record.schema import Message
from llmgate.record.serving.plan import ServingSpec
from llmgate.session.run.by_hand import ByHand, compare_by_hand, gated_spec
from llmgate.session.serving import measuring
from llmgate.session.serving.measuring import Eyes
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.bench.workload.load import Load
    from llmgate.bench.workload.workload import Workload
    from llmgate.generate.client import Endpoint
    from llmgate.record.serving.trace import ServingTrace

SPEC = ServingSpec(concurrency=2, requests=8, max_tokens=4, warmup=1)
PROMPTS = [[Message(role="user", content=f"Say word-{k}")] for k in range(8)]
QUIET = Eyes(watches=lambda _: (), contended=lambda _: None)
"""These tests are about servers, and the machine may be busy with other tests."""


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@dataclass
class Lines:
    """Progress that keeps its lines."""

    lines: list[str] = field(default_factory=list)

    def stage(self, text: str) -> None:
        self.lines.append(text)

    def count(self, what: str, done: int, total: int) -> None:
        del what, done, total

    def check(self) -> None:
        pass


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def asked(*metrics: str, most: tuple[str, ...] = (), least: tuple[str, ...] = (), **spec: Any) -> ByHand:
    return ByHand(
        champion="a", candidate="b", pairs=6, margin=0.05, metrics=metrics, most=most, least=least,
        spec=replace(SPEC, **spec),
    )  # fmt: skip


# What is asked.


def test_without_metrics_throughput_and_the_medians_gate() -> None:
    gates = gated_spec(asked(), name="words").gates
    assert [(gate.metric, gate.margin, gate.gates) for gate in gates] == [
        ("output_throughput", 0.05, True),
        ("median_ttft_ms", 0.05, True),
        ("median_tpot_ms", 0.05, True),
    ]


def test_figures_have_settings_and_limits_of_their_own() -> None:
    spec = gated_spec(
        asked(
            "output_throughput:margin=0.1,role=guardrail", "ttft_median_ms", most=("median_ttft_ms=500", "e2el_mean_ms=9"),
            requests=8,
        ),
        name="words",
    )  # fmt: skip
    gates = {gate.metric: gate for gate in spec.gates}
    assert gates["output_throughput"].margin == 0.1
    assert gates["output_throughput"].role is Role.GUARDRAIL
    assert (gates["median_ttft_ms"].margin, gates["median_ttft_ms"].max) == (0.05, 500.0)
    assert (gates["mean_e2el_ms"].margin, gates["mean_e2el_ms"].max) == (None, 9.0)
    assert spec.pairs == 6


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (asked("output_troughput"), "output_throughput"),
        (asked("output_throughput:margin=2"), "margin is 2"),
        (asked("output_throughput:margin=x"), "'x' is no number"),
        (asked("output_throughput:lax=1"), "'lax=1' says nothing of a figure"),
        (asked("output_throughput", "output_throughput"), "named twice"),
        (asked(most=("p95_ttft_ms=500",)), "rests on the few slowest"),
        (asked(most=("median_ttft_ms",)), "is no limit"),
        (asked(most=("output_throughput=5",)), "more is better"),
        (asked("request_goodput"), "service levels"),
        (asked(requests=5), "no steady part"),
        (replace(asked(), pairs=3), "6"),
    ],
)
def test_what_could_not_be_decided_is_refused_before_anything_starts(question: ByHand, says: str) -> None:
    with pytest.raises(UsageError) as error:
        gated_spec(question, name="words")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--compare", "./gone", "http://127.0.0.1:9"), "no such model folder"),
        (("--compare", "http://127.0.0.1:9", "http://127.0.0.1:9", "--endpoint", "http://x"), "names both servers"),
        (("--compare", "http://127.0.0.1:9", "http://127.0.0.1:9", "--compare-args-a", "--x"), "that llmgate starts"),
        (("--endpoint", "http://127.0.0.1:9", "--metric", "output_throughput"), "--metric is for a comparison"),
        (("--endpoint", "http://127.0.0.1:9", "--out", "x"), "--out is for a comparison"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path: Path, args: tuple[str, ...], says: str) -> None:
    write_suite(tmp_path)
    done = llmgate("bench", "words.yaml", *args)
    assert done.exit_code == 2, done.output
    assert says in done.output


# What it says, with a client that is played.


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Tokens per second by model; `then` changes a trace."""
    facts: dict[str, Any] = {"old": 100.0, "new": 100.0, "then": lambda trace: trace, "made": 0}

    async def play(workload: Workload, endpoint: Endpoint, load: Load, **_: Any) -> ServingTrace:
        facts["made"] += 1
        noise = 1.0 + 0.004 * ((facts["made"] * 7) % 5 - 2)
        return facts["then"](  # type: ignore[no-any-return]
            make_trace(
                facts.get(endpoint.model, 100.0) * noise, name=workload.name, requests=load.requests, model=endpoint.model,
                workload_digest=digest_bodies(workload.take(load.requests)),
            )
        )  # fmt: skip

    monkeypatch.setattr(measuring, "measure_serving", play)
    return facts


def compare(*args: str) -> Result:
    with FakeServer(model="old") as old, FakeServer(model="new") as new:
        return llmgate(
            "bench", "words.yaml", "--compare", old.url, f"{new.url}#new", "--pairs", 6, "--requests", 12,
            "--in-flight", 2, *args,
        )  # fmt: skip


@pytest.mark.parametrize(("speed", "code", "word"), [(100.0, 0, "PASS"), (90.0, 1, "FAIL Do not ship")])
def test_it_exits_by_the_verdict(tmp_path: Path, speeds: dict[str, Any], speed: float, code: int, word: str) -> None:
    write_suite(tmp_path)
    speeds["new"] = speed
    done = compare("--out", "kept")
    assert done.exit_code == code, done.output
    assert word in done.output
    assert "output throughput" in done.output
    names = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"arms-words.json", "arms-words.0.json", "arms-words.11.json", "decision.json"} <= names


def test_on_a_busy_machine_it_exits_with_three(tmp_path: Path, speeds: dict[str, Any]) -> None:
    write_suite(tmp_path)
    speeds["then"] = busy
    done = compare()
    assert done.exit_code == 3, done.output
    assert "is discarded" in done.output
    assert "INCONCLUSIVE" in done.output


def test_json_has_the_decision_and_every_run_with_the_keys_of_vllm(tmp_path: Path, speeds: dict[str, Any]) -> None:
    write_suite(tmp_path)
    assert speeds["made"] == 0
    done = compare("--json")
    facts = json.loads(done.stdout)
    assert facts["verdict"] == "PASS"
    assert [len(facts["arms"][side]) for side in ("candidate", "champion")] == [6, 6]
    assert facts["arms"]["champion"][0]["output_throughput"] == pytest.approx(100.0, rel=0.02)
    assert facts["plan"]["hosting"] == "together"


def test_a_folder_with_a_comparison_is_gone_on_with_only_if_asked(tmp_path: Path, speeds: dict[str, Any]) -> None:
    write_suite(tmp_path)
    speeds["then"] = busy
    assert compare("--out", "kept").exit_code == 3
    speeds["then"] = lambda trace: trace
    again = compare("--out", "kept")
    assert again.exit_code == 4
    assert "already holds a comparison" in again.output
    # Other ports: other servers, as far as anybody can tell.
    other = compare("--out", "kept", "--resume")
    assert other.exit_code == 4
    assert "cannot be gone on with: candidate" in other.output


# Servers of ours, played by processes.


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return model_folder(tmp_path / name)


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_lock: None) -> None:
    """The fake one, its processes marked."""
    del own_lock
    monkeypatch.setenv("PYTHONPATH", f"{FAKE_VLLM}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv(MARK, str(tmp_path))


def by_hand(tmp_path: Path, champion: str, candidate: str, lines: Lines, *, args: str = "", **given: Any) -> Any:
    return compare_by_hand(
        "words",
        PROMPTS,
        settings_from({"server_args": args, **given}, root=tmp_path),
        replace(asked("output_throughput"), champion=champion, candidate=candidate),
        progress=lines,
        eyes=QUIET,
    )


@pytest.mark.usefixtures("vllm", "speeds")
def test_two_servers_of_ours_are_up_together_and_end(tmp_path: Path) -> None:
    old, new, lines = folder(tmp_path, "old"), folder(tmp_path, "new"), Lines()
    found = by_hand(tmp_path, str(old), str(new), lines, serving_hosting="together", out="kept")
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30)
    assert len(found.arms.runs) == 12
    assert found.decision.verdict is Verdict.PASS
    candidate, champion = found.arms.plan.candidate, found.arms.plan.champion
    assert candidate.server.url != champion.server.url
    assert candidate.server.version == "0.32.0+fake"
    assert (candidate.model.source, champion.model.source) == (str(new), str(old))
    assert (tmp_path / "kept" / "server-candidate.log").is_file()
    assert (tmp_path / "kept" / "server-champion.log").is_file()


@pytest.mark.usefixtures("vllm", "speeds")
def test_servers_that_take_turns_are_never_up_at_once(tmp_path: Path) -> None:
    one, two, lines = folder(tmp_path, "one"), folder(tmp_path, "two"), Lines()
    found = by_hand(tmp_path, str(one), str(two), lines, serving_hosting="restarts")
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30)
    assert found.arms.plan.hosting == "restarts"
    starts = [line for line in lines.lines if line.startswith("vLLM: ready")]
    ends = [line for line in lines.lines if line == "stopping the server"]
    assert len(starts) == len(ends) == 12
    events = [line[:9] for line in lines.lines if line.startswith(("vLLM: ready", "stopping"))]
    assert events == ["vLLM: rea", "stopping "] * 12
    assert len(found.arms.runs) == 12


@pytest.mark.usefixtures("vllm", "speeds")
def test_two_adapters_of_one_base_share_a_server(tmp_path: Path) -> None:
    base, lines = folder(tmp_path, "base"), Lines()
    for seed, name in enumerate(("a", "b")):
        write_adapter(tmp_path / name, seed=seed)
    modules = f"a={tmp_path / 'a'} b={tmp_path / 'b'}"
    found = by_hand(tmp_path, f"{base}#a", f"{base}#b", lines, adapter=modules)
    assert found.arms.plan.hosting == "shared"
    assert len([line for line in lines.lines if line.startswith("vLLM: ready")]) == 1
    assert {run.trace.model for run in found.arms.runs if run.arm == "champion"} == {"a"}
    assert {run.trace.model for run in found.arms.runs if run.arm == "candidate"} == {"b"}
    plan = found.arms.plan
    assert plan.candidate.model.weights_digest != plan.champion.model.weights_digest


@pytest.mark.usefixtures("vllm")
def test_a_server_that_dies_ends_the_comparison_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, lines = folder(tmp_path, "one"), folder(tmp_path, "two"), Lines()
    monkeypatch.setenv("FAKE_VLLM", "mortal")
    with pytest.raises(ServerError, match="died in run 1: .*memory"):
        by_hand(tmp_path, str(one), str(two), lines, serving_hosting="together", out="kept")
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30)
