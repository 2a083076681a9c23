"""Looks at a server's metrics or at GPUs while a measurement goes on, without making the client wait.

A program of its own, run by file path under `python -I -S`: it imports the standard library only. What to do comes as
one line of JSON on stdin, where nobody else can read it: it may hold the server's key. It says `ready` after a first
look, which does not count, and then looks once every period. A line `stop` on stdin lets it say what it saw, as one
line of JSON, and end. It ends as well when stdin does or its parent is another one: then nobody is there to be told.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import re
import select
import ssl
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Devices", "Metrics", "PageError", "fetch", "main"]

MAX_PAGE_BYTES: Final = 16 * 2**20
MAX_SAMPLES: Final = 4096
"""When there are so many, every second one is dropped and the period doubles."""
WHOLE: Final = "/metrics"
NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class PageError(Exception):
    """A page that could not be had."""


class Source(Protocol):
    """What is looked at."""

    @property
    def patience(self) -> int:
        """Periods from one look to the next."""

    def look(self) -> None:
        """Look, without keeping anything."""

    def note(self) -> None:
        """Look, and keep what is seen."""

    def thin(self) -> bool:
        """Whether so much was kept that half of it had to go."""

    def told(self) -> dict[str, Any]:
        """What was seen."""


def fetch(server: Mapping[str, Any], method: str, path: str, *, timeout_s: float) -> tuple[int, str]:
    """Ask a server.

    Args:
        server: `host`, `port`, `tls`, `prefix` (the path before that of the request) and `key` (sent as a bearer
            token, None for none).
        method: GET or POST.
        path: Path, below the prefix.
        timeout_s: Longest time to wait for bytes.

    Returns:
        Status and text. Redirects are not followed.

    Raises:
        PageError: If there is no answer that can be read.
    """
    where = (server["host"], server["port"])
    connection = (
        http.client.HTTPSConnection(*where, timeout=timeout_s, context=ssl.create_default_context())
        if server["tls"]
        else http.client.HTTPConnection(*where, timeout=timeout_s)
    )
    headers = {"User-Agent": "llmgate-bench", "Accept": "text/plain", "Accept-Encoding": "identity"}
    if server["key"] is not None:
        headers["Authorization"] = f"Bearer {server['key']}"
    try:
        connection.request(method, server["prefix"] + path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(MAX_PAGE_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PageError(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    if len(body) > MAX_PAGE_BYTES:
        raise PageError(f"the answer has more than {MAX_PAGE_BYTES} bytes")
    return answer.status, body.decode("utf-8", "replace")


class Metrics:
    """Lines of a server's `/metrics` that are of interest.

    The server is asked for these alone (`name[]`, which prometheus_client knows), because a whole page takes its time:
    7 ms of vLLM 0.32, where the few lines take 1 ms. There two handlers overlap, and only the one that `/metrics/`
    reaches knows of names. A server that does not restrict its answer so is asked for whole pages, half as often.

    Args:
        job: `server` as for `fetch`, `names` of samples, `timeout_s`.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._server = job["server"]
        self._names = frozenset(job["names"])
        self._timeout_s = job["timeout_s"]
        self._path = WHOLE
        self._some = f"{WHOLE}/?" + urlencode([("name[]", name) for name in sorted(self._names)])
        self._pages: list[str] = []
        self._failures = 0

    def look(self) -> None:
        """Look, and find out how this server is asked."""
        self._path = WHOLE
        with contextlib.suppress(PageError):
            wanted, others = self._lines(self._some)
            if wanted and not others:
                self._path = self._some
                return
        with contextlib.suppress(PageError):
            self._lines(self._path)

    @property
    def patience(self) -> int:
        """Periods from one look to the next."""
        return 2 if self._path == WHOLE else 1

    def note(self) -> None:
        """Look, and keep the lines."""
        try:
            lines, _ = self._lines(self._path)
        except PageError:
            self._failures += 1
            return
        if lines:
            self._pages.append(lines)

    def thin(self) -> bool:
        """Whether half of what was kept had to go."""
        if len(self._pages) < MAX_SAMPLES:
            return False
        del self._pages[1::2]
        return True

    def told(self) -> dict[str, Any]:
        """The lines of each look, and how many looks failed."""
        return {"pages": self._pages, "failures": self._failures}

    def _lines(self, path: str) -> tuple[str, bool]:
        """The lines that are wanted, and whether there are others."""
        status, text = fetch(self._server, "GET", path, timeout_s=self._timeout_s)
        if status != http.client.OK:
            raise PageError(f"status {status}")
        found = [(name[0], line) for line in text.split("\n") if (name := NAME.match(line)) is not None]
        wanted = [line for name, line in found if name in self._names]
        return "\n".join(wanted), len(wanted) < len(found)


class Devices:
    """GPUs by NVML, through the module `pynvml` of the distribution `nvidia-ml-py`.

    Whatever a device does not support is None. Errors other than NVML's are bugs, and end the program.

    Args:
        nvml: That module.
        clock: Seconds, monotonic.

    Raises:
        nvml.NVMLError: If there is no driver, for example.
    """

    def __init__(self, nvml: Any, *, clock: Any = time.monotonic) -> None:
        self._nvml = nvml
        self._clock = clock
        self._from_s = clock()
        self._noted = False
        self.patience = 1
        nvml.nvmlInit()
        self._devices = [self._device(index) for index in range(nvml.nvmlDeviceGetCount())]

    def look(self) -> None:
        """Begin: time and energy are counted from here on."""
        self._from_s = self._clock()
        for device in self._devices:
            device["energy_from_mj"] = self._ask("nvmlDeviceGetTotalEnergyConsumption", device["handle"])

    def note(self) -> None:
        """Note memory, power, utilisation and processes."""
        self._noted = True
        for device in self._devices:
            handle, seen = device["handle"], device["seen"]
            memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
            if memory is not None:
                device["memory"] = max(device["memory"] or 0, int(memory.used))
                device["memory_total"] = int(memory.total)
            power_mw = self._ask("nvmlDeviceGetPowerUsage", handle)
            if power_mw is not None:
                seen["power"].append(power_mw / 1e3)
            rates = self._ask("nvmlDeviceGetUtilizationRates", handle)
            if rates is not None:
                seen["utilisation"].append(rates.gpu / 100.0)
            running = self._ask("nvmlDeviceGetComputeRunningProcesses", handle)
            if running is not None:
                device["listed"] = True
                for process in running:
                    device["processes"].setdefault(str(process.pid), _name(process.pid))

    def thin(self) -> bool:
        """Whether half of what was kept had to go."""
        lists = [kept for device in self._devices for kept in device["seen"].values()]
        if not any(len(kept) >= MAX_SAMPLES for kept in lists):
            return False
        for kept in lists:
            del kept[1::2]
        return True

    def told(self) -> dict[str, Any]:
        """Each device, with means and what its counter of energy grew by; a short measurement is looked at once."""
        if not self._noted:
            self.note()
        devices = [self._summed(device) for device in self._devices]
        return {"devices": devices, "elapsed_s": self._clock() - self._from_s}

    def _device(self, index: int) -> dict[str, Any]:
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        return {
            "handle": handle,
            "index": index,
            "name": _text(self._ask("nvmlDeviceGetName", handle)) or "unknown",
            "uuid": _text(self._ask("nvmlDeviceGetUUID", handle)),
            "memory": None,
            "memory_total": None,
            "energy_from_mj": None,
            "listed": False,
            "processes": {},
            "seen": {"power": [], "utilisation": []},
        }

    def _summed(self, device: dict[str, Any]) -> dict[str, Any]:
        until_mj = self._ask("nvmlDeviceGetTotalEnergyConsumption", device["handle"])
        power, utilisation = device["seen"]["power"], device["seen"]["utilisation"]
        kept = ("index", "name", "uuid", "memory", "memory_total", "listed", "processes")
        return {
            **{name: device[name] for name in kept},
            "power_w": _mean(power),
            "utilisation": _mean(utilisation),
            "counted_j": _counted_j(device["energy_from_mj"], until_mj),
        }

    def _ask(self, function: str, handle: object) -> Any:
        """What a device says, None where it or its driver does not know."""
        try:
            return getattr(self._nvml, function)(handle)
        except self._nvml.NVMLError:
            return None


def _counted_j(from_mj: int | None, until_mj: int | None) -> float | None:
    """Growth of a counter of millijoules since the driver was loaded; None if it was loaded again."""
    if from_mj is None or until_mj is None or until_mj < from_mj:
        return None
    return (until_mj - from_mj) / 1e3


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _name(pid: int) -> str:
    """The short name of a process, "" if it is in another container."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib is slow
            return file.read().strip()
    except OSError:
        return ""


def _source(job: Mapping[str, Any]) -> Source:
    if job["what"] == "metrics":
        return Metrics(job)
    sys.path.append(job["path"])  # -S leaves the installed packages out
    return Devices(importlib.import_module("pynvml"))


def _tell(fact: object) -> None:
    os.write(1, (json.dumps(fact) + "\n").encode())


def _tell_all(fact: object) -> None:
    with os.fdopen(os.dup(1), "wb") as out:
        out.write((json.dumps(fact) + "\n").encode())


def _watch(source: Source, period_s: float, parent: int) -> bool:
    """Look once every period until told to stop; whether somebody told so."""
    period_s *= source.patience
    due = time.monotonic() + period_s
    while True:
        ready, _, _ = select.select([0], [], [], max(0.0, due - time.monotonic()))
        if ready:
            return os.read(0, 64).startswith(b"stop")
        # A fork of the parent may hold the pipe open after the parent's death.
        if os.getppid() != parent:
            return False
        source.note()
        if source.thin():
            period_s *= 2
        due = max(due + period_s, time.monotonic())


def main() -> int:
    """Do what stdin asks for.

    Returns:
        0, also where nothing could be seen: then the reason is told.
    """
    parent = os.getppid()
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece:
            return 0
        line += piece
    job = json.loads(line)
    with contextlib.suppress(BrokenPipeError):
        try:
            source = _source(job)
        except Exception as error:  # noqa: BLE001 - NVML's errors are known to the module only
            _tell({"error": f"{type(error).__name__}: {error}"})
            return 0
        source.look()
        _tell({"ready": True})
        if _watch(source, float(job["period_s"]), parent):
            _tell_all(source.told())
    return 0


if __name__ == "__main__":
    sys.exit(main())
