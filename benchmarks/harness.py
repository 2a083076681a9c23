"""What a case costs: `llmgate run` beside bare loops of asyncio, with the same requests to the same server.

    python benchmarks/harness.py --cases 1000 10000 --rounds 3 --json harness.json
    python benchmarks/harness.py --cases 1000 10000 200000 --only llmgate --rounds 1

A server that answers after a fixed time (tests/support/fake_server.py, or another script with `--server`, which takes
`--port`) runs in a process of its own. Contenders run one after another, each in a fresh process, alternating from
round to round, so that a busy neighbour hits all of them. `llmgate` plans, asks, checks two asserts per answer, writes
its record, decides on it and writes the report; the others ask and forget. `--tree NAME=FOLDER` adds a further llmgate,
of another checkout.

Reported, as medians over the rounds: seconds on the clock, of processor time (children included) and per case, the
largest resident memory, the size of the record, and what a further case costs between the first number of cases and the
last. The last lines are ratios to the bare loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from mock_server import SCRIPT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
LLMGATE: Final = (sys.executable, "-c", "from llmgate.cli import main; main()")
READY_S: Final = 20.0
DECIDED: Final = frozenset({0, 1, 3})
"""Exit codes of a run that ended with a decision."""
BARE: Final = "bare asyncio"
MAX_TOKENS: Final = 16

SUITE: Final = """llmgate: 1
suite: harness
version: 1.0.0
dataset: rows.jsonl
prompt: "Say {{ word }} and the number {{ number }}."
sampling: {temperature: 0, max_tokens: 16}
assert:
  - {type: contains, value: "hello"}
  - {type: latency, threshold: 60000}
gate:
  accuracy: {min: 0.5}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run of one contender cost.

    Attributes:
        contender: Who.
        cases: How many it asked.
        wall_s: Seconds on the clock, the start of the process included.
        cpu_s: Seconds of processor time, of children too.
        rss_mb: The largest resident memory of the process, in MB.
        record_mb: Size of what it left on disk, in MB.
        asked_s: Seconds between first and last request, where the contender says so.
    """

    contender: str
    cases: int
    wall_s: float
    cpu_s: float
    rss_mb: float
    record_mb: float = 0.0
    asked_s: float | None = None


def prompt_of(number: int) -> str:
    """The question of one case."""
    return f"Say hello-{number} and the number {number * 7919 % 100_003}."


def write_suite(folder: Path, cases: int) -> Path:
    """The suite with its locked rows."""
    folder.mkdir(parents=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(cases):
            row = {"id": f"case-{number:06d}", "word": f"hello-{number}", "number": number * 7919 % 100_003}
            file.write(json.dumps(row) + "\n")
    suite = folder / "harness.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    command = [*LLMGATE, "lock", str(folder / "rows.jsonl"), "--version", "1.0.0"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    return suite


async def in_flight(count: int, limit: int, ask: Callable[[int], Awaitable[None]]) -> None:
    """Ask so many times, so many at once."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await ask(number)

    await asyncio.gather(*(worker() for _ in range(limit)))


def body_of(number: int, model: str) -> dict[str, Any]:
    """The request of one case."""
    messages = [{"role": "user", "content": prompt_of(number)}]
    return {"model": model, "messages": messages, "temperature": 0, "max_tokens": MAX_TOKENS, "seed": 0}


async def ask_openai(url: str, model: str, cases: int, limit: int) -> float:
    """A bare loop of the official client."""
    from openai import AsyncOpenAI  # noqa: PLC0415 - each process imports one client

    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:

        async def ask(number: int) -> None:
            reply = await client.chat.completions.create(**body_of(number, model))
            check(reply.choices[0].message.content)

        started = time.perf_counter()
        await in_flight(cases, limit, ask)
        return time.perf_counter() - started


async def ask_aiohttp(url: str, model: str, cases: int, limit: int) -> float:
    """A bare loop of an HTTP client of asyncio."""
    import aiohttp  # noqa: PLC0415 - each process imports one client

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit)) as session:

        async def ask(number: int) -> None:
            async with session.post(f"{url}/v1/chat/completions", json=body_of(number, model)) as response:
                check((await response.json())["choices"][0]["message"]["content"])

        started = time.perf_counter()
        await in_flight(cases, limit, ask)
        return time.perf_counter() - started


def check(text: object) -> None:
    """Refuse what is no answer: a loop that counts errors as answers is fast."""
    if not isinstance(text, str) or not text:
        raise SystemExit(f"no answer: {text!r}")


LOOPS: Final = {BARE: ask_aiohttp, "AsyncOpenAI": ask_openai}


def measured(command: Sequence[str], *, env: dict[str, str], cwd: Path, good: frozenset[int]) -> tuple[Any, float, str]:
    """Run a process: what it used, how long it took, and what it wrote."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=env, cwd=cwd, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if process.returncode not in good:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{text[-3000:]}")
    return usage, wall_s, text


def run_llmgate(name: str, tree: Path, suite: Path, load: argparse.Namespace, cases: int) -> Cost:
    """One `llmgate run`, its decision and its report included."""
    out = suite.parent / f"out-{name.replace(' ', '-')}"
    shutil.rmtree(out, ignore_errors=True)
    command = [*LLMGATE, "run", str(suite), "--endpoint", f"{load.url}/v1"]
    command += ["--served-name", load.model, "--concurrency", str(load.concurrency), "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": str(tree)}
    usage, wall_s, _ = measured(command, env=env, cwd=suite.parent, good=DECIDED)
    if not (out / "report.html").exists():
        raise SystemExit(f"{name} left no report in {out}")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return cost(name, cases, usage, wall_s, record_mb=size / 1e6)


def run_loop(name: str, load: argparse.Namespace, cases: int, cwd: Path) -> Cost:
    """One bare loop."""
    command = [sys.executable, __file__, "--loop", name, "--url", load.url, "--model", load.model]
    command += ["--cases", str(cases), "--concurrency", str(load.concurrency)]
    usage, wall_s, text = measured(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=cwd, good=frozenset({0}))
    return cost(name, cases, usage, wall_s, asked_s=float(text.split()[-1]))


def cost(name: str, cases: int, usage: Any, wall_s: float, **more: Any) -> Cost:
    """The cost of a process that has ended; the kernel counts memory in KiB."""
    cpu_s = usage.ru_utime + usage.ru_stime
    return Cost(contender=name, cases=cases, wall_s=wall_s, cpu_s=cpu_s, rss_mb=usage.ru_maxrss * 1024 / 1e6, **more)


class Server:
    """The server that answers, in a process of its own. Use as a context manager."""

    def __init__(self, script: Path, arguments: Sequence[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, str(script), "--port", str(self.port), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def __enter__(self) -> Server:
        due = time.monotonic() + READY_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1):  # noqa: S310 - our own server
                    return self
            except OSError:
                if time.monotonic() > due or self.process.poll() is not None:
                    self.process.kill()
                    raise
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def table(costs: Sequence[Cost]) -> Iterator[str]:
    """One line per contender and number of cases, as medians; then what a further case costs, and ratios."""
    groups: dict[tuple[str, int], list[Cost]] = defaultdict(list)
    for one in costs:
        groups[one.contender, one.cases].append(one)
    yield "contender           cases    wall s     cpu s  ms cpu/case   peak MB  record MB"
    middle: dict[tuple[str, int], tuple[float, float]] = {}
    for (name, cases), some in sorted(groups.items(), key=lambda item: (item[0][1], item[0][0])):
        wall, cpu = median(one.wall_s for one in some), median(one.cpu_s for one in some)
        middle[name, cases] = wall, cpu
        rss, record = median(one.rss_mb for one in some), median(one.record_mb for one in some)
        each = 1000 * cpu / cases
        yield f"{name:16} {cases:8,} {wall:9.2f} {cpu:9.2f} {each:12.3f} {rss:9.0f} {record:10.1f}"
    sizes = sorted({cases for _, cases in groups})
    for name in dict.fromkeys(one.contender for one in costs):
        own = [cases for cases in sizes if (name, cases) in middle]
        if len(own) > 1:
            first, last = own[0], own[-1]
            cpu, wall = (
                1000 * (middle[name, last][part] - middle[name, first][part]) / (last - first) for part in (1, 0)
            )
            yield f"{name}: {cpu:.3f} ms of processor time per further case, {wall:.3f} ms on the clock"
    for cases in sizes:
        for name in dict.fromkeys(one.contender for one in costs):
            if name != BARE and (name, cases) in middle and (BARE, cases) in middle:
                wall, cpu = (middle[name, cases][part] / middle[BARE, cases][part] for part in (0, 1))
                yield f"{name} / {BARE} at {cases:,}: {wall:.2f} on the clock, {cpu:.2f} of processor time"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--only", nargs="+", default=[], help="contenders by name")
    parser.add_argument("--tree", action="append", default=[], help="NAME=FOLDER of another checkout of llmgate")
    parser.add_argument("--server", type=Path, default=SCRIPT, help="script of a server that takes --port")
    parser.add_argument("--server-args", default="--ttft-ms 20 --itl-ms 0 --model fake-model")
    parser.add_argument("--url", default="", help="a server that runs already, without /v1")
    parser.add_argument("--model", default="fake-model")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--loop", choices=sorted(LOOPS), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measure all contenders and print."""
    load = options()
    if load.loop:
        asked_s = asyncio.run(LOOPS[load.loop](load.url, load.model, load.cases[0], load.concurrency))
        sys.stdout.write(f"asked {asked_s:.6f}\n")
        return 0
    trees = {"llmgate": ROOT, **{name: Path(folder) for name, _, folder in (it.partition("=") for it in load.tree)}}
    names = [name for name in (*trees, *LOOPS) if not load.only or name in load.only]
    server = None if load.url else Server(load.server, load.server_args.split())
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory(prefix="llmgate-harness-") as folder:
        suites = {cases: write_suite(Path(folder) / str(cases), cases) for cases in load.cases}
        try:
            if server is not None:
                load.url = server.__enter__().url
            for turn in range(load.rounds):
                for cases, suite in suites.items():
                    for name in names if turn % 2 == 0 else names[::-1]:
                        one = (
                            run_llmgate(name, trees[name], suite, load, cases)
                            if name in trees
                            else run_loop(name, load, cases, suite.parent)
                        )
                        costs.append(one)
                        print(one, file=sys.stderr)
        finally:
            if server is not None:
                server.__exit__()
    for line in table(costs):
        print(line)
    if load.json:
        text = json.dumps([asdict(one) for one in costs], indent=1)
        load.json.write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
