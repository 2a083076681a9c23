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
    run_metrics,
    run_params,
    run_tags,
    version_tags,
)

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
