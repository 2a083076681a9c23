"""`expression` against what Node and CPython made of the same code."""

from __future__ import annotations

import pytest
from support.outcomes import Recorded, recorded

from llmgate import evaluate_assert
from llmgate.errors import SuiteError
from llmgate.score.expression.globals import NAMES as KNOWN_NAMES
from llmgate.score.expression.globals import STATIC
from llmgate.score.expression.methods import METHODS
from llmgate.score.expression.python_check import python_program
from llmgate.suite.program import understood
from llmgate.suite.program.check import javascript_program

OUTPUTS, VARS, CODES = recorded()


def refused(one: Recorded) -> bool:
    try:
        _ = python_program(one.code) if one.language == "python" else javascript_program(one.code)
    except SuiteError:
        return True
    return "output" not in one.code


def test_the_table_is_large_and_only_what_always_fails_is_refused() -> None:
    taken = [one for one in CODES if not refused(one)]
    assert len(taken) > 240
    assert len(OUTPUTS) >= 30
    assert sum(one.language == "python" for one in taken) > 60
    assert all(one.hopeless for one in CODES if refused(one))


@pytest.mark.parametrize("one", [one for one in CODES if not refused(one)], ids=lambda one: one.code[:40])
def test_every_outcome_and_score_is_that_of_the_language_itself(one: Recorded) -> None:
    spec = {"type": "expression", "value": one.code, "config": {"language": one.language}}
    for output, (outcome, score) in zip(OUTPUTS, one.expected, strict=True):
        result = evaluate_assert(spec, output, vars=VARS, prompt="Q")
        assert result.outcome == outcome, (output, result.reason)
        assert result.score == (None if score is None else pytest.approx(score, abs=1e-9)), output


DATA, COLOURS, DATA_CODES = recorded("outcomes-data")


@pytest.mark.parametrize("one", DATA_CODES, ids=lambda one: one.code[:40])
def test_the_same_where_the_output_is_data(one: Recorded) -> None:
    for output, (outcome, score) in zip(DATA, one.expected, strict=True):
        result = evaluate_assert({"type": "expression", "value": one.code}, output, vars=COLOURS)
        assert result.outcome == outcome, (output, result.reason)
        assert result.score == (None if score is None else pytest.approx(score, abs=1e-9)), output


def test_what_importers_take_for_understood_is_what_is_evaluated() -> None:
    assert STATIC.keys() == understood.FUNCTIONS
    assert KNOWN_NAMES.keys() == understood.NAMES
    assert frozenset().union(*METHODS.values()) == understood.METHODS
    assert {name.partition(".")[0] for name in STATIC} | {"String"} == understood.SPACES
