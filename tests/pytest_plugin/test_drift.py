"""Traits that gate are gate items of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.fake_server import FakeServer
from support.project import answer_right, write_suite

# Loaded before pytester takes its snapshots: C extensions cannot be imported twice in one process.
import llmgate.pytest_plugin.items  # noqa: F401

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import pytest


def run(pytester: pytest.Pytester, server: FakeServer, *args: str | Path) -> pytest.RunResult:
    return pytester.runpytest_inprocess(
        *args, f"--llmgate-endpoint={server.url}", "-p", "no:cacheprovider", "-p", "no:randomly"
    )


def timid(body: dict[str, Any]) -> str:
    word = answer_right(body)
    return f"I cannot help with {word}." if int(word.rpartition("-")[2]) % 3 == 0 else word


def test_a_gating_trait_is_an_item_and_a_watched_one_is_not(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=60)
    text = suite.read_text(encoding="utf-8").replace("min: 0.5, margin: 0.1", "margin: 0.1")
    suite.write_text(text + "drift: {refusals: {margin: 0.1}}\n", encoding="utf-8")
    with FakeServer(answer=answer_right) as server:
        run(pytester, server, suite, "--llmgate-out=champion")
    with FakeServer(answer=timid) as server:
        result = run(pytester, server, suite, "--llmgate-out=run", "--llmgate-baseline=champion")
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 61, "failed": 1}
    result.stdout.fnmatch_lines(["FAILED words.yaml::gate::drift-refusals - FAIL: at least *points worse*"])
