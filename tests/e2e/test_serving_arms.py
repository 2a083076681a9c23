"""Two servers of a real model measured against each other: vLLM on the CPU, an A/A by hand.

The machine may be busy: then the comparison stays without a verdict, and what is asserted holds all the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.servers import MARK, marked, wait_until

from llmgate.gate.serving.contention import contended
from llmgate.record.run.files import read_arms
from llmgate.suite.data.dataset import write_lock

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

SUITE = """\
llmgate: 1
suite: towns
version: 1.0.0
description: Names towns.
dataset: towns.jsonl
prompt:
  - {role: system, content: Answer the question in one short sentence.}
  - {role: user, content: "Name a town in {{ country }}."}
sampling: {temperature: 0, max_tokens: 8, seed: 0}
assert:
  - {type: icontains, value: a}
gate:
  accuracy: {min: 0.1}
"""
COUNTRIES = (
    "France",
    "Germany",
    "Italy",
    "Spain",
    "Japan",
    "China",
    "Egypt",
    "Greece",
    "Austria",
    "Cuba",
    "India",
    "Peru",
)
PAIRS = 6


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arms")
    rows = [{"id": name.lower(), "country": name} for name in COUNTRIES]
    data = folder / "towns.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_lock(data, licence="Apache-2.0")
    (folder / "towns.yaml").write_text(SUITE, encoding="utf-8")
    return folder


def test_two_equal_servers_of_ours_are_compared_run_by_run(project: Path, smollm2_dir: Path) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("llmgate")), "bench", "towns.yaml",
            "--compare", str(smollm2_dir), str(smollm2_dir), "--compare-args-b", "--max-num-seqs 64",
            "--server-args", "--max-model-len 512", "--serving-hosting", "together",
            "--pairs", str(PAIRS), "--requests", "12", "--in-flight", "4", "--max-tokens", "8",
            "--metric", "output_throughput:margin=0.3", "--out", "kept",
        ],
        cwd=project, env={**os.environ, MARK: str(project)}, capture_output=True, text=True, check=False, timeout=1500,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode in {0, 1, 3}, told
    assert wait_until(lambda: not marked(project), timeout_s=30), "no process is left"
    (arms,) = read_arms(project / "kept")
    candidate, champion = arms.plan.candidate, arms.plan.champion
    assert champion is not None
    assert candidate.model.weights_digest == champion.model.weights_digest is not None
    assert candidate.server.owned
    assert champion.server.owned
    assert candidate.server.url != champion.server.url
    assert "--max-num-seqs" in candidate.server.flags
    assert "--max-num-seqs" not in champion.server.flags
    assert arms.runs, told
    for run in arms.runs:
        trace = run.trace
        assert trace.machine is not None, "who used the machine was seen"
        assert trace.machine.server_s is not None, "and the server's share of it"
        assert trace.metrics is not None
        assert bool(contended(trace)) <= bool(run.discarded), "what was disturbed does not count"
        queried = trace.metrics.counters.get("vllm:prefix_cache_queries", 0.0)
        hits = trace.metrics.counters.get("vllm:prefix_cache_hits", 0.0)
        assert hits <= 0.5 * queried, "no run finds its prompts in the cache of an earlier one"
    whole = all(a is not None and b is not None for a, b in arms.pairs())
    if not whole:
        assert done.returncode == 3, told
    verdict = json.loads((project / "kept" / "decision.json").read_text(encoding="utf-8"))["verdict"]
    assert {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}[verdict] == done.returncode
