"""A policy file changes what it names, and refuses what it cannot mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.errors import PolicyError, SuiteError
from llmgate.record.policy import Aggregate, MetricPolicy, OnInconclusive, Policy, Role, SlicePolicy, written_policy
from llmgate.record.serving.policy import ServingPolicy
from llmgate.suite.form.policy import override_policy

if TYPE_CHECKING:
    from pathlib import Path

POLICY = Policy(
    metrics=(
        MetricPolicy(suite="facts", metric="accuracy", margin=0.05, min=0.3),
        MetricPolicy(suite="facts", metric="tone", role=Role.WATCH, judged=True),
    ),
    serving=(ServingPolicy(suite="facts", metric="output_throughput", margin=0.05, min=90.0),),
)

ACCEPTED = "until: 2026-12-31, by: Ada, reason: known"


def override(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return override_policy(POLICY, str(path))


def test_what_is_not_named_stays(tmp_path: Path) -> None:
    text = "llmgate-policy: 1\ninconclusive: allow\nmetrics:\n  facts/accuracy: {margin: 0.02, role: guardrail, aggregate: mean}\n"
    policy = override(tmp_path, text)
    assert policy.inconclusive is OnInconclusive.ALLOW
    assert policy.metrics[0] == MetricPolicy(
        suite="facts", metric="accuracy", role=Role.GUARDRAIL, aggregate=Aggregate.MEAN, margin=0.02, min=0.3
    )
    assert policy.metrics[1] == POLICY.metrics[1]
    assert policy.serving == POLICY.serving


def test_serving_gates_are_changed_and_added(tmp_path: Path) -> None:
    text = """\
llmgate-policy: 1
serving:
  facts/output_throughput: {margin: 0.02, role: guardrail}
  facts/median_ttft_ms: {}
  facts/ttft_p95_ms: {max: 500}
  facts/mean_itl_ms: {max: 50, margin: 0.1, alpha: 0.01}
waivers:
  - {metric: facts/output_throughput, until: 2026-12-31, by: Ada, reason: known}
"""
    assert override(tmp_path, text).serving == (
        ServingPolicy(suite="facts", metric="output_throughput", margin=0.02, min=90.0, role=Role.GUARDRAIL),
        ServingPolicy(suite="facts", metric="median_ttft_ms", margin=0.05),
        ServingPolicy(suite="facts", metric="p95_ttft_ms", margin=None, max=500.0),
        ServingPolicy(suite="facts", metric="mean_itl_ms", margin=0.1, max=50.0, alpha=0.01),
    )


def test_the_share_that_may_be_missing_can_be_set(tmp_path: Path) -> None:
    policy = override(tmp_path, "llmgate-policy: 1\nmetrics:\n  facts/accuracy: {missing: 0}\n")
    assert [metric.missing for metric in policy.metrics] == [0.0, *[0.01] * (len(policy.metrics) - 1)]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("llmgate-policy: 2\n", 1, "policy format is 2"),
        ("metrics: {}\n", 1, "the key 'llmgate-policy' is missing"),
        ("llmgate-policy: 1\nmetrisc: {}\n", 2, "Did you mean metrics"),
        ("llmgate-policy: 1\nmetrics:\n  facts/acuracy: {margin: 0.1}\n", 3, "Did you mean facts/accuracy"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {magrin: 0.1}\n", 3, "Did you mean margin"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {margin: 3}\n", 3, "margin is 3.0, but must lie between"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {alpha: 0.9}\n", 3, "alpha is 0.9"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {missing: 0.06}\n", 3, "missing is 0.06"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {alpha: 0.3}\n", 3, "above 0.2 and needs a reason"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {margin: 0.6}\n", 3, "above 0.5 and needs a reason"),
        ("llmgate-policy: 1\ndrift:\n  facts: {refusals: {margin: 0.6}}\n", 3, "above 0.5 and needs a reason"),
        (
            "llmgate-policy: 1\nmetrics:\n  facts/accuracy: {unadmitted: allow}\n",
            3,
            "about judges, and none scores this",
        ),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {max: 0.1}\n", 3, "more is better here, so there is no max"),
        ("llmgate-policy: 1\nslices:\n  fatcs: {fields: [a]}\n", 3, "Did you mean facts"),
        ("llmgate-policy: 1\nslices:\n  facts: {feilds: [a]}\n", 3, "Did you mean fields"),
        ("llmgate-policy: 1\nslice-alpha: 0.6\n", 2, "slice-alpha is 0.6"),
        ("llmgate-policy: 1\nreserve: 0.6\n", 2, "less than or equal to 0.5"),
        (f"llmgate-policy: 1\nwaivers:\n  - {{metric: accuracy, {ACCEPTED}}}\n", 3, "names no suite"),
        (
            f"llmgate-policy: 1\nwaivers:\n  - {{metric: facts/accuracy, case: facts/c1, {ACCEPTED}}}\n",
            3,
            "names one finding",
        ),
        ("llmgate-policy: 1\nserving:\n  output_throughput: {margin: 0.1}\n", 3, "names no suite"),
        ("llmgate-policy: 1\nserving:\n  fatcs/output_throughput: {margin: 0.1}\n", 3, "Did you mean facts"),
        ("llmgate-policy: 1\nserving:\n  facts/output_througput: {margin: 0.1}\n", 3, "Did you mean output_throughput"),
        ("llmgate-policy: 1\nserving:\n  facts/accuracy: {margin: 0.1}\n", 3, "'accuracy' is no serving figure"),
        (
            "llmgate-policy: 1\nserving:\n  facts/output_throughput: {max: 0.1}\n",
            3,
            "more is better here, so there is no",
        ),
        ("llmgate-policy: 1\nserving:\n  facts/median_ttft_ms: {min: 5}\n", 3, "less is better here, so there is no"),
        ("llmgate-policy: 1\nserving:\n  facts/median_ttft_ms: {margin: 0.6}\n", 3, "above 0.5 and needs a reason"),
        ("llmgate-policy: 1\nserving:\n  facts/output_throughput: {alpha: 0.3}\n", 3, "above 0.2 and needs a reason"),
        ("llmgate-policy: 1\nserving:\n  facts/output_throughput: {mragin: 0.3}\n", 3, "Did you mean margin"),
        (f"llmgate-policy: 1\nwaivers:\n  - {{metirc: facts/accuracy, {ACCEPTED}}}\n", 3, "Did you mean metric"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(PolicyError, match=says) as caught:
        override(tmp_path, text)
    assert caught.value.where == f"{tmp_path}/policy.yaml:{line}"


def test_a_file_says_what_is_reserved_and_one_that_does_not_leaves_it(tmp_path: Path) -> None:
    kept = override(tmp_path, "llmgate-policy: 1\n")
    assert kept.reserve == 0.0
    assert "reserve" not in written_policy(kept)
    said = override(tmp_path, "llmgate-policy: 1\nreserve: 0.2\n")
    assert said.reserve == 0.2
    assert written_policy(said)["reserve"] == 0.2


def test_slices_and_waivers_of_a_file(tmp_path: Path) -> None:
    text = f"""\
llmgate-policy: 1
slices:
  facts: {{fields: [topic], min-cases: 40}}
slice-alpha: 0.002
waivers:
  - {{metric: facts/accuracy, slice: {{topic: billing}}, {ACCEPTED}}}
  - {{case: facts/refund/17, {ACCEPTED}}}
"""
    policy = override(tmp_path, text)
    assert policy.slices == (SlicePolicy(suite="facts", field="topic", min_cases=40),)
    assert policy.slice_alpha == 0.002
    assert [waiver.target for waiver in policy.waivers] == ["facts::accuracy[topic=billing]", "facts::refund/17"]


@pytest.mark.parametrize(
    ("waiver", "says"),
    [
        ("{metric: facts/tone, ", "about no gating metric"),
        ("{metric: facts/accuracy, slice: {topic: billing}, ", "'topic', which the gate does not test"),
    ],
)
def test_a_waiver_of_what_does_not_gate_is_refused(tmp_path: Path, waiver: str, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        override(tmp_path, f"llmgate-policy: 1\nwaivers:\n  - {waiver}{ACCEPTED}}}\n")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="cannot be read"):
        override_policy(POLICY, str(tmp_path / "absent.yaml"))
