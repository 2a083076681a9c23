"""A shard under pytest: its items, what is said, and an exit code that is no verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer, Fault, every
from support.project import answer_right, write_suite

# Loaded before pytester takes its snapshots: C extensions cannot be imported twice in one process.
import llmgate.pytest_plugin.items  # noqa: F401
from llmgate.record.run.content_digest import content_digest
from llmgate.record.run.loading import load_record
from llmgate.record.run.merge import check_shards, merge_shards
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from pathlib import Path


CODE = """
import llmgate
suite = llmgate.suite("support", version="1.0.0", dataset="support.jsonl", gate={"accuracy": {"min": 0.5}})

@suite.cases
async def test_support(case, llm):
    reply = await llm.chat.completions.create(model=case.model, messages=case.messages)
    case.check("accuracy", case["answer"] in reply.choices[0].message.content)
"""


def in_code(folder: Path, rows: int) -> Path:
    data = folder / "support.jsonl"
    asked = [
        {"id": f"q{i}", "messages": [{"role": "user", "content": f"word {i}"}], "answer": f"word {i}"}
        for i in range(rows)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    write_lock(data)
    path = folder / "test_support.py"
    path.write_text(CODE, encoding="utf-8")
    return path


def said(body: dict[str, Any]) -> str:
    return f"It is {body['messages'][-1]['content']}."


def run(pytester: pytest.Pytester, server: FakeServer, *args: str | Path, out: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        *args, f"--llmgate-endpoint={server.url}", f"--llmgate-out={out}", "-p", "no:cacheprovider", timeout=120
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_shards_of_files_merge_into_the_run(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right) as server:
        whole = run(pytester, server, suite, out="whole")
        assert whole.ret == 0
        for k in (1, 2):
            result = run(pytester, server, suite, f"--llmgate-shard={k}/2", *workers, out=f"s{k}")
            own = len(load_record(pytester.path / f"s{k}", shard=True).results)
            assert result.ret == 3
            outcomes = result.parseoutcomes()
            assert (outcomes["passed"], outcomes["skipped"]) == (own, 1)
            result.stdout.fnmatch_lines([f"*NO DECISION: shard {k}/2 is recorded, and a part decides nothing*"])
    assert len(server.seen) == 80
    merged = merge_shards(check_shards([pytester.path / "s1", pytester.path / "s2"]), pytester.path / "merged")
    assert content_digest(merged) == content_digest(load_record(pytester.path / "whole"))


def test_shards_of_suites_in_code_merge_into_the_run(pytester: pytest.Pytester) -> None:
    pytest.importorskip("openai")
    path = in_code(pytester.path, rows=12)
    with FakeServer(answer=said) as server:
        assert run(pytester, server, path, out="whole").ret == 0
        for k in (1, 2):
            result = run(pytester, server, path, f"--llmgate-shard={k}/2", out=f"s{k}")
            assert result.ret == 3, result.stdout.str()
    assert len(server.seen) == 24
    merged = merge_shards(check_shards([pytester.path / "s1", pytester.path / "s2"]), pytester.path / "merged")
    assert content_digest(merged) == content_digest(load_record(pytester.path / "whole"))


@pytest.mark.parametrize(
    "more",
    [
        ("-k", "word-1"),
        (
            "-k",
            "not word-3",
        ),
    ],
)
def test_a_part_of_a_suite_is_no_shard(pytester: pytest.Pytester, more: tuple[str, ...]) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, "--llmgate-shard=1/2", *more, out="s1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*of shard 1/2 were not selected*"])
    assert not server.seen


def test_without_its_gates_a_shard_is_not_green_either(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right) as server:
        result = run(pytester, server, suite, "--llmgate-shard=1/2", "-k", "not gate", out="s1")
    assert result.ret == 3
    assert load_record(pytester.path / "s1", shard=True).seal is not None


def test_a_shard_of_nothing_is_recorded(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path, cases=1)
    with FakeServer(answer=answer_right) as server:
        codes = [run(pytester, server, suite, f"--llmgate-shard={k}/4", out=f"s{k}").ret for k in range(1, 5)]
    assert codes == [3, 3, 3, 3]
    assert len(server.seen) == 1
    assert len(check_shards([pytester.path / f"s{k}" for k in range(1, 5)])) == 4


def test_a_shard_that_was_not_answered_fails(pytester: pytest.Pytester) -> None:
    suite = write_suite(pytester.path)
    with FakeServer(answer=answer_right, faults=every(1, Fault.HTTP_400)) as server:
        result = run(pytester, server, suite, "--llmgate-shard=1/2", out="s1")
    assert result.ret == 1
