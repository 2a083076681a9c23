"""Replies that wait to be read until the measurement is over."""

from __future__ import annotations

import pickle
import tempfile
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.bench.client.response import Reply

__all__ = ["UNREAD_BYTES", "Backlog"]

UNREAD_BYTES = 256 * 2**20
"""More is not kept in memory."""
BUFFER_BYTES = 2**20


class Backlog:
    """Replies, in memory as far as they fit, the others in a file without a name.

    Reading an answer takes about a millisecond, which a measurement does not have; writing it away, microseconds.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[int, float, Reply]] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._filed = 0

    def add(self, index: int, queued_s: float, reply: Reply) -> None:
        """Keep a reply.

        Raises:
            OSError: If the file cannot be written.
        """
        if self._bytes < UNREAD_BYTES:
            self._kept.append((index, queued_s, reply))
            self._bytes += len(reply.data)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=BUFFER_BYTES)  # noqa: SIM115 - closed when read
        pickle.dump((index, queued_s, reply), self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._filed += 1

    def drain(self) -> Iterator[tuple[int, float, Reply]]:
        """Index, due time and reply of each, once."""
        while self._kept:
            yield self._kept.pop()
        if self._file is not None:
            with self._file as file:
                file.seek(0)
                for _ in range(self._filed):
                    yield pickle.load(file)  # noqa: S301 - a file of our own without a name
            self._file, self._filed = None, 0
