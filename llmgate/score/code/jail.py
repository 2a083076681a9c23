"""Runs one program under limits. Started as a script by `sandbox.py`, in an interpreter without site packages.

Three processes: this one takes namespaces of its own and keeps the time. Its child, the first process of the new
process namespace, builds a root directory that holds nothing but Python, the system's libraries and an empty working
directory, all of it but the last read-only; when it ends, the kernel ends every process that is left. The child's
child gives up all rights, takes the limits and becomes the program.

References: namespaces(7), mount_setattr(2), pivot_root(2), getrlimit(2), user_namespaces(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final, NoReturn

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MS_NOSUID_NODEV: Final = 0x2 | 0x4
MNT_DETACH: Final = 2
SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR: Final = 442
AT_FDCWD: Final = -100
AT_RECURSIVE: Final = 0x8000
MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_NOSUID: Final = 0x2
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38

NOBODY: Final = 65534
FIRST_UNUSED_UID: Final = 1_879_048_192
"""Unused according to https://systemd.io/UIDS-GIDS/: a limit on processes counts those of one id."""

SHOWN: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom")

Settings = dict[str, Any]

_libc = ctypes.CDLL(None, use_errno=True)


class JailError(Exception):
    """The program cannot be shut in."""


def checked(name: str, result: int) -> None:
    """Raises what a C function reported."""
    if result != 0:
        raise JailError(f"{name}: {os.strerror(ctypes.get_errno())}")


def prctl(option: int, value: int) -> None:
    """`prctl(2)` with one argument."""
    checked("prctl", _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """`mount(2)`."""
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = _libc.mount(arguments[0], arguments[1], arguments[2], ctypes.c_ulong(flags), arguments[3])
    checked(f"mount of {target}", result)


class MountAttributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def take_namespaces() -> None:
    """Leaves the network, the process table, the mounts and the shared memory of the machine behind."""
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | (CLONE_NEWUSER if uid else 0)
    checked("unshare", _libc.unshare(flags))
    if uid:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1", encoding="ascii")


def enter_root(settings: Settings) -> None:
    """Builds the root directory and goes into its working directory."""
    root = settings["folder"]
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID_NODEV, f"size={settings['disk_bytes']},nr_inodes=4096,mode=755")
    homes = (sys.prefix, sys.exec_prefix, Path(sys.executable).parent)
    python = {str(Path(home).resolve()) for home in homes}
    for path in [*SHOWN, *sorted(python)]:
        if os.path.lexists(path) and not os.path.lexists(root + path):
            show(path, root + path)
    work = root + "/work"
    Path(work).mkdir(exist_ok=True)
    Path(work).chmod(0o1777)
    os.chdir(root)
    # The new root is put over the old one, and the old one taken away from below it.
    checked("pivot_root", _libc.syscall(ctypes.c_long(SYS_PIVOT_ROOT[os.uname().machine]), b".", b"."))
    checked("umount2", _libc.umount2(b".", MNT_DETACH))
    os.chdir("/work")


def show(path: str, target: str) -> None:
    """Makes a file or a folder of the machine visible at a place of the new root, read-only."""
    Path(target).parent.mkdir(exist_ok=True, parents=True)
    if Path(path).is_symlink():
        Path(target).symlink_to(Path(path).readlink())
        return
    if Path(path).is_dir():
        Path(target).mkdir()
    else:
        Path(target).touch()
    mount(path, target, None, MS_BIND | MS_REC)
    attributes = MountAttributes(attr_set=MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)
    number, size = ctypes.c_long(SYS_MOUNT_SETATTR), ctypes.c_size_t(ctypes.sizeof(attributes))
    where = ctypes.c_char_p(os.fsencode(target))
    result = _libc.syscall(number, AT_FDCWD, where, AT_RECURSIVE, ctypes.byref(attributes), size)
    checked(f"mount_setattr of {target}", result)


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
        resource.RLIMIT_AS: (settings["memory_bytes"],) * 2,
        resource.RLIMIT_FSIZE: (settings["file_bytes"],) * 2,
        resource.RLIMIT_NPROC: (settings["processes"] + tasks,) * 2,
        resource.RLIMIT_NOFILE: (settings["files"],) * 2,
        resource.RLIMIT_MSGQUEUE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    for which, values in limits.items():
        resource.setrlimit(which, values)


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
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def become_program(settings: Settings, uid: int) -> NoReturn:
    """Turns this process into the program; what goes wrong before is reported."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        tasks = 0 if settings["isolated"] or os.geteuid() == 0 else count_tasks(os.getuid())
        give_up_rights(uid)
        limit(settings, tasks)
        os.set_inheritable(settings["report_fd"], False)
        for fd in settings["program_fds"]:
            os.set_inheritable(fd, True)
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", settings["runner"]]
        os.execve(sys.executable, command, {})  # noqa: S606 - what this is for, and no shell is wanted
    except Exception as error:  # noqa: BLE001 - whatever it is, the program must not run
        report(settings, error=f"{type(error).__name__}: {error}")
    os._exit(1)


def count_tasks(uid: int) -> int:
    """The processes and threads of a user, which a limit of his counts."""
    tasks = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                tasks += sum(1 for _ in (folder / "task").iterdir()) if folder.stat().st_uid == uid else 0
    return tasks


def report(settings: Settings, **facts: object) -> None:
    """Tells `sandbox.py`."""
    os.write(settings["report_fd"], json.dumps(facts).encode() + b"\n")


def run_and_report(settings: Settings, uid: int) -> None:
    """Runs the program to its end and says how it ended."""
    pid = os.fork()
    if pid == 0:
        become_program(settings, uid)
    while True:
        ended, status, usage = os.wait4(-1, 0)
        if ended == pid:
            report(settings, status=status, cpu_s=usage.ru_utime + usage.ru_stime)
            return


def first_process(settings: Settings, uid: int) -> NoReturn:
    """The first process of the namespace: all others end with it, and it ends with the one that keeps the time."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        enter_root(settings)
        run_and_report(settings, uid)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
        report(settings, error=f"{type(error).__name__}: {error}")
    os._exit(0)


def keep_time(settings: Settings, uid: int) -> None:
    """Starts the rest and ends it when the time is up."""
    deadline = time.monotonic() + settings["wall_s"]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if not settings["isolated"]:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    pid = os.fork()
    if pid == 0:
        if settings["isolated"]:
            first_process(settings, uid)
        become_program(settings, uid)
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            if not settings["isolated"]:
                report(settings, status=status, cpu_s=usage.ru_utime + usage.ru_stime)
            break
        left = deadline - time.monotonic()
        if left <= 0:
            report(settings, timeout=True)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            break
        signal.sigtimedwait({signal.SIGCHLD}, min(left, 0.5))
    if not settings["isolated"]:
        end_children()


def end_children() -> None:
    """Kills and buries until no descendant is left: those that lost their parents have become children of this."""
    while True:
        for pid in children():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def children() -> list[int]:
    """The processes whose parent this one is."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == os.getpid():
                    found.append(int(folder.name))
    return found


def main() -> None:
    """Reads the settings, shuts itself in and runs the program."""
    settings: Settings = json.loads(sys.argv[1])
    os.set_inheritable(settings["report_fd"], False)
    uid = FIRST_UNUSED_UID + os.getpid()
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        settings["isolated"] = settings["isolation"] != "never"
        if settings["isolated"]:
            try:
                take_namespaces()
            except (JailError, OSError) as error:
                if settings["isolation"] == "required":
                    raise
                settings["isolated"] = False
                report(settings, open_because=str(error))
        if not settings["isolated"]:
            os.chown(settings["folder"], uid, -1) if os.geteuid() == 0 else None
            os.chdir(settings["folder"])
        keep_time(settings, uid)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
        report(settings, error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
