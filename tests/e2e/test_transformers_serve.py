"""`transformers serve` with a folder: it lists no models, answers under the folder's path, and names it with `@main`."""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from support.adversary import llmgate
from support.extras import running

from llmgate.record.run.loading import load_record
from llmgate.record.schema import Generation
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

SUITE = """\
llmgate: 1
suite: capitals
version: 1.0.0
description: What a very small model knows.
dataset: capitals.jsonl
case: {id: id}
prompt:
  - {role: user, content: "What is the capital of {{ country }}?"}
sampling: {temperature: 0, max_tokens: 8, seed: 0}
assert:
  - {type: icontains, value: "{{ city }}", metric: accuracy}
gate:
  accuracy: {min: 0.1}
"""
CITIES = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Spain": "Madrid", "Germany": "Berlin"}


@pytest.fixture(scope="module")
def server(smollm2_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    program = "from transformers.cli.transformers import main; main()"
    command: list[str | Path] = [sys.executable, "-c", program, "serve", smollm2_dir, "--host", "127.0.0.1"]
    log = tmp_path_factory.mktemp("transformers") / "log"
    # A cache that is not there: so it is on a machine that has only the folder.
    env = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(log.parent / "no-cache"), "OMP_NUM_THREADS": "1"}
    with running([*command, "--port", str(port)], answers=f"{url}/health", log=log, env=env):
        yield url


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "capitals.yaml").write_text(SUITE, encoding="utf-8")
    rows = [{"id": country.lower(), "country": country, "city": city} for country, city in CITIES.items()]
    data = tmp_path / "capitals.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_lock(data, licence="CC0-1.0")


def test_a_suite_runs_under_the_name_that_was_given(server: str, smollm2_dir: Path, tmp_path: Path) -> None:
    name = str(smollm2_dir)
    ending = llmgate("run", "capitals.yaml", "--endpoint", server, "--served-name", name, "--concurrency", "2")
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output
    assert "nothing but its own answers confirms that" in ending.said
    record = load_record(tmp_path / "run")
    assert record.manifest.server.unconfirmed == "the endpoint answers HTTP 500"
    answers = [result.answer for result in record.results.values()]
    assert all(isinstance(answer, Generation) for answer in answers)
    said = {one.answered_by.model for one in answers if isinstance(one, Generation) and one.answered_by}
    assert said == {f"{name}@main"}


def test_without_a_name_it_is_asked_for(server: str) -> None:
    ending = llmgate("run", "capitals.yaml", "--endpoint", server)
    assert ending.exit_code == 4
    assert "answers HTTP 500" in ending.said
    assert "--served-name" in ending.said


def test_a_name_under_which_it_does_not_answer_is_refused_with_the_one_that_it_has(
    server: str, smollm2_dir: Path, tmp_path: Path
) -> None:
    ending = llmgate("run", "capitals.yaml", "--endpoint", server, "--served-name", "another")
    assert ending.exit_code == 4
    assert f"pinned to '{smollm2_dir}'" in ending.output.replace("\n", "")
    assert not (tmp_path / "run" / "cases.jsonl").exists()
