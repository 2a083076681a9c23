"""`llmgate bench` against a fake server: every workload, every kind of arrivals, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer
from support.project import answer_right, write_suite

from llmgate.cli import main
from llmgate.errors import UsageError
from llmgate.record.serving.plan import ServiceLevels, TokenLengths
from llmgate.record.serving.trace import Arrivals
from llmgate.session.serving.load_spec import load_spec, read_levels
from llmgate.session.serving.sweep_told import read_slos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRACE = [
    {"timestamp": 0, "input_length": 30, "output_length": 5, "hash_ids": [1, 2]},
    {"timestamp": 80, "input_length": 40, "output_length": 6, "hash_ids": [1, 3]},
    {"timestamp": 160, "input_length": 8, "output_length": 3, "hash_ids": [4]},
]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TRACE), encoding="utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(answer=lambda _: " ".join(["word"] * 40), ttft_s=0.01, itl_s=0.001) as running:
        yield running


def bench(*args: object) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, args)])


def sent(server: FakeServer, *args: object) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Figures and the bodies that arrived, those of the warm-up left out."""
    before = len(server.seen)
    done = bench("--endpoint", server.url, "--json", *args)
    assert done.exit_code in {0, 4}, done.output
    facts = json.loads(done.stdout)
    assert facts["failed"] == 0
    bodies = [json.loads(each.body) for each in server.seen[before:]]
    return facts, bodies[-int(facts["num_prompts"]) :]


def words(body: dict[str, Any]) -> int:
    return len(body["messages"][-1]["content"].split())


def test_random_lengths(server: FakeServer) -> None:
    facts, bodies = sent(server, "--workload", "random:in=10..20,out=3|6", "--requests", 16, "--in-flight", 2)
    assert {body["max_tokens"] for body in bodies} == {3, 6}
    assert len({words(body) for body in bodies}) > 3
    assert facts["total_output_tokens"] == sum(body["max_tokens"] for body in bodies)
    assert (facts["max_concurrency"], facts["request_rate"], facts["request_goodput"]) == (2, "inf", None)
    assert isinstance(facts["max_concurrent_requests"], int)
    assert {"rtfx", "max_output_tokens_per_s", "max_concurrent_requests", "burstiness"} <= facts.keys()


def test_shared_prefixes(server: FakeServer) -> None:
    _, bodies = sent(server, "--workload", "shared-prefix:groups=2,prefix=30,in=5", "--requests", 12, "--in-flight", 2)
    ends = [body["messages"][-1]["content"].split()[-5:] for body in bodies]
    begins = {tuple(body["messages"][-1]["content"].split()[:-5]) for body in bodies}
    assert len(begins) == 2
    assert len({tuple(end) for end in ends}) == 12


def test_conversations(server: FakeServer) -> None:
    _, bodies = sent(
        server, "--workload", "multi-turn:turns=3,in=4,out=3,together=2", "--requests", 12, "--in-flight", 2
    )
    assert sorted(len(body["messages"]) for body in bodies) == [1] * 4 + [3] * 4 + [5] * 4


def test_a_trace_at_its_times(server: FakeServer, tmp_path: Path) -> None:
    facts, bodies = sent(
        server, "--workload", "trace:t.jsonl,speed=2,block=16,max-output=4", "--requests", 3, "--output", "kept.json"
    )
    assert [body["max_tokens"] for body in bodies] == [4, 4, 3]
    assert facts["arrivals"]["kind"] == "trace"
    assert 0.08 <= facts["duration"] < 2.0
    assert (facts["request_rate"], facts["max_concurrency"]) == ("inf", None)
    assert json.loads((tmp_path / "kept.json").read_text(encoding="utf-8")) == facts


@pytest.mark.parametrize(
    "arrivals", ["poisson:rate=80", "gamma:rate=80,burstiness=0.5", "constant:rate=80", "ramp:from=40,to=160"]
)
def test_open_loops(server: FakeServer, arrivals: str) -> None:
    facts, _ = sent(
        server, "--workload", "random:in=5", "--max-tokens", 3, "--requests", 40, "--arrivals", arrivals,
        "--goodput", "ttft:500",
    )  # fmt: skip
    assert facts["arrivals"]["kind"] == arrivals.partition(":")[0]
    assert facts["request_rate"] == (160 if arrivals.startswith("ramp") else 80)
    assert 0.3 < facts["duration"] < 3.0
    assert facts["request_goodput"] > 0


def test_the_table_names_load_and_goodput(server: FakeServer, tmp_path: Path) -> None:
    write_suite(tmp_path)
    server_options = ("--endpoint", server.url, "--requests", 12)
    done = bench("words.yaml", *server_options, "--in-flight", 2, "--max-tokens", 3, "--goodput", "ttft_ms:900")
    assert "12 of 12 requests completed, 2 in flight" in done.output
    assert "good requests/s" in done.output
    rated = bench(*server_options, "--workload", "random:in=3", "--arrivals", "constant:rate=60", "--in-flight", 5)
    assert "12 of 12 requests completed, 60 per second, constant, 5 in flight at most" in rated.output


def test_prices_say_why_there_is_no_cost(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("per_kwh: 0.25\ngpus: {'NVIDIA L4': 0.8}\n", encoding="utf-8")
    done = bench(
        "--endpoint", server.url, "--workload", "random:in=3", "--requests", 24, "--in-flight", 2,
        "--prices", "prices.yaml",
    )  # fmt: skip
    assert "note: cost per million output tokens: not known, no GPU of the server was seen" in done.output


def test_a_sweep_of_a_server_with_two_slots(tmp_path: Path) -> None:
    with FakeServer(answer=answer_right, ttft_s=0.002, itl_s=0.001) as running:
        done = bench(
            "--endpoint", running.url, "--workload", "random:in=3", "--max-tokens", 2, "--requests", 12,
            "--sweep", "concurrency", "--slo", "ttft_mean_ms=0.001", "--to", 2, "--output", "kept.json",
        )  # fmt: skip
    # A busy machine gives no valid run, and says so.
    assert done.exit_code in {1, 4}, done.output
    if done.exit_code == 1:
        assert "Largest load with mean_ttft_ms ≤ 0.001: none" in done.output
        kept = json.loads((tmp_path / "kept.json").read_text(encoding="utf-8"))
        assert kept["slo"] == {"mean_ttft_ms": 0.001}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "no suite was named"),
        (("--workload", "rendom:in=4"), "--workload: unknown key 'rendom'. Did you mean random?"),
        (("--workload", "random"), "the key 'random.input' is missing"),
        (("--workload", "random:4"), "'4' is no setting"),
        (("--workload", "random:in=4,in=5"), "'input' is given twice"),
        (("--workload", "random:in=4,inn=5"), "unknown key 'inn'"),
        (("--workload", "random:in=x"), "no lengths: 'x'"),
        (("--workload", "random:in=normal(5,1"), "'1' is no setting"),
        (("--workload", "trace:absent.jsonl"), "absent.jsonl: cannot be read"),
        (("--workload", "trace:t.jsonl"), "t.jsonl: the trace has 3 requests with an answer, and 64 are to be sent"),
        (("--workload", "trace:t.jsonl,speed=2", "--arrivals", "closed"), "the trace has a speed"),
        (("--workload", "random:in=4", "--arrivals", "poisson"), "the key 'poisson.rate' is missing"),
        (("--workload", "random:in=4", "--arrivals", "poisson:rate=fast"), "valid number"),
        (("--workload", "random:in=4", "--in-flight", 0), "a closed loop with nothing in flight"),
        (("--workload", "random:in=4", "--goodput", "tfft:4"), "'tfft:4' is no service level"),
        (("--workload", "random:in=4", "--slo", "p95_ttft_ms=3"), "--slo is for a sweep"),
        (("--workload", "random:in=4", "--metric", "p95_ttft_ms"), "--metric is for a comparison"),
        (("--workload", "random:in=4", "--sweep", "rate"), "no service level to hold"),
        (("--workload", "random:in=4", "--sweep", "rate", "--slo", "p95_ttft=3"), "is no serving figure"),
        (("--workload", "random:in=4", "--sweep", "rate", "--slo", "p95_ttft_ms"), "has no limit"),
        (("--workload", "random:in=4", "--sweep", "rate", "--slo", "p95_ttft_ms=x"), "has no number"),
        (("--workload", "random:in=4", "--sweep", "rate", "--slo", "request_goodput=3"), "Add --goodput"),
        (("--workload", "random:in=4", "--sweep", "concurrency", "--slo", "itl_p50_ms=3", "--from", "1.5"), "whole numbers"),
        (("--compare", "a", "b", "--workload", "random:in=4", "--sweep", "rate"), "--sweep is for a sweep"),
        (("--workload", "random:in=4", "--prices", "absent.yaml"), "absent.yaml"),
        (("--compare", "a", "b", "--prices", "p.yaml"), "--prices is for a single measurement"),
    ],
)  # fmt: skip
def test_mistakes_are_named(server: FakeServer, args: tuple[object, ...], says: str) -> None:
    where = () if "--compare" in args else ("--endpoint", server.url)
    done = bench(*where, *args)
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())


def test_a_seed_is_that_of_all_that_is_drawn() -> None:
    spec = load_spec(
        requests=9, in_flight=None, max_tokens=8, workload="random:in=4,seed=1", arrivals="poisson:rate=2", seed=7
    )
    assert (spec.workload.seed, spec.arrivals) == (7, Arrivals(kind="poisson", rate=2, seed=7))
    assert spec.workload.input == TokenLengths(kind="constant", first=4)
    assert (spec.concurrency, spec.warmup) == (0, 8)
    own = load_spec(requests=9, in_flight=3, max_tokens=8, workload="random:in=4,seed=1")
    assert (own.workload.seed, own.concurrency, own.warmup) == (1, 3, 3)


def test_service_levels_are_read_in_all_spellings() -> None:
    wanted = ServiceLevels(ttft_ms=500, tpot_ms=50)
    spellings = ("ttft_ms:500,tpot_ms:50", "ttft:500 tpot:50", "ttft_ms=500, tpot_ms=50")
    assert [read_levels(text) for text in spellings] == [wanted] * 3
    for wrong in ("ttft:1,ttft_ms:2", "ttft:", ","):
        with pytest.raises(UsageError):
            read_levels(wrong)


def test_service_levels_of_a_sweep_know_which_way_is_better() -> None:
    slow, fast = read_slos(["ttft_p95_ms=500", "output_throughput:100"], suite="s")
    assert (slow.metric, slow.max, slow.min, slow.margin) == ("p95_ttft_ms", 500.0, None, None)
    assert (fast.metric, fast.max, fast.min, fast.margin) == ("output_throughput", None, 100.0, None)
    with pytest.raises(UsageError, match="given twice"):
        read_slos(["ttft_p95_ms=500", "p95_ttft_ms=400"], suite="s")
