"""Does the load client disturb what it measures? Ours, vLLM's Python client and a bare aiohttp loop, side by side.

    python benchmarks/client_overhead.py --concurrency 1 32 128 --rounds 3

A server with known timing (tests/support/fake_server.py) runs in a process of its own and keeps the truth: when it had
read each request and when it wrote each token, on the clock that all processes of a Linux host share. The clients run
one after another in fresh processes, alternating from round to round, so that a busy neighbour hits all of them.

Reported, as medians over the rounds (or, with --best, the best of them, for a machine that is busy with other things
and cannot be quiet): mean TTFT minus the truth's, p99 TTFT minus the truth's, requests per second, and
CPU time of the client's process per request (warm-up included in both, imports in neither).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import io
import json
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVER = Path(__file__).parent.parent / "tests" / "support" / "fake_server.py"
TTFT_MS, ITL_MS = 20.0, 5.0
MODEL = "fake-model"
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What every client has to do."""

    url: str
    concurrency: int
    requests: int
    warmup: int
    tokens: int

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
    cpu_s = time.process_time()
    trace = asyncio.run(
        measure_serving(
            workload,
            Endpoint(url=load.url, model=MODEL),
            ServingLoad(requests=load.requests, concurrency=load.concurrency, warmup=load.warmup),
        )
    )
    return Outcome(
        ttft_s=[r.token_events_s[0] - r.sent_s for r in trace.requests if r.error is None],
        duration_s=trace.duration_s,
        cpu_s=time.process_time() - cpu_s,
        sent=load.requests + load.warmup,
        failed=sum(r.error is not None for r in trace.requests),
    )


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


@contextlib.contextmanager
def server(tokens: int) -> Iterator[str]:
    """The server with known timing, in a process of its own."""
    command = [sys.executable, str(SERVER), "--port", "0", "--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS)]
    with subprocess.Popen([*command, "--words", str(tokens)], stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield line.split()[-1]
        finally:
            process.send_signal(signal.SIGINT)


def true_ttft_s(load: Load) -> list[float]:
    """The truth about the last requests: the measured ones, after all warm-up."""
    with urllib.request.urlopen(f"{load.url}/truth") as response:  # noqa: S310 - our own server
        truth = sorted(json.load(response), key=lambda one: one["number"])
    return [one["tokens_s"][0] - one["read_s"] for one in truth[-load.requests :]]


def measure(client: str, load: Load) -> dict[str, float]:
    """One client in a fresh process against a fresh server."""
    with server(load.tokens) as url:
        load = Load(**(asdict(load) | {"url": url}))
        command = [sys.executable, __file__, "--worker", client, json.dumps(asdict(load))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode:
            raise SystemExit(f"{client} failed:\n{done.stderr[-3000:]}")
        outcome = Outcome(**json.loads(done.stdout.splitlines()[-1]))
        truth = true_ttft_s(load)
    if outcome.failed or len(outcome.ttft_s) != load.requests:
        raise SystemExit(f"{client}: {outcome.failed} of {load.requests} requests failed")
    return {
        "ttft error, ms": (fmean(outcome.ttft_s) - fmean(truth)) * 1e3,
        "p99 error, ms": float(np.percentile(outcome.ttft_s, 99) - np.percentile(truth, 99)) * 1e3,
        "req/s": load.requests / outcome.duration_s,
        "cpu, ms/request": outcome.cpu_s / outcome.sent * 1e3,
    }


def best(key: str, values: list[float]) -> float:
    """The value of the round that was disturbed least."""
    return max(values) if key == "req/s" else min(values)


def middle(_key: str, values: list[float]) -> float:
    """The value of the median round."""
    return median(values)


def compare(
    concurrency: int, rounds: int, tokens: int, seconds: float, pick: Callable[[str, list[float]], float]
) -> None:
    """All clients at one concurrency; prints a table with ratios to ours."""
    length_s = (TTFT_MS + (tokens - 1) * ITL_MS) / 1e3
    requests = max(3, round(seconds / length_s)) * concurrency
    load = Load(url="", concurrency=concurrency, requests=requests, warmup=min(concurrency, requests), tokens=tokens)
    clients = [name for name in CLIENTS if importlib.util.find_spec(NEEDS[name]) is not None]
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in clients}
    for round_ in range(rounds):
        for name in clients if round_ % 2 == 0 else clients[::-1]:
            seen[name].append(measure(name, load))
    rows = {
        name: {key: pick(key, [one[key] for one in results]) for key in results[0]} for name, results in seen.items()
    }
    ours = rows["llmgate"]
    write(f"\n{concurrency} in flight, {requests} requests, ideal {concurrency / length_s:.0f} req/s, {rounds} rounds")
    write(f"| {'client':16} | " + " | ".join(f"{key:>22}" for key in ours) + " |")
    write(f"|{'-' * 18}|" + "|".join("-" * 24 for _ in ours) + "|")
    for name, row in rows.items():
        cells = (f"{row[key]:9.2f} ({row[key] / ours[key]:7.2f} ×)" for key in ours)
        write(f"| {name:16} | " + " | ".join(f"{cell:>22}" for cell in cells) + " |")


def write(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Compare load clients against a server with known timing")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0, help="least length of one measurement")
    parser.add_argument("--best", action="store_true", help="report the best round, not the median one")
    parser.add_argument("--worker", nargs=2, metavar=("CLIENT", "LOAD"), help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.worker:
        client, load = given.worker
        write(json.dumps(asdict(CLIENTS[client](Load(**json.loads(load))))))
        return
    for concurrency in given.concurrency:
        compare(concurrency, given.rounds, given.tokens, given.seconds, best if given.best else middle)


if __name__ == "__main__":
    main()
