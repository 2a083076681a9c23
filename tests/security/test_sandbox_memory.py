"""One limit for the memory of all processes of a sandbox. It was one for each process: 1,200 MB of System V shared
memory, 750 MB of memory files and eight processes of 300 MB each went through a limit of 512 MB."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.sandboxed import CALLS, escape

from llmgate.score.code.memory import descendants, holds_more, make_control_group

if TYPE_CHECKING:
    from support.identity import Identity

SHARED = (
    CALLS
    + """
libc.shmat.restype = ctypes.c_void_p
taken = 0
for _ in range(12):
    place = libc.shmat(libc.shmget(0, 100 << 20, 0o1600), None, 0)
    if place in (None, 2**64 - 1):
        break
    ctypes.memset(place, 1, 100 << 20)
    libc.shmdt(ctypes.c_void_p(place))
    taken += 100
print(taken)
"""
)
FILES = """
import os
taken = 0
try:
    while taken < 750 << 20:
        file = os.memfd_create("x")
        while taken < 750 << 20:
            try: taken += os.write(file, bytes(1 << 20))
            except OSError: break
except PermissionError:
    pass
print(taken)
"""
MANY = """
import os, time
def hold(mib):
    held = bytearray(mib << 20)
    for place in range(0, len(held), 4096): held[place] = 1
    return held
for _ in range(4):
    if os.fork() == 0:
        held = hold(100)
        time.sleep(5)
        os._exit(0)
for _ in range(4): os.wait()
"""
MAPPED = """
import mmap, os, time
shared = mmap.mmap(-1, 150 << 20)
for place in range(0, len(shared), 4096): shared[place] = 1
for _ in range(3):
    if os.fork() == 0:
        sum(shared[::4096]); time.sleep(0.3); os._exit(0)
for _ in range(3): os.wait()
print("counted once")
"""


@pytest.mark.parametrize("without", [[], ["memory"]], ids=["limit", "watch"])
def test_all_processes_share_one_limit(identity: Identity, without: list[str]) -> None:
    shared, files, many, mapped = escape(identity, [SHARED, FILES, MANY, MAPPED], without=without)
    assert [shared.output, files.output] == ["0\n", "0\n"]
    assert (many.finished, many.exit_code, many.out_of_memory) == (False, -signal.SIGKILL, True)
    assert (mapped.finished, mapped.output) == (True, "counted once\n")
    assert ("memory" in many.missing) == ("memory" not in many.in_force)
    if without:
        assert many.missing["memory"] == "left out to try that"


@pytest.mark.parametrize("code", [
    # What one process takes alone meets its own limit first, and can be caught.
    "try: held = bytearray(10**9)\nexcept MemoryError: print('met')",
    # Files in the working directory are memory.
    "try:\n  for i in range(99): open(str(i), 'wb').write(bytes(10**6))\nexcept OSError: print('met')",
])  # fmt: skip
def test_what_a_program_can_handle(identity: Identity, code: str) -> None:
    (ended,) = escape(identity, [code])
    assert (ended.finished, ended.output) == (True, "met\n")


def test_no_control_group_is_left(identity: Identity) -> None:
    def groups() -> set[Path]:
        # Not those of sandboxes that run beside this test.
        found = Path("/sys/fs/cgroup").rglob("llmgate-sandbox-*")
        return {group for group in found if not Path("/proc", group.name.rpartition("-")[2]).exists()}

    before = groups()
    escape(identity, ["", MANY, "import time; time.sleep(60)"], wall_s=1.0)
    assert groups() <= before


def test_groups_of_sandboxes_that_were_killed_are_taken_away() -> None:
    try:
        group = make_control_group(64 << 20)
    except OSError as error:
        pytest.skip(f"this user can make no control group: {error}")
    left = group.folder.with_name("llmgate-sandbox-4194305")  # above every process id
    left.mkdir()
    group.remove()
    make_control_group(64 << 20).remove()
    assert not left.exists()
    assert not group.folder.exists()


@pytest.mark.parametrize(("mounts", "groups", "expected"), [
    # Version 1, in a group of its own.
    ("1 0 0:1 / {0}/m rw - cgroup cgroup rw,memory\n", "4:memory:/a/b\n0::/\n", ["m/a/b"]),
    # Version 1, seen from a container whose mount begins at its own group.
    ("1 0 0:1 /a/b {0}/m rw - cgroup cgroup rw,memory\n", "4:memory:/a/b\n", ["m"]),
    # Version 2: below the first parent that passes memory on.
    ("1 0 0:1 / {0}/u rw - cgroup2 cgroup2 rw\n", "0::/user/app/leaf\n", ["u/user/app", "u"]),
    # Version 2 beside a version 1 that has the memory.
    ("1 0 0:1 / {0}/u rw - cgroup2 cgroup2 rw\n2 0 0:2 / {0}/m rw - cgroup cgroup rw,cpu\n", "1:cpu:/x\n0::/y\n", ["u"]),
    # Another root than this process can see.
    ("1 0 0:1 /other {0}/m rw - cgroup cgroup rw,memory\n", "4:memory:/a/b\n", []),
    ("", "", []),
])  # fmt: skip
def test_where_a_group_could_be_made(
    mounts: str, groups: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmgate.score.code import memory

    for folder, passed_on in (
        ("u", "memory"),
        ("u/user", "cpu"),
        ("u/user/app", "cpu memory"),
        ("u/user/app/leaf", ""),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.subtree_control").write_text(passed_on)
    (tmp_path / "mountinfo").write_text(mounts.format(tmp_path))
    (tmp_path / "cgroup").write_text(groups)
    monkeypatch.setattr(memory, "_MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "cgroup")
    assert [str(place.relative_to(tmp_path)) for place, _ in memory._places()] == expected


def test_the_watch_sees_children_and_their_memory() -> None:
    import subprocess
    import sys

    code = "import os, sys; held = bytearray(b'1') * (80 << 20); os.fork() or input(); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        import os

        mine = descendants(os.getpid())
        assert process.pid in mine
        assert descendants(process.pid)
        assert set(descendants(process.pid)) < set(mine)
        both = [process.pid, *descendants(process.pid)]
        assert holds_more(both, 60 << 20)
        # What a fork shares with its parent counts once.
        assert not holds_more(both, 130 << 20)
        process.kill()
        for pid in both[1:]:
            os.kill(pid, signal.SIGKILL)
