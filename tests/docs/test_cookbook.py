"""Every example of the cookbook, and of the page on statistics, is run as it stands.

Blocks of a page are carried out in order, in one empty folder. A block with a title is written to that file; Python
is executed, names living on through the page, and an `output` block below it has to be what it printed; of a console
block each `$ ` line is run by a shell, and the lines below it have to be in what was printed, in this order. `…` stands
for anything. `$ENDPOINT`, `$JUDGE` and `$EMBED` are scripted endpoints, described in `answer`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

import pytest
from click.testing import CliRunner
from support.endpoint import chat, scripted_endpoint, vectors
from support.page import BLOCK, commands

from llmgate.cli import main
from llmgate.score.transform import NAMES as TRANSFORMS

DOCS = Path(__file__).parents[2] / "docs"
ELSEWHERE = {"promotion"}
"""Pages that need a server, and are run by `tests/e2e`."""
PAGES = [
    *(page for page in sorted((DOCS / "cookbook").glob("*.md")) if page.stem not in ELSEWHERE),
    DOCS / "statistics.md",
]
KNOWN = {"python", "console", "yaml", "json", "jsonl", "csv", "text", "toml", "output", "markdown"}
PACKAGE = Path(__file__).parents[2]
PLAIN = re.compile(r"llmgate [\w ./:=@,+'\"$%-]*$")
"""A command without pipes, patterns, comments or anything else that only a shell understands."""


def answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A model that knows three capitals and repeats everything else; a judge that likes what names a city."""
    if path.endswith("/embeddings"):
        return vectors(body, lambda text: [1.0, float(len(text) % 7)])
    asked = str(body["messages"][-1]["content"])
    if "response_format" in body:
        return chat(json.dumps(verdict(body["response_format"]["json_schema"]["schema"], asked)))
    known = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo"}
    city = next((city for country, city in known.items() if country in asked), None)
    extra = {"logprobs": {"content": [{"token": "x", "logprob": -0.1}]}} if body.get("logprobs") else {}
    return chat(f"The capital is {city}." if city else asked, **extra)


def judge_answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The same as a judge, which says yes where it is asked in free words."""
    return answer(path, body) if "response_format" in body else chat("yes, it is")


def verdict(schema: dict[str, Any], asked: str) -> dict[str, Any]:
    """A reply that fits the schema: yes and full marks where the text names a city that it knows."""
    good = any(city in asked for city in ("Paris", "Rome", "Tokyo"))
    return {name: fitting(part, good) for name, part in schema["properties"].items()}


def fitting(part: dict[str, Any], good: bool, number: int | None = None) -> Any:
    """A value of the wanted kind; items of a list are numbered from 1."""
    if "enum" in part:
        # Flags and ratings rise; letters begin with the best.
        best = max if isinstance(part["enum"][0], int) else min
        return best(part["enum"]) if good else next(one for one in part["enum"] if one != best(part["enum"]))
    if part.get("type") == "array":
        return [fitting(part["items"], good, 1 + i) for i in range(max(1, part.get("minItems", 1)))]
    if part.get("type") == "object":
        return {name: fitting(one, good, number) for name, one in part["properties"].items()}
    if part["type"] == "integer":
        return number if number is not None else part["maximum" if good else "minimum"]
    return {"boolean": good, "number": float(good), "string": "It names the city."}[part["type"]]


def test_there_is_a_page_per_area() -> None:
    assert {page.stem for page in PAGES} >= {"assertions", "judges", "rag", "datasets", "importing", "custom-checks"}


def rows_of(page: str) -> dict[str, str]:
    """The rows of a page's tables, by each name in their first cell."""
    text = (PACKAGE / "docs" / "cookbook" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*) \|(.*)\|$", text, re.MULTILINE)
    return {name: rest for cell, rest in rows for name in re.findall("`([^`]+)`", cell)}


def test_every_transform_is_told() -> None:
    told = {name.partition(":")[0] for name in rows_of("assertions.md")}
    assert {name.partition(":")[0] for name in TRANSFORMS} <= told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert text.count("```") == 2 * len(blocks), "a block has no language, or does not end"
    assert {block["language"] for block in blocks} <= KNOWN
    assert any(block["language"] in {"python", "console"} for block in blocks), "nothing on this page is run"
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "cookbook"}
    with (
        scripted_endpoint(answer) as (endpoint, _),
        scripted_endpoint(judge_answer, model="judge") as (judge, _),
        scripted_endpoint(answer, model="embedder") as (embed, _),
    ):
        places = {"ENDPOINT": endpoint, "JUDGE": judge, "EMBED": embed}
        printed = ""
        for block in blocks:
            line = text[: block.start()].count("\n") + 1
            printed = carry_out(block, f"{page.name}:{line}", names, places, printed)


def carry_out(block: re.Match[str], where: str, names: dict[str, Any], places: dict[str, str], before: str) -> str:
    """Write, execute or run one block, or compare it with what the one before it printed; returns what is printed."""
    if block["title"]:
        path = Path(block["title"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["content"], encoding="utf-8")
    elif block["language"] == "python":
        with contextlib.redirect_stdout(io.StringIO()) as caught:
            exec(compile(block["content"], where, "exec"), names)
        return caught.getvalue()
    elif block["language"] == "output":
        expected = ".*".join(re.escape(part) for part in block["content"].strip().split("…"))
        assert re.fullmatch(expected, before.strip(), re.DOTALL), f"{where}: printed was:\n{before}"
    elif block["language"] == "console":
        for command, wanted in commands(block["content"]):
            printed = rest = shell(command, places)
            for line in wanted:
                found = re.search("[^\n]*".join(re.escape(part) for part in line.strip().split("…")), rest)
                assert found, f"{where}: {line!r} is not in the rest of:\n{printed}"
                rest = rest[found.end() :]
    return ""


def shell(command: str, places: dict[str, str]) -> str:
    """What a command prints; one that needs no shell runs in this process, which has imported everything."""
    environment = {
        **os.environ,
        **places,
        # The package that is tested, also where another copy is installed.
        "PYTHONPATH": str(PACKAGE),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "1000",
    }
    program, *words = (
        [Template(word).substitute(places) for word in shlex.split(command)] if PLAIN.match(command) else [""]
    )
    if program == "llmgate":
        return CliRunner().invoke(main, words, env=environment, prog_name=program).output
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=600, check=False
    )
    return done.stdout + done.stderr


def test_the_first_page_lists_all_others() -> None:
    listed = set(
        re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", (DOCS / "cookbook" / "README.md").read_text("utf-8"), re.MULTILINE)
    )
    assert listed == {page.name for page in (DOCS / "cookbook").glob("*.md")} - {"README.md"}
