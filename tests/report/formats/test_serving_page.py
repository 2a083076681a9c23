from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest
from report.formats.test_html import OURS, Document
from support.hostile import HOSTILE
from support.serving_reports import serving_arms, serving_decision, varied_trace

from llmgate.gate.serving.summary import summarise
from llmgate.report.formats.serving_page import serving_page
from llmgate.report.panels.serving_page import comparison_page, measurement_page

SWEEP = tuple(
    summarise(varied_trace(load, slower=load**0.5 / 2, concurrency=load, requests=16 * load)) for load in (1, 2, 4)
)


def test_a_comparison_has_verdict_metrics_pairs_and_distributions() -> None:
    arms = serving_arms()
    page = comparison_page(serving_decision(arms), arms)
    assert (page.verdict, page.champion) == ("FAIL", "support-bot (models:/support-bot/7)") or page.champion
    source = serving_page(page)
    document = Document(source)
    labels = [attributes.get("aria-label") or "" for tag, attributes in document.elements if tag == "svg"]
    assert sum(label.startswith("output throughput, FAIL: −") for label in labels) == 1
    assert sum(label.startswith("Time to first token. champion: half below") for label in labels) == 1
    assert "Do not ship" in "".join(document.strings)
    assert {tag for tag, _ in document.elements} <= OURS


def test_one_measurement_needs_no_verdict_and_draws_its_latencies() -> None:
    trace = varied_trace(3)
    page = measurement_page("chat", [summarise(trace)], trace=trace)
    assert (page.state, page.verdict, len(page.ecdfs), page.curves) == (None, "", 2, ())
    assert "Serving of chat" in serving_page(page)


def test_a_sweep_draws_its_curve_with_the_service_level() -> None:
    page = measurement_page("chat", SWEEP, level_ms=100.0, sentence="The knee is at 2 in flight.")
    source = serving_page(page)
    assert "Service level 100 ms." in source
    assert "The knee is at 2 in flight." in source
    assert page.ecdfs == ()


def test_an_invalid_measurement_says_so_first() -> None:
    page = measurement_page("chat", [replace(SWEEP[0], invalid=("the client lagged",))])
    assert page.verdict == "INVALID"
    source = serving_page(page)
    assert "<title>INVALID · chat · llmgate</title>" in source
    assert "the client lagged" in source


def test_the_policy_allows_the_style_and_nothing_else() -> None:
    source = serving_page(measurement_page("chat", SWEEP))
    document = Document(source)
    digest = base64.b64encode(hashlib.sha256(document.style.encode()).digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in source or f"style-src 'sha256-{digest}'" in source
    assert not re.search(r"<script|\sstyle=|\son\w+=|<img|<link", source)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_names_stay_text(text: str) -> None:
    arms = serving_arms()
    runs = tuple(replace(run, discarded=text if run.discarded else "") for run in arms.runs)
    arms = replace(arms, plan=replace(arms.plan, suite=text), runs=runs)
    document = Document(serving_page(comparison_page(serving_decision(arms), arms)))
    assert {tag for tag, _ in document.elements} <= OURS
