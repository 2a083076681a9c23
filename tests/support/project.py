"""A small project with suites, as a user would have it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["WRONG", "answer_right", "let_stop", "write_suite"]

WRONG = "I do not know."

TEMPLATE = """\
llmgate: 1
suite: {name}
version: 1.0.0
description: Repeat a word.
dataset: {name}.jsonl
case: {{slices: [topic]}}
prompt:
  - {{role: user, content: "Say {{{{ word }}}}"}}
sampling: {{temperature: 0, max_tokens: 16, seed: 0}}
assert:
  - {{type: icontains, value: "{{{{ word }}}}"{required}}}
{extra}\
gate:
  accuracy: {{{gate}}}
"""


def answer_right(body: dict[str, Any]) -> str:
    """Says the word."""
    return str(body["messages"][-1]["content"]).removeprefix("Say ")


def write_suite(
    folder: Path,
    name: str = "words",
    *,
    cases: int = 40,
    gate: str = "min: 0.5, margin: 0.1",
    required: bool = False,
    extra: str = "",
    topics: Sequence[str] = ("animals", "tools"),
) -> Path:
    """Write a suite with its locked dataset; case `word-7` asks for `word-7`.

    Returns:
        The suite file.
    """
    rows = [{"id": f"word-{i}", "word": f"word-{i}", "topic": topics[i % len(topics)]} for i in range(cases)]
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_lock(data, licence="Apache-2.0")
    path = folder / f"{name}.yaml"
    text = TEMPLATE.format(name=name, gate=gate, required=", required: true" if required else "", extra=extra)
    path.write_text(text, encoding="utf-8")
    return path


def let_stop(suite: Path, stopping: str = "looks: 5") -> Path:
    """Add `stopping:` to a suite that `write_suite` wrote."""
    head, _, metrics = suite.read_text(encoding="utf-8").rpartition("gate:\n")
    suite.write_text(f"{head}gate:\n  metrics:\n  {metrics}  stopping: {{{stopping}}}\n", encoding="utf-8")
    return suite
