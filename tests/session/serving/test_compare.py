"""Two arms measured by a client that is played: which runs are kept, made again, gone on with, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from support.serving_runs import busy, make_trace

from llmgate.errors import BenchError, RecordError, ServerError
from llmgate.gate.decide import decide_serving
from llmgate.gate.decision.types import Verdict
from llmgate.gate.serving.arms import run_serving_tests
from llmgate.gate.serving.contention import contended
from llmgate.generate.client import Endpoint
from llmgate.record.manifest import ModelIdentity, ServerIdentity
from llmgate.record.schema import Message
from llmgate.record.serving.plan import ServingSpec
from llmgate.record.serving.policy import ServingPolicy
from llmgate.record.serving.trace import ServingTrace
from llmgate.session.serving import measuring
from llmgate.session.serving.compare import compare_serving
from llmgate.session.serving.folder import ArmsFolder
from llmgate.session.serving.hosting import ArmPlace, HostingChoice
from llmgate.session.serving.measuring import Eyes
from llmgate.session.target import Target

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.bench.workload.load import Load
    from llmgate.bench.workload.workload import Workload
    from llmgate.gate.decision.types import Decision
    from llmgate.record.arms import Hosting, ServingArms

NAME = "words"
PROMPTS = [[Message(role="user", content=f"Say word-{k}")] for k in range(12)]
GATES = (
    ServingPolicy(suite=NAME, metric="output_throughput"),
    ServingPolicy(suite=NAME, metric="median_ttft_ms", margin=0.1),
)
SPEC = ServingSpec(concurrency=2, requests=12, max_tokens=8, warmup=1, pairs=6, gates=GATES)


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


@dataclass
class Played:
    """A client whose servers have the throughput that is wanted, and a little noise that is the same every time."""

    speed: Mapping[str, float]
    then: Callable[[int, ServingTrace], ServingTrace] = lambda _, trace: trace
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(
        self, workload: Workload, endpoint: Endpoint, load: Load, *, watches: Any, on_progress: Any, salt: str
    ) -> ServingTrace:
        del watches, on_progress
        number = len(self.calls)
        self.calls.append({"model": endpoint.model, "salt": salt, "warmup": load.warmup, "names": endpoint.names})
        noise = 1.0 + 0.004 * ((number * 7) % 5 - 2)
        trace = make_trace(
            self.speed[endpoint.model] * noise, name=NAME, requests=load.requests, concurrency=load.concurrency,
            workload_digest=workload.digest, model=endpoint.model,
        )  # fmt: skip
        return self.then(number, trace)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Played]:
    """Puts a played client in the place of the real one."""

    def start(candidate: float = 100.0, champion: float = 100.0, **changes: Any) -> Played:
        client = Played({"new": candidate, "old": champion}, **changes)
        monkeypatch.setattr(measuring, "measure_serving", client)
        return client

    return start


def place(
    name: str, log: list[str] | None = None, death: Callable[[], str | None] = lambda: None, **facts: Any
) -> ArmPlace:
    model = ModelIdentity(name=name, source=f"/models/{name}", weights_digest=("0" if name == "new" else "1") * 64)
    started = iter(range(8000, 9000))

    @contextmanager
    def serve() -> Iterator[Target]:
        if log is not None:
            log.append(name)
        url = f"http://127.0.0.1:{next(started)}"
        server = ServerIdentity(engine="vllm", version="0.32", owned=True, flags=("--seed", "0"), url=url)
        yield Target(
            endpoint=Endpoint(url=f"{url}/v1", model=name),
            model=model,
            server=replace(server, **facts),
            death=death,
        )

    return ArmPlace(label=name, model=model, open=serve, owned=True)


def compare(
    tmp_path: Path,
    *,
    spec: ServingSpec = SPEC,
    hosting: Hosting = "together",
    candidate: ArmPlace | None = None,
    champion: ArmPlace | None = None,
    alone: bool = False,
    lines: Lines | None = None,
) -> ServingArms:
    return compare_serving(
        NAME,
        spec,
        PROMPTS,
        (candidate or place("new"), None if alone else champion or place("old")),
        ArmsFolder(tmp_path / "arms"),
        choice=HostingChoice(hosting=hosting, reason=""),
        progress=lines or Lines(),
        eyes=Eyes(watches=lambda _: (), contended=contended),
    ).arms


def decided(arms: ServingArms, gates: tuple[ServingPolicy, ...] = GATES) -> Decision:
    return decide_serving(run_serving_tests(gates, [arms], champion=arms.plan.champion is not None))


def test_two_equal_servers_pass(tmp_path: Path, play: Callable[..., Played]) -> None:
    client, lines = play(), Lines()
    arms = compare(tmp_path, lines=lines)
    assert len(client.calls) == 12
    assert tuple(run.arm for run in arms.runs) == arms.plan.order
    assert decided(arms).verdict is Verdict.PASS
    assert ArmsFolder(tmp_path / "arms").arms() == (arms,)
    assert arms.plan.candidate.model.name == "new"
    assert arms.plan.champion is not None
    assert arms.plan.champion.server.version == "0.32"
    text = "\n".join(lines.lines)
    assert "pair 3 of 6, " in text
    assert "for 12 runs)" in text
    assert "6 of 6 pairs of runs" in text


def test_a_slower_server_fails_and_the_sentence_says_by_how_much(tmp_path: Path, play: Callable[..., Played]) -> None:
    play(candidate=90.0)
    decision = decided(compare(tmp_path))
    assert decision.verdict is Verdict.FAIL
    assert decision.exit_code == 1
    assert "output throughput" in decision.sentence
    assert "Do not ship" in decision.sentence


def test_both_runs_of_a_pair_send_the_same_prompts_and_no_other_pair_does(
    tmp_path: Path, play: Callable[..., Played]
) -> None:
    client = play()
    compare(tmp_path)
    salts = [call["salt"] for call in client.calls]
    assert salts[::2] == salts[1::2]
    assert len(set(salts)) == 6
    assert {len(salt) for salt in salts} == {8}


def test_one_model_on_one_server_never_sees_a_prompt_twice(tmp_path: Path, play: Callable[..., Played]) -> None:
    client = play()
    one = place("new")
    with one.open() as up:
        shared = replace(one, open=contextmanager(lambda: iter([up])))
        compare(tmp_path, hosting="shared", candidate=shared, champion=shared)
    assert len({call["salt"] for call in client.calls}) == 12


def test_the_first_run_after_a_start_is_warmed_up_by_a_whole_run(tmp_path: Path, play: Callable[..., Played]) -> None:
    client = play()
    compare(tmp_path)
    assert [call["warmup"] for call in client.calls] == [12, 12, *[1] * 10]


def test_with_restarts_every_run_has_a_start_of_its_own_and_warms_it_up(
    tmp_path: Path, play: Callable[..., Played]
) -> None:
    client, log = play(), list[str]()
    arms = compare(tmp_path, hosting="restarts", candidate=place("new", log), champion=place("old", log))
    assert sorted(log) == ["new"] * 6 + ["old"] * 6
    assert [{"new": "candidate", "old": "champion"}[name] for name in log] == list(arms.plan.order)
    assert [call["warmup"] for call in client.calls] == [12] * 12
    assert arms.plan.champion is not None
    assert arms.plan.champion.server.flags == ("--seed", "0")
    assert decided(arms).verdict is Verdict.PASS


def test_a_contended_run_is_made_again_with_its_pair(tmp_path: Path, play: Callable[..., Played]) -> None:
    lines = Lines()
    play(then=lambda number, trace: busy(trace) if number == 3 else trace)
    arms = compare(tmp_path, lines=lines)
    assert [bool(run.discarded) for run in arms.runs] == [False, False, True, True, *[False] * 10]
    assert arms.runs[2].discarded.startswith("made again with its pair")
    assert "other processes used" in arms.runs[3].discarded
    assert ArmsFolder(tmp_path / "arms").arms() == (arms,)
    assert decided(arms).verdict is Verdict.PASS
    assert any("run 4 is discarded" in line for line in lines.lines)


def test_on_a_busy_machine_nothing_ever_passes(tmp_path: Path, play: Callable[..., Played]) -> None:
    client, lines = play(then=lambda _, trace: busy(trace)), Lines()
    arms = compare(tmp_path, lines=lines)
    assert len(client.calls) == 7
    decision = decided(arms)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.exit_code == 3
    assert "no further attempt is left" in "\n".join(lines.lines)
    client.then = lambda _, trace: trace
    assert decided(compare(tmp_path)).verdict is Verdict.PASS, "a quiet machine later"


def test_a_run_that_must_not_be_believed_ends_it(tmp_path: Path, play: Callable[..., Played]) -> None:
    def failed(number: int, trace: ServingTrace) -> ServingTrace:
        first = replace(trace.requests[0], error="HTTP 500")
        return replace(trace, requests=(first, *trace.requests[1:])) if number == 4 else trace

    client, lines = play(then=failed), Lines()
    arms = compare(tmp_path, lines=lines)
    assert len(client.calls) == 5
    assert decided(arms).verdict is Verdict.INCONCLUSIVE
    assert "is INVALID: 1 of 12 requests failed" in "\n".join(lines.lines)


def test_without_a_champion_the_limits_are_tested(tmp_path: Path, play: Callable[..., Played]) -> None:
    client = play()
    gates = (ServingPolicy(suite=NAME, metric="output_throughput", margin=None, min=80.0),)
    arms = compare(tmp_path, alone=True, spec=replace(SPEC, gates=gates))
    assert [call["model"] for call in client.calls] == ["new"] * 6
    assert arms.plan.champion is None
    assert decided(arms, gates).verdict is Verdict.PASS
    above = (replace(gates[0], min=120.0),)
    assert decided(arms, above).verdict is Verdict.FAIL


class StoppedError(Exception):
    """As when somebody presses Ctrl-C."""


def test_an_interrupted_comparison_goes_on_where_it_stopped(tmp_path: Path, play: Callable[..., Played]) -> None:
    def stop(number: int, trace: ServingTrace) -> ServingTrace:
        if number == 5:
            raise StoppedError
        return trace

    client = play(then=stop)
    with pytest.raises(StoppedError):
        compare(tmp_path)
    kept = ArmsFolder(tmp_path / "arms").arms()[0]
    assert len(kept.runs) == 5
    client.then = lambda _, trace: trace
    client.calls.clear()
    arms = compare(tmp_path)
    assert arms.plan.seed == kept.plan.seed
    assert arms.runs[:4] == kept.runs[:4]
    assert "interrupted" in arms.runs[4].discarded
    assert len(client.calls) == 8
    assert decided(arms).verdict is Verdict.PASS
    client.calls.clear()
    log: list[str] = []
    assert compare(tmp_path, candidate=place("new", log), champion=place("old", log)) == arms
    assert (client.calls, log) == ([], []), "all is there: no server is started"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"spec": replace(SPEC, pairs=7)}, "pairs was 6 and is now 7"),
        ({"spec": replace(SPEC, requests=24)}, "requests was 12 and is now 24"),
        ({"spec": replace(SPEC, concurrency=4)}, "concurrency was 2 and is now 4"),
        ({"spec": replace(SPEC, max_tokens=9)}, "the prompts were others"),
        ({"champion": place("old", version="0.33")}, "champion server version was 0.32 and is now 0.33"),
        ({"champion": place("old", flags=("--seed", "1"))}, "champion server flags 2 was 0 and is now 1"),
        ({"alone": True}, "it was measured with a champion"),
    ],
)
def test_another_plan_is_not_gone_on_with(
    tmp_path: Path, play: Callable[..., Played], changes: dict[str, Any], field: str
) -> None:
    def stop(number: int, trace: ServingTrace) -> ServingTrace:
        if number == 2:
            raise StoppedError
        return trace

    client = play(then=stop)
    with pytest.raises(StoppedError):
        compare(tmp_path)
    before = ArmsFolder(tmp_path / "arms").arms()
    client.then = lambda _, trace: trace
    with pytest.raises(RecordError, match="cannot be gone on with") as error:
        compare(tmp_path, **changes)
    assert field in str(error.value)
    assert ArmsFolder(tmp_path / "arms").arms() == before


def test_another_server_in_a_later_phase_is_refused(tmp_path: Path, play: Callable[..., Played]) -> None:
    play()
    versions = iter(["0.32", "0.33", "0.34"])
    first = place("new")

    @contextmanager
    def changing() -> Iterator[Target]:
        with first.open() as target:
            yield replace(target, server=replace(target.server, version=next(versions)))

    with pytest.raises(RecordError, match=r"version was 0\.32 and is now 0\.33"):
        compare(tmp_path, hosting="restarts", candidate=replace(first, open=changing))


@pytest.mark.parametrize("how", ["requests fail", "no connection"])
def test_a_server_that_dies_says_why_and_its_run_is_not_kept(
    tmp_path: Path, play: Callable[..., Played], how: str
) -> None:
    dead: list[str] = []

    def die(number: int, trace: ServingTrace) -> ServingTrace:
        if number != 4:
            return trace
        dead.append("out of memory")
        if how == "no connection":
            raise BenchError("cannot connect")
        return replace(trace, requests=tuple(replace(each, error="gone") for each in trace.requests))

    client = play(then=die)
    mortal = place("new", death=lambda: dead[0] if dead else None)
    with pytest.raises(ServerError, match="died in run 5: out of memory") as error:
        compare(tmp_path, candidate=mortal, champion=place("old", death=lambda: dead[0] if dead else None))
    assert "--resume" in str(error.value)
    assert len(ArmsFolder(tmp_path / "arms").arms()[0].runs) == 4
    dead.clear()
    client.then = lambda _, trace: trace
    assert decided(compare(tmp_path, candidate=mortal)).verdict is Verdict.PASS


def test_an_endpoint_that_is_gone_keeps_what_was_measured(tmp_path: Path, play: Callable[..., Played]) -> None:
    def gone(number: int, trace: ServingTrace) -> ServingTrace:
        if number == 4:
            raise BenchError("cannot connect", where="http://127.0.0.1:8000")
        return trace

    play(then=gone)
    with pytest.raises(BenchError, match="--resume"):
        compare(tmp_path)
    assert len(ArmsFolder(tmp_path / "arms").arms()[0].runs) == 4
