"""`stopping:` of a suite: plans that arrive, and mistakes with their line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.project import let_stop, write_suite

from llmgate.errors import SuiteError
from llmgate.session.run.plan import plan_file

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.looks import LookPlan


def planned(folder: Path, stopping: str, *, cases: int = 50, required: bool = False) -> LookPlan | None:
    return plan_file(let_stop(write_suite(folder, cases=cases, required=required), stopping)).looks


def test_a_suite_without_it_never_stops(tmp_path: Path) -> None:
    assert plan_file(write_suite(tmp_path, required=True)).looks is None


@pytest.mark.parametrize(
    ("stopping", "cases", "seed", "reserve"),
    [
        ("", (10, 20, 30, 40, 50), 0, 0),
        ("looks: 2, seed: 7", (25, 50), 7, 0),
        ("looks: [0.3, 0.61, 1]", (15, 31, 50), 0, 0),
        ("extend: {cases: 20}", (30, 50), 0, 20),
        ("looks: 3, extend: {cases: 20}", (10, 20, 30, 50), 0, 20),
        ("looks: [0.5, 1], extend: {cases: 20}", (15, 30, 50), 0, 20),
        ("looks: 1", (50,), 0, 0),
    ],
)
def test_plans_arrive(tmp_path: Path, stopping: str, cases: tuple[int, ...], seed: int, reserve: int) -> None:
    plan = planned(tmp_path, stopping)
    assert plan is not None
    assert (plan.suite, plan.cases, plan.seed, plan.reserve) == ("words", cases, seed, reserve)
    assert plan.fractions[-1] == 1.0


@pytest.mark.parametrize(
    ("stopping", "says"),
    [
        ("loks: 5", "unknown key 'loks'. Did you mean looks?"),
        ("extend: {case: 5}", "unknown key 'case'. Did you mean cases?"),
        ("looks: 0", "0 looks; there may be 1 to 50"),
        ("looks: 51", "51 looks; there may be 1 to 50"),
        ("looks: []", "no look at all; end the list with 1"),
        ("looks: [0.5, 0.9]", "the last look is at 0.9 of the cases, but must be at all"),
        ("looks: [0.5, 0.5, 1]", "no plan of looks"),
        ("looks: [-0.5, 1]", "no plan of looks"),
        ("looks: [.nan, 1]", "finite"),
        ("extend: {cases: 0}", "greater than or equal to 1"),
        ("extend: {cases: 50}", "the suite has 50 cases, so there is none before a reserve of 50"),
        ("seed: x", "valid integer"),
    ],
)
def test_what_is_no_plan_is_refused_with_its_line(tmp_path: Path, stopping: str, says: str) -> None:
    with pytest.raises(SuiteError) as refused:
        planned(tmp_path, stopping)
    assert says in str(refused.value)
    assert "words.yaml:15" in str(refused.value)


def test_asserts_that_must_never_fail_are_not_left_unasked_by_default(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"'icontains' must never fail.*stopping: {required: true}"):
        planned(tmp_path, "looks: 5", required=True)
    assert planned(tmp_path, "required: true", required=True) is not None
