"""Types that do not exist: what is near, and what does the work of promptfoo's that are none here."""

from __future__ import annotations

import pytest

from llmgate import evaluate_assert
from llmgate.errors import SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.asserts import AssertSpec
from llmgate.suite.form.asserts import read_assert, unknown_type


@pytest.mark.parametrize("name", ["max-score", "not-max-score"])
def test_max_score_is_refused_with_what_does_its_work(name: str) -> None:
    with pytest.raises(SuiteError, match="no assert type here") as refused:
        read_assert({"type": name, "value": {"method": "average"}}, VOCABULARY.names)
    assert "--baseline" in str(refused.value.fix)
    with pytest.raises(SuiteError, match="no assert type here"):
        VOCABULARY.prepare(AssertSpec(type="max-score"))
    assert evaluate_assert({"type": name}, "x").outcome == "error"


@pytest.mark.parametrize(
    ("name", "near"),
    [("meteorr", "meteor"), ("not-classifer", "not-classifier"), ("assert-sett", "assert-set"), ("min-score", "")],
)
def test_a_misspelt_type_names_the_nearest(name: str, near: str) -> None:
    error = unknown_type(name, [*VOCABULARY.names, "assert-set"], "a.yaml:3")
    assert error.what == f"unknown assert type {name!r}"
    assert error.where == "a.yaml:3"
    assert near in str(error.fix)
