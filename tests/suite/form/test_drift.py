"""`drift:` in suites and policy files: what is meant arrives, and mistakes are named with their line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import PolicyError, SuiteError
from llmgate.record.output_features import FeatureWatch, OutputFeature
from llmgate.record.policy import Direction, MetricPolicy, Policy, Role
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.cases import plan_suite
from llmgate.suite.data.dataset import write_lock
from llmgate.suite.form.drift import case_features
from llmgate.suite.form.policy import override_policy
from llmgate.suite.spec import Suite, load_suite

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
llmgate: 1
suite: facts
version: 1.0.0
dataset: facts.jsonl
prompt: [{role: user, content: "{{ question }}"}]
assert:
  - {type: icontains, value: x}
"""
FREE = (OutputFeature.REFUSALS, OutputFeature.SCHEMA, OutputFeature.LENGTH)


def load(tmp_path: Path, text: str = "", head: str = HEAD) -> Suite:
    data = tmp_path / "facts.jsonl"
    data.write_text(json.dumps({"id": "a", "question": "q"}) + "\n", encoding="utf-8")
    write_lock(data, licence="Apache-2.0")
    path = tmp_path / "facts.yaml"
    path.write_text(head + text, encoding="utf-8")
    return plan_suite(load_suite(path, VOCABULARY), VOCABULARY).suite


def watched(suite: Suite) -> set[OutputFeature]:
    return {one.trait for one in suite.watched}


def gating(suite: Suite) -> dict[OutputFeature, MetricPolicy]:
    return {one.trait: one for one in suite.metrics if one.trait is not None}


def test_what_costs_nothing_is_watched_without_a_word(tmp_path: Path) -> None:
    suite = load(tmp_path)
    assert watched(suite) == set(FREE)
    assert gating(suite) == {}
    assert [one.metric for one in suite.metrics] == ["accuracy"]


@pytest.mark.parametrize("off", ["off", "false", '"off"'])
def test_all_of_it_can_be_left_out(tmp_path: Path, off: str) -> None:
    assert watched(load(tmp_path, f"drift: {off}\n")) == set()


def test_an_entry_gates_and_a_role_alone_is_enough(tmp_path: Path) -> None:
    suite = load(
        tmp_path,
        "drift: {refusals: {margin: 0.05, max: 0.1, alpha: 0.01}, length: guardrail, schema: off, embeddings: watch}\n",
    )
    assert watched(suite) == {OutputFeature.EMBEDDINGS}
    assert gating(suite) == {
        OutputFeature.REFUSALS: MetricPolicy(
            suite="facts", metric="drift-refusals", role=Role.GUARDRAIL, direction=Direction.LOWER, margin=0.05,
            max=0.1, alpha=0.01, trait=OutputFeature.REFUSALS,
        ),
        OutputFeature.LENGTH: MetricPolicy(
            suite="facts", metric="drift-length", role=Role.GUARDRAIL, margin=0.2, trait=OutputFeature.LENGTH
        ),
    }  # fmt: skip


def test_a_margin_can_be_watched_only(tmp_path: Path) -> None:
    assert watched(load(tmp_path, "drift: {length: {role: watch, margin: 0.1}}\n")) == set(FREE)


def test_a_margin_changes_no_digest_and_no_question(tmp_path: Path) -> None:
    assert load(tmp_path).digest == load(tmp_path, "drift: {length: {margin: 0.1}}\n").digest


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("drift: {refusal: watch}\n", 8, "Did you mean refusals"),
        ("drift:\n  length: {magrin: 0.1}\n", 9, "Did you mean margin"),
        ("drift:\n  length: {margin: .nan}\n", 9, "not a finite number"),
        ("drift:\n  length: {margin: 1.5}\n", 9, "margin is 1.5"),
        ("drift:\n  length: {max: 0.5}\n", 9, "by a margin and nothing else"),
        ("drift:\n  refusals: {min: 0.5}\n", 9, "less is better here"),
        ("drift:\n  refusals: primary\n", 9, "drift.refusals.role"),
        ("drift:\n  embeddings: guardrail\n", 9, "so it cannot gate"),
        ("drift:\n  schema: guardrail\n", 9, "no assert asks for a format"),
        ("drift: [refusals]\n", 8, "drift"),
    ],
)
def test_mistakes_have_a_line_and_advice(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(SuiteError) as caught:
        load(tmp_path, text)
    assert f"facts.yaml:{line}" in str(caught.value)
    assert says in str(caught.value)


def test_an_assert_may_not_feed_a_metric_of_that_name(tmp_path: Path) -> None:
    head = HEAD.replace("value: x}", "value: x, metric: drift-refusals}")
    assert [one.metric for one in load(tmp_path, head=head).metrics] == ["drift-refusals"]
    with pytest.raises(SuiteError, match="another name"):
        load(tmp_path, "drift: {refusals: {margin: 0.1}}\n", head)


@pytest.mark.parametrize(
    ("asserts", "traits"),
    [
        ([AssertSpec(type="equals")], (OutputFeature.REFUSALS, OutputFeature.LENGTH)),
        ([AssertSpec(type="is-json")], FREE),
        ([AssertSpec(type="is-json", negated=True)], (OutputFeature.REFUSALS, OutputFeature.LENGTH)),
        ([AssertSpec(type="is-refusal")], (OutputFeature.LENGTH,)),
        ([AssertSpec(type="is-refusal", negated=True)], (OutputFeature.REFUSALS, OutputFeature.LENGTH)),
        ([AssertSpec(type="assert-set", asserts=(AssertSpec(type="refusal"),))], (OutputFeature.LENGTH,)),
    ],
)
def test_asserts_say_which_traits_a_case_has(asserts: list[AssertSpec], traits: tuple[OutputFeature, ...]) -> None:
    assert case_features(asserts) == traits


POLICY = Policy(
    metrics=(
        MetricPolicy(suite="facts", metric="accuracy", margin=0.05),
        MetricPolicy(suite="facts", metric="drift-length", role=Role.GUARDRAIL, margin=0.2, trait=OutputFeature.LENGTH),
    ),
    watched=(
        FeatureWatch(suite="facts", trait=OutputFeature.REFUSALS),
        FeatureWatch(suite="other", trait=OutputFeature.REFUSALS),
    ),
)


def override(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text("llmgate-policy: 1\n" + text, encoding="utf-8")
    return override_policy(POLICY, str(path))


def test_a_policy_file_changes_the_traits_that_it_names(tmp_path: Path) -> None:
    policy = override(
        tmp_path, "drift:\n  facts: {refusals: {margin: 0.02}}\nmetrics:\n  facts/drift-length: {margin: 0.3}\n"
    )
    assert [(one.metric, one.margin, one.role) for one in policy.metrics] == [
        ("accuracy", 0.05, Role.PRIMARY), ("drift-length", 0.3, Role.GUARDRAIL), ("drift-refusals", 0.02, Role.GUARDRAIL),
    ]  # fmt: skip
    assert policy.watched == (FeatureWatch(suite="other", trait=OutputFeature.REFUSALS),)
    relaxed = override(tmp_path, "drift:\n  facts: {length: watch}\n")
    assert [one.metric for one in relaxed.metrics] == ["accuracy"]
    assert {one.trait for one in relaxed.watched if one.suite == "facts"} == {
        OutputFeature.REFUSALS,
        OutputFeature.LENGTH,
    }


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("drift:\n  fatcs: off\n", 3, "Did you mean facts"),
        ("drift:\n  facts: {lenght: watch}\n", 3, "Did you mean length"),
        ("drift:\n  facts:\n    length: {magrin: 0.1}\n", 4, "Did you mean margin"),
        ("drift:\n  facts:\n    embeddings: guardrail\n", 4, "cannot gate"),
    ],
)
def test_mistakes_in_a_policy_file_have_a_line_too(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        override(tmp_path, text)
    assert f"policy.yaml:{line}" in str(caught.value)
    assert says in str(caught.value)
