"""Reports as they were last agreed on. `LLMGATE_REGENERATE_GOLDEN=1 pytest tests/report/test_golden.py` agrees anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.reports import LOOKS, look
from support.serving_reports import SERVING_LOOKS, serving_look

from llmgate.report.formats.html import render_html
from llmgate.report.formats.markdown import render_markdown

GOLDEN = Path(__file__).parent.parent / "golden"


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("LLMGATE_REGENERATE_GOLDEN"):
        path.write_text(text, encoding="utf-8", newline="\n")
    assert path.exists(), f"{name} was never agreed on; set LLMGATE_REGENERATE_GOLDEN=1 and look at it"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["fail", "not-evaluated", "no-champion"])
def test_html(name: str) -> None:
    check(f"report-{name}.html", render_html(look(name)))


@pytest.mark.parametrize("name", LOOKS)
def test_markdown(name: str) -> None:
    check(f"report-{name}.md", render_markdown(look(name)))


def test_html_of_serving() -> None:
    check("report-serving.html", render_html(serving_look("serving")))


@pytest.mark.parametrize("name", SERVING_LOOKS)
def test_markdown_of_serving(name: str) -> None:
    check(f"report-{name}.md", render_markdown(serving_look(name)))
