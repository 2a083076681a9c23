from __future__ import annotations

import json
from dataclasses import replace

from support.serving_reports import serving_arms, serving_decision
from support.serving_runs import busy

from llmgate.report.formats.bench_json import compare_json

VLLM = {
    "duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput",
    "output_throughput", "total_token_throughput", "mean_ttft_ms", "median_tpot_ms", "std_itl_ms", "p99_e2el_ms",
    "max_concurrency", "num_prompts", "date",
}  # fmt: skip


def test_each_run_that_counts_has_the_keys_of_vllm_by_pair() -> None:
    arms = serving_arms()
    decision = serving_decision(arms)
    told = json.loads(json.dumps(compare_json(decision, arms), allow_nan=False))
    assert (told["verdict"], told["sentence"]) == ("FAIL", decision.sentence)
    assert [metric["metric"] for metric in told["metrics"]] == [metric.metric for metric in decision.metrics]
    assert told["metrics"][0]["unit"] == "tok/s"
    for side in ("candidate", "champion"):
        runs = told["arms"][side]
        assert [run["pair"] for run in runs] == [0, 1, 2, 3, 4, 5]
        assert all(run.keys() >= VLLM and run["invalid"] == [] for run in runs)
    assert told["arms"]["candidate"][2]["position"] == 6
    assert [(run["position"], run["arm"]) for run in told["discarded"]] == [(4, "candidate"), (5, "champion")]


def test_a_busy_machine_stands_with_its_run() -> None:
    arms = serving_arms(discard=False)
    first = replace(arms.runs[0], trace=busy(arms.runs[0].trace))
    disturbed = replace(arms, runs=(first, *arms.runs[1:]))
    told = compare_json(serving_decision(disturbed), disturbed)
    assert told["verdict"] == "INCONCLUSIVE"
    assert "other processes used" in told["arms"]["candidate"][0]["invalid"][0]
    assert told["problems"]


def test_without_a_champion_its_side_is_empty() -> None:
    arms = serving_arms(alone=True, discard=False)
    told = compare_json(serving_decision(arms), arms)
    assert told["arms"]["champion"] == []
    assert len(told["arms"]["candidate"]) == 6
