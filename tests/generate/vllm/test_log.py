"""How far a start has come, read from real log lines."""

from __future__ import annotations

import pytest

from llmgate.generate.vllm.log import ServerPhase, phase_of, silent


@pytest.mark.parametrize(
    ("line", "phase", "detail"),
    [
        ("(Worker pid=8) INFO 11-23 [cpu_model_runner.py:68] Starting to load model /m...", "LOADING", ""),
        (
            "Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:02<00:00,  2.30s/it]",
            "LOADING",
            "shard 2 of 4",
        ),
        ("(Worker pid=8) INFO [default_loader.py:501] Loading weights took 2.30 seconds", "LOADING", ""),
        ("INFO [cpu_model_runner.py:87] Warming up model for the compilation...", "COMPILING", ""),
        ("INFO [monitor.py:48] torch.compile took 25.51 s in total", "COMPILING", ""),
        ("INFO [backends.py:1] Dynamo bytecode transform time: 5.63 s", "COMPILING", ""),
        ("INFO [gpu_worker.py:760] Available KV cache memory: 52.27 GiB", "CAPTURING", ""),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  10%|#  | 5/51", "CAPTURING", ""),
        ("INFO [kv_cache_utils.py:2327] CPU KV cache size: 93,184 tokens", "CAPTURING", ""),
        ("INFO [entry.py:140] Starting vLLM server on http://127.0.0.1:18123", "WARMING", ""),
        ("INFO [api_server.py:1] Starting vLLM API server 0 on http://0.0.0.0:8000", "WARMING", ""),
    ],
)
def test_known_lines(line: str, phase: str, detail: str) -> None:
    assert phase_of(line) == (ServerPhase[phase], detail)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "INFO [model.py:733] Resolved architecture: LlamaForCausalLM",
        "WARNING [vllm.py:1703] Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup.",
    ],
)
def test_lines_that_say_nothing_about_the_start(line: str) -> None:
    assert phase_of(line) is None


def test_phases_are_ordered() -> None:
    assert [phase.rank for phase in ServerPhase] == list(range(len(ServerPhase)))
    assert ServerPhase.LOADING.rank < ServerPhase.READY.rank


def test_silence_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    silent("a step")
    assert capsys.readouterr() == ("", "")
