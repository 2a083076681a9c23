"""is-html, with html5lib's own tree as the oracle."""

from __future__ import annotations

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.errors import CannotRunError
from llmgate.score.markup import is_html
from llmgate.score.markup.is_html import html_problem

PIECES = [
    "<p>", "</p>", "<b>", "</b>", "<i>", "</i>", "<a>", "</a>", "<div>", "</div>", "<foo>", "</foo>", "<my-tag>", "<table>",
    "<tr>", "<td>", "</table>", "<ul>", "<li>", "<select>", "<option>", "<button>", "<svg>", "</svg>", "<br>", "<pre>",
    "<!-- x -->", "<!doctype html>", "text", " ", "\u00a0", "<center>", "<font>", "<nobr>", "<form>", "<object>", "<h1>",
    "<title>", "</title>", "<script>", "</script>", "</br>", "<frameset>", "<math>", "<mi>", "<head>", "<ruby><rt>", "<hr>",
]  # fmt: skip


def by_the_whole_tree(text: str) -> bool:
    """The rule on an unchanged html5lib tree, for texts without the tag body, which trees always have."""
    tree = html5lib.parse(text, namespaceHTMLElements=False, scripting=True)
    body = tree.find("body")
    if body is not None:
        outside = [body.text, *(child.tail for child in body)]
        if any(piece and piece.strip() for piece in outside):
            return False
    names = {element.tag.rpartition("}")[2].lower() for element in tree.iter() if isinstance(element.tag, str)}
    return any(name in is_html._ELEMENTS or "-" in name for name in names)


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_agrees_with_the_whole_tree(text: str) -> None:
    text = text.strip()
    assert (html_problem(text) is None) == (bool(text) and by_the_whole_tree(text))


@settings(deadline=None)
@given(
    st.text() | st.lists(st.sampled_from([*PIECES, "<html>", "<body>", "\0", "\ud800", "&", "<![CDATA["])).map("".join)
)
def test_nothing_raises(text: str) -> None:
    assert html_problem(text) != ""


@pytest.mark.parametrize(
    ("text", "is_html"),
    [
        ("<body>text</body>", True),
        ("text<body>", False),
        ("<html></html>", False),
        ("<foo><html>", False),
        ("<headphones>", False),
        ("<p>x</p>\u00a0", True),
        ("<p>x</p></body></html> more", False),
        ("<table>x</table>", False),
        ("<div></div><frameset>", False),
        ("<command>", False),
        ("<noscript><p></noscript>", True),
        ("<!doctype html><title>x</title>", True),
    ],
)
def test_examples(text: str, is_html: bool) -> None:
    assert (html_problem(text) is None) == is_html


@pytest.mark.parametrize("tag", ["<div>", "<span>", "<b>", "<optgroup>", "<x>", "<svg>"])
def test_deep_pages_are_read(tag: str) -> None:
    assert (html_problem(tag * 2_000) is None) == (tag != "<x>")


@pytest.mark.parametrize(
    "text",
    [
        "<p " + " ".join(f"a{i}" for i in range(30_000)) + ">",
        "".join(f"<b id={i}>" for i in range(8_000)) + "<p>x" * 20_000,
        "<div>" + "<span>" * 20_000 + "</x>" * 20_000,
    ],
)
@pytest.mark.cpu_seconds(5)
def test_what_costs_too_much_is_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(is_html, "TIME_LIMIT_S", 0.2)
    with pytest.raises(CannotRunError, match="limit"):
        html_problem(text)


def test_what_is_too_long_is_an_error() -> None:
    with pytest.raises(CannotRunError, match="characters"):
        html_problem("<p>" + "x" * is_html.MAX_HTML_CHARS)


def test_too_many_elements_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(is_html, "_MAX_NODES", 100)
    with pytest.raises(CannotRunError, match="more than 100"):
        html_problem("<p>" * 200)
