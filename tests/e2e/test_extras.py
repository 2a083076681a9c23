"""`ragas:…` and `deepeval:…` in a suite: each extra in an environment of its own, the judge behind an HTTP server."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.extras import extra_python
from support.fake_server import FakeServer

from llmgate.record.run.loading import load_record
from llmgate.record.schema import CaseKey, Outcome
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.extra]

SUITE = """\
llmgate: 1
suite: shop
version: 1.0.0
description: Answers from what was retrieved.
dataset: shop.jsonl
case: {{id: id}}
prompt:
  - {{role: user, content: "{{{{ query }}}}"}}
sampling: {{temperature: 0, max_tokens: 16, seed: 0}}
assert:
{asserts}
"""
ROWS = [
    {"id": "shoes", "query": "Shoes?", "context": ["Shoes can be returned for 30 days."], "reference": "30 days."},
    {"id": "hats", "query": "Hats?", "context": ["Hats cannot be returned."], "reference": "No."},
]

REPLIES: dict[str, dict[str, Any]] = {
    # Ragas.
    "StatementGeneratorOutput": {"statements": ["a", "b", "c", "d"]},
    "NLIStatementOutput": {
        "statements": [{"statement": one, "reason": "r", "verdict": int(one != "d")} for one in "abcd"]
    },
    # DeepEval.
    "Truths": {"truths": ["t"]},
    "Claims": {"claims": ["a", "b", "c", "d"]},
    "Verdicts": {"verdicts": [{"verdict": "no" if one == "d" else "yes", "reason": "r"} for one in "abcd"]},
    "FaithfulnessScoreReason": {"reason": "d is made up"},
}
"""What the judge answers, by the name of the JSON schema that it is given."""


def answer(body: dict[str, Any]) -> str:
    if "response_format" not in body:
        return "Yes, for 30 days."
    assert body["max_tokens"] == 1600  # four times what the suite gives a verdict
    return json.dumps(REPLIES[body["response_format"]["json_schema"]["schema"]["title"]])


def run(tmp_path: Path, extra: str, *asserts: str) -> subprocess.CompletedProcess[str]:
    lines = "\n".join(f"  - {one}" for one in asserts)
    (tmp_path / "shop.yaml").write_text(SUITE.format(asserts=lines), encoding="utf-8")
    (tmp_path / "shop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    write_lock(tmp_path / "shop.jsonl", licence="CC0-1.0")
    command: list[str | Path] = [extra_python(extra).with_name("llmgate"), "run", "shop.yaml", "--out", "run"]
    with FakeServer(answer=answer) as server:
        command += ["--endpoint", server.url, "--judge-endpoint", server.url]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("extra", ["ragas", "deepeval"])
def test_a_metric_judges_every_case_of_a_suite(tmp_path: Path, extra: str) -> None:
    done = run(
        tmp_path,
        extra,
        f"{{type: '{extra}:Faithfulness', metric: faithful, threshold: 0.7}}",
        f"{{type: 'not-{extra}:Faithfulness', metric: unfaithful}}",
    )
    assert (tmp_path / "run").exists(), done.stdout + done.stderr
    record = load_record(tmp_path / "run")
    for row in ROWS:
        found = record.results[CaseKey(suite="shop", case=str(row["id"]))].checks
        assert [(one.metric, one.outcome, one.score) for one in found] == [
            ("faithful", Outcome.PASS, 0.75),
            ("unfaithful", Outcome.FAIL, 0.25),
        ], done.stdout + done.stderr
        assert all(one.judgements for one in found)


@pytest.mark.parametrize("extra", ["ragas", "deepeval"])
def test_an_unknown_metric_is_refused_before_anything_is_asked(tmp_path: Path, extra: str) -> None:
    done = run(tmp_path, extra, f"{{type: '{extra}:Faithfulnes', metric: faithful}}")
    assert done.returncode == 2
    assert f"Did you mean {extra}:Faithfulness?" in " ".join(done.stderr.split())
    assert not (tmp_path / "run" / "cases.jsonl").exists()
