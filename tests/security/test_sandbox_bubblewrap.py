"""bubblewrap as an oracle: what its sandbox keeps from a program, ours does, too."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.sandboxed import escape

from llmgate.score.code.visible import base_python, visible_files

if TYPE_CHECKING:
    from support.identity import Identity

PROBE = """
import ctypes, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def can(action):
    try: action()
    except OSError: return False
    return True
def capabilities():
    head, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(head, data)
    return any(data)
print(json.dumps({
    "capabilities": capabilities(),
    "may gain rights": libc.prctl(39, 0, 0, 0, 0) != 1,
    "unfiltered calls": libc.prctl(21, 0, 0, 0, 0) != 2,
    "users": can(lambda: open("/etc/passwd")),
    "network": can(lambda: socket.create_connection(("127.0.0.1", PORT), timeout=1)),
    "abstract sockets": can(lambda: socket.socket(socket.AF_UNIX).connect(NAME)),
    "other processes": can(lambda: os.kill(PID, 0)),
    "library writable": can(lambda: open(os.__file__, "a")),
    "new user namespaces": can(lambda: libc.unshare(0x10000000) and (_ for _ in ()).throw(OSError())),
    "host name": os.uname().nodename == HOST,
}))
"""


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_ours_keeps_what_bubblewrap_keeps(identity: Identity) -> None:
    python = base_python()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        name = f"\0llmgate-bubblewrap-{os.getpid()}"
        abstract.bind(name)
        abstract.listen()
        facts = {"PORT": server.getsockname()[1], "NAME": name, "PID": os.getpid(), "HOST": os.uname().nodename}
        code = "".join(f"{key} = {value!r}\n" for key, value in facts.items()) + PROBE
        binds = [part for path in visible_files(python) for part in ("--ro-bind", path, path)]
        command = [
            "bwrap",
            "--unshare-all",
            "--die-with-parent",
            "--hostname",
            "other",
            *binds,
            "--dev-bind",
            "/dev/null",
        ]
        command += ["/dev/null", "--", python, "-I", "-S", "-c", code]
        theirs = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        outside = subprocess.run(
            [python, "-I", "-S", "-c", code], capture_output=True, text=True, check=True, timeout=30
        )
        (ours,) = escape(identity, [code])
    assert theirs.returncode == 0, theirs.stderr
    reached = {key for key, value in json.loads(ours.output).items() if value}
    assert reached <= {key for key, value in json.loads(theirs.stdout).items() if value}
    assert reached == set()
    assert {"network", "abstract sockets", "other processes", "host name"} <= {
        key for key, value in json.loads(outside.stdout).items() if value
    }
