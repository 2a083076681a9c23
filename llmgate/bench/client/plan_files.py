"""What several processes share of a plan: the bodies, and who sends which.

Both are files without a name that worker processes inherit. The bodies are mapped, so that they are in memory once. The
tickets are numbers in a file whose position all processes share: reading four bytes takes the next number away from the
others, so a request goes to whichever process has a free slot first, as in one process.
"""

from __future__ import annotations

import array
import mmap
import os
import tempfile
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, overload

if TYPE_CHECKING:
    from llmgate.bench.client.drive import Tickets

__all__ = ["MappedBodies", "shared_tickets", "write_bodies", "write_tickets"]

WIDTH = 8


class MappedBodies(Sequence[bytes]):
    """Bodies in a file.

    Args:
        descriptor: Of the file.
        ends: Where each body ends.
    """

    def __init__(self, descriptor: int, ends: Sequence[int]) -> None:
        self._ends = ends
        self._map = mmap.mmap(descriptor, ends[-1], access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._map[self._ends[index - 1] if index else 0 : self._ends[index]]


def write_bodies(bodies: Sequence[bytes]) -> tuple[IO[bytes], tuple[int, ...]]:
    """A file with all bodies, and where each ends."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's to close
    ends, at = [], 0
    for body in bodies:
        file.write(body)
        at += len(body)
        ends.append(at)
    file.flush()
    return file, tuple(ends)


def write_tickets(planned: int) -> IO[bytes]:
    """A file with the numbers of all requests, in order."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller's to close
    numbers = array.array("Q", range(planned)).tobytes()
    while numbers:
        numbers = numbers[file.write(numbers) or 0 :]
    file.seek(0)
    return file


def shared_tickets(descriptor: int) -> Tickets:
    """Tickets out of the file of `write_tickets`."""

    def next_one() -> int | None:
        number = os.read(descriptor, WIDTH)
        return int(array.array("Q", number)[0]) if number else None

    return next_one
