from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support.hostile import HOSTILE
from support.records import make_decision, make_flip, make_metric, make_record, make_result
from support.reports import LOOKS, hostile_view, look

from llmgate.gate.decision.types import Verdict
from llmgate.report import markdown_text
from llmgate.report.formats.markdown import COMMENT_BYTES, render_markdown
from llmgate.report.pieces import Piece, State
from llmgate.report.rows import Panel, PanelRow, columns
from llmgate.report.view import build_view
from llmgate.report.visible import visible

if TYPE_CHECKING:
    from markdown_it.token import Token

# The cells of a table row as GitHub's parser cuts them: a backslash takes any punctuation with it.
LINKS = re.compile(r"(?<![\w`])@\w|https?://\w|\bwww\.\w|#\d")
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
                assert re.fullmatch(r"<details><summary>[^<>]*</summary>|</details>", line), line
                assert not LINKS.search(line)
    headings = [token for token in tokens if token.type == "heading_open"]
    assert [heading.tag for heading in headings] == ["h2"]
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
    assert "**Next:** " in lines[4]


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
@pytest.mark.parametrize("max_bytes", [COMMENT_BYTES, 10_000_000])
def test_hostile_text_stays_text(text: str, max_bytes: int) -> None:
    view = hostile_view(text)
    rendered = render_markdown(view, max_bytes=max_bytes)
    rendered.encode("utf-8")
    tokens = check_is_tame(rendered)
    quoted = [token.content for token in tokens if token.type == "code_inline"]
    assert any(visible(" ".join(text.split()))[:20] in line for line in quoted)
    outside = "\n".join(token.content for token in tokens if token.type == "text")
    assert not LINKS.search(outside)
    for line in rendered.splitlines():
        if line.startswith("| ") and "`" in line:
            assert len(GITHUB_CELL.findall(line)) in {3, 4, 6}


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
    short = render_markdown(view, max_bytes=1500)
    assert len(short.encode()) <= 1500 < len(whole.encode())
    assert short.splitlines()[-1] == (
        "The whole report is `report.html`; left out here: serving (256 in flight); slices."
    )
    check_is_tame(short)


def test_the_heading_stays_whatever_the_budget() -> None:
    assert render_markdown(look("fail"), max_bytes=0).startswith(
        "## ❌ FAIL: `support-bot v8` against `support-bot v7`\n"
    )


def test_the_verdict_is_the_first_column_and_what_fails_the_first_row() -> None:
    view = look("pass")
    metrics = (
        replace(view.metrics[0], outcome="PASS", metric="passes"),
        replace(view.metrics[0], outcome="PASS", metric="waived", waived=True),
        replace(view.metrics[0], outcome="INCONCLUSIVE", state=State.INCONCLUSIVE, metric="open"),
        replace(view.metrics[0], outcome="FAIL", state=State.FAIL, metric="fails", errors=3),
        replace(view.metrics[0], outcome="FAIL", state=State.FAIL, metric="watched", gates=False),
    )
    rows = [line for line in render_markdown(replace(view, metrics=metrics)).splitlines() if line.startswith("|")][:7]
    assert rows[0] == "| Verdict | Metric | Change (bounds) | Limit |"
    assert rows[2] == "| ❌ FAIL | `fails` | 91.0 % → 90.4 % (−2.1 to +0.9), **3 not evaluated** | tolerance 3 |"
    assert [row.split(" | ")[0] for row in rows[3:]] == [
        "| 🟡 INCONCLUSIVE",
        "| ✅ PASS",
        "| ✅ PASS (waived)",
        "| ❌ FAIL (watched)",
    ]


def test_the_worst_cases_are_of_all_failing_metrics_and_folded() -> None:
    failing = {metric: [f"{metric}-{i:03}" for i in range(40)] for metric in ("json", "tone", "facts")}
    sides = {
        side: make_record(
            results=[
                make_result(name, score=score, metric=metric, text=f"{side} of {name}", reason=f"about {metric}")
                for metric, names in failing.items()
                for name in names
            ],
            run_id=f"run-{side}",
        )
        for side, score in (("champion", 1.0), ("candidate", 0.0))
    }
    decision = make_decision(
        Verdict.FAIL,
        candidate=sides["candidate"],
        champion=sides["champion"],
        metrics=[make_metric(Verdict.FAIL, metric=metric) for metric in failing],
        flips=tuple(make_flip(name, metric=metric) for metric, names in failing.items() for name in names),
    )
    text = render_markdown(build_view(sides["candidate"], sides["champion"], decision))
    check_is_tame(text)
    _, _, cases = text.partition("<details><summary>The 5 worst of 120 cases that got worse</summary>")
    assert re.findall(r"^- `support::\w+-\d+` `(\w+)` 100 % → 0 %$", cases, re.M) == [
        "json", "tone", "facts", "json", "tone",
    ]  # fmt: skip
    assert "  - why: `about json`\n  - asked: `Question of json-000?`\n  - champion: `champion of json-000`" in cases


@pytest.mark.parametrize(("rows", "shown"), [(3, 3), (40, 10), (4000, 10)])
def test_of_a_long_table_the_first_rows_are_shown(rows: int, shown: int) -> None:
    cells = tuple(PanelRow(cells=(f"slice {i} {'x' * 100}", "worse")) for i in range(rows))
    panel = Panel(id="p", title="Slices, tested", lead="Some.", columns=columns("Slice", "Finding"), rows=cells)
    text = render_markdown(replace(look("pass"), panels=(replace(panel, serious=True),), serving=()))
    check_is_tame(text)
    assert text.count("| `slice ") == shown
    assert (f"{rows - shown:,} further rows left out." in text) is (rows > shown)


def test_without_a_champion_the_cases_below_par_stand_there() -> None:
    candidate = make_record(scores={f"case-{i}": 0.0 for i in range(7)})
    text = render_markdown(build_view(candidate, None, make_decision(Verdict.FAIL, candidate=candidate)))
    assert "<summary>The 5 worst of 7 cases below par</summary>" in text
    assert "  - champion:" not in text


def test_an_invalid_measurement_is_loud() -> None:
    text = render_markdown(look("not-evaluated"))
    assert "**INVALID: these measurements do not count.**" in text
    assert "| 5,238 | **INVALID: 1 of 1 run** | – |" in text
    assert "<summary>Serving: chat-512-128, 256 in flight, INVALID</summary>" in text


LETTERS = st.text(st.sampled_from("a<&`|\\@#*_~$ \n\u202e\U0001f9d1漢"), max_size=40)


def times(text: str, count: int) -> str:
    return text * max(1, count // max(1, len(text)))


@settings(deadline=None)
@given(text=LETTERS, size=st.sampled_from([1, 200, 5_000]), many=st.sampled_from([1, 7, 60]))
def test_a_summary_never_exceeds_6_kb(text: str, size: int, many: int) -> None:
    """Whatever names, sentences and answers are, and however many metrics, problems and cases there are."""
    view = hostile_view(times(text.strip() or "a", size))
    view = replace(
        view,
        notices=view.notices * many,
        problems=view.problems * many,
        metrics=view.metrics * many,
        required=replace(view.required, rows=view.required.rows * many, total=many),
        worse=replace(view.worse, rows=view.worse.rows * many, total=10**9),
        errors=view.errors * many,
        slices=view.slices * many,
        serving=view.serving * many,
        panels=view.panels * many,
    )
    rendered = render_markdown(view)
    assert len(rendered.encode()) <= COMMENT_BYTES < 6_000
    check_is_tame(rendered)
    assert rendered.splitlines()[0].startswith("## ⚠️ INCONCLUSIVE (could not be evaluated): ")
    assert "| Verdict | Metric |" in rendered, "names do not push the table out"


@settings(deadline=None)
@given(st.text(max_size=300), st.integers(10, 200))
def test_a_fitted_text_fits_and_is_as_long_as_it_can_be_or_whole(text: str, most: int) -> None:
    shown = markdown_text.fitted(visible(text), most)
    assert len(shown.encode()) <= most
    whole = markdown_text.code(visible(text))
    assert shown == whole if len(whole.encode()) <= most else shown.rstrip("`").rstrip().endswith("…")
