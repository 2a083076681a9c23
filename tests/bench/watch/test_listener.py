"""Which process listens where requests go."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.fake_proc import FakeProc

from llmgate.bench.watch.listener import find_server, here

if TYPE_CHECKING:
    from pathlib import Path

SERVE = """\
import os, socket, sys, time
server = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        time.sleep(60)
print(server.getsockname()[1], flush=True)
time.sleep(60)
"""


def serve(host: str, workers: int = 0) -> tuple[subprocess.Popen[str], int]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, host, str(workers)], stdout=subprocess.PIPE, text=True, process_group=0
    )
    assert server.stdout is not None
    return server, int(server.stdout.readline())


def end(server: subprocess.Popen[str]) -> None:
    os.killpg(server.pid, 9)
    server.wait()
    assert server.stdout is not None
    server.stdout.close()


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.5", "127.0.0.5"),
    ],
)
def test_a_server_here(bound: str, asked: str) -> None:
    server, port = serve(bound)
    try:
        assert find_server(f"http://{asked}:{port}/v1") == server.pid
    finally:
        end(server)


def test_a_server_here_by_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server, port = serve("::1")
    try:
        assert find_server(f"http://[::1]:{port}/v1") == server.pid
    finally:
        end(server)


def test_workers_that_share_the_socket_belong_to_their_parent() -> None:
    server, port = serve("127.0.0.1", workers=2)
    try:
        assert find_server(f"http://127.0.0.1:{port}") == server.pid
    finally:
        end(server)


def test_another_address_of_this_machine_is_another_server() -> None:
    server, port = serve("127.0.0.5")
    try:
        assert find_server(f"http://127.0.0.6:{port}") is None
    finally:
        end(server)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert find_server(f"http://127.0.0.1:{port}") is None


def test_addresses() -> None:
    assert ipaddress.ip_address("127.0.0.1") in here("localhost")
    assert here("192.0.2.1") == frozenset()  # TEST-NET-1, nobody's
    assert here("no such host.invalid") == frozenset()
    assert here("a" * 300) == frozenset()
    assert find_server("http://192.0.2.1:8000/v1") is None


def listening(proc: FakeProc, *inodes: int, port: int = 8000) -> None:
    (proc.path / "net").mkdir(exist_ok=True)
    rows = [
        f"   {row}: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 {inode} 1 0"
        for row, inode in enumerate(inodes)
    ]
    (proc.path / "net" / "tcp").write_text("\n".join(["  sl  local_address", *rows, ""]), encoding="ascii")


def test_sockets_of_siblings_lead_to_their_parent(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    listening(proc, 501, 502)  # SO_REUSEPORT: a socket each
    proc.process(30, parent=1, name="launcher")
    proc.process(31, parent=30, files=("socket:[501]",))
    proc.process(32, parent=30, files=("socket:[502]", "/dev/null"))
    assert find_server("http://127.0.0.1:8000", tmp_path) == 30
    proc.process(31, parent=1, files=("socket:[501]",))
    proc.process(32, parent=1, files=("socket:[502]",))
    assert find_server("http://127.0.0.1:8000", tmp_path) is None


def test_siblings_of_which_this_process_is_the_parent_are_not_this_process(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    listening(proc, 501, 502)
    proc.process(os.getpid(), parent=1)
    proc.process(31, parent=os.getpid(), files=("socket:[501]",))
    proc.process(32, parent=os.getpid(), files=("socket:[502]",))
    assert find_server("http://127.0.0.1:8000", tmp_path) is None


def test_a_forwarder_is_not_the_server(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    listening(proc, 501)
    proc.process(31, parent=1, files=("socket:[501]",), name="docker-proxy")
    assert find_server("http://127.0.0.1:8000", tmp_path) is None


def test_sockets_of_which_nobody_can_be_seen(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    listening(proc, 501)
    proc.process(31, parent=1, files=("socket:[999]",))
    assert find_server("http://127.0.0.1:8000", tmp_path) is None
    assert find_server("http://127.0.0.1:8000", tmp_path / "nothing") is None
