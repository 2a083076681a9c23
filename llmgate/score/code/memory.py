"""A limit on the memory of all processes of a sandbox together.

Where the machine lets this user make a control group, the kernel holds the limit, and it counts shared memory, files
in memory and what sockets and pipes keep. Elsewhere the one who keeps the time adds up what the processes hold: a
watch, and no wall, as a program can go over the limit between two looks.

References: cgroups(7), the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, proc(5).
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ControlGroup", "descendants", "holds_more", "make_control_group"]

_NAME: Final = "llmgate-sandbox-"
_MOUNTS: Final = Path("/proc/self/mountinfo")
_GROUPS: Final = Path("/proc/self/cgroup")


# No dataclass: that module is a sixth of what the start of a sandbox imports.
class ControlGroup(NamedTuple):
    """A control group with a limit, for one sandbox.

    Attributes:
        folder: In the file system of control groups.
        entrance: Descriptor of the file through which a process enters.
        version: 1 or 2.
    """

    folder: Path
    entrance: int
    version: int

    def kills(self) -> int:
        """How many processes the kernel has killed because the group was at its limit."""
        name = "memory.events" if self.version > 1 else "memory.oom_control"
        lines = (self.folder / name).read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def remove(self) -> None:
        """Takes it away again, which the kernel allows once its last process is gone."""
        os.close(self.entrance)
        for _ in range(20):
            try:
                return self.folder.rmdir()
            except OSError:
                time.sleep(0.005)
        return None


def make_control_group(limit_bytes: int) -> ControlGroup:
    """A new group below or beside this process's own, for it to be entered by the program.

    Raises:
        OSError: If this user can make none here; the text says why.
    """
    failed = OSError("there is no control group for memory here")
    for parent, version in _places():
        _sweep(parent)
        folder = parent / f"{_NAME}{os.getpid()}"
        try:
            folder.mkdir()
        except OSError as error:
            failed = error
            continue
        try:
            _limit(folder, version, limit_bytes)
            entrance = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            failed = error
            folder.rmdir()
            continue
        return ControlGroup(folder=folder, entrance=entrance, version=version)
    raise failed


def _limit(folder: Path, version: int, limit_bytes: int) -> None:
    # What is swapped out counts as well, where there is swap.
    limits = (
        {"memory.max": limit_bytes, "memory.swap.max": 0, "memory.oom.group": 1}
        if version > 1
        else {"memory.limit_in_bytes": limit_bytes, "memory.memsw.limit_in_bytes": limit_bytes}
    )
    for place, (name, value) in enumerate(limits.items()):
        if place == 0 or (folder / name).exists():
            (folder / name).write_text(str(value), encoding="ascii")


def _places() -> list[tuple[Path, int]]:
    """Where a group could be made: below this process's own, else (version 2) beside it or higher up."""
    own = {}
    for line in _GROUPS.read_text(encoding="utf-8").splitlines():
        _, names, path = line.split(":", 2)
        own[2 if not names else 1 if "memory" in names.split(",") else 0] = path
    found: list[tuple[Path, int]] = []
    for line in _MOUNTS.read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        version = 2 if kind == "cgroup2" else 1 if kind == "cgroup" and "memory" in options.split(",") else 0
        if version and version in own and os.path.commonpath((root, own[version])) == root:
            folder = Path(point) / os.path.relpath(own[version], root)
            # A group that holds processes cannot pass a controller on, so in version 2 the parents are asked, too.
            near = [folder, *(up for up in folder.parents if up.is_relative_to(point))] if version > 1 else [folder]
            found += [(one, version) for one in near if version == 1 or _passes_memory_on(one)]
    return found


def _passes_memory_on(folder: Path) -> bool:
    try:
        return "memory" in (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
    except OSError:
        return False


def _sweep(parent: Path) -> None:
    """Takes away what sandboxes left that were killed before they could."""
    for left in parent.glob(f"{_NAME}*"):
        if not Path("/proc", left.name.removeprefix(_NAME)).exists():
            with contextlib.suppress(OSError):
                left.rmdir()


def holds_more(processes: list[int], limit_bytes: int) -> bool:
    """Whether processes hold more memory than they may together, shared pages counted once."""
    if sum(_field(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:")) for pid in processes) <= limit_bytes:
        return False
    return sum(_share(pid) for pid in processes) > limit_bytes


def _share(pid: int) -> int:
    exact = _field(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))
    return exact or _field(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:"))


def _field(path: str, names: tuple[str, ...]) -> int:
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(names))


def descendants(pid: int) -> list[int]:
    """A process's children, theirs, and so on."""
    # Not every kernel lists the children of a thread, and a look at every process costs much more.
    children = _children if Path(f"/proc/self/task/{os.getpid()}/children").exists() else _children_by_parent()
    found = [pid]
    for parent in found:
        found += [child for child in children(parent) if child not in found]
    return found[1:]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += map(int, (thread / "children").read_text(encoding="ascii").split())
    return found


def _children_by_parent() -> Callable[[int], list[int]]:
    found: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                found.setdefault(int(fields[1]), []).append(int(folder.name))
    return lambda pid: found.get(pid, [])
