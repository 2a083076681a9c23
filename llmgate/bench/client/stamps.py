"""When bytes arrived, by the kernel: it notes the time before this process is even woken.

A load client that reads many streams gets to a socket late; a time stamp taken then holds the client's own delay. Linux
keeps the arrival of the last byte of each read (`SO_TIMESTAMPNS`, socket(7)), on the clock of the day. That clock and
the one of `time.perf_counter` are slewed together, so they differ by a constant, unless somebody sets the former.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["KernelClock", "StampedSocket"]

SO_TIMESTAMPNS: Final = 35
"""As in Linux's asm-generic/socket.h; Python's socket module does not name it."""
TIMESPEC: Final = struct.Struct("@ll")
ROOM: Final = socket.CMSG_SPACE(TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0
STEP_NS: Final = 100_000
"""The two ways to find the difference of the clocks agree within microseconds; more means that one was set."""
TRIES: Final = 9
SLACK_S: Final = 1e-4


def _ask_for_stamps(of: socket.socket) -> None:
    """Have the kernel note arrivals; without effect where it cannot."""
    if sys.platform == "linux":
        with suppress(OSError):
            of.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


class StampedSocket(socket.socket):
    """A TCP socket that keeps the kernel's time stamp of the last read.

    The transport of asyncio reads with `recv_into`; with TLS too, and there the stamp is that of the encrypted bytes.

    Attributes:
        stamp: A `timespec` as the kernel wrote it; empty if it gave none.
    """

    stamp: bytes = b""

    def ask_for_stamps(self) -> None:
        """Have the kernel note arrivals; without effect where it cannot."""
        _ask_for_stamps(self)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """As of the class above."""
        if nbytes:  # asyncio gives none
            buffer = memoryview(buffer)[:nbytes]
        size, said, _, _ = self.recvmsg_into((buffer,), ROOM, flags)
        self.stamp = said[0][2] if said else b""
        return size


class KernelClock:
    """Turns the kernel's time stamps into seconds of `time.perf_counter`.

    The kernel stamps nothing while no socket asks for it, and begins a moment after the first one does. So a clock
    holds such a socket until it is closed, or fresh connections would miss their first stamps.
    """

    def __init__(self) -> None:
        self._held: socket.socket | None = None
        with suppress(OSError):  # a host without IPv4: the first stamps may be missing there
            self._held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            _ask_for_stamps(self._held)
        self._ahead_ns = _ahead_ns()

    def close(self) -> None:
        """Let the kernel stop."""
        if self._held is not None:
            self._held.close()

    def time_s(self, stamp: bytes, *, after_s: float, before_s: float) -> float | None:
        """When bytes arrived.

        Args:
            stamp: Of a `StampedSocket`.
            after_s: They came later than this, in seconds of `time.perf_counter`.
            before_s: They had been read at this time.

        Returns:
            None if the stamp says nothing, or something that cannot be.
        """
        if len(stamp) != TIMESPEC.size:
            return None
        seconds, nanoseconds = TIMESPEC.unpack(stamp)
        time_s: float = (seconds * 1_000_000_000 + nanoseconds - self._ahead_ns) * 1e-9
        if not after_s - SLACK_S <= time_s <= before_s + SLACK_S:
            return None
        return min(max(time_s, after_s), before_s)

    def was_set(self) -> bool:
        """Whether the clock of the day has been set since: then its time stamps mean nothing."""
        return abs(_ahead_ns() - self._ahead_ns) > STEP_NS


def _ahead_ns() -> int:
    """Time of day minus `perf_counter`; of several tries the one that was interrupted least."""
    tries = []
    for _ in range(TRIES):
        before, day, after = time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()
        tries.append((after - before, day - (before + after) // 2))
    return min(tries)[1]
