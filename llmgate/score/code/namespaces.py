"""Namespaces of its own, and a root directory that holds what the interpreter needs and an empty working directory.

References: namespaces(7), user_namespaces(7), mount_setattr(2), pivot_root(2).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

from llmgate.score.code.kernel import MountAttributes, checked, libc, mount, syscall

__all__ = ["NOBODY", "WORK", "enter_root", "take_namespaces"]

NOBODY: Final = 65534
WORK: Final = "/work"

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MS_NOSUID_NODEV_NOEXEC: Final = 0x2 | 0x4 | 0x8
MNT_DETACH: Final = 2
SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR: Final = 442
AT_FDCWD: Final = -100
AT_RECURSIVE: Final = 0x8000
MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_NOSUID: Final = 0x2

_DEVICES: Final = ("/dev/null", "/dev/urandom")
_PACKAGES: Final = ("site-packages", "dist-packages")


def take_namespaces() -> str:
    """Leaves the network, the process table, the mounts, the shared memory and the name of the machine behind.

    Returns:
        What was left behind, in words.
    """
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS
    checked("unshare", libc.unshare(flags | (CLONE_NEWUSER if uid else 0)))
    if uid:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1", encoding="ascii")
    checked("sethostname", libc.sethostname(b"sandbox", ctypes.c_size_t(7)))
    return "network, processes, mounts, IPC, host name" + (", user" if uid else "")


def enter_root(root: str, visible: list[str], disk_bytes: int) -> None:
    """Builds the root directory and goes into its working directory.

    Args:
        root: An empty folder.
        visible: Files and folders of the machine that are there, read-only.
        disk_bytes: The size of all that the program writes.
    """
    # Once more: the root changes for every process of the namespace, and the one that keeps the time needs the old one.
    checked("unshare", libc.unshare(CLONE_NEWNS))
    os.umask(0o022)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID_NODEV_NOEXEC, f"size={disk_bytes},nr_inodes=4096,mode=755")
    for path in (*visible, *_DEVICES):
        show(path, root + path)
        for packages in _PACKAGES:
            if Path(path, packages).is_dir():
                mount(
                    "tmpfs", f"{root}{path}/{packages}", "tmpfs", MS_NOSUID_NODEV_NOEXEC, "size=4k,nr_inodes=1,mode=555"
                )
    Path(root + WORK).mkdir(exist_ok=True)
    Path(root + WORK).chmod(0o1777)
    os.chdir(root)
    # The new root is put over the old one, and the old one taken away from below it.
    syscall("pivot_root", SYS_PIVOT_ROOT[os.uname().machine], b".", b".")
    checked("umount2", libc.umount2(b".", MNT_DETACH))
    os.chdir(WORK)


def show(path: str, target: str) -> None:
    """Makes a file or a folder of the machine visible at a place of the new root, read-only."""
    Path(target).parent.mkdir(exist_ok=True, parents=True)
    Path(target).mkdir() if Path(path).is_dir() else Path(target).touch()
    mount(path, target, None, MS_BIND | MS_REC)
    attributes = MountAttributes(attr_set=MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)
    where, size = ctypes.c_char_p(os.fsencode(target)), ctypes.sizeof(attributes)
    name = f"mount_setattr of {target}"
    syscall(name, SYS_MOUNT_SETATTR, AT_FDCWD, where, AT_RECURSIVE, ctypes.byref(attributes), size)
