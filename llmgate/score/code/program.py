"""Gives up all rights, takes the limits and the filters, and becomes the program.

References: getrlimit(2), seccomp(2), keyrings(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from llmgate.score.code.kernel import JailError, prctl, syscall
from llmgate.score.code.landlock import NO_NEW_PRIVS, restrict_self
from llmgate.score.code.namespaces import NOBODY
from llmgate.score.code.seccomp import filter_for

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Settings", "become_program", "report", "take"]

PR_SET_PDEATHSIG: Final = 1
PR_SET_SECCOMP: Final = 22
SECCOMP_MODE_FILTER: Final = 2
SYS_KEYCTL: Final = {"x86_64": 250, "aarch64": 219}
KEYCTL_JOIN_SESSION_KEYRING: Final = 1

Settings = dict[str, Any]


def report(settings: Settings, **facts: object) -> None:
    """Tells `sandbox.py`."""
    os.write(settings["report_fd"], json.dumps(facts).encode() + b"\n")


def take(settings: Settings, name: str, mechanism: Callable[[], str], *, needed: bool = False) -> None:
    """Puts a mechanism in force and notes by which means, or why it is missing.

    Raises:
        JailError: If it is needed and missing.
    """
    try:
        if name in settings["without"]:
            raise JailError("left out to try that")
        settings["in_force"][name] = mechanism()
    except (JailError, OSError, ValueError, KeyError) as error:
        if needed:
            raise JailError(f"{name}: {error}") from None
        settings["missing"][name] = str(error)


def become_program(settings: Settings, uid: int, work: str) -> NoReturn:
    """Turns this process into the program; what goes wrong before is reported."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if settings["entrance"] is not None:
            os.write(settings["entrance"], b"0")
        tasks = 0 if settings["isolated"] or os.geteuid() == 0 else count_tasks(os.getuid())
        give_up_rights(uid)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        limit(settings, tasks)
        take(settings, "keyring", join_keyring)
        take(settings, "landlock", lambda: restrict_self(settings["visible"], work))
        os.set_inheritable(settings["report_fd"], False)
        for fd in settings["program_fds"]:
            os.set_inheritable(fd, True)
        take(settings, "seccomp", install_filter, needed=settings["isolated"])
        report(settings, in_force=settings["in_force"], missing=settings["missing"])
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", settings["runner"]]
        os.execve(sys.executable, command, {})  # noqa: S606 - what this is for, and no shell is wanted
    except Exception as error:  # noqa: BLE001 - whatever it is, the program must not run
        report(settings, error=f"{type(error).__name__}: {error}")
    os._exit(1)


def give_up_rights(uid: int) -> None:
    """Becomes a user who owns nothing, where root runs this; and keeps rights from coming back."""
    if os.geteuid() == 0:
        os.setgroups([])
        for user in (uid, NOBODY):
            with contextlib.suppress(OSError):
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                break
        if os.geteuid() == 0 or os.getuid() == 0:
            raise JailError("root cannot become another user here")
    prctl(NO_NEW_PRIVS, 1)


def limit(settings: Settings, tasks: int) -> None:
    """Takes the limits, which nobody without rights can raise again.

    Args:
        settings: As `sandbox.py` wrote them.
        tasks: Processes and threads that the user has already.
    """
    cpu = settings["cpu_s"]
    limits = {
        # One second for the soft limit's signal to be heeded, then the process is killed.
        resource.RLIMIT_CPU: (cpu, cpu + 1),
        # Of each process, so that most programs meet a MemoryError before the limit of all of them.
        resource.RLIMIT_AS: (settings["memory_bytes"],) * 2,
        resource.RLIMIT_FSIZE: (settings["file_bytes"],) * 2,
        resource.RLIMIT_NPROC: (settings["processes"] + tasks,) * 2,
        resource.RLIMIT_NOFILE: (settings["files"],) * 2,
        resource.RLIMIT_MSGQUEUE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    for which, values in limits.items():
        resource.setrlimit(which, values)


def count_tasks(uid: int) -> int:
    """The processes and threads of a user, which a limit of his counts."""
    tasks = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                tasks += sum(1 for _ in (folder / "task").iterdir()) if folder.stat().st_uid == uid else 0
    return tasks


def join_keyring() -> str:
    """Leaves the keys of the session behind."""
    syscall("keyctl", SYS_KEYCTL[os.uname().machine], KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
    return "a new one"


def install_filter() -> str:
    """Has the kernel deny system calls to this process and all that come of it."""
    program = filter_for(os.uname().machine)
    code = ctypes.create_string_buffer(program, len(program))
    length = len(program) // 8
    # `struct sock_fprog`: the number of instructions, and where they lie.
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(struct.pack("@HP", length, ctypes.addressof(code))))
    return f"{length} instructions"
