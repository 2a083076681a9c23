"""`llmgate serve` and the engine's options with the installed vLLM."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from support.servers import MARK, marked, wait_until

from llmgate.record.weights import weights_digest

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

TEMPLATE = "{% for message in messages %}{{ message.content }} {% endfor %}The answer is"
"""The answers are another matter; how many tokens the prompt has tells whether it was used."""


def asked(url: str, model: str) -> dict[str, Any]:
    body = {"model": model, "temperature": 0, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_a_real_server_with_engine_options(smollm2_dir: Path, tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text(TEMPLATE, encoding="utf-8")
    program = str(Path(sys.executable).with_name("llmgate"))
    words = ["--chat-template", "t.jinja", "--tool-call-parser", "hermes", "--max-model-len", "1024"]
    words += ["--speculative-config", '{"method": "ngram", "prompt_lookup_max": 3}', "--speculative-tokens", "2"]
    words += ["--served-name", "bot", "--json", "--logs", "logs"]
    with subprocess.Popen(
        [program, "serve", str(smollm2_dir), *words],
        cwd=tmp_path, env={**os.environ, MARK: str(tmp_path)}, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            argv = Path(f"/proc/{facts['pid']}/cmdline").read_text(encoding="utf-8").split("\0")
            assert argv[1:3] == ["-m", "vllm.entrypoints.launchers.api_server.entry"]
            assert facts["weights_digest"] == weights_digest(smollm2_dir)
            assert f"sha256:{hashlib.sha256(TEMPLATE.encode()).hexdigest()}" in facts["flags"]
            answer = asked(facts["url"], "bot")
            # `Hello The answer is`: with the model's own template there are over twenty.
            assert answer["usage"]["prompt_tokens"] < 8
            assert answer["choices"][0]["message"]["content"]
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert wait_until(lambda: not marked(tmp_path), timeout_s=30)
    log = (tmp_path / "logs" / "server.log").read_text(encoding="utf-8", errors="replace")
    assert "api_server` is deprecated" not in log


def test_a_parser_that_the_installed_vllm_does_not_know(smollm2_dir: Path, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("llmgate"))
    done = subprocess.run(
        [program, "serve", str(smollm2_dir), "--tool-call-parser", "hermess"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Did you mean hermes?" in done.stderr
