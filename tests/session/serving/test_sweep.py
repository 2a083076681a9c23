"""The driver of a sweep: what is measured at each load, what is made again, and where it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.serving_runs import busy, make_trace, noisy

from llmgate.errors import BenchError, ServerError, UsageError
from llmgate.gate.serving.contention import contended as judged
from llmgate.gate.serving.knee import Holding, Search
from llmgate.record.serving.plan import ServiceLevels, ServingSpec
from llmgate.record.serving.policy import ServingPolicy
from llmgate.record.serving.trace import Arrivals
from llmgate.session.serving.sweep import Sweep, SweepKind, at_load, sweep
from llmgate.session.serving.sweep_told import sweep_exit, sweep_facts, sweep_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmgate.record.serving.trace import ServingTrace

LEVEL = ServingPolicy(suite="serving", metric="median_ttft_ms", margin=None, max=100.0)
TAIL = ServingPolicy(suite="serving", metric="p95_ttft_ms", margin=None, max=100.0)
SPEC = ServingSpec(requests=12, levels=ServiceLevels(ttft_ms=100))


def search(**changes: object) -> Search:
    arguments: dict[str, object] = {"levels": (LEVEL,), "least": 1, "most": 64, "whole": True} | changes
    return Search(**arguments)  # type: ignore[arg-type]


BUSY = "others used the machine"


def contended(trace: ServingTrace) -> str | None:
    """The gate's own judgement, in words of ours."""
    return None if judged(trace) is None else BUSY


class Spoken:
    """What the sweep says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, text: str) -> None:
        self.lines.append(text)

    def count(self, what: str, done: int, total: int) -> None:
        pass

    def check(self) -> None:
        pass


class Server:
    """Answers in 50 ms up to so many requests in flight, and in 200 ms beyond."""

    def __init__(self, bend: int) -> None:
        self.bend = bend
        self.asked: list[int] = []
        self.jitter = noisy(1.0, 500)
        self.spoil: Callable[[int, ServingTrace], ServingTrace] = lambda _, trace: trace

    def measure(self, spec: ServingSpec) -> ServingTrace:
        self.asked.append(spec.concurrency)
        ttft_ms = (50 if spec.concurrency <= self.bend else 200) * self.jitter[len(self.asked)]
        trace = make_trace(
            spec.concurrency * 8 / 0.5, ttft_ms=ttft_ms, concurrency=spec.concurrency, requests=4 * spec.concurrency
        )
        return self.spoil(len(self.asked), trace)


def swept(server: Server, *, where: Search | None = None, kind: SweepKind = "concurrency") -> tuple[Sweep, Spoken]:
    spoken = Spoken()
    ticks = iter(range(10_000))
    found = sweep(
        SPEC,
        where or search(),
        kind,
        server.measure,
        contended=contended,
        death=lambda: None,
        progress=spoken,
        clock=lambda: float(next(ticks)),
    )
    return found, spoken


def test_a_sweep_finds_the_bend_and_says_how_long_it_takes() -> None:
    server = Server(bend=11)
    found, spoken = swept(server)
    assert (found.knee.load, found.knee.above) == (11, 12)
    assert server.asked == [load for load in (1, 2, 4, 8, 16, 12, 10, 11) for _ in range(3)]
    assert [(each.load, each.holding.value) for each in found.loads][-3:] == [
        (11, "holds"),
        (12, "misses"),
        (16, "misses"),
    ]
    assert spoken.lines[0] == "1 in flight, run 1 of 3: 12 requests"
    assert spoken.lines[1].startswith("1 in flight, run 2 of 3: 12 requests, about ")
    assert all(line.endswith(" left at most") for line in spoken.lines[1:])
    assert spoken.lines[-1] == "11 in flight, run 3 of 3: 44 requests, about 1 s left at most"
    assert sweep_exit(found) == 0


def test_the_table_and_the_json_say_the_same() -> None:
    found, _ = swept(Server(bend=3), where=search(most=4))
    lines = sweep_lines(found)
    assert lines[0].split() == ["in", "flight", "requests", "req/s", "tok/s", "TTFT", "p95", "TPOT", "p95", "goodput",
        "TTFT", "median"]  # fmt: skip
    assert [line.split()[0] for line in lines[1:-1]] == ["1", "2", "3", "4"]
    assert [line.split()[-1] for line in lines[1:-1]] == ["holds", "holds", "holds", "misses"]
    assert lines[-1] == "Largest load with median_ttft_ms ≤ 100: 3 in flight (3 holds and 4 misses)"
    facts = sweep_facts(found)
    assert facts["knee"] == {"load": 3, "above": 4, "misses": 4, "undecided": [], "reason": "3 holds and 4 misses"}
    assert [(each["load"], each["holds"], len(each["runs"])) for each in facts["loads"]] == [
        (1, "holds", 3),
        (2, "holds", 3),
        (3, "holds", 3),
        (4, "misses", 3),
    ]
    assert facts["loads"][0]["runs"][0]["median_ttft_ms"] == pytest.approx(50, rel=0.1)
    assert facts["loads"][0]["runs"][0]["request_goodput"] > 0


def test_a_disturbed_run_is_made_again_and_named() -> None:
    server = Server(bend=2)
    server.spoil = lambda run, trace: busy(trace) if run == 2 else trace
    found, spoken = swept(server, where=search(most=2))
    assert server.asked == [1, 1, 1, 1, 2, 2, 2]
    assert "discarded, and made again: others used the machine" in spoken.lines
    assert found.loads[0].discarded == ("others used the machine",)
    assert "note: a run was made again at 1: others used the machine" in sweep_lines(found)


def test_a_machine_that_is_never_quiet_gives_no_answer() -> None:
    server = Server(bend=9)
    server.spoil = lambda _, trace: busy(trace)
    with pytest.raises(BenchError, match="no run of the smallest load is valid: others used the machine"):
        swept(server)
    assert len(server.asked) == 6, "three discarded, three invalid"


def test_failed_requests_are_a_load_that_misses() -> None:
    server = Server(bend=64)

    def refuses(_: int, trace: ServingTrace) -> ServingTrace:
        if trace.concurrency < 4:
            return trace
        first, *others = trace.requests
        return replace(trace, requests=(replace(first, error="HTTP 503: full"), *others))

    server.spoil = refuses
    found, spoken = swept(server)
    assert (found.knee.load, found.knee.misses) == (3, 4)
    assert server.asked.count(4) == 1, "one is enough"
    assert any("requests failed, the first of them request 0: HTTP 503: full" in line for line in spoken.lines)
    assert sweep_lines(found)[-2].endswith("misses: requests failed")


def test_loads_that_the_client_cannot_offer_are_undecided() -> None:
    server = Server(bend=64)
    server.spoil = lambda _, trace: replace(trace, client_cpu_s=trace.duration_s) if trace.concurrency > 4 else trace
    found, _ = swept(server, where=search(most=8))
    assert found.knee.load == 4
    assert found.knee.misses is None
    assert found.loads[-1].holding is Holding.UNDECIDED
    assert sweep_lines(found)[-2].endswith("undecided: 3 invalid")


def test_a_server_that_died_ends_the_sweep() -> None:
    with pytest.raises(ServerError, match="out of memory"):
        sweep(
            SPEC,
            search(),
            "concurrency",
            Server(bend=4).measure,
            contended=contended,
            death=lambda: "out of memory",
            progress=Spoken(),
        )


def test_none_and_unknown_have_exit_codes_of_their_own() -> None:
    assert sweep_exit(swept(Server(bend=0))[0]) == 1
    server = Server(bend=64)
    server.jitter = tuple(2.0 * factor for factor in noisy(1.0, 500))
    found, _ = swept(server)
    assert sweep_exit(found) == 3
    assert "none (the smallest load that was asked for, 1, is undecided)" in sweep_lines(found)[-1]


def test_a_run_is_long_enough_for_its_load_and_its_percentiles() -> None:
    assert at_load(SPEC, "concurrency", 2, search()).requests == 12
    at_32 = at_load(SPEC, "concurrency", 32, search())
    assert (at_32.requests, at_32.concurrency, at_32.warmup, at_32.arrivals) == (128, 32, 32, Arrivals())
    assert at_load(SPEC, "concurrency", 2, search(levels=(LEVEL, TAIL))).requests == 200
    assert at_load(replace(SPEC, requests=900), "concurrency", 2, search(levels=(TAIL,))).requests == 900


def test_rates_are_varied_where_there_is_one() -> None:
    where = search(whole=False)
    assert at_load(SPEC, "rate", 2.5, where).arrivals == Arrivals(kind="poisson", rate=2.5)
    gamma = replace(SPEC, concurrency=4, arrivals=Arrivals(kind="gamma", rate=1, burstiness=0.5, seed=3))
    assert at_load(gamma, "rate", 8, where).arrivals == Arrivals(kind="gamma", rate=8, burstiness=0.5, seed=3)
    assert at_load(gamma, "rate", 8, where).concurrency == 0
    with pytest.raises(UsageError, match="'ramp' have no single rate"):
        at_load(replace(SPEC, arrivals=Arrivals(kind="ramp", rate=1, rate_from=2)), "rate", 8, where)
