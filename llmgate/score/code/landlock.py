"""Landlock: what a process may do with files, the network and other processes, whatever its user could.

Inside namespaces it is a second wall. Without them it is the only one around the machine's files.

Reference: landlock(7).
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from typing import Final

from llmgate.score.code.kernel import JailError, prctl, syscall

__all__ = ["NO_NEW_PRIVS", "restrict_self"]

NO_NEW_PRIVS: Final = 38

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION: Final = 1
_BENEATH: Final = 1
_EXECUTE, _WRITE, _READ, _READ_FOLDER, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_ON_FILES: Final = _EXECUTE | _WRITE | _READ | _TRUNCATE
_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights on files each version knows; since 5 it is 16."""
_TCP: Final = 0b11
_SCOPES: Final = 0b11
"""Abstract UNIX sockets, and signals."""


def restrict_self(visible: list[str], work: str) -> str:
    """Leaves this process what it needs to read, its working directory, and no others' sockets and processes.

    Returns:
        The version of Landlock in force, in words.

    Raises:
        JailError: If the kernel has none.
    """
    version = syscall("landlock_create_ruleset", _CREATE, 0, 0, _ASK_VERSION)
    rights = (1 << _RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("=QQQ", rights, _TCP if version > 3 else 0, _SCOPES if version > 5 else 0)
    used = attributes[: 24 if version > 5 else 16 if version > 3 else 8]
    ruleset = syscall("landlock_create_ruleset", _CREATE, ctypes.c_char_p(used), len(used), 0)
    try:
        for path in visible:
            _allow(ruleset, path, rights & (_EXECUTE | _READ | _READ_FOLDER))
        _allow(ruleset, "/dev/null", rights & (_READ | _WRITE | _TRUNCATE))
        _allow(ruleset, "/dev/urandom", rights & _READ)
        _allow(ruleset, work, rights & ~_EXECUTE)
        prctl(NO_NEW_PRIVS, 1)
        syscall("landlock_restrict_self", _RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return f"version {version}"


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise JailError(f"landlock: {error}") from None
    try:
        on = rights if stat.S_ISDIR(os.fstat(place).st_mode) else rights & _ON_FILES
        rule = struct.pack("=Qi", on, place)
        syscall(f"landlock_add_rule for {path}", _ADD, ruleset, _BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(place)
