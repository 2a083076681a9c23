"""A server that hangs is ended, and it is said what hung: with a fake vLLM."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.servers import marked, spec, start_server, wait_until

from llmgate.generate.vllm.tree import server_tasks
from llmgate.generate.vllm.watchdog import watched

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.generate.vllm.server import Server

pytestmark = pytest.mark.usefixtures("own_lock")

CHAT = b'{"model": "fake", "messages": [{"role": "user", "content": "Hi"}]}'


def engine_of(server: Server) -> int:
    assert server.pid is not None
    return next(task.pid for task in server_tasks(server.pid) if task.computes)


def ask(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", CHAT)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()


def test_a_stopped_server_is_named_and_ended(tmp_path: Path) -> None:
    told: list[str] = []
    with start_server(spec(tmp_path, engine="stays")) as server:
        assert server.pid is not None
        with watched(server, limit_s=0.6, busy_limit_s=60.0, on_hang=told.append):
            os.kill(server.pid, signal.SIGSTOP)
            began = time.monotonic()
            assert wait_until(lambda: server.death_reason() is not None)
            assert time.monotonic() - began < 30
            assert wait_until(lambda: not marked(tmp_path))
        reason = server.death_reason()
        assert reason is not None
        assert f"the API server (process {server.pid}) was stopped by a signal (SIGSTOP)" in reason
        assert told == [reason]


def test_an_engine_that_brings_nothing_about_is_named_and_ended(tmp_path: Path) -> None:
    with start_server(spec(tmp_path, mode="stalled")) as server:
        for _ in range(6):
            ask(server)
        with watched(server, limit_s=0.6, busy_limit_s=60.0):
            engine = engine_of(server)
            os.kill(engine, signal.SIGSTOP)
            waiting = threading.Thread(target=ask, args=(server,))
            waiting.start()
            assert wait_until(lambda: server.death_reason() is not None)
            # Whoever waits for an answer is told at once that there will be none.
            waiting.join(30)
            assert not waiting.is_alive()
        reason = server.death_reason()
        assert reason is not None
        assert "it answers /metrics, but no token came" in reason
        assert f"(process {engine}) was stopped by a signal" in reason
    assert not marked(tmp_path)


def test_a_server_without_work_is_asked_for_some(tmp_path: Path) -> None:
    with start_server(spec(tmp_path)) as server, watched(server, limit_s=0.6, busy_limit_s=60.0):
        time.sleep(2.0)
        assert server.death_reason() is None
        assert server.alive()


def test_nothing_is_watched_without_a_limit(tmp_path: Path) -> None:
    before = threading.active_count()
    with start_server(spec(tmp_path)) as server, watched(server, limit_s=0.0, busy_limit_s=60.0):
        assert threading.active_count() == before


def test_a_server_whose_engine_is_gone_is_ended(tmp_path: Path) -> None:
    with start_server(spec(tmp_path)) as server:
        with watched(server, limit_s=0.6, busy_limit_s=60.0):
            engine = engine_of(server)
            os.kill(engine, signal.SIGKILL)
            assert wait_until(lambda: not server.alive())
        reason = server.death_reason()
        assert reason is not None
        assert f"its process VLLM::EngineCor (process {engine}) ended without a word" in reason
        assert "not by the kernel for lack of memory" in reason


def test_the_watch_ends_with_the_block(tmp_path: Path) -> None:
    with start_server(spec(tmp_path)) as server:
        with pytest.raises(RuntimeError, match="in the block"), watched(server, limit_s=600.0, busy_limit_s=600.0):
            raise RuntimeError("in the block")
        assert not [each for each in threading.enumerate() if each.name == "llmgate-watchdog"]
        assert server.alive()
