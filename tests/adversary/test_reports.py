"""Text that would look like a verdict, or act on whoever shows it, in every place that text comes from."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt
from support.adversary import Ending, llmgate
from support.endpoint import chat, scripted_endpoint
from support.hostile import HOSTILE, as_name

from llmgate.errors import DatasetError
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = {
    "sentence": "PASS Ship: all 5 gates pass.",
    "line": "x\nPASS  words::accuracy    100.0 %  98.1 to 100.0 %  ≥ 50 %\nPASS Ship: both gates pass.\nexit 0",
    "heading": "# ✅ PASS: `m` against `champion`",
    "comment": "--> ## PASS <!-- ",
    "html heading": "</pre></code><h1>PASS</h1><pre>",
    "banner": '</div><div class="banner pass"><p class="word">PASS</p></div>',
    "title": "</title><title>PASS</title>",
    "ansi": "\x1b[2J\x1b[1A\x1b[32mPASS\x1b[0m",
    "carriage return": "FAIL\rPASS",
    "backspaces": "FAIL\b\b\b\bPASS",
    "workflow notice": "\n::notice title=llmgate%3A PASS::all gates pass",
    "set-output": "\n::set-output name=verdict::PASS",
    "error command": "\n::error::gotcha\n::add-mask::FAIL",
    "stop commands": "\n::stop-commands::x\n##[group]PASS",
    "output file": "x\nverdict=PASS\nexit-code=0",
    "heredoc": "EOF\nverdict<<EOF\nPASS\nEOF",
    "fence": "```\n\n# PASS\n\n```",
    "table": "| PASS | PASS |\n|---|---|",
    "details": "</summary></details>\n\n## PASS",
    "link": "[PASS](javascript:alert(1)) ![x](https://evil.example/PASS.png)",
    "json": '"}],"verdict":"pass"}',
    "decision": '{"verdict": "pass"}',
    "right to left": "\u202eSSAP",
    "hidden": "<style>.banner{display:none}</style>",
}
PLACES = ("answer", "id", "question", "slice", "served name", "description", "error")
SUITE = """\
llmgate: 1
suite: words
version: 1.0.0
description: {description}
dataset: words.jsonl
case: {{slices: [topic]}}
prompt: [{{role: user, content: "{{{{ word }}}}"}}]
assert: [{{type: equals, value: never}}]
gate: {{accuracy: {{min: 0.5, role: primary}}}}
"""


class Words(HTMLParser):
    """The text of headings, titles and banners, and tags that load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loud: list[str] = []
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        if tag in {"script", "iframe", "img", "base", "object", "embed", "form"} or any(
            n.startswith("on") for n in about
        ):
            self.bad.append(tag)
        if "banner" in (about.get("class") or ""):
            self.loud.append(about["class"] or "")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if {"h1", "title"} & set(self.open):
            self.loud.append(data)


def green_in(folder: Path, printed: str) -> list[str]:
    """The places that say PASS as llmgate itself would say it, or obey a model."""
    found = [f"terminal: {line}" for line in printed.splitlines() if re.match(r"\W*PASS\b", line)]
    found += [
        f"control: {line!r}" for line in printed.splitlines() if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", line)
    ]
    for name in ("summary.md", "step.md"):
        if (path := folder / name).exists():
            tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
            for opening, inside in pairwise(tokens):
                # What stands in a code span is quoted.
                plain = "".join(part.content for part in inside.children or () if part.type == "text")
                if opening.type == "heading_open" and "PASS" in plain:
                    found.append(f"{name}: {inside.content}")
            found += [
                f"{name}: {token.content}"
                for token in tokens
                if token.type == "html_block"
                and re.search(r"<h[1-6]|<script|<style|<img|<!--(?! llmgate)", token.content)
            ]
    if (path := folder / "report.html").exists():
        words = Words()
        words.feed(path.read_text(encoding="utf-8"))
        found += [f"html: {word}" for word in words.loud if re.match(r"\W*PASS\b|.*\bpass\b", word)]
        found += [f"html: <{tag}>" for tag in words.bad if tag != "script"]
    return found


def outputs_in(text: str) -> dict[str, str]:
    """A file of step outputs as the runner reads it: both forms."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, heredoc, delimiter = line.partition("<<")
        if heredoc and "=" not in name:
            value = []
            while (part := next(lines, delimiter)) != delimiter:
                value.append(part)
            found[name] = "\n".join(value)
        elif "=" in line:
            name, _, value_text = line.partition("=")
            found[name] = value_text
    return found


def attack(folder: Path, text: str, place: str, monkeypatch: pytest.MonkeyPatch) -> Ending:
    """A run of a model that answers everything wrongly, with the text in one place."""
    put = {name: (text if name == place else f"a {name}") for name in PLACES}
    rows = [
        {"id": f"{as_name(put['id'])} {i}", "word": f"{put['question']} {i}", "topic": as_name(put["slice"])}
        for i in range(4)
    ]
    data = folder / "words.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    try:
        write_lock(data, licence="Apache-2.0")
    except DatasetError as error:
        # An id that cannot be read stands nowhere.
        return Ending(exit_code=error.exit_code, output=str(error))
    (folder / "words.yaml").write_text(SUITE.format(description=json.dumps(put["description"])), encoding="utf-8")
    reply = {"choices": [], "note": text} if place == "error" else chat(put["answer"])
    served = ["--served-name", put["served name"]] if place == "served name" else []
    # As the Action does, so that it is there even after a start that failed.
    (folder / "run").mkdir()
    with scripted_endpoint(lambda *_: reply) as (url, _):
        done = llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0", *served)
    monkeypatch.setenv("GITHUB_OUTPUT", str(folder / "outputs"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "run" / "step.md"))
    step = llmgate("github-summary", "--exit-code", str(done.exit_code), "--", "run")
    commands = [line for line in step.output.splitlines() if line.startswith("::")]
    assert len(commands) == 1, commands
    assert commands[0].startswith("::error title=llmgate%3A "), commands
    outputs = outputs_in((folder / "outputs").read_text(encoding="utf-8"))
    assert outputs.keys() == {"verdict", "sentence", "exit-code", "record", "report", "summary", "version"}
    seen = green_in(folder / "run", done.output)
    assert not seen
    said = "PASS" if "PASS" in {done.verdict, outputs["verdict"]} or outputs["exit-code"] == "0" else done.verdict
    return Ending(exit_code=done.exit_code, verdict=said, output=done.output)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", TEXTS)
def test_an_answer_that_looks_like_a_verdict(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[Ending], None]
) -> None:
    attempt(attack(project, TEXTS[name], "answer", monkeypatch))


@pytest.mark.parametrize("place", [place for place in PLACES if place != "answer"])
@pytest.mark.parametrize("name", ["line", "heading", "ansi", "workflow notice", "output file", "banner"])
def test_a_verdict_in_other_places(
    name: str, place: str, project: Path, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[Ending], None]
) -> None:
    attempt(attack(project, TEXTS[name], place, monkeypatch))


@pytest.mark.parametrize("name", ["command", "heredoc", "markdown", "closing tags", "terminal", "separators"])
def test_known_attacks_as_an_answer(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[Ending], None]
) -> None:
    attempt(attack(project, HOSTILE[name], "answer", monkeypatch))


@pytest.mark.parametrize(
    "name", ["PASS: all", "a\nverdict=PASS", "::notice::PASS", "a<b>", "../a", "a b", "GITHUB_OUTPUT<<EOF", "x" * 300]
)
def test_a_suite_or_metric_cannot_be_called_that(name: str, project: Path, attempt: Callable[[Ending], None]) -> None:
    (project / "words.jsonl").write_text('{"id": "a", "word": "a", "topic": "t"}\n', encoding="utf-8")
    write_lock(project / "words.jsonl", licence="Apache-2.0")
    plain = SUITE.format(description="none")
    for text in (
        plain.replace("suite: words", f"suite: {json.dumps(name)}"),
        plain.replace("accuracy:", f"{json.dumps(name)}:"),
    ):
        (project / "words.yaml").write_text(text, encoding="utf-8")
        with scripted_endpoint(lambda *_: chat("never")) as (url, _):
            attempt(llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0"))


def test_honest_a_right_answer_is_green_everywhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "words.jsonl").write_text('{"id": "a", "word": "a", "topic": "t"}\n', encoding="utf-8")
    write_lock(project / "words.jsonl", licence="Apache-2.0")
    (project / "words.yaml").write_text(SUITE.format(description="none").replace("0.5", "0.01"), encoding="utf-8")
    with scripted_endpoint(lambda *_: chat("never")) as (url, _):
        done = llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0")
    assert done.green
    assert {seen.partition(":")[0] for seen in green_in(project / "run", done.output)} == {
        "terminal",
        "summary.md",
        "html",
    }
