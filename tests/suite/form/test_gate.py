"""`gate:` in its short and its long form: what is meant arrives, and mistakes are named with their line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.errors import SuiteError
from llmgate.record.policy import Binding, Direction, OnInconclusive, SlicePolicy
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.spec import Suite, load_suite

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
llmgate: 1
suite: facts
version: 1.0.0
dataset: facts.jsonl
case: {slices: [topic, language]}
prompt: [{role: user, content: "{{ question }}"}]
assert:
  - {type: icontains, value: x}
  - {type: is-refusal, metric: refusals}
"""
LONG = """\
gate:
  metrics:
    accuracy: {margin: 0.03, min: 0.5}
    refusals: {direction: lower, max: 0.02}
  inconclusive: allow
  slices: {fields: [topic], min-cases: 50}
  slice-alpha: 0.005
  waivers:
    - {metric: refusals, until: 2026-12-31, by: Ada, reason: known}
    - {metric: accuracy, slice: {topic: billing}, until: 2026-12-31, by: Ada, reason: known}
"""


def load(tmp_path: Path, gate: str) -> Suite:
    path = tmp_path / "facts.yaml"
    path.write_text(HEAD + gate, encoding="utf-8")
    return load_suite(path, VOCABULARY)


def test_the_long_form_says_what_else_the_decision_looks_at(tmp_path: Path) -> None:
    suite = load(tmp_path, LONG)
    metrics = {metric.metric: metric for metric in suite.metrics}
    assert (metrics["accuracy"].margin, metrics["accuracy"].min) == (0.03, 0.5)
    assert (metrics["refusals"].direction, metrics["refusals"].max) == (Direction.LOWER, 0.02)
    assert suite.slices == (SlicePolicy(suite="facts", field="topic", min_cases=50),)
    assert suite.gates.block.inconclusive is OnInconclusive.ALLOW
    assert suite.gates.block.slice_alpha == 0.005
    assert suite.gates.block.reserve is None
    assert [waiver.target for waiver in suite.waivers] == ["facts::refusals", "facts::accuracy[topic=billing]"]


@pytest.mark.parametrize(
    ("gate", "fields"),
    [
        ("gate:\n  accuracy: {margin: 0.03}\n", ["topic", "language"]),
        ("", ["topic", "language"]),
        ("gate: {metrics: {accuracy: {}}, slices: []}\n", []),
        ("gate: {slices: [language]}\n", ["language"]),
        ("gate: {slices: {min-cases: 30}}\n", ["topic", "language"]),
    ],
)
def test_all_slices_of_the_suite_are_looked_into_unless_it_says_otherwise(
    tmp_path: Path, gate: str, fields: list[str]
) -> None:
    assert [one.field for one in load(tmp_path, gate).slices] == fields


def test_what_is_lax_stands_with_its_reason_and_a_claim_is_enough_where_it_is_said(tmp_path: Path) -> None:
    lax = "margin: 0.6, alpha: 0.4, reason: a first look"
    suite = load(tmp_path, LONG.replace("margin: 0.03", lax).replace("inconclusive: allow", "binding: claimed"))
    accuracy, _ = suite.metrics
    assert (accuracy.margin, accuracy.alpha, accuracy.reason) == (0.6, 0.4, "a first look")
    assert suite.gates.block.binding is Binding.CLAIMED
    assert load(tmp_path, LONG).gates.block.binding is Binding.WEIGHTS
    watched = load(tmp_path, LONG.replace("margin: 0.03", "role: watch, margin: 0.9").split("  waivers")[0])
    assert watched.metrics[0].margin == 0.9


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("margin: 0.03", "magrin: 0.03", 12, "unknown key 'magrin'. Did you mean margin?"),
        ("    accuracy: {", "    acuracy: {", 12, "no assert feeds the metric 'acuracy'. Did you mean accuracy?"),
        ("max: 0.02", "min: 0.9", 13, "less is better here, so there is no min. Write `max:`"),
        ("direction: lower", "direction: down", 13, "gate.metrics.refusals.direction: input should be 'higher' or 'lower'"),
        ("margin: 0.03", "margin: 0.51", 12, "margin is 0.51, which is above 0.5 and needs a reason"),
        ("max: 0.02", "max: 0.02, alpha: 0.3, reason: ' '", 13, "alpha is 0.3, which is above 0.2 and needs a reason"),
        ("inconclusive: allow", "binding: claim", 14, "gate.binding: input should be 'weights' or 'claimed'"),
        ("inconclusive: allow", "inconclusive: maybe", 14, "gate.inconclusive: input should be 'fail' or 'allow'"),
        ("inconclusive: allow", "inconclusvie: allow", 14, "unknown key 'inconclusvie'. Did you mean inconclusive?"),
        ("[topic]", "[tpoic]", 15, "'tpoic' is no slice of the suite. Did you mean topic?"),
        ("min-cases: 50", "min-case: 50", 15, "unknown key 'min-case'. Did you mean min-cases?"),
        ("min-cases: 50", "min-cases: 1", 15, "greater than or equal to 2"),
        ("slice-alpha: 0.005", "reserve: 0.6", 16, "gate.reserve: input should be less than or equal to 0.5"),
        ("slice-alpha: 0.005", "reserve: -0.1", 16, "gate.reserve: input should be greater than or equal to 0"),
        ("slice-alpha: 0.005", "slice-alpha: 0.5", 16, "gate.slice-alpha: input should be less than 0.5"),
        ("until: 2026-12-31, by: Ada, reason: known}\n    - {metric: acc", "until: 31.12., by: Ada, reason: known}\n    - {metric: acc", 18, "no date"),
        (", by: Ada, reason: known}\n    - {metric: acc", ", by: Ada}\n    - {metric: acc", 18, "the key 'gate.waivers.0.reason' is missing"),
        ("slice: {topic: billing}", "slice: {}", 19, "at least 1 item"),
        ("slice: {topic: billing}", "case: c1", 19, "a waiver names one finding"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in LONG
    with pytest.raises(SuiteError, match=says) as caught:
        load(tmp_path, LONG.replace(old, new))
    assert caught.value.where == f"{tmp_path}/facts.yaml:{line}"
