"""checklist: one verdict for each point, none missing, none twice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.judges import judge, models, parts_of

from llmgate.errors import SuiteError
from llmgate.record.schema import Outcome
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.asserts import AssertSpec

if TYPE_CHECKING:
    from llmgate.score.assertion.models import JudgeRequest
    from llmgate.suite.asserts import Json

POINTS = AssertSpec(type="checklist", value=["Greets {{ name }}", "Is short", "Is kind"])


def verdicts(*items: tuple[object, object]) -> str:
    return json.dumps({"items": [{"item": item, "reason": "r", "met": met} for item, met in items]})


def test_the_share_of_met_points_is_the_score() -> None:
    seen: list[JudgeRequest] = []
    reply = verdicts((3, True), (1, True), (2, False))
    result = judge(POINTS, models(reply, seen=seen))
    assert result.outcome is Outcome.FAIL
    assert result.score == pytest.approx(2 / 3)
    assert "2. Is short" in result.reason
    assert parts_of(seen[0])["checklist"] == "1. Greets Ina\n2. Is short\n3. Is kind"
    assert judge(replace(POINTS, threshold=0.6), models(reply)).outcome is Outcome.PASS
    assert judge(POINTS, models(verdicts((1, True), (2, True), (3, True)))).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "reply",
    [
        verdicts((1, True), (2, True)),
        verdicts((1, True), (2, True), (2, True), (3, True)),
        verdicts((1, True), (2, True), (3, True), (4, True)),
        verdicts((0, True), (1, True), (2, True)),
        verdicts((1, True), (2, True), (3, "yes")),
        verdicts((1, True), (2, True), (3, None)),
        verdicts((1, True), (2, True), (3, 1)),
        verdicts((1, True), (2, True), ("3", True)),
        verdicts((1, True), (2, True), (3.0, True)),
        verdicts((True, True), (2, True), (3, True)),
        '{"items": [true, true, true]}',
        '{"items": {"1": true, "2": true, "3": true}}',
        '{"items": [{"item": 1, "met": true}, {"item": 2, "met": true}, {"item": 3, "met": true}',
        verdicts((1, True), (2, True), (3, True)) * 2,
        "1. yes 2. yes 3. yes",
    ],
)
@pytest.mark.parametrize("negated", [False, True])
def test_a_reply_that_does_not_say_it_for_each_point_is_an_error(reply: str, negated: bool) -> None:
    assert judge(replace(POINTS, negated=negated), models(reply)).outcome is Outcome.ERROR


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_leaving_out_a_point_never_helps(met: list[bool], data: st.DataObject) -> None:
    spec = AssertSpec(type="checklist", value=[f"point {number}" for number in range(len(met))], threshold=0.5)
    items = list(enumerate(met, start=1))
    whole = judge(spec, models(verdicts(*items)))
    assert whole.score == pytest.approx(sum(met) / len(met))
    del items[data.draw(st.integers(0, len(met) - 1))]
    assert judge(spec, models(verdicts(*items))).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("value", "fields", "message"),
    [
        ([], {}, "1 to 50 points"),
        (["a"] * 51, {}, "1 to 50 points"),
        ("a, b", {}, "list of texts"),
        (["a", ""], {}, "empty"),
        (["a", 3], {}, "must be a text, not 3"),
        (["a"], {"threshold": 0.0}, "cannot fail"),
        (["a"], {"threshold": 2.0}, "no score is above 1"),
    ],
)
def test_broken_rules_are_refused(value: Json, fields: dict[str, object], message: str) -> None:
    for negated in (False, True):
        spec = replace(AssertSpec(type="checklist", value=value, negated=negated), **fields)  # type: ignore[arg-type]
        with pytest.raises(SuiteError) as caught:
            VOCABULARY.prepare(spec)
        assert message in str(caught.value)


def test_a_point_that_renders_to_nothing_is_an_error() -> None:
    assert judge(replace(POINTS, value=["a", "{{ no }}"]), models(verdicts((1, True)))).outcome is Outcome.ERROR
