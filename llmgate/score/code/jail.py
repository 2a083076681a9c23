"""Runs one program under limits. Started by `sandbox.py`, in an interpreter without site packages.

Three processes: this one takes namespaces of its own, keeps the time and watches the memory. Its child, the first
process of the new process namespace, builds the root directory; when it ends, the kernel ends every process that is
left. The child's child gives up all rights, takes the limits and becomes the program.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

from llmgate.score.code.kernel import JailError, prctl
from llmgate.score.code.memory import ControlGroup, descendants, holds_more, make_control_group
from llmgate.score.code.namespaces import NOBODY, WORK, enter_root, take_namespaces
from llmgate.score.code.program import PR_SET_PDEATHSIG, Settings, become_program, report, take

__all__ = ["main"]

PR_SET_CHILD_SUBREAPER: Final = 36
FIRST_UNUSED_UID: Final = 1_879_048_192
"""Unused according to https://systemd.io/UIDS-GIDS/: a limit on processes counts those of one id."""
_HEARD: Final = {signal.SIGCHLD, signal.SIGTERM}
_LOOK_S: Final = 0.05
"""Between two looks at the memory."""


def run_and_report(settings: Settings, uid: int) -> None:
    """Runs the program to its end and says how it ended."""
    pid = os.fork()
    if pid == 0:
        become_program(settings, uid, WORK)
    while True:
        ended, status, usage = os.wait4(-1, 0)
        if ended == pid:
            report(settings, status=status, cpu_s=usage.ru_utime + usage.ru_stime)
            return


def first_process(settings: Settings, uid: int) -> NoReturn:
    """The first process of the namespace: all others end with it, and it ends with the one that keeps the time."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        enter_root(settings["folder"], settings["visible"], settings["disk_bytes"])
        run_and_report(settings, uid)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
        report(settings, error=f"{type(error).__name__}: {error}")
    os._exit(0)


def keep_time(settings: Settings, uid: int, group: ControlGroup | None) -> None:
    """Starts the rest and ends it when the time is up or the memory used up."""
    deadline = time.monotonic() + settings["wall_s"]
    if not settings["isolated"]:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    pid = os.fork()
    if pid == 0:
        if settings["isolated"]:
            first_process(settings, uid)
        become_program(settings, uid, settings["folder"])
    wait_or_end(settings, group, pid, deadline)
    if not settings["isolated"]:
        end_children()


def wait_or_end(settings: Settings, group: ControlGroup | None, pid: int, deadline: float) -> None:
    """Waits for the child, and kills it when the time is up, the memory used up, or somebody outside says so."""
    told_to_end = False
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended and not settings["isolated"]:
            report(settings, status=status, cpu_s=usage.ru_utime + usage.ru_stime)
        left = deadline - time.monotonic()
        if over := is_over(settings, group, pid):
            report(settings, out_of_memory=True)
        elif left <= 0 and not ended:
            report(settings, timeout=True)
        if ended:
            return
        if over or left <= 0 or told_to_end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        heard = signal.sigtimedwait(_HEARD, min(left, _LOOK_S))
        told_to_end = heard is not None and heard.si_signo == signal.SIGTERM


def is_over(settings: Settings, group: ControlGroup | None, pid: int) -> bool:
    """Whether the program and all that came of it have used more memory than they may."""
    if group:
        return group.kills() > 0
    # The first process of the namespace is ours; without one, what lost its parents has become a child of this process.
    return holds_more(descendants(pid if settings["isolated"] else os.getpid()), settings["memory_bytes"])


def end_children() -> None:
    """Kills and buries until no descendant is left: those that lost their parents have become children of this."""
    while True:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def refuse_secrets(settings: Settings, uid: int) -> None:
    """Without namespaces a program reads the environments of its user's processes.

    Raises:
        JailError: If one of them holds a secret.
    """
    # Late, as only a program without namespaces needs it.
    from llmgate.record.redaction import SECRET_NAME  # noqa: PLC0415

    is_root = os.geteuid() == 0
    users = {uid, NOBODY} if is_root else {os.geteuid()}
    found = set() if is_root else set(settings["secrets"])
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and folder.stat().st_uid in users:
                environment = (folder / "environ").read_text(encoding="utf-8", errors="replace").split("\0")
                found |= {name for name, _, value in (line.partition("=") for line in environment) if value}
    if secrets := ", ".join(sorted(name for name in found if SECRET_NAME.search(name))):
        raise JailError(
            f"unsandboxed code could read {secrets} of this user's processes; take that out of their environments"
        )


def shut_in(settings: Settings, uid: int) -> None:
    """Takes namespaces, or notes why there are none where that is allowed."""
    required = settings["isolation"] == "required"
    if settings["isolation"] == "never":
        settings["without"].append("namespaces")
    take(settings, "namespaces", take_namespaces, needed=required)
    settings["isolated"] = "namespaces" in settings["in_force"]
    if not settings["isolated"]:
        refuse_secrets(settings, uid)
        report(settings, open_because=settings["missing"]["namespaces"])
        os.chown(settings["folder"], uid, -1) if os.geteuid() == 0 else None
        os.chdir(settings["folder"])


def main() -> None:
    """Reads the settings, shuts itself in and runs the program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A jail that is ended early, or whose caller has died, gets SIGTERM, so that it can take its control group away.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    settings: Settings = {"in_force": {}, "missing": {}, **json.loads(sys.argv[1])}
    os.set_inheritable(settings["report_fd"], False)
    uid = FIRST_UNUSED_UID + os.getpid()
    groups: list[ControlGroup] = []

    def limit_memory() -> str:
        groups.append(make_control_group(settings["memory_bytes"]))
        return f"control group, version {groups[0].version}"

    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        take(settings, "memory", limit_memory)
        settings["entrance"] = groups[0].entrance if groups else None
        shut_in(settings, uid)
        keep_time(settings, uid, groups[0] if groups else None)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
        report(settings, error=f"{type(error).__name__}: {error}")
    finally:
        for group in groups:
            group.remove()
