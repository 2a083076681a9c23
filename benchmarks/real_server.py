"""What the harness costs in wall time on a real vLLM: `llmgate run` beside a bare asyncio client, on the same server.

    python benchmarks/real_server.py --model MODEL --cases 200 --concurrency 32 --rounds 4

One vLLM server is started as the gate starts it. Both clients send the same requests (the same suite, `max_tokens`
words each, no early end) with the same number in flight, each in a process of its own, in turns (A B B A …), so that
what drifts hits both. Wall time is that of the whole process: for `llmgate run` with reading the suite, scoring,
record, decision and report, for the bare client with nothing but requests. Printed are the medians, and the median of
the ratios of neighbours with its range.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from llmgate.demo.models import fetch_champion
from llmgate.generate.vllm.server import Device, ServerSpec, launch

SUITE = """\
llmgate: 1
suite: real
version: 1.0.0
dataset: rows.jsonl
case: {{id: id}}
prompt: "{{{{ prompt }}}}"
sampling: {{temperature: 0, max_tokens: {max_tokens}, extra: {{ignore_eos: true}}}}
assert:
  - {{type: regex, metric: words, value: "[a-z]"}}
  - {{type: not-contains, metric: words, value: "<|im_start|>"}}
gate:
  words: {{role: primary, margin: 0.05}}
"""
BARE = """\
import asyncio, json, sys
import aiohttp
url, rows, concurrency, max_tokens = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
async def main():
    left = iter(rows)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async def slot():
            for prompt in left:
                body = {"model": "real", "messages": [{"role": "user", "content": prompt}], "temperature": 0,
                        "max_tokens": max_tokens, "ignore_eos": True}
                async with session.post(url + "/v1/chat/completions", json=body) as response:
                    said = json.loads(await response.read())
                    assert said["usage"]["completion_tokens"] == max_tokens, said
        await asyncio.gather(*(slot() for _ in range(concurrency)))
asyncio.run(main())
"""
LLMGATE = (sys.executable, "-c", "from llmgate.cli import main; main()")


def timed(command: list[str], folder: Path) -> float:
    """Wall time of one process, in seconds."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{command[:3]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return wall


def measure(url: str, given: argparse.Namespace, folder: Path) -> list[tuple[float, float]]:
    """Pairs of `llmgate run` and the bare client, in alternating order."""
    prompts = [f"{i}: Write about the sea, the wind and a small boat." for i in range(given.cases)]
    rows = folder / "rows.json"
    rows.write_text(json.dumps(prompts), encoding="utf-8")
    suites = folder / "suites"
    suites.mkdir()
    lines = (json.dumps({"id": str(i), "prompt": prompt}) for i, prompt in enumerate(prompts))
    (suites / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (suites / "real.yaml").write_text(SUITE.format(max_tokens=given.max_tokens), encoding="utf-8")
    timed([*LLMGATE, "lock", str(suites / "real.yaml"), "--licence", "none"], folder)
    options = ["--endpoint", f"{url}/v1", "--as-baseline", "--concurrency", str(given.concurrency), "--out"]
    bare = [sys.executable, "-c", BARE, url, str(rows), str(given.concurrency), str(given.max_tokens)]
    timed(bare, folder)  # whoever comes first would pay for what a server makes once
    pairs = []
    for round_ in range(given.rounds):
        ours = [*LLMGATE, "run", str(suites), *options, str(folder / f"record-{round_}")]
        took = {}
        for name, command in (("ours", ours), ("bare", bare))[:: 1 if round_ % 2 == 0 else -1]:
            took[name] = timed(command, folder)
            print(f"round {round_ + 1}: {name} {took[name]:.2f} s", file=sys.stderr, flush=True)
        pairs.append((took["ours"], took["bare"]))
    return pairs


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="llmgate run beside a bare asyncio client on one real vLLM")
    parser.add_argument("--model", help="model folder [default: the demo's]")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = given.model or str(fetch_champion(Path.home() / ".cache" / "llmgate" / "real-server", print))
        spec = ServerSpec(model=model, served_name="real", device=Device.CPU, flags=("--no-enable-prefix-caching",))
        with launch(spec, on_progress=lambda line: print(line, file=sys.stderr)) as server:
            server.wait_ready()
            pairs = measure(server.url, given, folder)
    ratios = sorted(ours / bare for ours, bare in pairs)
    ours, bare = (median(side) for side in zip(*pairs, strict=True))
    print(f"{given.cases} cases of {given.max_tokens} tokens, {given.concurrency} in flight, {given.rounds} rounds")
    print(f"llmgate run {ours:.2f} s, bare asyncio client {bare:.2f} s")
    print(f"ratio {median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
