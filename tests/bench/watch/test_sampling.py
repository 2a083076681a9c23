"""The program that looks while a measurement goes on: what it tells, and that it never stays behind."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.fake_server import FakeServer
from support.servers import wait_until

from llmgate.bench.watch import sampler
from llmgate.bench.watch.machine import look
from llmgate.bench.watch.sampler import Metrics, PageError, fetch
from llmgate.bench.watch.sampling import SamplerRun

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ["vllm:num_requests_running", "vllm:num_requests_waiting"]


class Pages(FakeServer):
    """A server whose page of metrics says how often it was asked for."""

    looks = 0

    def metrics(self) -> bytes:
        self.looks += 1
        return f"vllm:num_requests_running {self.looks}\nvllm:num_requests_running_too 7\nother 1\n".encode()


@pytest.fixture
def server() -> Iterator[Pages]:
    found = Pages()
    with found:
        yield found


def to(server: FakeServer, **changes: Any) -> dict[str, Any]:
    return {"host": server.host, "port": server.port, "tls": False, "prefix": "", "key": None, **changes}


def job(server: FakeServer, *, period_s: float = 0.05) -> dict[str, Any]:
    return {"what": "metrics", "server": to(server), "names": NAMES, "timeout_s": 5.0, "period_s": period_s}


def exists(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_looks_until_it_is_told_to_stop(server: Pages) -> None:
    async def measure() -> tuple[SamplerRun, int | None, dict[str, Any] | None]:
        sampling = SamplerRun(job(server))
        await sampling.start()
        pid = sampling.pid
        assert await asyncio.to_thread(wait_until, lambda: server.looks >= 4)
        return sampling, pid, await sampling.stop()

    sampling, pid, seen = asyncio.run(measure())
    assert seen is not None
    # The first look, before anything is measured, does not count.
    pages = seen["pages"]
    assert pages[:3] == [f"vllm:num_requests_running {number}" for number in (2, 3, 4)]
    assert seen["failures"] == 0
    assert (sampling.note, sampling.pid) == ("", None)
    assert not exists(pid)


def test_its_time_is_the_clients(server: Pages) -> None:
    async def measure() -> None:
        sampling = SamplerRun(job(server))
        await sampling.start()
        assert sampling.pid in look(None, counters_last=True).client
        await sampling.stop()

    asyncio.run(measure())


def test_a_server_that_is_away_is_no_reason_to_end(server: Pages) -> None:
    async def measure() -> dict[str, Any] | None:
        sampling = SamplerRun(job(server))
        await sampling.start()
        assert await asyncio.to_thread(wait_until, lambda: server.looks >= 3)
        await asyncio.to_thread(server.die)
        await asyncio.sleep(0.3)
        return await sampling.stop()

    seen = asyncio.run(measure())
    assert seen is not None
    assert len(seen["pages"]) >= 2
    assert seen["failures"] >= 1


def test_nobody_ends_it(server: Pages) -> None:
    """A measurement that fails never stops its watches."""

    async def fail() -> int | None:
        sampling = SamplerRun(job(server))
        await sampling.start()
        return sampling.pid

    pid = asyncio.run(fail())
    gc.collect()
    assert not exists(pid)


def test_its_parent_is_killed(server: Pages) -> None:
    """Also where a fork of the parent holds the pipe open."""
    program = textwrap.dedent(f"""\
        import asyncio, os, time
        from llmgate.bench.watch.sampling import SamplerRun
        sampling = SamplerRun({job(server)!r})
        asyncio.run(sampling.start())
        if os.fork() == 0:
            time.sleep(60)
        print(sampling.pid, flush=True)
        time.sleep(60)
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        try:
            pid = int(parent.stdout.readline())
            assert exists(pid)
            parent.kill()
            parent.wait()
            assert wait_until(lambda: not exists(pid), timeout_s=20)
        finally:
            os.killpg(parent.pid, 9)


def test_why_it_cannot_look(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("raise ImportError('libnvidia-ml.so.1 is not there')\n", encoding="utf-8")

    async def measure() -> SamplerRun:
        sampling = SamplerRun({"what": "devices", "path": str(tmp_path), "period_s": 0.1})
        await sampling.start()
        assert await sampling.stop() is None
        return sampling

    sampling = asyncio.run(measure())
    assert sampling.note == "ImportError: libnvidia-ml.so.1 is not there"
    assert sampling.pid is None


def test_it_ends_too_soon(server: Pages) -> None:
    async def measure() -> SamplerRun:
        sampling = SamplerRun(job(server))
        await sampling.start()
        assert sampling.pid is not None
        os.kill(sampling.pid, 9)
        assert await sampling.stop() is None
        return sampling

    assert asyncio.run(measure()).note == "the sampler ended before its time"


def test_it_imports_the_standard_library_only() -> None:
    program = (
        f"import runpy, sys; runpy.run_path({sampler.__file__!r}); "
        "print(sorted(n for n in {m.partition('.')[0] for m in sys.modules} if n not in sys.stdlib_module_names))"
    )
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "['__main__']"


@pytest.mark.parametrize(
    "other", [(200, ""), (404, "no such route"), (307, ""), (200, "vllm:num_requests_running 1\nvllm:more 2\n")]
)
def test_it_asks_for_what_it_needs(monkeypatch: pytest.MonkeyPatch, other: tuple[int, str]) -> None:
    asked: list[str] = []
    restricts = True

    def answer(_server: object, _method: str, path: str, *, timeout_s: float) -> tuple[int, str]:
        asked.append(path)
        return other if "?" in path and not restricts else (200, "vllm:num_requests_running 1\n")

    monkeypatch.setattr(sampler, "fetch", answer)
    metrics = Metrics({"server": {}, "names": NAMES, "timeout_s": 1.0})
    metrics.look()
    metrics.note()
    assert [parse_qs(urlsplit(path).query)["name[]"] for path in asked] == [NAMES, NAMES]
    assert metrics.patience == 1
    # prometheus_client of several processes restricts to nothing, others to everything: then it is whole pages.
    asked.clear()
    restricts = False
    metrics.look()
    metrics.note()
    assert asked[1:] == ["/metrics", "/metrics"]
    assert metrics.patience == 2
    assert metrics.told() == {"pages": ["vllm:num_requests_running 1"] * 2, "failures": 0}


def test_long_measurements_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "MAX_SAMPLES", 4)
    counts = iter(range(100))
    monkeypatch.setattr(sampler, "fetch", lambda *_, **__: (200, f"vllm:num_requests_running {next(counts)}\n"))
    metrics = Metrics({"server": {}, "names": NAMES, "timeout_s": 1.0})
    thinned = []
    for _ in range(6):
        metrics.note()
        thinned.append(metrics.thin())
    assert thinned == [False, False, False, True, False, True]
    assert [page.rpartition(" ")[2] for page in metrics.told()["pages"]] == ["0", "4"]


def test_fetching(server: Pages) -> None:
    assert fetch(to(server), "GET", "/health", timeout_s=5.0) == (200, "")
    assert fetch(to(server, prefix="/deep"), "GET", "/health", timeout_s=5.0)[0] == 404
    with FakeServer(api_key="s3cret") as locked:
        assert fetch(to(locked), "GET", "/v1/models", timeout_s=5.0)[0] == 401
        assert fetch(to(locked, key="s3cret"), "GET", "/v1/models", timeout_s=5.0)[0] == 200
        url = locked.port
    with pytest.raises(PageError, match="refused"):
        fetch(to(server, port=url), "GET", "/metrics", timeout_s=5.0)


def test_a_page_without_an_end(monkeypatch: pytest.MonkeyPatch, server: Pages) -> None:
    monkeypatch.setattr(sampler, "MAX_PAGE_BYTES", 10)
    with pytest.raises(PageError, match="more than 10 bytes"):
        fetch(to(server), "GET", "/metrics", timeout_s=5.0)
