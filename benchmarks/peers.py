"""Ours and the neighbours on the same mock server in one go: harnesses that run cases, and programs that make load.

    python benchmarks/peers.py --envs ~/.cache/llmgate/peers --tokenizer MODEL-FOLDER --rounds 3 --json peers.json

Every program runs as its users run it, as one process tree, in the order of the list and then turned round, so that a
busy neighbour hits all of them. A virtual environment for each peer is made below --envs with the version that is
written here (promptfoo with npm, and node from npm where node is too old); one that cannot be made is named in the
table and not left out in silence. The mock server (tests/support/fake_server.py) keeps the truth about load.

Cases: `--cases` prompts, two asserts each (an answer contains a word, and matches a pattern), 20 ms an answer,
`--concurrency` in flight. Printed are medians over the rounds: wall time, processor time of the process tree, peak
memory of its largest process, each also as a ratio to `llmgate run`. Files of such runs lie in benchmarks/peers/.

Load: `--requests` streamed answers of 64 tokens, first token after 20 ms, 5 ms between tokens, 32 in flight. Printed
are wall and processor time of the whole program, the requests per second and the mean TTFT that it reports, and what
its TTFT differs from the truth.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from machine import processor
from mock_server import mock_server
from peer_programs import HARNESSES, LOADS, NODE, PINS, PROMPTFOO, TOKENS, WORDS, Job, Missing, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peer_programs import Start

TTFT_MS, ITL_MS = 20.0, 5.0
COMPARED = frozenset({"wall, s", "cpu, s", "peak, MB"})
INVALID = "invalid"


def true_ttft_ms(url: str, requests: int) -> float:
    """The mean over the last requests, which are the measured ones."""
    with urllib.request.urlopen(f"{url}/truth") as response:  # noqa: S310 - our own server
        truth = sorted(json.load(response), key=lambda one: one["number"])
    return 1e3 * fmean(one["tokens_s"][0] - one["arrived_s"] for one in truth[-requests:] if one["tokens_s"])


def run(make: Callable[[Job], Start], given: argparse.Namespace, *, load: bool) -> dict[str, float]:
    """One program once, against a server of its own."""
    timing = ("--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS if load else 0.0))
    words = ("--words", str(TOKENS if load else WORDS))
    with mock_server(*timing, *words) as (url, _), TemporaryDirectory() as folder:
        job = Job(
            url=url,
            folder=Path(folder),
            cases=given.cases,
            concurrency=given.concurrency,
            requests=given.requests,
            envs=given.envs.expanduser(),
            tokenizer=given.tokenizer,
            vllm_python=given.vllm_python,
        )
        start = make(job)
        log = job.folder / "output.txt"
        began = time.perf_counter()
        with log.open("wb") as output:
            env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
            process = subprocess.Popen(
                start.argv, cwd=folder, env=env | dict(start.env), stdout=output, stderr=subprocess.STDOUT
            )
            _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        text = log.read_text(encoding="utf-8", errors="replace")
        code = os.waitstatus_to_exitcode(status)
        if code not in start.ends:
            say(text[-3000:])
            raise Missing(f"it ended with {code}")
        row = {"wall, s": wall, "cpu, s": used.ru_utime + used.ru_stime, "peak, MB": used.ru_maxrss / 1024}
        row |= start.check(job, text)
        if load:
            row["ttft error, ms"] = row.pop("ttft") - true_ttft_ms(url, job.requests)
        return row


def compare(programs: Mapping[str, Callable[[Job], Start]], given: argparse.Namespace, *, load: bool) -> dict[str, Any]:
    """All programs, `rounds` times, in alternating order: each round, medians, and why a program is missing."""
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    missing: dict[str, str] = {}
    for round_ in range(given.rounds):
        for name in list(programs) if round_ % 2 == 0 else list(programs)[::-1]:
            if name in missing or (given.only and name not in given.only):
                continue
            say(f"round {round_ + 1} of {given.rounds}: {name}")
            try:
                seen[name].append(run(programs[name], given, load=load))
            except Missing as error:
                missing[name] = str(error)
    rows = {name: {key: median(row[key] for row in rows) for key in rows[0]} for name, rows in seen.items() if rows}
    return {"rows": rows, "rounds": {name: rows for name, rows in seen.items() if rows}, "missing": missing}


def table(found: dict[str, Any]) -> None:
    """A row per program, with ratios to the first; and what is missing."""
    rows: dict[str, dict[str, float]] = found["rows"]
    ours = next(iter(rows.values()), {})
    invalid = int(sum(row.get(INVALID, 0.0) for rounds in found["rounds"].values() for row in rounds))
    shown = [key for key in ours if key != INVALID]
    print("\n| |" + "|".join(shown) + "|\n|---" + "|---:" * len(shown) + "|")
    for name, row in rows.items():
        cells = (f"{row[key]:.2f}" + (f" ({row[key] / ours[key]:.1f} ×)" if key in COMPARED else "") for key in shown)
        print(f"| {name} | " + " | ".join(cells) + " |")
    for name, why in found["missing"].items():
        print(f"| {name} | not measured: {why} |")
    if invalid:
        print(f"\nIn {invalid} rounds llmgate said of its own figures that they are INVALID.")
    sys.stdout.flush()


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="llmgate and its neighbours on the same mock server")
    parser.add_argument("--envs", type=Path, default=Path("~/.cache/llmgate/peers"), help="where peers are installed")
    parser.add_argument("--tokenizer", default="", help="model folder whose tokenizer GuideLLM and AIPerf use")
    parser.add_argument("--vllm-python", default="", help="interpreter that has vLLM [default: this one]")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--requests", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", metavar="NAME", help="run this program alone; may be repeated")
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    given = parser.parse_args()
    found = {}
    for title, programs, load in (("cases", HARNESSES, False), ("load", LOADS, True)):
        if given.only and not set(given.only) & set(programs):
            continue
        found[title] = compare(programs, given, load=load)
        table(found[title])
        if given.json:
            given.json.write_text(json.dumps(about(given) | found, indent=1) + "\n", encoding="utf-8")


def about(given: argparse.Namespace) -> dict[str, Any]:
    """When, where and of what the figures are."""
    return {
        "format": "llmgate-peers/1",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "machine": platform.machine()},
        "llmgate": version("pytest-llmgate"),
        "peers": [*(pin for pins in PINS.values() for pin in pins), PROMPTFOO, NODE],
        "asked": {"cases": given.cases, "concurrency": given.concurrency, "requests": given.requests},
    }


if __name__ == "__main__":
    main()
