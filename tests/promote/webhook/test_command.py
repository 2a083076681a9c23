"""The operator's command, and names that would like to be more than names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import UsageError
from llmgate.promote.webhook.command import PLACEHOLDERS, argument_name, command_template
from llmgate.promote.webhook.refusal import DeliveryRefusedError

VALUES = {name: f"<{name}>" for name in PLACEHOLDERS}


def filled(text: str | None, words: list[str] | None = None, **values: str) -> list[str]:
    template = command_template(text, words or [])
    assert template is not None
    return template.filled({**VALUES, **values})


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "a..b",
        "../etc",
        ".hidden",
        "-rf",
        "--out",
        "a b",
        "a'b",
        'a"b',
        "a\nb",
        "a\n",
        "a;b",
        "$(id)",
        "`id`",
        "a|b",
        "a&b",
        "a\\b",
        "a*",
        "~",
        "{}",
        "{version}",
        "a=b",
        "a\0b",
        "ünï",
        "а",  # Cyrillic
        "x" * 201,
    ],
)
def test_names_that_are_more_than_names_are_refused(name: str) -> None:
    with pytest.raises(DeliveryRefusedError) as caught:
        argument_name(name)
    assert caught.value.status == 422
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["bot", "support-bot_2.v3", "_x", "7"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert argument_name(name) == name


@given(st.text(max_size=30))
def test_whatever_is_taken_is_one_plain_word(name: str) -> None:
    try:
        argument_name(name)
    except DeliveryRefusedError:
        return
    assert name.isascii()
    assert not set(name) & set(" \t\n\r\0'\"\\$`;|&<>(){}[]*?!~#=/:")
    assert not name.startswith(("-", "."))


def test_text_is_split_before_anything_is_put_in() -> None:
    argv = filled("gate 'two words' {model} --x={version_uri}", model="a b; rm -rf {version_uri} $(id)")
    assert argv == ["gate", "two words", "a b; rm -rf {version_uri} $(id)", "--x=<version_uri>"]


def test_a_list_is_taken_as_it_is() -> None:
    argv = filled(None, ["gate", "a 'quoted' word", "{version_uri}{version_uri}", '{"json": 1}', "{}", "{0}", "$HOME"])
    assert argv == ["gate", "a 'quoted' word", "<version_uri><version_uri>", '{"json": 1}', "{}", "{0}", "$HOME"]


def test_nothing_given_is_no_command() -> None:
    assert command_template(None, []) is None


@pytest.mark.parametrize(
    ("text", "words", "match"),
    [
        ("gate {version_uri}", ["gate", "{version_uri}"], "given twice"),
        ("", [], "empty"),
        ("''", [], "empty"),
        (None, [""], "empty"),
        ("gate 'open {version_uri}", [], "cannot be split"),
        ("gate {verison_uri}", [], "Did you mean version_uri"),
        ("gate {source} {version_uri}", [], "unknown placeholder {source}"),
        ("{model} {version_uri}", [], "program may hold no placeholder"),
        ("gate suites/", [], "which version"),
        ("gate {model}", [], "which version"),
        (None, ["gate", "{version_uri}", "a\0b"], "null character"),
    ],
)
def test_commands_that_cannot_be_right_are_refused_at_the_start(text: str | None, words: list[str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        command_template(text, words)
