"""Regular expressions with JavaScript's meaning."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import CannotRunError, SuiteError
from llmgate.score.javascript.pattern import Pattern

SAME_AS_NODE: list[tuple[str, str, bool]] = [  # `new RegExp(p).test(t)` in Node.js 20
    (r"a{,2}", "a{,2}", True),
    (r"a{,2}", "aa", False),
    (r"a{1", "a{1", True),
    (r"x{e<=1}", "y", False),
    (r"[]", "a", False),
    (r"[^]", "\n", True),
    (r"[^\D]", "5", True),
    (r"[\D]", "5", False),
    (r"[\w-]", "-", True),
    (r"[a-\d]", "-", True),
    (r"[a\]b]", "]", True),
    (r"[\b]", "\b", True),
    (r"[^a-c]", "b", False),
    (r"\R", "R", True),
    (r"\X", "X", True),
    (r"\h", " ", False),
    (r"\G", "", False),
    (r"\c", r"\c", True),
    (r"\cJ", "\n", True),
    (r"\101", "A", True),
    (r"\1(a)", "a", True),
    (r"^(a\1)$", "a", True),
    (r"(?<n>a)\k<n>", "aa", True),
    (r"(?:(a)|b)\1c", "bc", True),
    (r"^(?:(a)|b)\1$", "ab", False),
    (r"\s", "\x1c", False),
    (r"\s", "\ufeff", True),
    (r"\S", "\x85", True),
    (r"\bé", "é", False),
    (r"x$", "x\n", False),
]


@pytest.mark.parametrize(("pattern", "text", "found"), SAME_AS_NODE)
def test_means_what_it_means_in_javascript(pattern: str, text: str, found: bool) -> None:
    assert Pattern.compile(pattern).found_in(text) is found


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^\p{L}+$", "naïve", True),
        (r"[\p{Lu}-]", "É", True),
        (r"^.$", "🎉", True),
        (r"^[🎉🎈]$", "🎈", True),
        (r"\u{1F389}", "🎉", True),
        (r"^[\u{1F388}-\u{1F389}]$", "🎉", True),
        (r"^\ud83c\udf89$", "🎉", True),
        (r"[\w-.]+@", "a.b-c@", True),
        (r"^[\w-.]$", "/", False),
        (r"[+\-*/]", "-", True),
        (r"^[[&&~~||]$", "&", True),
        (r"^[^[&]$", "x", True),
        (r"^(?<y>\d)\k<y>$", "44", True),
        (r"^\d$", "٣", False),
        (r"^\w\s$", "a\u00a0", True),
    ],
)
def test_characters_are_code_points_and_classes_are_ascii(pattern: str, text: str, found: bool) -> None:
    assert Pattern.compile(pattern).found_in(text) is found


@pytest.mark.parametrize(
    "pattern",
    [r"\k<n>", r"\u{110000}", r"\x6", r"\8", r"(a)\2", "[a", "(", "a{2,1}", r"[\ud800-\udbff]", r"\ud83c.", "a\\"],
)
def test_what_cannot_be_honoured_is_refused(pattern: str) -> None:
    with pytest.raises(SuiteError):
        Pattern.compile(pattern)


def test_case_does_not_count_for_the_letters_of_ascii() -> None:
    assert Pattern.compile("^orders$", ignore_case=True).found_in("ORDERS")
    assert not Pattern.compile("^orders$", ignore_case=True).found_in("order\u017f")


def test_pythons_own_patterns_are_taken_as_they_are() -> None:
    assert Pattern.compile(r"(?i)größe").found_in("GRÖSSE GRÖßE")
    assert Pattern.compile(r"(?P<y>\d+)").found_in("٣")
    assert not Pattern.compile(r"a++ab").found_in("aaab")


@pytest.mark.parametrize("pattern", ["^(a|aa)+$", r"^(.*?,){25}P"])
def test_a_search_without_end_is_an_error(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.score.javascript.pattern.TIME_LIMIT_S", 0.05)
    with pytest.raises(CannotRunError, match=r"ran into its limit of 0\.05 s"):
        Pattern.compile(pattern).found_in(("a" if "a" in pattern else "1,") * 60 + "?")


@pytest.mark.parametrize("pattern", ["^(a+)+$", r"^(\w+\s?)*:$", "(?:a?){40}a{40}b", "(x+x+)+y"])
def test_nested_repetitions_that_the_engine_sees_through_are_answered(pattern: str) -> None:
    assert not Pattern.compile(pattern).found_in("a" * 60 + "?")


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 20_000,
        "(a" * 5_000 + ")" * 5_000,
        "a{1000000}",
        "((a{100}){100}){100}",
        "a" * 60_000,
        "[" * 60_000,
        "[" * 50_000,
        "a{9" + "9" * 50 + "}",
    ],
)
def test_patterns_that_cost_much_to_compile_are_refused(pattern: str) -> None:
    with pytest.raises(SuiteError):
        Pattern.compile(pattern)


@settings(deadline=None)
@given(
    st.text(alphabet=r"ab1\dwsbBkZ()[]{}|*+?^$.,-<>=!:n🎉é", max_size=12),
    st.text(alphabet="ab1 \n🎉é-", max_size=6),
)
def test_any_pattern_compiles_or_is_refused(pattern: str, text: str) -> None:
    try:
        found = Pattern.compile(pattern).found_in(text)
    except (SuiteError, CannotRunError):
        return
    assert found in {True, False}
