"""XML fragments in text, with expat as the oracle of what is well-formed."""

from __future__ import annotations

import sys
from xml.parsers import expat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.score.markup.contains_xml import XmlScan, holds
from llmgate.score.markup.is_xml import xml_problem

PIECES = [
    "<a>", "</a>", "<b>", "</b>", "<c/>", "<c x='1'/>", "<c x=1>", "<c x='1' x='2'/>", '<c x="&amp;"/>', "<c x='&'/>",
    "<c x='<'/>", "</c>", "text", " ", "&", "&lt;", "&#65;", "&#0;", "&#x110000;", "&#00000000065;", "&nbsp;", "]]>",
    "<!-- x -->", "<!-- -- -->", "<!--->", "<!--", "<![CDATA[<a>]]>", "<![CDATA[", "<?p x?>", "<?xml?>", "<? x?>",
    "<", ">", "< a>", "<1/>", "<a.b-c/>", "<s:a/>", "\x01", "é", "<é/>", "\ufffe", "<c / >", "<a ", "'", '"', "<!x>",
]  # fmt: skip


def expat_accepts(text: str, separator: str | None = None) -> bool:
    try:
        expat.ParserCreate("utf-8", separator).Parse(text.encode(), True)
    except expat.ExpatError:
        return False
    return True


@settings(deadline=None, max_examples=1_000)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_an_element_is_found_exactly_if_expat_accepts_it(inside: str) -> None:
    text = f"<r>{inside}</r>"
    groups = XmlScan(text).groups
    assert any("r" in group for group in groups) == expat_accepts(text)


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from([*PIECES, "<!DOCTYPE a>", "<a xmlns:s='u'>", "<?xml version='1.0'?>"]), max_size=8))
def test_documents_are_what_expat_accepts(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert (xml_problem(text) is None) == expat_accepts(text, " ")


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from([*PIECES, "\ud800", "<!DOCTYPE a [", "\0"])).map("".join))
def test_nothing_raises(text: str) -> None:
    assert isinstance(XmlScan(text).groups, list)
    assert xml_problem(text) != ""


@pytest.mark.parametrize(
    ("text", "well_formed"),
    [
        ("<🦊>x</🦊>", True),
        ("<名前>x</名前>", True),
        ("<名前>x</前名>", False),
        ("<a 日='1' 本='2'/>", True),
        ("<a 日='1' 日='2'/>", False),
        ("<a·/>", True),
        ("<·a/>", False),
        ("\ufeff<a/>", True),
        ("<a>\ud800</a>", False),
        ("<?xml version='1.1'?><a/>", True),
        ("<?xml version='2.0'?><a/>", False),
        ("<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/a.dtd'><a>&b;</a>", True),
        ("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><a>&b;</a>", False),
    ],
)
def test_documents_beyond_expat(text: str, well_formed: bool) -> None:
    assert (xml_problem(text) is None) == well_formed


def test_an_entity_bomb_is_refused_unread() -> None:
    lines = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 40))
    problem = xml_problem(f'<!DOCTYPE r [<!ENTITY e0 "lol">{lines}]><r>&e39;</r>')
    assert problem == "a document type with an internal subset is not supported"


def test_what_an_element_holds() -> None:
    text = "<?xml version='1.0'?><r id='1'>x<i/><i><j k=''>t</j></i><?p q?><![CDATA[ ]]></r>"
    assert XmlScan(text).groups == [
        {"r": {"@_id": "", "?p": "", "i": ["", {"j": {"@_k": "", "#text": ""}}], "#text": ""}}
    ]
    assert XmlScan(text).prolog == {"?xml": {"@_version": ""}}


def test_fragments_inside_what_is_no_xml() -> None:
    assert XmlScan("<a>R & D <b>1</b> <c/></a> <d/>").groups == [{"b": "", "c": ""}, {"d": ""}]
    assert XmlScan("<a><b/></c> <d/>").groups == [{"b": ""}, {"d": ""}]


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("r", True),
        ("r.i", True),
        ("r.i.1.j", True),
        ("r.i.01", False),
        ("r.i.2", False),
        ("r.i.j", False),
        ("x", False),
    ],
)
def test_paths(path: str, there: bool) -> None:
    assert holds({"r": {"i": ["", {"j": ""}]}}, path) == there


def test_deep_documents() -> None:
    deep = "<d>" * 50_000 + "</d>" * 50_000
    assert sys.getrecursionlimit() < 50_000
    assert xml_problem(deep) is None
    assert holds(XmlScan(deep).groups[0], ".".join("d" * 5_000))
