from __future__ import annotations

import importlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.promotions import digest_of, make_manifest, redecide, write_record

from llmgate.gate.decision.types import Problem
from llmgate.promote.mlflow_values import (
    dataset_facts,
    description,
    key,
    metric_datasets,
    run_metrics,
    run_params,
    run_tags,
    version_tags,
)
from llmgate.record.policy import Direction

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.gate.decision.types import Decision


@pytest.fixture
def decision(tmp_path: Path) -> Decision:
    return redecide(write_record(tmp_path / "run", make_manifest("run-1")), None)


@given(st.text(max_size=300), st.text(max_size=300))
def test_keys_are_what_mlflow_takes_and_distinct(one: str, other: str) -> None:
    from llmgate.mlflow_quiet import quiet

    with quiet():
        from mlflow.entities import Metric, Param

        validation: Any = importlib.import_module("mlflow.utils.validation")

    validation._validate_batch_log_data(
        [Metric(key(one, other, "score"), 0.5, 0, 0)], [Param(key("suite", one, "digest"), "x")], []
    )
    assert (key("suite", one) == key("suite", other)) == (one == other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_drawn_as_one(decision: Decision, value: float) -> None:
    metrics = run_metrics(decision, {"ttft_p99_s": value, "requests": 3})
    assert "serving/ttft_p99_s" not in metrics
    assert metrics["serving/requests"] == 3.0
    assert "support/accuracy/delta" not in metrics
    assert metrics["support/accuracy/candidate"] == 1.0


def test_figures_of_serving_have_their_unit_in_the_name(decision: Decision) -> None:
    first = replace(
        decision.metrics[0], metric="output_throughput", unit="tok/s", reference="champion", candidate=146.2,
        champion=162.7, delta=-0.101, lower=-0.125, upper=-0.077, margin=0.05, min=100.0, expected=6, evaluated=6,
    )  # fmt: skip
    limit = replace(
        first, metric="p95_ttft_ms", unit="ms", reference="threshold", direction=Direction.LOWER, candidate=480.0,
        champion=None, delta=None, lower=471.0, upper=489.0, margin=None, min=None, max=500.0,
    )  # fmt: skip
    decision = replace(decision, metrics=(first, limit))
    metrics = run_metrics(decision, {})
    assert metrics["support/output_throughput/candidate_tok_per_s"] == 146.2
    assert metrics["support/output_throughput/delta_relative"] == -0.101
    assert metrics["support/output_throughput/lower_relative"] == -0.125
    assert metrics["support/output_throughput/min_tok_per_s"] == 100.0
    assert metrics["support/p95_ttft_ms/upper_ms"] == 489.0
    assert metrics["support/p95_ttft_ms/max_ms"] == 500.0
    assert not any(name.endswith(("/candidate", "/lower", "/delta")) for name in metrics)
    assert metrics.keys() <= metric_datasets(decision, make_manifest("run-1")).keys()
    rows = description(decision).split("\n")[6:8]
    assert "| 146 tok/s | 163 tok/s | -10.1 % | -12.5 to -7.7 % | 6/6 |" in rows[0]
    assert "| 480 ms | – | – | 471 to 489 ms |" in rows[1]


def test_long_values_are_cut_visibly() -> None:
    manifest = make_manifest("run-1")
    manifest = replace(manifest, server=replace(manifest.server, flags=("--x",) * 5000))
    value = run_params(manifest, None)["server.flags"]
    assert len(value) == 6000
    assert value.endswith("…")


def test_absent_facts_leave_no_tag(decision: Decision) -> None:
    manifest = make_manifest("run-1", weights=None)
    told = run_tags(manifest, decision, subject=None, baseline=None)
    assert not {"llmgate.weights_digest", "llmgate.model_version", "llmgate.baseline"} & told.keys()
    ended_at = datetime(2026, 11, 28, 13, 0, 0, 5000, tzinfo=UTC)
    told_of_version = version_tags(manifest, decision, "abc", ended_at=ended_at)
    assert told_of_version["llmgate.weights_digest"] is None
    assert told_of_version["llmgate.verdicts/abc"] == "PASS 2026-11-28T13:00:00.005+00:00"


def test_a_dataset_digest_with_its_algorithm() -> None:
    suite = make_manifest("run-1").suites[0]
    plain, prefixed = (
        dataset_facts(replace(suite, dataset_digest=d)) for d in (digest_of("d"), f"sha256:{digest_of('d')}")
    )
    assert plain == prefixed
    assert len(plain.digest) == 36
    assert plain.sha256 == digest_of("d")


def test_the_description_is_one_table_whatever_names_hold(decision: Decision) -> None:
    hostile = "a|b\n\n# <script>alert(1)</script> [x](javascript:y) `z`"
    metric = replace(decision.metrics[0], metric=hostile)
    text = description(replace(decision, sentence=hostile, metrics=(metric,), problems=(Problem(where="a", what="b"),)))
    lines = text.split("\n")
    assert lines[3] == ""
    assert lines[4].startswith("| gate |")
    table = [line for line in lines if line.startswith("| ")]
    assert len(table) == 2
    assert table[1].replace("\\|", "").count("|") == table[0].count("|")
    assert "<script" not in text
    assert "\n# " not in text
    assert "[x](" not in text
    assert "1 could not be evaluated" in text
