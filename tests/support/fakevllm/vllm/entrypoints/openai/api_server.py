"""Behaves like vLLM's API server as far as starting, answering and dying are concerned.

FAKE_VLLM in the environment says how: `ok`, `hang` (never healthy), `stubborn` (ignores SIGTERM), `mute` (healthy, but
refuses completions), `mixing` (asked together with adapters, the base answers with the last one's weights), `broken` (dies at the first completion), `mortal` (dies
after twelve chat completions), `stalled` (answers none after six, and nothing for whoever asks), `failing` (answers them
with 500), `stranger` (serves another model), `littering` (leaves temporary files and shared memory), or the name of a
death. It is not ready before the file FAKE_GATE exists, if that is set. A question is its own answer, unless the model's folder has `answers.json`, which
gives questions their answers. A streamed answer has as many tokens as may be, at the pace that `pace.json` of the model's folder
gives (`ttft_ms`, `itl_ms`). `--lora-modules` serves further names; what tokens would have cost a model that was made to
say them is told by its folder's path, so two adapters in one folder are alike. Like the real one it has an engine process; this one detaches itself into a
session of its own and ignores SIGTERM. It ends when the server has ended, unless FAKE_ENGINE is `stays`.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

ENGINE = """
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(15, b"VLLM::EngineCore", 0, 0, 0)  # PR_SET_NAME, as vLLM calls it
signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = os.getppid()
print("up", flush=True)
while os.environ.get("FAKE_ENGINE") == "stays" or os.getppid() == server:
    time.sleep(0.02)
"""

WORKER = "(Worker pid=7) ERROR 11-23 23:33:33 [multiproc_executor.py:953] "
CORE = "(EngineCore pid=6) ERROR 11-23 23:33:35 [core.py:1510] "
ROUTINE = (
    "(APIServer pid=5) WARNING 11-23 23:33:14 [system_utils.py:255] This can cause fd limit errors like "
    "`OSError: [Errno 24] Too many open files`. Consider increasing with ulimit -n",
    "(APIServer pid=5) INFO 11-23 23:33:15 [model.py:733] Resolved architecture: LlamaForCausalLM",
)
FOLLOW_UP = (
    f"{CORE}EngineCore failed to start.",
    "Traceback (most recent call last):",
    '  File "/venv/vllm/v1/engine/utils.py", line 1431, in wait_for_engine_startup',
    "    raise RuntimeError(",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
)
DEATHS: dict[str, tuple[str, ...]] = {
    "gpu-memory": (
        f"{WORKER}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
        "79.19 GiB of which 1.06 GiB is free.",
        *FOLLOW_UP,
    ),
    "gpu-taken": (
        f"{CORE}ValueError: Free memory on device cuda:0 (3.2/79.2 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 71.3 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
        *FOLLOW_UP,
    ),
    "kv-cache": (
        f"{CORE}ValueError: To serve at least one request with the model's max seq len (131072), (16.00 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (3.50 GiB).",
        *FOLLOW_UP,
    ),
    "cpu-kv": (
        f"{WORKER}ValueError: Available memory on node 0 (8.18/10.34 GiB) on kv cache allocation is less than requested "
        "memory for kv (500.0 GiB). Decrease --kv-cache-memory-bytes, VLLM_CPU_KVCACHE_SPACE.",
        *FOLLOW_UP,
    ),
    "cpu-memory": (
        f"{WORKER}RuntimeError: [enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 53687091200 bytes.",
        *FOLLOW_UP,
    ),
    "cpu-primitive": (f"{WORKER}RuntimeError: could not create a primitive", *FOLLOW_UP),
    "port": ("OSError: [Errno 98] Address already in use",),
    "model-type": (
        "(APIServer pid=5) ERROR 11-23 23:32:13 [repo_utils.py:126] Error parsing config for /m: The checkpoint you are "
        "trying to load has model type `foo` but Transformers does not recognize this architecture.",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
        "  Value error, The checkpoint you are trying to load has model type `foo` but Transformers does not recognize "
        "this architecture. [type=value_error, input_value=ArgsKwargs((), {}), input_type=ArgsKwargs]",
    ),
    "architecture": (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
        "  Value error, Model architectures ['FooForCausalLM'] are not supported for now. [type=value_error]",
    ),
    "weights": (f"{WORKER}RuntimeError: Cannot find any model weights with `/m`", *FOLLOW_UP),
    "damaged": (
        f"{WORKER}safetensors._safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, "
        "file not fully covered",
        *FOLLOW_UP,
    ),
    "tokenizer": ("ValueError: Couldn't instantiate the backend tokenizer from one of: ",),
    "flag": ("usage: entry.py [-h]", "entry.py: error: unrecognized arguments: --foo-bar"),
    "switch": ("entry.py: error: ambiguous option: --enable could match --enable-lora, --enable-log-requests",),
    "flag-value": (
        "api_server.py: error: argument --max-model-len: invalid human_readable_int_or_auto value: 'banana'",
    ),
    "dtype": ("api_server.py: error: argument --dtype: invalid choice: 'float8' (choose from 'auto', 'bfloat16')",),
    "length": (
        "  Value error, User-specified max_model_len (999999) is greater than the derived max_model_len "
        "(max_position_embeddings=8192.0 or model_max_length=None in model's config.json).",
    ),
    "gpus": (
        "  Value error, World size (4) is larger than the number of available GPUs (1) in this node. [type=value_error]",
    ),
    "no-device": ("RuntimeError: Failed to infer device type, please set the environment variable",),
    "hub": (
        "OSError: We couldn't connect to 'https://hub.example' to load the files, and couldn't find them in the cached "
        "files.",
    ),
    "config-json": (
        '  File "/venv/transformers/configuration_utils.py", line 886, in _get_config_dict',
        "    raise OSError(f\"It looks like the config file at '{resolved_config_file}' is not a valid JSON file.\")",
        "OSError: It looks like the config file at '/m/config.json' is not a valid JSON file.",
    ),
    "torchvision": ("RuntimeError: operator torchvision::nms does not exist",),
    "module": ("ModuleNotFoundError: No module named 'bitsandbytes'",),
    "unheard-of": (
        "Traceback (most recent call last):",
        '  File "/venv/x.py", line 1, in f',
        '    raise FlurbError("{what} is not flurbed")',
        "x.FlurbError: hf_abcdefghijkl is not flurbed.",
        *FOLLOW_UP,
    ),
    "silent": (),
}
LOADED = (
    "(Worker pid=7) INFO 11-23 23:30:53 [cpu_model_runner.py:68] Starting to load model /m...",
    "Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:00<?, ?it/s]",
    "(Worker pid=7) INFO 11-23 23:30:56 [monitor.py:48] torch.compile took 25.51 s in total",
    "(EngineCore pid=6) INFO 11-23 23:30:58 [kv_cache_utils.py:2327] CPU KV cache size: 93,184 tokens",
    "(APIServer pid=5) INFO 11-23 23:31:06 [entry.py:140] Starting vLLM server on http://127.0.0.1:1",
)


def log(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


class Handler(BaseHTTPRequestHandler):
    """The routes that readiness needs."""

    protocol_version = "HTTP/1.1"
    name = ""
    mode = "ok"
    answered = 0
    waiting = 0
    litter: mmap.mmap | None = None
    answers: dict[str, str] | None = None
    pace: ClassVar[dict[str, float]] = {}
    adapters: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        del format, args

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def allowed(self) -> bool:
        key = os.environ.get("VLLM_API_KEY")
        return key is None or self.headers.get("Authorization") == f"Bearer {key}"

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {})
        elif self.path.partition("?")[0] == "/metrics" and self.mode == "stalled":
            self.metrics()
        elif self.path == "/version":
            self.answer(200, {"version": "0.32.0+fake"})
        elif self.path == "/v1/models" and self.allowed():
            name = "someone-else" if self.mode == "stranger" else self.name
            lora = [{"id": each, "root": path, "parent": name} for each, path in self.adapters.items()]
            self.answer(200, {"object": "list", "data": [{"id": name}, *lora]})
        else:
            self.answer(404, {})

    def stall(self) -> None:
        if self.mode == "stalled" and Handler.answered > 6:
            Handler.answered, Handler.waiting = 7, Handler.waiting + 1
            time.sleep(3600)

    def metrics(self) -> None:
        lines = (
            "# TYPE vllm:generation_tokens_total counter",
            f'vllm:generation_tokens_total{{engine="0",model_name="fake"}} {float(Handler.answered)}',
            f'vllm:num_requests_running{{engine="0",model_name="fake"}} {float(Handler.waiting)}',
        )
        content = "".join(f"{line}\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        if self.mode == "mute" or not self.allowed():
            self.answer(400, {"error": {"message": "this model does not generate"}})
            return
        if self.mode == "failing":
            self.answer(500, {"error": {"message": "EngineDeadError"}})
            return
        if self.mode == "broken":
            log(*ROUTINE, *DEATHS["cpu-memory"])
            os._exit(1)
        if body["model"] not in {self.name, *self.adapters}:
            self.answer(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
            return
        if "allowed_token_ids" in body:
            self.answer(200, {"choices": [self.forced(body)]})
            return
        said = body["messages"][-1]["content"] if self.path == "/v1/chat/completions" else None
        Handler.answered += said is not None
        if self.mode == "mortal" and Handler.answered > 12:
            log(*ROUTINE, *DEATHS["cpu-memory"])
            os._exit(1)
        self.stall()
        if said is not None and body.get("stream"):
            self.stream(body)
            return
        ended = "length"
        if said is not None and self.answers is not None:
            said, ended = self.answers.get(said.strip(), "?"), "stop"
        choice = {"index": 0, "finish_reason": ended, **({"message": {"content": said}} if said else {"text": "a"})}
        if body.get("return_token_ids"):
            choice["token_ids"] = [7]
        self.answer(200, {"choices": [choice], "usage": {"completion_tokens": 1}})

    def forced(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the tokens would have cost the model, slowly enough for another request to be there meanwhile."""
        self.asked.append(body["model"])
        time.sleep(0.05)
        model = body["model"]
        if self.mode == "mixing" and model == self.name and set(self.asked) - {self.name}:
            model = list(self.adapters)[-1]
        time.sleep(0.05)
        self.asked.remove(body["model"])
        whose = self.adapters.get(model, "")
        values = [-1.0 - zlib.crc32(f"{whose}{body['prompt']}{n}".encode()) / 2**32 for n in range(body["max_tokens"])]
        return {"index": 0, "finish_reason": "length", "text": "", "logprobs": {"token_logprobs": values}}

    def stream(self, body: dict[str, Any]) -> None:
        tokens, due = int(body["max_tokens"]), time.perf_counter() + self.pace.get("ttft_ms", 0.0) / 1e3
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        common = {"id": f"chatcmpl-{os.urandom(12).hex()}", "object": "chat.completion.chunk", "model": body["model"]}
        for index in range(tokens):
            time.sleep(max(0.0, due - time.perf_counter()))
            due += self.pace.get("itl_ms", 0.0) / 1e3
            ended = "length" if index == tokens - 1 else None
            self.event({**common, "choices": [{"index": 0, "delta": {"content": " a"}, "finish_reason": ended}]})
        usage = {"prompt_tokens": 4, "completion_tokens": tokens, "total_tokens": 4 + tokens}
        self.event({**common, "choices": [], "usage": usage})
        self.wfile.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    def event(self, content: object) -> None:
        self.wfile.write(chunk(b"data: " + json.dumps(content).encode() + b"\n\n"))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that hang up: uvicorn does not either, and it would pass for why the server ended."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    parser = argparse.ArgumentParser()
    for flag in ("--model", "--served-model-name", "--host"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lora-modules", nargs="*", default=[])
    options, _ = parser.parse_known_args()
    mode = os.environ.get("FAKE_VLLM", "ok")
    Handler.name, Handler.mode = options.served_model_name, mode
    known = Path(options.model, "answers.json")
    if known.is_file():
        Handler.answers = json.loads(known.read_text(encoding="utf-8"))
    pace = Path(options.model, "pace.json")
    if pace.is_file():
        Handler.pace = json.loads(pace.read_text(encoding="utf-8"))
    Handler.adapters = {entry["name"]: entry["path"] for entry in map(json.loads, options.lora_modules)}
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = Quiet((options.host, options.port), Handler, bind_and_activate=False)
    # vLLM's has room for 2,048; the library's own five would reset a probe that asks all at once.
    server.request_queue_size = 128
    server.server_bind()
    engine = subprocess.Popen([sys.executable, "-c", ENGINE], start_new_session=True, stdout=subprocess.PIPE)
    assert engine.stdout is not None
    engine.stdout.readline()
    if mode == "littering":
        Path(tempfile.gettempdir(), "vllm_dist_1").touch()
        Path(os.environ["VLLM_RPC_BASE_PATH"], "vllm_rpc_1").touch()
        litter = Path("/dev/shm", f"psm_{os.getpid()}")
        litter.write_bytes(bytes(4096))
        with litter.open("r+b") as file:
            Handler.litter = mmap.mmap(file.fileno(), 4096)
    if mode in DEATHS:
        log(*ROUTINE, *DEATHS[mode])
        os._exit(2 if mode.startswith(("flag", "dtype", "switch")) else 1)
    log(*ROUTINE, *LOADED)
    while mode == "hang":
        time.sleep(1)
    gate = os.environ.get("FAKE_GATE")
    while gate and not Path(gate).exists():
        time.sleep(0.02)
    server.server_activate()
    server.serve_forever()


if __name__ == "__main__":
    main()
