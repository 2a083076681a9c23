"""A `/proc` in a folder, with the processes that a test wants."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FakeProc"]


@dataclass(frozen=True, slots=True)
class FakeProc:
    """Writes what proc(5) says into a folder.

    Attributes:
        path: The folder.
    """

    path: Path

    def process(
        self,
        pid: int,
        *,
        parent: int,
        group: int | None = None,
        own: int = 0,
        reaped: int = 0,
        started: int = 0,
        name: str = "p",
        cmdline: tuple[str, ...] = (),
        environ: tuple[str, ...] = (),
        files: tuple[str, ...] = (),
    ) -> None:
        """A process; times in ticks, half of them in the kernel."""
        folder = self.path / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        times = (own - own // 2, own // 2, reaped - reaped // 2, reaped // 2)
        fields = [pid, f"({name})", "S", parent, group or pid, 1, 0, -1, 0, 0, 0, 0, 0, *times, 20, 0, 1, 0, started, 0]
        (folder / "stat").write_text(" ".join(map(str, fields)) + "\n", encoding="utf-8")
        (folder / "cmdline").write_bytes(b"".join(os.fsencode(part) + b"\0" for part in cmdline))
        (folder / "environ").write_bytes(b"".join(os.fsencode(part) + b"\0" for part in environ))
        for link in (folder / "fd").iterdir():
            link.unlink()
        for number, target in enumerate(files):
            (folder / "fd" / str(number)).symlink_to(target)

    def gone(self, pid: int) -> None:
        """A process has ended."""
        (self.path / str(pid) / "stat").unlink()

    def stat(self, *counters: int, cores: int = 2) -> None:
        """The machine's counters: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice."""
        line = " ".join(map(str, counters))
        cpus = [f"cpu{number} {line}" for number in range(cores)]
        (self.path / "stat").write_text("\n".join([f"cpu  {line}", *cpus, "intr 1", ""]), encoding="ascii")
