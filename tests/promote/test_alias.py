from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.promote.alias import CHAMPION, alias_problem


@pytest.mark.parametrize(
    "alias",
    [
        "Champion",
        "CHAMPION",
        " champion",
        "champion ",
        "champion\n",
        "champ1on",
        "champlon",
        "champi0n",
        "cham-pion",
        "champion_",
        "сhampion",  # Cyrillic s
        "chаmpion",  # Cyrillic a
        "champiοn",  # Greek omicron
        "ｃｈａｍｐｉｏｎ",  # full width
        "champion\u200b",  # zero-width space
        "champ\u00adion",  # soft hyphen
    ],
)
def test_a_look_alike_is_refused_with_the_name_that_was_meant(alias: str) -> None:
    problem = alias_problem(alias)
    assert problem is not None
    assert "did you mean 'champion'?" in problem


def test_a_look_alike_stays_refused_when_the_registry_holds_it() -> None:
    problem = alias_problem("Champion", {"Champion", "champion"})
    assert problem is not None
    assert "did you mean 'champion'?" in problem


def test_a_look_alike_of_an_alias_that_the_model_has() -> None:
    problem = alias_problem("staging", {"Staging"})
    assert problem is not None
    assert "did you mean 'Staging'?" in problem
    assert alias_problem("Staging", {"Staging"}) is None


@pytest.mark.parametrize("alias", ["", "  ", "a/b", "a.b", "größe", "a" * 256])
def test_what_no_registry_takes_is_refused(alias: str) -> None:
    assert alias_problem(alias) is not None


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v7", "V12"])
def test_what_the_registry_resolves_by_itself_is_refused(alias: str) -> None:
    problem = alias_problem(alias)
    assert problem is not None
    assert "reserved" in problem


@pytest.mark.parametrize("alias", ["champion", "staging", "champion-eu", "champion2", "challenger", "Prod"])
def test_ordinary_names_pass(alias: str) -> None:
    assert alias_problem(alias, {CHAMPION}) is None


@given(st.text())
def test_whatever_folds_to_champion_is_champion_or_refused(text: str) -> None:
    if text.strip().casefold() == CHAMPION:
        assert (alias_problem(text) is None) == (text == CHAMPION)
