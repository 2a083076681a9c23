"""System calls that a program in the sandbox is denied. Before there was a filter, all but a few of them went through."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.sandboxed import CALLS, escape

from llmgate.score.code.seccomp import ARCHITECTURES, DENIED

if TYPE_CHECKING:
    from support.identity import Identity

MACHINE = os.uname().machine
pytestmark = pytest.mark.skipif(MACHINE not in ARCHITECTURES, reason="no filter for this architecture")

CLONE = 56 if MACHINE == "x86_64" else 220
NAMESPACES = {
    "mounts": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000,
    "net": 0x40000000,
}  # fmt: skip
FAMILIES = {"netlink": 16, "packet": 17, "alg": 38, "vsock": 40, "bluetooth": 31, "can": 29, "tipc": 30, "xdp": 44}


def test_calls_are_denied_and_what_python_needs_is_not(identity: Identity) -> None:
    numbers = {name: pair[list(ARCHITECTURES).index(MACHINE)] for name, pair in DENIED.items()}
    calls = {name: [number, 0, 0, 0, 0, 0, 0] for name, number in numbers.items() if number is not None}
    calls |= {f"clone {name}": [CLONE, flag | 17, 0, 0, 0, 0] for name, flag in NAMESPACES.items()}
    calls |= {"clone3": [435, 0, 0], "one of tomorrow": [470, 0]}
    code = CALLS + (
        f"for name, arguments in {calls!r}.items():\n"
        "    print(name, call(*arguments), sep=': ')\n"
        "import socket\n"
        f"for name, family in {FAMILIES!r}.items():\n"
        "    for make in (socket.socket, socket.socketpair):\n"
        "        try: make(family, socket.SOCK_DGRAM)\n"
        "        except OSError as error: print(f'socket {name}', errno.errorcode[error.errno], sep=': ')\n"
        "        else: print(f'socket {name}: done')\n"
        "for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6): socket.socket(family).close()\n"
        "import asyncio, subprocess, sys, threading, time\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "started = threading.Thread(target=print, args=('thread',)); started.start(); started.join()\n"
        "print(subprocess.run([sys.executable, '-I', '-S', '-c', 'print(7)'], capture_output=True).stdout)\n"
        "print(sum(os.wait() != 0 for _ in range(1) if os.fork() or os._exit(0)))\n"
    )
    (ended,) = escape(identity, [code])
    assert ended.finished, ended.output
    said = dict(line.split(": ") for line in ended.lines if ": " in line)
    expected = dict.fromkeys(calls, "EPERM") | {"clone3": "ENOSYS", "one of tomorrow": "ENOSYS"}
    expected |= {f"socket {name}": "EAFNOSUPPORT" for name in FAMILIES}
    assert said == expected
    assert ended.lines[-3:] == ["thread", "b'7\\n'", "1"]


@pytest.mark.skipif(MACHINE != "x86_64", reason="only this architecture has others within it")
def test_calls_by_the_numbers_of_another_architecture_kill(identity: Identity) -> None:
    # int 0x80 asks for `getpid` as a process of 32 bits would; `unshare` is 310 there.
    int80 = (
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(bytes.fromhex('b814000000cd80c3'))\n"
        "print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())\n"
    )
    x32 = CALLS + "print(call(0x40000000 + 39))"
    for ended in escape(identity, [int80, x32]):
        assert (ended.finished, ended.exit_code, ended.output) == (False, -signal.SIGSYS, "")


def test_the_first_process_cannot_be_ended_or_traced_from_inside(identity: Identity) -> None:
    code = (
        "import os, signal, time\n"
        "for number in range(1, 65):\n"
        "    try: os.kill(1, number)\n"
        "    except OSError: pass\n"
        "time.sleep(0.2)\n"
        "print('alive', os.getppid())\n"
    )
    (ended,) = escape(identity, [code])
    assert (ended.finished, ended.lines) == (True, ["alive 1"])


def test_a_program_sees_an_interrupt_as_python_shows_it(identity: Identity) -> None:
    (ended,) = escape(identity, ["import os, signal; os.kill(os.getpid(), signal.SIGINT)"])
    assert "KeyboardInterrupt" in ended.output
