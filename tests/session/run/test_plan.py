"""What suites and a policy file make of a run's policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.project import write_suite

from llmgate.errors import PolicyError
from llmgate.record.policy import Role
from llmgate.record.serving.policy import ServingPolicy
from llmgate.session.run.plan import plan_paths
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

SERVING = """\
serving:
  gate:
    output_throughput: {margin: 0.04}
    median_ttft_ms: {role: guardrail, margin: 0.1}
  max: {mean_itl_ms: 40}
"""
GATES = (
    ServingPolicy(suite="words", metric="output_throughput", margin=0.04),
    ServingPolicy(suite="words", metric="median_ttft_ms", role=Role.GUARDRAIL, margin=0.1),
    ServingPolicy(suite="words", metric="mean_itl_ms", margin=None, max=40.0),
)


def policy_of(folder: Path, serving: str, policy: str | None = None) -> tuple[ServingPolicy, ...]:
    suite = write_suite(folder)
    suite.write_text(suite.read_text(encoding="utf-8") + serving, encoding="utf-8")
    given = {"endpoint": "http://127.0.0.1:9"}
    if policy is not None:
        (folder / "policy.yaml").write_text(f"llmgate-policy: 1\n{policy}", encoding="utf-8")
        given["policy"] = str(folder / "policy.yaml")
    return plan_paths([suite], settings_from(given, root=folder)).policy.serving


def test_a_run_reserves_a_tenth_unless_a_suite_or_the_policy_file_says_otherwise(tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    given = {"endpoint": "http://127.0.0.1:9"}
    assert plan_paths([suite], settings_from(given, root=tmp_path)).policy.reserve == 0.1
    (tmp_path / "policy.yaml").write_text("llmgate-policy: 1\nreserve: 0\n", encoding="utf-8")
    given["policy"] = str(tmp_path / "policy.yaml")
    assert plan_paths([suite], settings_from(given, root=tmp_path)).policy.reserve == 0.0


def test_serving_gates_of_a_suite_are_gates_of_the_run(tmp_path: Path) -> None:
    assert policy_of(tmp_path, SERVING) == GATES


@pytest.mark.parametrize("serving", ["", "serving: {requests: 32}\n"])
def test_serving_that_is_only_measured_gates_nothing(tmp_path: Path, serving: str) -> None:
    assert policy_of(tmp_path, serving) == ()


def test_a_policy_file_has_the_last_word(tmp_path: Path) -> None:
    changed = policy_of(tmp_path, SERVING, "serving:\n  words/median_ttft_ms: {role: watch}\n")
    assert [figure.role for figure in changed] == [Role.PRIMARY, Role.WATCH, Role.PRIMARY]


def test_a_waiver_of_a_serving_gate_is_one_of_the_run(tmp_path: Path) -> None:
    waiver = "{metric: words/output_throughput, until: 2026-12-31, by: Ada, reason: known}"
    assert policy_of(tmp_path, SERVING, f"waivers:\n  - {waiver}\n") == GATES


def test_a_metric_may_not_be_called_as_a_figure_that_gates(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, extra="  - {type: icontains, value: x, metric: output_throughput}\n")
    suite.write_text(suite.read_text(encoding="utf-8") + SERVING, encoding="utf-8")
    with pytest.raises(PolicyError, match="two metrics are called 'output_throughput'"):
        plan_paths([suite], settings_from({"endpoint": "http://127.0.0.1:9"}, root=tmp_path))
