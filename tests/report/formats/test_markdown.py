from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support.hostile import HOSTILE
from support.records import make_decision, make_record, make_result
from support.reports import LOOKS, hostile_view, look

from llmgate.gate.decision.types import Verdict
from llmgate.report import markdown_text
from llmgate.report.formats.markdown import render_markdown
from llmgate.report.pieces import Piece
from llmgate.report.view import build_view
from llmgate.report.visible import visible

if TYPE_CHECKING:
    from markdown_it.token import Token

# The cells of a table row as GitHub's parser cuts them: a backslash takes any punctuation with it.
GITHUB_CELL = re.compile(r"(?:\\[!-/:-@\[-`{-~]|[^|])+")


def parse(text: str) -> list[Token]:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return [*tokens, *(child for token in tokens for child in token.children or ())]


def check_is_tame(text: str) -> list[Token]:
    tokens = parse(text)
    for token in tokens:
        assert token.type not in {"link_open", "image", "html_inline", "code_block", "em_open", "hr"}, token
        if token.type == "html_block":
            for line in filter(None, token.content.split("\n")):
                assert re.fullmatch(
                    r"<details><summary>(<code>[^<>]*</code> [^<>]*|All facts)</summary>|</details>", line
                ), line
    headings = [token for token in tokens if token.type == "heading_open" and token.tag == "h1"]
    assert headings == []
    return tokens


@pytest.mark.parametrize("name", LOOKS)
def test_a_report_says_the_verdict_first(name: str) -> None:
    view = look(name)
    text = render_markdown(view)
    check_is_tame(text)
    lines = text.splitlines()
    assert view.verdict in lines[0]
    assert view.sentence.split(":")[0] in lines[2]
    assert view.consequence in text


@pytest.mark.parametrize("name", LOOKS)
def test_every_table_has_a_blank_line_before_it_and_even_rows(name: str) -> None:
    lines = render_markdown(look(name)).splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("| --- ")]
    assert starts
    for start in starts:
        assert lines[start - 2] == ""
        columns = lines[start].count("---")
        row = start - 1
        while row < len(lines) and lines[row].startswith("|"):
            assert len(GITHUB_CELL.findall(lines[row])) == columns
            row += 1


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_stays_text(text: str) -> None:
    view = hostile_view(text)
    rendered = render_markdown(view, max_bytes=10_000_000)
    rendered.encode("utf-8")
    tokens = check_is_tame(rendered)
    blocks = [token.content for token in tokens if token.type == "fence"]
    assert visible(text) + "\n" in blocks
    outside = "\n".join(token.content for token in tokens if token.type == "text")
    assert not re.search(r"(?<![\w`])@\w|https?://\w|\bwww\.\w|#\d", outside)
    for line in rendered.splitlines():
        if line.startswith("| ") and "`" in line:
            assert len(GITHUB_CELL.findall(line)) in {3, 4, 6, 9}


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_fence_holds_anything(text: str) -> None:
    shown = visible(text)
    (fence,) = [token for token in parse(markdown_text.fenced((Piece(text=shown),))) if token.type == "fence"]
    assert fence.content == shown.replace("\x00", "\ufffd") + "\n"


@settings(deadline=None)
@given(st.text("ab`|\\ *_<", min_size=1, max_size=20))
def test_a_code_span_holds_anything(text: str) -> None:
    line = " ".join(text.split()) or "–"
    (code,) = [token for token in parse(markdown_text.code(text)) if token.type == "code_inline"]
    assert code.content.strip() == line


@settings(deadline=None)
@given(st.text("ab`|\\ *<", min_size=1, max_size=20), st.text("a`|\\", min_size=1, max_size=8))
def test_a_table_cell_never_spills(first: str, second: str) -> None:
    table = markdown_text.as_table(["A", "B"], [[markdown_text.in_cell(first), markdown_text.in_cell(second)]])
    (row,) = table.splitlines()[2:]
    assert len(GITHUB_CELL.findall(row)) == 2
    cells = [token for token in parse(table) if token.type == "td_open"]
    assert len(cells) == 2


def test_a_small_budget_leaves_out_whole_parts_and_names_them() -> None:
    view = look("fail")
    whole = render_markdown(view)
    short = render_markdown(view, max_bytes=3000)
    assert len(short.encode()) <= 3000 < len(whole.encode())
    assert "Left out for want of space: " in short
    assert "Provenance" in short.splitlines()[-1]
    check_is_tame(short)


def test_the_heading_stays_whatever_the_budget() -> None:
    assert render_markdown(look("fail"), max_bytes=0).startswith(
        "## ❌ FAIL: `support-bot v8` against `support-bot v7`\n"
    )


def test_many_flips_are_counted() -> None:
    names = [f"case-{i:03}" for i in range(40)]
    champion = make_record(scores=dict.fromkeys(names, 1.0), run_id="run-champion")
    candidate = make_record(scores=dict.fromkeys(names, 0.0))
    view = build_view(candidate, champion, make_decision(Verdict.FAIL, candidate=candidate, champion=champion))
    text = render_markdown(view)
    assert "40 cases. Shown are the first 10; 30 more stand in the HTML report or the record." in text


def test_an_invalid_measurement_is_loud() -> None:
    text = render_markdown(look("not-evaluated"))
    assert "**INVALID: these measurements do not count.**" in text
    assert "| 5,238 | **INVALID: 1 of 1 run** | – |" in text


def test_a_huge_answer_fits_a_comment() -> None:
    candidate = make_record(results=[make_result("a", text="`" * 1_000_000, score=0.0)])
    view = build_view(candidate, None, make_decision(Verdict.FAIL, candidate=candidate))
    assert len(render_markdown(view).encode()) < 65_536
