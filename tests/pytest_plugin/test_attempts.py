"""Attempts under pytest: gates of several workers decide on one run, which is one attempt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.fake_server import FakeServer
from support.project import WRONG, answer_right, write_suite

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def run(pytester: pytest.Pytester, server: FakeServer, out: str, *args: str | Path) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        *args, f"--llmgate-endpoint={server.url}", f"--llmgate-out={out}", "-p", "no:cacheprovider", timeout=600
    )


def test_each_run_is_one_attempt_whoever_decides(pytester: pytest.Pytester) -> None:
    for name in ("words", "tools"):
        write_suite(pytester.path, name, cases=20, gate="min: 0.5")
    wrong: set[str] = set()

    def answer(body: dict[str, Any]) -> str:
        return WRONG if (word := answer_right(body)) in wrong else word

    with FakeServer(answer=answer) as server:
        for number in (1, 2):
            wrong.clear()
            wrong |= {f"word-{i}" for i in range(16 + number)}
            result = run(pytester, server, f"runs/{number}", "-n", "2")
            assert result.ret == 1
            ids = {json.loads((pytester.path / "runs" / str(number) / "attempts.json").read_text("utf-8"))["own"]["id"]}
            assert len(ids) == 1
    first = json.loads((pytester.path / "runs" / "1" / "decision.json").read_text("utf-8"))["verdict"]
    result.stdout.fnmatch_lines([f"*ttempt*2; earlier: {first}*"])
    (chain,) = (pytester.path / ".llmgate" / "attempts").glob("*/ledger.jsonl")
    assert len(chain.read_text(encoding="utf-8").splitlines()) == 2
    decision = json.loads((pytester.path / "runs" / "2" / "decision.json").read_text("utf-8"))
    assert (decision["attempt"]["number"], decision["attempt"]["earlier"]) == (2, [first])
