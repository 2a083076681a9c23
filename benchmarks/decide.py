"""How long decisions take: on a million pairs with many metrics and slices, and on a thousand, with the whole process.

Run: python benchmarks/decide.py [--items 1000000] [--metrics 20] [--slices 10] [--runs 20] [--json FILE]

The large decision runs in a process of its own, which reads two Parquet files (item_id, a slice column, a column per
metric; half of the metrics right or wrong, half graded) and decides as `llmgate decide` does. Its time is given in
parts - importing, reading, deciding, writing JSON - with the peak of its memory. The small one is the command itself
on two files of JSON Lines, from the start of Python to its end: wall time and processor time, the median and the least
of all runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

LARGE = """
import json, resource, sys, time
started = time.perf_counter(), time.process_time()
def lap(since=[*started]):
    wall, cpu = time.perf_counter(), time.process_time()
    spent = {"wall_s": wall - since[0], "cpu_s": cpu - since[1]}
    since[:] = wall, cpu
    return spent
from llmgate.gate.decide import decide
from llmgate.gate.decision.statement import decision_to_json, headline
from llmgate.gate.evidence.evidence import Evidence
from llmgate.record.results.layout import Layout
from llmgate.record.results.load import load_results
from llmgate.session.decide.results import ResultsQuestion, policy_for
metrics = tuple(sys.argv[3].split(","))
layout = Layout(item="item_id", scores=metrics, slices=("topic",))
parts = {"import": lap()}
mine, theirs = (load_results(path, layout) for path in sys.argv[1:3])
parts["read"] = lap()
question = ResultsQuestion(layout=layout, margin=0.03)
decision = decide(Evidence(tables=mine.tables), Evidence(tables=theirs.tables), policy_for(mine, theirs, question))
parts["decide"] = lap()
text = decision_to_json(decision, headline(decision))
parts["json"] = lap()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
total = {"wall_s": time.perf_counter() - started[0], "cpu_s": time.process_time() - started[1]}
print(json.dumps({"parts": parts, "total": total, "peak_mb": peak, "slices": len(decision.slices),
                  "verdict": decision.verdict, "metrics": len(decision.metrics), "json_bytes": len(text)}))
"""


def write_large(folder: Path, items: int, metrics: int, slices: int) -> tuple[list[str], list[str]]:
    """Two Parquet files; every tenth score differs."""
    rng = np.random.default_rng(7)
    ids = pa.array([f"item-{i:07d}" for i in range(items)])
    topics = pa.array([f"topic-{i}" for i in range(slices)]).take(pa.array(rng.integers(slices, size=items)))
    base = {f"m{k:02d}": rng.random(items) for k in range(metrics)}
    paths = []
    for name in ("candidate", "champion"):
        columns: dict[str, Any] = {"item_id": ids, "topic": topics}
        for k, (metric, values) in enumerate(base.items()):
            changed = np.where(rng.random(items) < 0.05, rng.random(items), values)
            columns[metric] = (changed < 0.7).astype(np.float64) if k % 2 else changed
        path = folder / f"{name}.parquet"
        parquet.write_table(pa.table(columns), path)
        paths.append(str(path))
    return paths, list(base)


def large(items: int, metrics: int, slices: int) -> dict[str, Any]:
    """The large decision, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        paths, names = write_large(Path(folder), items, metrics, slices)
        done = subprocess.run(
            [sys.executable, "-c", LARGE, *paths, ",".join(names)], capture_output=True, text=True, check=True
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def small(items: int, runs: int) -> dict[str, float]:
    """The command on a thousand pairs, many times."""
    rng = np.random.default_rng(7)
    base = rng.random(items) < 0.8
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a", "b"):
            scores = np.where(rng.random(items) < 0.05, ~base, base).astype(int).tolist()
            lines = [json.dumps({"item_id": f"item-{i:04d}", "score": score}) for i, score in enumerate(scores)]
            (Path(folder) / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        args = ["decide", "--candidate", "a.jsonl", "--baseline", "b.jsonl", "--margin", "0.03", "--json"]
        command = [sys.executable, "-c", "from llmgate.cli import main; main()", *args]
        walls, cpus = [], []
        # The first run writes what Python compiles, and is not counted.
        for run in range(runs + 1):
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
            wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode not in {0, 1, 3}:
                raise SystemExit(done.stderr.decode())
            if run:
                walls.append(wall)
                cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {
        "wall_median_s": statistics.median(walls),
        "wall_least_s": min(walls),
        "cpu_median_s": statistics.median(cpus),
        "cpu_least_s": min(cpus),
    }


def main() -> None:
    """Measure, and print a line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--small-items", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    figures: dict[str, Any] = {"small": small(options.small_items, options.runs)}
    print(
        f"{options.small_items:,} pairs, whole process: "
        + ", ".join(f"{k} {v:.3f}" for k, v in figures["small"].items())
    )
    figures["large"] = found = large(options.items, options.metrics, options.slices)
    print(f"{options.items:,} pairs x {found['metrics']} metrics, {found['slices']} slices tested: {found['verdict']}")
    for name, part in {**found["parts"], "total": found["total"]}.items():
        print(f"  {name:<7} {part['wall_s']:6.2f} s wall, {part['cpu_s']:6.2f} s CPU")
    print(f"  peak memory {found['peak_mb']:,.0f} MB")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
