"""Endpoints that answer nothing, and say 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.endpoint import chat, scripted_endpoint
from support.project import answer_right, write_suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, cases=4, gate="min: 0.2")
    return tmp_path


def run(reply: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Ending:
    with scripted_endpoint(reply) as (url, _):
        return llmgate("run", "words.yaml", "--endpoint", url)


def test_honest_answers_pass() -> None:
    assert run(lambda _, body: chat(answer_right(body))).green


def test_no_choices(attempt: Callable[[Ending], None]) -> None:
    attempt(run(lambda *_: {"choices": []}))
