"""The system calls that a program in the sandbox is denied, as a filter that the kernel runs before each call.

A list of what is denied, as a program of Python needs most of the rest. The numbers are the kernel's for two
architectures; the tests hold them, and what the filter answers, against libseccomp. It is no libseccomp that writes the
filter: the interpreter of the sandbox has no packages, and a machine without that library would have no filter.

References: seccomp(2), linux/bpf_common.h, linux/seccomp.h, linux/audit.h.
"""

from __future__ import annotations

import errno
import struct
from typing import Final

__all__ = ["ARCHITECTURES", "DENIED", "FIRST_UNKNOWN", "filter_for"]

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Where the filter is known, by `uname -m`: the kernel's AUDIT_ARCH of each."""

DENIED: Final[dict[str, tuple[int | None, int | None]]] = {
    # Memory that no limit of a process counts
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # Keys of others
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # Large doors into the kernel
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "userfaultfd": (323, 282), "bpf": (321, 280), "perf_event_open": (298, 241), "fanotify_init": (300, 262),
    # Namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "pivot_root": (155, 41), "chroot": (161, 51), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # Other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "move_pages": (279, 239), "migrate_pages": (256, 238),
    # The machine
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "quotactl": (179, 60), "quotactl_fd": (443, 443), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "acct": (163, 89), "syslog": (103, 116), "vhangup": (153, 58), "personality": (135, 92),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "uselib": (134, None),
}  # fmt: skip
"""Name, and number on x86_64 and aarch64. Each ends with EPERM."""

FIRST_UNKNOWN: Final = 463
"""Calls from here on came after this list was written; a program is told that the kernel does not have them."""

_X32: Final = 0x40000000
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_CLONE3: Final = 435
_SOCKETS: Final = {"x86_64": (41, 53), "aarch64": (198, 199)}
_FAMILIES: Final = (1, 2, 10)
"""AF_UNIX, AF_INET and AF_INET6."""
_NEW_NAMESPACE: Final = 0x7E020000
"""Every flag of clone(2) that asks for a namespace."""

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def filter_for(machine: str) -> bytes:
    """The filter of an architecture, as an array of `struct sock_filter`.

    Raises:
        ValueError: If the architecture is none of `ARCHITECTURES`.
    """
    column = list(ARCHITECTURES).index(machine)
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        # The calls of another architecture have other numbers.
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    code += [(_AT_LEAST, 0, 1, FIRST_UNKNOWN), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    # A filter cannot see the flags of clone3, and the C library does without it.
    code += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    for numbers in DENIED.values():
        if (number := numbers[column]) is not None:
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | errno.EPERM)]
    code += [(_EQUAL, 0, 3, _CLONE[machine]), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_ANY_BIT, 0, 1, _NEW_NAMESPACE)]
    code += [(_RETURN, 0, 0, _ERROR | errno.EPERM), (_LOAD, 0, 0, _NUMBER)]
    for number in _SOCKETS[machine]:
        code += [(_EQUAL, 0, len(_FAMILIES) + 3, number), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
        code += [(_EQUAL, len(_FAMILIES) - place, 0, family) for place, family in enumerate(_FAMILIES)]
        code += [(_RETURN, 0, 0, _ERROR | errno.EAFNOSUPPORT), (_LOAD, 0, 0, _NUMBER)]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
