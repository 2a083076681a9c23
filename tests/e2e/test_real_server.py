"""The installed vLLM, on the CPU, with a real model."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.servers import model_folder, start_server, wait_until

from llmgate.errors import ServerError
from llmgate.generate.vllm import supervisor
from llmgate.generate.vllm.server import ServerSpec

if TYPE_CHECKING:
    from support.servers import OwnedServer

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


def test_a_killed_owner_leaves_no_engine(real_server: OwnedServer) -> None:
    assert real_server.flags[:5] == ("--seed", "0", "--generation-config", "vllm", "--disable-uvicorn-access-log")
    # Which of them it knows depends on the processor's arithmetic.
    known = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid"}
    answers = {land: ask(real_server.url, f"What is the capital of {land}?") for land in known}
    assert any(city in answers[land] for land, city in known.items()), answers
    tree = supervisor.members(os.getsid(real_server.pid))
    names = {Path(f"/proc/{member}/comm").read_text(encoding="utf-8").strip() for member in tree}
    assert any(name.startswith("VLLM::EngineCor") for name in names), names
    real_server.owner.kill()
    assert wait_until(lambda: not any(Path(f"/proc/{member}").exists() for member in tree), timeout_s=120)


def test_an_architecture_that_vllm_does_not_know(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    config = {"architectures": ["FlurbForCausalLM"], "model_type": "flurb"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ServerError, match="does not know the architecture of model type `flurb`") as error:
        start_server(ServerSpec(model=str(folder), served_name="flurb", log_path=tmp_path / "log"))
    assert "config.json" in str(error.value.fix)
