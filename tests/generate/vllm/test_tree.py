"""What the kernel shows of a server's processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

from support.servers import wait_until

from llmgate.generate.vllm.tree import EngineTasks, ServerTask, is_gone, listens, server_tasks

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); import time; time.sleep(60)'])"


def test_a_process_and_what_is_below_it() -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            own, below = server_tasks(process.pid)
            assert (own.pid, own.title) == (process.pid, "the API server")
            assert below.title.startswith("python")
            assert not below.computes
            assert own.state in set("RSD")
            assert own.cpu_s > 0
            assert not is_gone(below)
            os.kill(below.pid, signal.SIGSTOP)
            assert wait_until(lambda: server_tasks(process.pid)[1].stopped)
            told = server_tasks(process.pid)[1].told()
            assert told == f"{below.title} (process {below.pid}) was stopped by a signal (SIGSTOP)"
            assert EngineTasks([below]).lost(now=True) is None
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert wait_until(lambda: is_gone(below))
    assert server_tasks(process.pid) == ()
    lost = EngineTasks([own, below])
    assert lost.lost() == own
    # Whoever asks before each of thousands of requests pays for one look in a while.
    assert lost.lost() is None
    assert lost.lost(now=True) == own


def test_a_later_process_with_the_same_number_is_another() -> None:
    (own, *_) = server_tasks(os.getpid())
    assert not is_gone(own)
    assert is_gone(replace(own, began=own.began - 1))
    assert ServerTask(pid=1, title="VLLM::Worker_TP0", state="S", cpu_s=0.0, began=1).computes


def test_a_zombie_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (task, *_) = server_tasks(process.pid)
    process.kill()
    assert wait_until(lambda: is_gone(task))
    process.communicate()


def test_whose_socket_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        assert listens([os.getpid()], port) is True
        assert listens([1], port) is False
        assert listens([], port) is False
    assert listens([os.getpid()], port) is None
