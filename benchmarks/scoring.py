"""How many (assert, output) pairs of the cheap types one core scores per second.

Run: python benchmarks/scoring.py [--pairs 100000] [--json FILE]

Every pair goes through `llmgate.evaluate_assert`, as a user calls it: the assert as a mapping, no preparation. Outputs
differ from pair to pair. The times are CPU seconds of this process, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from llmgate import evaluate_assert

CHEAP: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "equals", "value": "The capital of France is Paris, number 7."}, {}),
    ({"type": "contains", "value": "Paris"}, {}),
    ({"type": "icontains", "value": "{{ city }}"}, {"vars": {"city": "paris"}}),
    ({"type": "not-contains", "value": "Rome"}, {}),
    ({"type": "contains-any", "value": ["Rome", "Paris"]}, {}),
    ({"type": "icontains-all", "value": ["capital", "paris"]}, {}),
    ({"type": "starts-with", "value": "The capital"}, {}),
    ({"type": "regex", "value": r"number [0-9]+\."}, {}),
    ({"type": "word-count", "value": {"min": 3, "max": 20}}, {}),
    ({"type": "levenshtein", "value": "The capital of France is Paris.", "threshold": 20}, {}),
    ({"type": "finish-reason", "value": "stop"}, {"finish_reason": "stop"}),
    ({"type": "latency", "threshold": 500}, {"latency_ms": 120.0}),
    ({"type": "cost", "threshold": 0.01}, {"cost": 0.002}),
    ({"type": "not-is-refusal"}, {}),
]


def main() -> None:
    """Score, and print a line per type and the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000, help="pairs in all, shared evenly between the types")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    each = options.pairs // len(CHEAP)
    outputs = [f"The capital of France is Paris, number {i}." for i in range(each)]
    seconds: dict[str, float] = {}
    for spec, about in CHEAP:
        if evaluate_assert(spec, outputs[0], **about).outcome == "error":
            raise SystemExit(f"{spec} cannot be evaluated: {evaluate_assert(spec, outputs[0], **about).reason}")
        started = time.process_time()
        for output in outputs:
            evaluate_assert(spec, output, **about)
        seconds[spec["type"]] = time.process_time() - started
        print(f"{spec['type']:<16} {1e6 * seconds[spec['type']] / each:6.1f} us per pair")
    total = sum(seconds.values())
    print(f"{each * len(CHEAP):,} pairs in {total:.2f} s of CPU time, {each * len(CHEAP) / total:,.0f} per second")
    if options.json:
        options.json.write_text(
            json.dumps({"pairs": each * len(CHEAP), "cpu_s": total, "by_type_s": seconds}, indent=1)
        )


if __name__ == "__main__":
    main()
