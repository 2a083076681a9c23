"""What the kernel is asked by number or through the C library, because Python has no function for it."""

from __future__ import annotations

import ctypes
import os
from typing import Final

__all__ = ["JailError", "MountAttributes", "checked", "libc", "mount", "prctl", "syscall"]

libc: Final = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


class JailError(Exception):
    """The program cannot be shut in."""


class MountAttributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def checked(name: str, result: int) -> int:
    """Raises what a C function reported, or returns its result."""
    if result < 0:
        raise JailError(f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def syscall(name: str, number: int, *arguments: object) -> int:
    """`syscall(2)`; numbers are passed as the kernel's long."""
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return checked(name, libc.syscall(ctypes.c_long(number), *passed))


def prctl(option: int, value: int, data: object = 0) -> None:
    """`prctl(2)`."""
    checked("prctl", libc.prctl(option, ctypes.c_ulong(value), data, 0, 0))


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """`mount(2)`."""
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = libc.mount(arguments[0], arguments[1], arguments[2], ctypes.c_ulong(flags), arguments[3])
    checked(f"mount of {target}", result)
