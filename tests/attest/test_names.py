"""Names that look alike. What a person would take for a protected name is treated as one."""

from __future__ import annotations

import pytest

from llmgate.attest.names import look_alike, matches, skeleton


@pytest.mark.parametrize(
    "name",
    [
        "Champion", "CHAMPION", "champ1on", "champlon", "champi0n", "cham-pion", "champion_", "champion\n", "сhampion",
        "champiοn", "ｃｈａｍｐｉｏｎ", "chámpion", "champ\u0131on", "charnpion", "chaｒnpion", "Ꮯhampion", "ᏟᎻᎪᎷᏢᏆᎾᏁ",
        "ᴄʜᴀᴍᴘɪᴏɴ", "chømpion", "ꓚꓧampion",
    ],
)  # fmt: skip
def test_a_look_alike_is_found(name: str) -> None:
    assert look_alike(name, ["production", "champion"]) == "champion"
    assert matches("champ*", name)


@pytest.mark.parametrize("name", ["champion-2", "shadow", "champ", "чемпион", "冠军冠军冠军冠军", "größte"])
def test_other_names_are_left_alone(name: str) -> None:
    assert look_alike(name, ["champion"]) is None
    assert not matches("champion", name)


def test_the_name_itself_is_no_look_alike() -> None:
    assert look_alike("champion", ["champion"]) is None
    assert matches("champion", "champion")


def test_a_pattern_in_another_script_is_about_its_own_letters() -> None:
    assert matches("поддержка-*", "Поддержка-бот")
    assert not matches("поддержка", "поддержкб")


@pytest.mark.parametrize("pattern", ["learn-*", "leam-*", "lear*", "*n-1", "learn?", "*"])
def test_two_letters_that_look_like_one_count_as_both(pattern: str) -> None:
    assert matches(pattern, "learn-1")


@pytest.mark.parametrize("tag", ["llmgate.ledger/nightly", "llmgate.ledger/next", "LLMGATE.ledger/champion"])
def test_what_stands_behind_a_slash_does_not_change_what_stands_before_it(tag: str) -> None:
    assert skeleton(tag).startswith(skeleton("llmgate.ledger"))
