"""Two real servers of one model asked as one, of which one is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.project import write_suite
from support.servers import start_server, wait_until

from llmgate.generate.vllm.server import ServerSpec
from llmgate.record.run.loading import load_record
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from support.servers import OwnedServer

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

CASES = 60


def test_a_server_that_is_killed_leaves_its_answers_to_the_other(
    tmp_path: Path, real_server: OwnedServer, smollm2_dir: Path
) -> None:
    write_suite(tmp_path, cases=CASES, gate="min: 0.01")
    spec = ServerSpec(model=str(smollm2_dir), served_name="real", log_path=tmp_path / "server.log")
    journal = tmp_path / "run" / "journal.jsonl"
    with start_server(spec) as other:
        command = [str(Path(sys.executable).with_name("llmgate")), "run", "words.yaml", "--endpoint", real_server.url]
        command += ["--replicas", other.url, "--concurrency", "8", "--out", "run"]
        run = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
        )
        try:
            assert wait_until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 10, timeout_s=300)
            os.kill(other.pid or 0, signal.SIGKILL)
            said, _ = run.communicate(timeout=300)
        finally:
            run.kill()
    assert run.returncode in {0, 1}, said
    assert f"{other.url}/v1 is taken out" in said
    record = load_record(tmp_path / "run")
    assert record.manifest.server.replicas == (f"{other.url}/v1",)
    assert len(record.results) == CASES
    assert all(isinstance(result.answer, Generation) for result in record.results.values())
    assert journal.read_bytes().count(b"\n") == CASES
