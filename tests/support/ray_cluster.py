"""A Ray cluster of two nodes on this machine, and a view of their processes; everything of it ends with the block."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.servers import command_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["RayCluster", "ray_cluster"]

START_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayCluster:
    """Two nodes that run.

    Attributes:
        head: The process that keeps the first one.
        second: The process that keeps the second one.
        address: Where drivers on this machine connect.
        client: Where Ray clients connect, as `--on` takes it.
        folder: Where Ray writes logs.
    """

    head: subprocess.Popen[bytes]
    second: subprocess.Popen[bytes]
    address: str
    client: str
    folder: Path

    def workers(self, node: subprocess.Popen[bytes], title: str = "ray::llmgate") -> list[int]:
        """The workers of a node that carry a task or an actor out."""
        return [pid for pid in descendants(node.pid) if title.encode() in command_line(pid)]

    def raylet(self, node: subprocess.Popen[bytes]) -> int:
        """The raylet of a node."""
        return next(pid for pid in descendants(node.pid) if b"/raylet/raylet" in command_line(pid))


@contextmanager
def ray_cluster(python: Path, *, env: Mapping[str, str] | None = None) -> Iterator[RayCluster]:
    """Start a head and a second node with two processors each.

    Args:
        python: Of an environment that has Ray and llmgate.
        env: For the nodes, besides what the process has; keys are left out.
    """
    # A socket's path is short, and pytest's folders are long.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        port, client = free_ports(2)
        address = f"127.0.0.1:{port}"
        inherited = {name: value for name, value in os.environ.items() if "KEY" not in name and name != "RAY_ADDRESS"}
        nodes: list[subprocess.Popen[bytes]] = []
        environment = {
            **inherited, **(env or {}), "no_proxy": "127.0.0.1,localhost", "RAY_DISABLE_IMPORT_WARNING": "1",
            "RAY_memory_monitor_refresh_ms": "0",
        }  # fmt: skip
        try:
            for number in range(2):
                low = 20_000 + 2_000 * number + os.getpid() % 20 * 40
                own = ["--head", f"--port={port}", f"--ray-client-server-port={client}", f"--temp-dir={folder}"]
                command: list[str | Path] = [
                    python.with_name("ray"), "start", "--block", "--disable-usage-stats", "--num-cpus=2",
                    "--node-ip-address=127.0.0.1", "--object-store-memory=80000000",
                    f"--min-worker-port={low}", f"--max-worker-port={low + 39}",
                    *([*own, "--include-dashboard=false"] if number == 0 else [f"--address={address}"]),
                ]  # fmt: skip
                with (Path(folder) / f"node{number}.log").open("wb") as log:
                    nodes.append(
                        subprocess.Popen(
                            command,
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=log,
                            env=environment,
                            start_new_session=True,
                        )
                    )
                wait(lambda: up(python, address, len(nodes)), nodes, Path(folder))
            yield RayCluster(
                head=nodes[0],
                second=nodes[1],
                address=address,
                client=f"ray://127.0.0.1:{client}",
                folder=Path(folder),
            )
        finally:
            for node in nodes:
                end(node)


def up(python: Path, address: str, nodes: int) -> bool:
    """Whether so many nodes are alive."""
    code = (
        f"import ray; ray.init(address={address!r}, log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()))"
    )
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "no_proxy": "*"},
    )
    return done.returncode == 0 and done.stdout.split()[-1:] == [str(nodes)]


def wait(ready: Callable[[], bool], nodes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait for the cluster; the log of the last node says why it did not come."""
    deadline = time.monotonic() + START_S
    while not ready():
        if nodes[-1].poll() is not None or time.monotonic() > deadline:
            log = folder / f"node{len(nodes) - 1}.log"
            raise RuntimeError(f"Ray did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")
        time.sleep(0.5)


def end(node: subprocess.Popen[bytes]) -> None:
    """End all processes of a node; Ray's own end takes a while, and nothing here is worth keeping."""
    found = [node.pid, *descendants(node.pid)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    node.wait(30)


def descendants(root: int) -> list[int]:
    """All processes below one, by their parents."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(stat.parts[2])] = int(stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    found, fresh = [], [root]
    while fresh:
        fresh = [pid for pid, parent in parents.items() if parent in fresh]
        found += fresh
    return found


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
