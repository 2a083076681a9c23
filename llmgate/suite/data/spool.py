"""What 200,000 rows and prompts say, out of the way until it is asked for.

A little stays in memory; what goes beyond lies in a file without a name, which nobody else can open and which is gone
with the process.
"""

from __future__ import annotations

import json
import marshal
import os
import tempfile
import weakref
from array import array
from typing import Any, Final

__all__ = ["Spool", "pack", "unpack"]

IN_MEMORY: Final = 16 << 20
PIECE: Final = 1 << 20


class Spool:
    """Pieces of bytes, each read by its number.

    Args:
        in_memory: Bytes that are held in memory before a file is made.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._ends = array("Q")
        self._tail = bytearray()
        self._tail_at = 0
        self._fd: int | None = None

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, piece: bytes) -> int:
        """Keep a piece.

        Returns:
            Its number.
        """
        self._tail += piece
        self._ends.append(self._tail_at + len(self._tail))
        if len(self._tail) >= (self._in_memory if self._fd is None else PIECE):
            self._put_away()
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> bytes | bytearray:
        """The piece of that number.

        Raises:
            IndexError: If there is none.
        """
        if not 0 <= number < len(self._ends):
            raise IndexError(number)
        start, end = self._ends[number - 1] if number else 0, self._ends[number]
        if start >= self._tail_at or self._fd is None:
            return self._tail[start - self._tail_at : end - self._tail_at]
        return os.pread(self._fd, end - start, start)

    def _put_away(self) -> None:
        """Write what is in memory to the file; where that is not possible, it stays."""
        try:
            if self._fd is None:
                with tempfile.TemporaryFile(buffering=0) as file:
                    self._fd = os.dup(file.fileno())
                weakref.finalize(self, os.close, self._fd)
            written = 0
            while written < len(self._tail):
                written += os.pwrite(self._fd, self._tail[written:], self._tail_at + written)
        except OSError:
            # A full disk: memory has to do.
            self._in_memory *= 2
            return
        self._tail_at += len(self._tail)
        self._tail.clear()


def pack(parts: tuple[Any, ...]) -> bytes:
    """Texts, numbers, lists and objects as bytes, for `unpack` of the same process."""
    try:
        return marshal.dumps(parts)
    except ValueError:
        # A kind of text or list that some reader has of its own.
        return marshal.dumps(_plain(parts))


def unpack(piece: bytes | bytearray) -> Any:
    """What `pack` was given."""
    return marshal.loads(piece)  # noqa: S302 - written by this process


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    return tuple(map(_plain, value)) if isinstance(value, tuple) else json.loads(json.dumps(value))
