"""Does the load client disturb what it measures? Ours, vLLM's Python client and a bare aiohttp loop, side by side.

    python benchmarks/client_overhead.py --concurrency 1 32 128 --rounds 3 --json overhead.json

A server with known timing (tests/support/fake_server.py) runs in a process of its own and keeps the truth: when each
request had arrived (by the kernel, so that the server's own delay is part of the truth and not of the error) and when
it wrote each token, on the clock that all processes of a Linux host share. The clients run one after another in fresh
processes, alternating from round to round, so that a busy neighbour hits all of them.

Reported, as medians over the rounds (or, with --best, the best of them, for a machine that is busy with other things
and cannot be quiet): mean and p99 of TTFT minus the truth's, requests per second, CPU time of the client's processes
per request (warm-up and reading of the answers included, imports not), and how busy the server was: above 90 % of a
processor the server is what is measured. The last line says whether the aims are met; if not, it exits with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import io
import json
import math
import os
import resource
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
from mock_server import mock_server

BOTH = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
TTFT_MS, ITL_MS = 20.0, 5.0
MODEL = "fake-model"
TIMEOUT_S = 600
AIMS_MS = {1: 0.3, 32: 0.6, 128: 1.5}
"""Mean TTFT error by requests in flight."""
AIM_P99_MS = {128: 5.0}
KEYS = ("ttft error, ms", "p99 error, ms", "req/s", "cpu, ms/request", "server busy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What every client has to do."""

    url: str
    concurrency: int
    requests: int
    warmup: int
    tokens: int
    processes: int | None = None

    @property
    def prompts(self) -> list[str]:
        """One prompt per request."""
        return [f"request number {i}: " + "some words of context " * 20 for i in range(self.requests)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one client said, and what it cost."""

    ttft_s: list[float]
    duration_s: float
    cpu_s: float
    sent: int
    failed: int
    version: str = ""


def run_llmgate(load: Load) -> Outcome:
    """The client of `llmgate.bench`, reading of the answers included in its CPU time."""
    from llmgate.bench.client.load import measure_serving  # noqa: PLC0415 - each worker imports one client
    from llmgate.bench.workload.load import Load as ServingLoad  # noqa: PLC0415
    from llmgate.bench.workload.workload import chat_workload  # noqa: PLC0415
    from llmgate.generate.client import Endpoint  # noqa: PLC0415
    from llmgate.record.schema import Message  # noqa: PLC0415

    workload = chat_workload(
        [[Message(role="user", content=prompt)] for prompt in load.prompts],
        name="overhead",
        model=MODEL,
        max_tokens=load.tokens,
        ignore_eos=True,
    )
    cpu_s = all_cpu_s()
    trace = asyncio.run(
        measure_serving(
            workload,
            Endpoint(url=load.url, model=MODEL),
            ServingLoad(
                requests=load.requests, concurrency=load.concurrency, warmup=load.warmup, processes=load.processes
            ),
        )
    )
    return Outcome(
        ttft_s=[r.token_events_s[0] - r.sent_s for r in trace.requests if r.error is None],
        duration_s=trace.duration_s,
        cpu_s=all_cpu_s() - cpu_s,
        sent=load.requests + load.warmup,
        failed=sum(r.error is not None for r in trace.requests),
        version=f"{trace.client_version}, {trace.client_processes} processes",
    )


def all_cpu_s() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    return sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime for who in BOTH)


def run_vllm(load: Load) -> Outcome:
    """The function behind `vllm bench serve --backend openai-chat`, which measures; not its reading of data sets."""
    from vllm.benchmarks import serve  # noqa: PLC0415
    from vllm.benchmarks.datasets import SampleRequest  # noqa: PLC0415

    requests = [
        SampleRequest(prompt=prompt, prompt_len=len(prompt.split()), expected_output_len=load.tokens)
        for prompt in load.prompts
    ]
    cpu_s = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        result = asyncio.run(
            serve.benchmark(
                task_type=serve.TaskType.GENERATION,
                endpoint_type="openai-chat",
                api_url=f"{load.url}/v1/chat/completions",
                base_url=load.url,
                model_id=MODEL,
                model_name=MODEL,
                tokenizer=None,
                input_requests=requests,
                logprobs=None,
                request_rate=float("inf"),
                burstiness=1.0,
                disable_tqdm=True,
                num_warmups=load.warmup,
                profile=False,
                selected_percentile_metrics=["ttft", "tpot", "itl", "e2el"],
                selected_percentiles=[99.0],
                ignore_eos=True,
                goodput_config_dict={},
                max_concurrency=load.concurrency,
                lora_modules=None,
                extra_headers=None,
                extra_body=None,
            )
        )
    return Outcome(
        ttft_s=[ttft for ttft, error in zip(result["ttfts"], result["errors"], strict=True) if not error],
        duration_s=result["duration"],
        cpu_s=time.process_time() - cpu_s,
        sent=load.requests + load.warmup + 1,
        failed=result["failed"],
    )


def run_aiohttp(load: Load) -> Outcome:
    """The least that an aiohttp client can do: note when chunks come, parse nothing until the end."""
    import aiohttp  # noqa: PLC0415

    ttfts: list[float] = []
    answers: list[list[bytes]] = []

    async def one(session: aiohttp.ClientSession, prompt: str, *, keep: bool) -> None:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": load.tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        start_s = time.perf_counter()
        times, chunks = [], []
        async with session.post(f"{load.url}/v1/chat/completions", json=body) as response:
            async for chunk in response.content.iter_any():
                times.append(time.perf_counter())
                chunks.append(chunk)
        if keep:
            ttfts.append(times[0] - start_s)
            answers.append(chunks)

    async def drive(prompts: list[str], session: aiohttp.ClientSession, *, keep: bool) -> None:
        left = iter(prompts)

        async def slot() -> None:
            for prompt in left:
                await one(session, prompt, keep=keep)

        await asyncio.gather(*(slot() for _ in range(load.concurrency)))

    async def everything() -> float:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await drive(load.prompts[: load.warmup], session, keep=False)
            start_s = time.perf_counter()
            await drive(load.prompts, session, keep=True)
            return time.perf_counter() - start_s

    cpu_s = time.process_time()
    duration_s = asyncio.run(everything())
    read_all(answers)
    return Outcome(
        ttft_s=ttfts,
        duration_s=duration_s,
        cpu_s=time.process_time() - cpu_s,
        sent=load.requests + load.warmup,
        failed=load.requests - len(ttfts),
    )


def read_all(answers: list[list[bytes]]) -> None:
    """Parse what was put off, so that the CPU time is for the same work."""
    for chunks in answers:
        for line in b"".join(chunks).splitlines():
            if line.startswith(b"data: {"):
                json.loads(line[6:])


CLIENTS = {"llmgate": run_llmgate, "vllm bench serve": run_vllm, "bare aiohttp": run_aiohttp}
NEEDS = {"llmgate": "llmgate", "vllm bench serve": "vllm", "bare aiohttp": "aiohttp"}


def cpu_of(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def true_ttft_s(load: Load) -> list[float]:
    """The truth about the last requests: the measured ones, after all warm-up."""
    with urllib.request.urlopen(f"{load.url}/truth") as response:  # noqa: S310 - our own server
        truth = sorted(json.load(response), key=lambda one: one["number"])
    return [one["tokens_s"][0] - one["arrived_s"] for one in truth[-load.requests :]]


def measure(client: str, load: Load) -> dict[str, float]:
    """One client in a fresh process against a fresh server."""
    timing = ("--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS))
    with mock_server(*timing, "--words", str(load.tokens)) as (url, pid):
        load = Load(**(asdict(load) | {"url": url}))
        command = [sys.executable, __file__, "--worker", client, json.dumps(asdict(load))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode:
            raise SystemExit(f"{client} failed:\n{done.stderr[-3000:]}")
        busy_s = cpu_of(pid)
        outcome = Outcome(**json.loads(done.stdout.splitlines()[-1]))
        truth = true_ttft_s(load)
    if outcome.failed or len(outcome.ttft_s) != load.requests:
        raise SystemExit(f"{client}: {outcome.failed} of {load.requests} requests failed")
    return {
        "ttft error, ms": (fmean(outcome.ttft_s) - fmean(truth)) * 1e3,
        "p99 error, ms": float(np.percentile(outcome.ttft_s, 99) - np.percentile(truth, 99)) * 1e3,
        "req/s": load.requests / outcome.duration_s,
        "cpu, ms/request": outcome.cpu_s / outcome.sent * 1e3,
        "server busy": busy_s / (outcome.duration_s * outcome.sent / load.requests),
    }


def best(key: str, values: list[float]) -> float:
    """The value of the round that was disturbed least."""
    return max(values) if key == "req/s" else min(values)


def middle(_key: str, values: list[float]) -> float:
    """The value of the median round."""
    return median(values)


def compare(given: argparse.Namespace, concurrency: int) -> dict[str, list[dict[str, float]]]:
    """All clients at one concurrency, `rounds` times."""
    length_s = (TTFT_MS + (given.tokens - 1) * ITL_MS) / 1e3
    requests = max(3, round(given.seconds / length_s)) * concurrency
    load = Load(
        url="",
        concurrency=concurrency,
        requests=requests,
        warmup=min(concurrency, requests),
        tokens=given.tokens,
        processes=given.processes,
    )
    clients = [name for name in given.clients if importlib.util.find_spec(NEEDS[name]) is not None]
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in clients}
    for round_ in range(given.rounds):
        for name in clients if round_ % 2 == 0 else clients[::-1]:
            seen[name].append(measure(name, load))
    ideal = concurrency / length_s
    write(f"\n{concurrency} in flight, {requests} requests, ideal {ideal:.0f} req/s, {given.rounds} rounds")
    return seen


def table(rows: dict[str, dict[str, float]]) -> None:
    """One row per client, with ratios to the first one."""
    ours = next(iter(rows.values()))
    write(f"| {'client':16} | " + " | ".join(f"{key:>22}" for key in KEYS) + " |")
    write(f"|{'-' * 18}|" + "|".join("-" * 24 for _ in KEYS) + "|")
    for name, row in rows.items():
        cells = (f"{row[key]:9.2f} ({row[key] / ours[key]:7.2f} ×)" for key in KEYS)
        write(f"| {name:16} | " + " | ".join(f"{cell:>22}" for cell in cells) + " |")


def missed(results: dict[int, dict[str, dict[str, float]]]) -> list[str]:
    """Which aims our client misses, in words."""
    found = []
    for concurrency, rows in results.items():
        ours = rows.get("llmgate", {})
        for key, aims in (("ttft error, ms", AIMS_MS), ("p99 error, ms", AIM_P99_MS)):
            if concurrency in aims and not ours.get(key, math.inf) <= aims[concurrency]:
                found.append(
                    f"{key} at {concurrency} in flight is {ours.get(key, math.nan):.2f}, not {aims[concurrency]}"
                )
    untried = sorted(set(AIMS_MS) - set(results))
    return found + ([f"not tried at {', '.join(map(str, untried))} in flight"] if untried else [])


def write(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Compare load clients against a server with known timing")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0, help="least length of one measurement")
    parser.add_argument("--best", action="store_true", help="report the best round, not the median one")
    parser.add_argument("--clients", nargs="+", choices=list(CLIENTS), default=list(CLIENTS))
    parser.add_argument("--processes", type=int, help="of our client; by default it chooses by the load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds and the summary there too")
    parser.add_argument("--worker", nargs=2, metavar=("CLIENT", "LOAD"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        client, load = given.worker
        write(json.dumps(asdict(CLIENTS[client](Load(**json.loads(load))))))
        return 0
    pick = best if given.best else middle
    rounds, results = {}, {}
    for concurrency in given.concurrency:
        rounds[concurrency] = compare(given, concurrency)
        results[concurrency] = {
            name: {key: pick(key, [one[key] for one in seen]) for key in KEYS}
            for name, seen in rounds[concurrency].items()
        }
        table(results[concurrency])
    faults = missed(results)
    if given.json:
        facts = {
            "cores": os.cpu_count(),
            "picked": "best" if given.best else "median",
            "results": results,
            "rounds": rounds,
            "missed": faults,
        }
        given.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    write("\nThe aims are met." if not faults else f"\nThe aims are not met: {'; '.join(faults)}.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
