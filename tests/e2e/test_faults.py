"""What goes wrong with a real vLLM: each time it is said what, nothing is left, and no answer is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from support.project import write_suite
from support.servers import start_server, wait_until

from llmgate.errors import ServerError
from llmgate.generate.vllm import supervisor
from llmgate.generate.vllm.probe import Probe
from llmgate.generate.vllm.server import ServerSpec, launch
from llmgate.generate.vllm.tree import server_tasks
from llmgate.generate.vllm.watchdog import watched
from llmgate.record.run.loading import load_record
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import OwnedServer

    from llmgate.generate.vllm.server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

CASES = 56
"""More than five blows leave unanswered: each falls after four answers, and a few more come until it does."""
STALL_S = 8.0
"""For tests of hanging; an engine that computes is none, however long that takes on a busy machine."""
START_S = 600.0


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go, with a name as short as it usually has."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """All processes of a server, and what they share in memory."""

    api: int
    engine: int
    worker: int
    pids: frozenset[int]
    shared: frozenset[str]


def tree_below(owner: int) -> Tree | None:
    """The server that a process owns, once all of it is there."""
    for pid in supervisor.descendants(owner):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--served-model-name" not in words or b"--parent" in words:
            continue
        tasks = server_tasks(pid)
        engine = next((task.pid for task in tasks if task.title.startswith("VLLM::EngineCore")), None)
        worker = next((task.pid for task in tasks if task.title.startswith("VLLM::Worker")), None)
        if engine is None:
            return None
        pids = frozenset(supervisor.descendants(owner))
        return Tree(
            api=pid,
            engine=engine,
            worker=worker or engine,
            pids=pids,
            shared=frozenset(supervisor.shared_memory(pids)),
        )
    return None


def left_in(temporary: Path) -> list[str]:
    """What is left there; what PyTorch has compiled is to be found again by the next start."""
    return [path.name for path in temporary.iterdir() if not path.name.startswith("torchinductor_")]


def nothing_is_left(tree: Tree, temporary: Path) -> None:
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in tree.pids), timeout_s=120)
    assert wait_until(lambda: not any(Path(name).exists() for name in tree.shared))
    assert wait_until(lambda: not [path for path in temporary.iterdir() if path.name.startswith("llmgate-vllm-")])


def run_out_of_memory(tree: Tree) -> None:
    """Let its worker get no more memory than it has, and ask for what needs some."""
    pages = int(Path(f"/proc/{tree.worker}/statm").read_text(encoding="ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") // 2
    resource.prlimit(tree.worker, resource.RLIMIT_AS, (limit, limit))
    words = Path(f"/proc/{tree.api}/cmdline").read_bytes().split(b"\0")
    port, name = (words[words.index(flag) + 1].decode() for flag in (b"--port", b"--served-model-name"))
    body = {"model": name, "prompt": "word " * 1500, "max_tokens": 1}
    with contextlib.suppress(OSError, http.client.HTTPException):
        Probe(url=f"http://127.0.0.1:{port}").ask("POST", "/v1/completions", body=body, timeout_s=120)


# Whole runs, struck down and gone on with.


class Run:
    """A run in a folder, by either door."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = model
        self.process: subprocess.Popen[str] | None = None

    def begin(self, door: str, *args: str) -> subprocess.Popen[str]:
        options = {"model": str(self.model), "out": "run", "concurrency": "1", "stall-timeout": str(STALL_S)}
        flags = ["resume"] if (self.folder / "run").exists() else []
        if door == "cli":
            command = [str(Path(sys.executable).with_name("llmgate")), "run", "words.yaml"]
            command += [f"--{name}={value}" for name, value in options.items()] + [f"--{flag}" for flag in flags]
        else:
            command = [sys.executable, "-m", "pytest", "words.yaml", "-p", "no:cacheprovider"]
            command += [f"--llmgate-{name}={value}" for name, value in options.items()]
            command += [f"--llmgate-{flag}" for flag in flags]
        self.process = subprocess.Popen(
            [*command, *args], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self.process

    def reach(self, answers: int) -> None:
        """Wait until so many cases are answered."""
        process = self.process
        assert process is not None
        assert wait_until(lambda: self.answered() >= answers or process.poll() is not None, timeout_s=START_S)
        assert process.poll() is None, process.communicate()

    def answered(self) -> int:
        if not (self.folder / "run" / "manifest.json").exists():
            return 0
        results = load_record(self.folder / "run", unfinished=True).results
        return sum(isinstance(result.answer, Generation) for result in results.values())

    def content(self) -> dict[str, Any]:
        """What the sealed record says of each case, without times."""
        record = load_record(self.folder / "run")
        assert len(record.results) == CASES
        found = {}
        for key, result in record.results.items():
            answer = result.answer
            assert isinstance(answer, Generation)
            checks = [(check.type, check.outcome, check.score) for check in result.checks]
            tokens = (answer.prompt_tokens, answer.completion_tokens)
            found[key.case] = (answer.text, answer.finish_reason, tokens, checks, result.judged)
        return found


@dataclass(frozen=True, kw_only=True)
class Blow:
    """What strikes a run down.

    Attributes:
        strike: Gets the owner's process id and its server.
        door: By which the run was begun.
        said: What the run says then; nothing where it is killed itself.
    """

    strike: Callable[[int, Tree], None]
    door: str = "cli"
    said: tuple[str, ...] = ()


BLOWS = {
    "its engine is killed": Blow(
        strike=lambda _, tree: os.kill(tree.engine, signal.SIGKILL),
        said=("its process VLLM::EngineCore", "ended without a word", "not by the kernel for lack of memory"),
    ),
    "its API server is killed": Blow(
        strike=lambda _, tree: os.kill(tree.api, signal.SIGKILL),
        said=("the server was ended by signal 9 (Killed)", "not by the kernel for lack of memory"),
    ),
    "its engine is stopped": Blow(
        strike=lambda _, tree: os.kill(tree.engine, signal.SIGSTOP),
        said=("the server hangs: it answers /metrics, but no token came for", "was stopped by a signal (SIGSTOP)"),
    ),
    "its worker gets no more memory": Blow(
        strike=lambda _, tree: run_out_of_memory(tree),
        said=("out of memory",),
    ),
    "pytest is killed": Blow(strike=lambda owner, _: os.kill(owner, signal.SIGKILL), door="pytest"),
}


def test_a_run_that_is_struck_down_again_and_again_ends_as_an_undisturbed_one(
    tmp_path: Path, smollm2_dir: Path, temporary: Path
) -> None:
    for name in ("undisturbed", "struck"):
        (tmp_path / name).mkdir()
        write_suite(tmp_path / name, cases=CASES, gate="min: 0.01")
    undisturbed = Run(tmp_path / "undisturbed", smollm2_dir)
    struck = Run(tmp_path / "struck", smollm2_dir)
    to_the_end(undisturbed)
    for name, blow in BLOWS.items():
        before = struck.answered()
        process = struck.begin(blow.door)
        try:
            struck.reach(before + 4)
            tree = tree_below(process.pid)
            assert tree is not None
            assert tree.shared, "vLLM shares memory on the CPU, or this test shows nothing"
            blow.strike(process.pid, tree)
            output, _ = process.communicate(timeout=300)
        finally:
            process.kill()
        assert process.returncode == (4 if blow.said else -signal.SIGKILL), (name, output)
        for words in blow.said:
            assert words in output, (name, output)
        assert not blow.said or "--resume --out run" in output
        nothing_is_left(tree, temporary)
        assert before + 4 <= struck.answered() < CASES, name
    to_the_end(struck)
    assert struck.content() == undisturbed.content()
    assert not left_in(temporary)


def to_the_end(run: Run) -> None:
    output, _ = run.begin("cli").communicate(timeout=START_S)
    assert run.process is not None
    assert run.process.returncode == 0, output


# Starts that fail.


def spec(model: Path, tmp_path: Path, **changes: Any) -> ServerSpec:
    plain: dict[str, Any] = {"model": str(model), "served_name": "real", "log_path": tmp_path / "server.log"}
    return ServerSpec(**{**plain, **changes})


def wait_for_engine(server: Server) -> Tree:
    trees: list[Tree] = []

    def there() -> bool:
        tree = tree_below(server._process.session) if server.pid is not None else None
        if tree is not None:
            trees.append(tree)
        return bool(trees)

    assert wait_until(there, timeout_s=START_S)
    return trees[0]


@pytest.mark.parametrize("who", ["api", "engine"])
def test_killed_while_it_loads(tmp_path: Path, smollm2_dir: Path, temporary: Path, who: str) -> None:
    # vLLM does not always know yet how its engine ended.
    engine = r"its process EngineCore\S* (was ended by signal 9|ended without a word, as one does that is killed)"
    said = {"api": r"the server was ended by signal 9 \(Killed\)", "engine": engine}
    with launch(spec(smollm2_dir, tmp_path)) as server:
        tree = wait_for_engine(server)
        os.kill(tree.api if who == "api" else tree.engine, signal.SIGKILL)
        with pytest.raises(ServerError, match=said[who]) as error:
            server.wait_ready()
    assert "not by the kernel for lack of memory" in error.value.what
    assert "Somebody sent it" in str(error.value.fix)
    assert f"Last useful lines of {tmp_path / 'server.log'}" in str(error.value.fix)
    nothing_is_left(tree, temporary)


def test_a_model_that_changes_while_it_is_loaded(tmp_path: Path, smollm2_dir: Path, temporary: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(smollm2_dir, model)
    weights = next(model.glob("*.safetensors"))
    status = weights.stat()
    write_suite(tmp_path, cases=2)
    run = Run(tmp_path, model)
    process = run.begin("cli")
    try:
        assert wait_until(lambda: tree_below(process.pid) is not None, timeout_s=START_S)
        with weights.open("r+b") as file:
            file.seek(-2, os.SEEK_END)
            last = file.read(2)
            file.seek(-2, os.SEEK_END)
            file.write(bytes(byte ^ 1 for byte in last))
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
        tree = tree_below(process.pid)
        output, _ = process.communicate(timeout=START_S)
    finally:
        process.kill()
    assert process.returncode == 4, output
    assert "the model changed on disk after it was hashed" in output
    assert f"{weights.name}: {status.st_size:,} bytes as expected, but other contents" in output
    assert tree is not None
    nothing_is_left(tree, temporary)


def test_more_memory_for_the_cache_than_there_is(tmp_path: Path, smollm2_dir: Path, temporary: Path) -> None:
    with pytest.raises(ServerError, match=r"out of memory: 5000\.0 GiB were asked for the KV cache") as error:
        start_server(spec(smollm2_dir, tmp_path, env={"VLLM_CPU_KVCACHE_SPACE": "5000"}))
    assert "Lower VLLM_CPU_KVCACHE_SPACE" in str(error.value.fix)
    assert not left_in(temporary)


def test_less_memory_than_it_needs(tmp_path: Path, smollm2_dir: Path, temporary: Path) -> None:
    """As under `ulimit -v`, which schedulers set."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    server = launch(spec(smollm2_dir, tmp_path))
    with server:
        assert wait_until(lambda: server.pid is not None, timeout_s=START_S)
        resource.prlimit(server.pid or 0, resource.RLIMIT_AS, (1500 << 20, 1500 << 20))
        with pytest.raises(ServerError, match="ran out of memory") as error:
            server.wait_ready()
    assert "ulimit -v" in str(error.value.fix)
    assert resource.getrlimit(resource.RLIMIT_AS) == limits
    assert not left_in(temporary)


class Stranger(BaseHTTPRequestHandler):
    """Somebody else's server, which serves a model of the same name."""

    names: ClassVar[tuple[str, ...]] = ("real",)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        del format, args

    def do_GET(self) -> None:
        self.say({"data": [{"id": name} for name in self.names]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.say({"choices": [{"index": 0, "text": "a", "finish_reason": "length"}], "usage": {}})

    def say(self, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("real",), r"somebody else's server answers on its port, \d+, and calls itself by the same model's name"),
        (("other",), "it serves other, and not real"),
    ],
)
def test_a_port_that_somebody_else_takes_meanwhile(
    tmp_path: Path, smollm2_dir: Path, temporary: Path, names: tuple[str, ...], said: str
) -> None:
    class Named(Stranger):
        pass

    Named.names = names
    with launch(spec(smollm2_dir, tmp_path)) as server:
        thief = ThreadingHTTPServer(("127.0.0.1", server.port), Named)
        threading.Thread(target=thief.serve_forever, daemon=True).start()
        try:
            with pytest.raises(ServerError, match=said) as error:
                server.wait_ready()
        finally:
            thief.shutdown()
            thief.server_close()
    assert "choose another" in str(error.value.fix)
    if names == ("real",):
        assert f"process {os.getpid()}" in str(error.value.fix)
    assert not left_in(temporary)


def test_a_port_on_which_nothing_answers(tmp_path: Path, smollm2_dir: Path, temporary: Path) -> None:
    with launch(spec(smollm2_dir, tmp_path)) as server, socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", server.port))
        thief.listen()
        with pytest.raises(ServerError, match="its port is already in use") as error:
            server.wait_ready()
    assert "Choose another port" in str(error.value.fix)
    assert not left_in(temporary)


def test_a_start_that_takes_too_long_and_one_that_was_stopped(
    tmp_path: Path, smollm2_dir: Path, temporary: Path
) -> None:
    began = time.monotonic()
    with launch(spec(smollm2_dir, tmp_path, startup_timeout_s=3.0)) as server:
        assert wait_until(lambda: server.pid is not None, timeout_s=START_S)
        os.kill(server.pid or 0, signal.SIGSTOP)
        with pytest.raises(ServerError, match="was not ready within 3 s; it was still importing vLLM") as error:
            server.wait_ready()
        server.give_up("stopped")
    assert f"the API server (process {server.pid}) was stopped by a signal (SIGSTOP)" in error.value.what
    assert "Raise the startup timeout" in str(error.value.fix)
    assert time.monotonic() - began < START_S
    assert not left_in(temporary)


@pytest.mark.parametrize("door", ["cli", "pytest"])
def test_killed_while_its_server_loads(tmp_path: Path, smollm2_dir: Path, temporary: Path, door: str) -> None:
    write_suite(tmp_path, cases=2)
    process = Run(tmp_path, smollm2_dir).begin(door)
    pids: set[int] = set()

    def started() -> bool:
        pids.update(supervisor.descendants(process.pid))
        return len(pids) >= 2 and any(temporary.glob("llmgate-vllm-*"))

    try:
        assert wait_until(started, timeout_s=START_S)
        time.sleep(2.0)
        pids.update(supervisor.descendants(process.pid))
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), timeout_s=120)
    assert wait_until(lambda: not left_in(temporary))


# Looking after one that runs.


class Looked:
    """A server of another process, as the watch sees it: it notes what it would end."""

    def __init__(self, server: OwnedServer) -> None:
        self.pid = server.pid
        self.probe = Probe(url=server.url)
        self.spec = ServerSpec(model=".", served_name="real")
        self.ended: str | None = None

    def death_reason(self) -> str | None:
        return None

    def give_up(self, why: str) -> None:
        self.ended = why


def test_what_hangs_is_named_and_what_is_slow_is_left(real_server: OwnedServer) -> None:
    tasks = server_tasks(real_server.pid)
    engine = next(task.pid for task in tasks if task.title.startswith("VLLM::EngineCore"))
    told = Looked(real_server).probe.activity()
    assert told is not None
    assert {"vllm:iteration_tokens_total_count", "vllm:generation_tokens_total", "vllm:num_requests_running"} <= {*told}

    idle = Looked(real_server)
    with watched(idle, limit_s=2.0, busy_limit_s=600.0):
        time.sleep(5.0)
    assert idle.ended is None

    for pid, said in ((engine, "it answers /metrics, but no token came"), (real_server.pid, "it answers nothing")):
        looked = Looked(real_server)
        os.kill(pid, signal.SIGSTOP)
        try:
            with watched(looked, limit_s=2.0, busy_limit_s=600.0):
                assert wait_until(lambda seen=looked: seen.ended is not None)  # type: ignore[misc]
        finally:
            os.kill(pid, signal.SIGCONT)
        assert said in str(looked.ended)
        assert f"(process {pid}) was stopped by a signal" in str(looked.ended)
    assert Looked(real_server).probe.question("real", timeout_s=120)

    busy = Looked(real_server)
    asking = [threading.Thread(target=long_answer, args=(real_server,)) for _ in range(4)]
    with watched(busy, limit_s=1.0, busy_limit_s=600.0):
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    assert busy.ended is None


def long_answer(server: OwnedServer) -> None:
    body = {"model": "real", "prompt": "word " * 1500, "max_tokens": 24, "ignore_eos": True, "temperature": 0}
    status, _ = Probe(url=server.url).ask("POST", "/v1/completions", body=body, timeout_s=600)
    assert status == 200
