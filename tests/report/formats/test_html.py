from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from support.hostile import HOSTILE
from support.records import make_decision, make_metric, make_record, make_result
from support.reports import LOOKS, hostile_view, look, make_serving, texts_of

from llmgate.gate.decision.types import Verdict
from llmgate.report.formats.html import PAGE, render_html
from llmgate.report.limits import ReportLimits
from llmgate.report.view import build_view

VOID = {"meta", "br", "link", "img", "input", "hr", "base", "source", "wbr", "embed"}
SVG = {"svg", "circle", "path", "line", "rect", "text"}
OURS = SVG | {
    "html", "head", "meta", "title", "style", "body", "header", "main", "section", "nav", "footer", "div", "span", "a",
    "h1", "h2", "h3", "wbr", "p", "b", "br", "ul", "li", "dl", "dt", "dd", "time", "code", "mark", "strong", "details",
    "summary", "figure", "figcaption", "table", "caption", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


class Document(HTMLParser):
    """Checks the nesting of elements and collects what a browser would see."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.strings: list[str] = []
        self.style = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "style":
            self.style += data
        else:
            self.strings.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return "".join(self.strings)


def check_is_sound(source: str) -> Document:
    document = Document(source)
    assert document.stack == []
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in document.elements:
        assert tag in OURS, tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            assert name not in {"src", "srcset", "action", "data", "poster", "background", "style", "xlink:href"}, name
            if name == "href":
                assert value is not None
                assert value.startswith("#")
                assert value[1:] in ids
            if name == "aria-labelledby":
                assert value in ids
    return document


def policy_of(document: Document) -> str:
    (policy,) = [a["content"] for t, a in document.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    return policy


@pytest.mark.parametrize("name", LOOKS)
def test_a_report_is_well_formed_and_loads_nothing(name: str) -> None:
    source = render_html(look(name))
    document = check_is_sound(source)
    assert not re.search(r"url\(|@import|@font-face|image-set|src:", document.style)
    assert "<script" not in source
    assert [
        a for t, a in document.elements if t == "meta" and a.get("http-equiv") not in {None, "Content-Security-Policy"}
    ] == []


def test_the_policy_allows_exactly_the_inline_style() -> None:
    document = Document(render_html(look("pass")))
    digest = base64.b64encode(hashlib.sha256(document.style.encode()).digest()).decode()
    assert (
        policy_of(document) == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("name", LOOKS)
def test_every_word_of_the_view_is_in_the_report(name: str) -> None:
    view = look(name)
    text = " ".join(check_is_sound(render_html(view)).text.split())
    # Words that the page shows as a symbol or in other words.
    exempt = {"outcome", "side"} | (set() if view.champion else {"champion", "difference"})
    missing = [
        (path, shown)
        for path, shown in texts_of(view)
        if path.rsplit(".", 1)[-1] not in exempt and " ".join(shown.split()) not in text
    ]
    assert missing == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_stays_text(text: str) -> None:
    view = hostile_view(text)
    source = render_html(view)
    source.encode("utf-8")
    shown = " ".join(check_is_sound(source).text.split())
    answer = view.required.rows[0].pairs[0].candidate
    assert answer is not None
    assert " ".join("".join(piece.text for piece in answer.text).split()) in shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]", source)


def test_whitespace_of_an_answer_is_kept() -> None:
    text = "\n\n  indented\n\ttabbed  \n\nend\n"
    candidate = make_record(results=[make_result("a", text=text, score=0.0)])
    source = render_html(build_view(candidate, None, make_decision(Verdict.FAIL, candidate=candidate)))
    assert f">{text}</div>" in source
    assert "white-space: pre-wrap" in source


def test_an_empty_answer_is_called_empty() -> None:
    candidate = make_record(results=[make_result("a", text="", score=0.0)])
    source = render_html(build_view(candidate, None, make_decision(Verdict.FAIL, candidate=candidate)))
    assert "the answer is empty" in source


def test_the_looks_are_unmistakable() -> None:
    banners = {}
    for name in LOOKS:
        document = Document(render_html(look(name)))
        (banner,) = [a["class"] for t, a in document.elements if t == "section" and "banner" in (a.get("class") or "")]
        icon = next(a for t, a in document.elements if t in {"circle", "path"})
        banners[name] = (banner, str(icon))
    assert banners.pop("no-champion") == banners["pass"]
    assert len({banner for banner, _ in banners.values()}) == 4
    assert len({icon for _, icon in banners.values()}) == 4


def test_hundreds_of_flips_are_paged_and_counted() -> None:
    names = [f"case-{i:04}" for i in range(400)]
    champion = make_record(scores=dict.fromkeys(names, 1.0), run_id="run-champion")
    candidate = make_record(scores=dict.fromkeys(names, 0.0))
    view = build_view(candidate, champion, make_decision(Verdict.FAIL, candidate=candidate, champion=champion))
    document = check_is_sound(render_html(view))
    assert "Shown are the first 150 of 400; 250 are left out here" in document.text
    pages = [a for t, a in document.elements if t == "details" and a.get("class") == "page"]
    assert len(pages) == -(-ReportLimits().worse // PAGE) + -(-ReportLimits().missed // PAGE)
    assert "Cases 126 to 150" in document.text


def test_an_invalid_measurement_is_loud() -> None:
    document = Document(render_html(look("not-evaluated")))
    assert "INVALID These measurements do not count." in document.text
    assert "INVALID: 1 of 1 run" in document.text
    assert document.text.count("5,238") == 1


def test_undefined_figures_are_not_drawn_and_never_nan() -> None:
    nan = float("nan")
    metric = make_metric(
        Verdict.INCONCLUSIVE, candidate=nan, champion=nan, delta=nan, lower=nan, upper=nan, p_worse=nan
    )
    candidate, champion = make_record(), make_record(run_id="run-champion")
    decision = make_decision(Verdict.INCONCLUSIVE, candidate=candidate, champion=champion, metrics=[metric])
    serving = make_serving(metrics={"output_throughput": nan, "median_ttft_ms": float("inf")})
    view = build_view(candidate, champion, decision, serving=[serving], champion_serving=[make_serving()])
    source = render_html(view)
    assert not re.search(r"(?i:\bnan\b|\binf\b|infinity)|\bNone\b", source)
    assert 'class="forest"' not in source


def test_a_decision_without_metrics_says_so() -> None:
    candidate = make_record()
    decision = make_decision(Verdict.INCONCLUSIVE, candidate=candidate, metrics=[])
    assert "No metric was decided on." in check_is_sound(render_html(build_view(candidate, None, decision))).text


def test_the_plot_speaks() -> None:
    labels = [a["aria-label"] for t, a in Document(render_html(look("pass"))).elements if a.get("role") == "img"]
    assert labels[0] == "support accuracy: −0.6 points, bounds −2.1 to +0.9 (95 % each side), tolerance 3: PASS"


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert render_html(look("fail")) == render_html(look("fail"))
