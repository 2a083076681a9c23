"""How often does the probe of adapters err? On a real server with the trap set, and with a slot to spare.

    python benchmarks/adapter_probe.py MODEL --probes 40 --strength 0.02 0.003

For each strength two adapters of random weights are made for MODEL (a Llama) and served by vLLM twice: with as many
slots as adapters, so that base requests in a mixed batch get the weights of the last one, and with one more. Each
probe is the one that `llmgate run --adapter` makes after every start. Printed for each server: how many probes found
something mixed up (with the trap set all should, with a spare slot none), which pairs could not be told apart, the
noise, the smallest distance between models, and the largest share of its limit that an own answer came to.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from llmgate.generate.endpoint import ask
from llmgate.generate.vllm.adapter_probe import observe
from llmgate.generate.vllm.adapters import adapter_flags, read_adapter
from llmgate.generate.vllm.server import ServerSpec, launch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.adapters import write_adapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmgate.generate.vllm.adapter_probe import Apart
    from llmgate.generate.vllm.adapters import Adapter

NAMES = ("base", "a", "b")


def probes(model: Path, adapters: Sequence[Adapter], *, slots: int, count: int, log: Path) -> tuple[list[Apart], float]:
    """Start a server, probe it again and again, end it; the findings, and the median of the seconds of one."""
    flags = list(adapter_flags(adapters))
    flags[flags.index("--max-loras") + 1] = str(slots)
    spec = ServerSpec(model=str(model), served_name="base", flags=tuple(flags), log_path=log)
    found, took = [], []
    with launch(spec) as server:
        server.wait_ready()

        def ask_it(body: Mapping[str, Any]) -> tuple[int, Any]:
            return ask("POST", f"{server.url}/v1/completions", body=body, api_key=None, timeout_s=300)

        for _ in range(count):
            began = time.monotonic()
            found.append(observe(ask_it, NAMES, where="it"))
            took.append(time.monotonic() - began)
            print(f"{found[-1]} after {took[-1]:.0f} s", file=sys.stderr, flush=True)
    return found, median(took)


def facts(found: Sequence[Apart], seconds: float) -> dict[str, Any]:
    """What the probes of one server came to."""
    wrong = [each for each in found if each.mixed_up]
    as_whom = Counter(f"{odd.model} as {odd.nearest}" for each in wrong for odd in each.mixed_up)
    return {
        "probes": len(found),
        "found": len(wrong),
        "answers": dict(as_whom),
        "alike": dict(Counter("~".join(pair) for each in found for pair in each.alike)),
        "noise": [
            min(each.noise for each in found),
            median(each.noise for each in found),
            max(each.noise for each in found),
        ],
        "nearest": min(each.nearest for each in found),
        "worst": [min(each.worst for each in found), max(each.worst for each in found)],
        "seconds": seconds,
    }


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--probes", type=int, default=40)
    parser.add_argument("--strength", type=float, nargs="+", default=[0.02])
    parser.add_argument("--servers", nargs="+", choices=["trap", "spare"], default=["trap", "spare"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="adapter-probe-") as scratch:
        for strength in options.strength:
            folders = [
                write_adapter(Path(scratch) / f"{name}-{strength}", base=options.model, seed=seed, strength=strength)
                for seed, name in enumerate(NAMES[1:])
            ]
            adapters = [read_adapter(n, f, base=options.model) for n, f in zip(NAMES[1:], folders, strict=True)]
            for kind in options.servers:
                slots = len(adapters) + (kind == "spare")
                found, seconds = probes(
                    options.model, adapters, slots=slots, count=options.probes, log=Path(scratch) / "server.log"
                )
                print(json.dumps({"strength": strength, "server": kind, **facts(found, seconds)}), flush=True)


if __name__ == "__main__":
    main()
