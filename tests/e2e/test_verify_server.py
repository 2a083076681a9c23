"""What a real vLLM tells of the weights that it has loaded, held against the folder that it loaded."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import EndpointError
from llmgate.generate.loaded_weights import compare_loaded, loaded_checksums
from llmgate.record.environment import for_programs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

MAKE = """
import sys
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
torch.manual_seed(0)
config = LlamaConfig(vocab_size=1000, hidden_size=64, intermediate_size=160, num_hidden_layers=1, num_attention_heads=4,
                     num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False)
model = LlamaForCausalLM(config).to(torch.bfloat16)
for name, parameter in model.named_parameters():
    if "norm" in name:
        parameter.data.normal_()
model.save_pretrained(sys.argv[1])
vocab = {f"t{i}": i for i in range(999)} | {"<unk>": 999}
tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<unk>").save_pretrained(sys.argv[1])
"""
"""A model of a thousand words, so that its embeddings are not a multiple of 64 rows."""
STARTUP_S = 600


def test_what_a_real_server_has_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    env = {**for_programs(), "VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", MAKE, str(folder)], env=env, check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--enforce-eager"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "128"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
        try:
            checksums = answered(f"http://127.0.0.1:{port}", server, tmp_path / "log")
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    found = compare_loaded(checksums, folder)
    assert found.other == ()
    assert found.unloaded == ()
    # Norms, and embeddings and output layer filled up to 1024 rows; a CPU shows nothing of the rest.
    assert found.matched >= 5
    assert all("packed it" in line for line in found.unexplained)
    assert found.matched + len(found.unexplained) == len(checksums)


def answered(url: str, server: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """The checksums, once the server has started."""
    deadline = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return loaded_checksums(url)
        except (OSError, EndpointError):
            time.sleep(0.5)
    pytest.fail(f"vLLM did not answer:\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")
