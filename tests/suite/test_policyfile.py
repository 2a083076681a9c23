"""A policy file changes what it names, and refuses what it cannot mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.errors import PolicyError, SuiteError
from llmgate.record.policy import Aggregate, MetricPolicy, OnInconclusive, Policy, Role
from llmgate.suite.policyfile import override_policy

if TYPE_CHECKING:
    from pathlib import Path

POLICY = Policy(
    metrics=(
        MetricPolicy(suite="facts", metric="accuracy", margin=0.05, min=0.3),
        MetricPolicy(suite="facts", metric="tone", role=Role.WATCH, judged=True),
    )
)


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


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("llmgate-policy: 2\n", 1, "policy format is 2"),
        ("metrics: {}\n", 1, "llmgate-policy: Field required"),
        ("llmgate-policy: 1\nmetrisc: {}\n", 2, "Did you mean metrics"),
        ("llmgate-policy: 1\nmetrics:\n  facts/acuracy: {margin: 0.1}\n", 3, "Did you mean facts/accuracy"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {magrin: 0.1}\n", 3, "Did you mean margin"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {margin: 3}\n", 3, "margin is 3.0, but must lie between"),
        ("llmgate-policy: 1\nmetrics:\n  facts/accuracy: {alpha: 0.9}\n", 3, "alpha is 0.9"),
        ("llmgate-policy: 1\nmetrics:\n  facts/tone: {role: primary}\n", 3, "never admitted, so it cannot gate"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(PolicyError, match=says) as caught:
        override(tmp_path, text)
    assert caught.value.where == f"{tmp_path}/policy.yaml:{line}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="cannot be read"):
        override_policy(POLICY, str(tmp_path / "absent.yaml"))
