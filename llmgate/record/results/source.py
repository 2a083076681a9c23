"""A file's bytes, unpacked, and its text."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmgate.errors import RecordError
from llmgate.record.disk import decoded, read_bytes

__all__ = ["MAX_BYTES", "ResultsFile", "read_source", "text_of", "unpacked"]

MAX_BYTES: Final = 4 << 30
"""Of a file once it is unpacked: a few kilobytes can claim to hold terabytes."""
GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsFile:
    """A file of results.

    Attributes:
        path: Where it was read from, for messages.
        data: Its bytes, unpacked.
        suffix: Of its name, without `.gz`, in lower case.
    """

    path: str
    data: bytes
    suffix: str


def read_source(path: Path | str) -> ResultsFile:
    """Read a file, and unpack it if it is gzip.

    Raises:
        RecordError: If it cannot be read or unpacked.
    """
    path = Path(path)
    data = read_bytes(path)
    name = path
    if data.startswith(GZIP):
        data = unpacked(io.BytesIO(data), str(path))
        name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return ResultsFile(path=str(path), data=data, suffix=name.suffix.lower())


def unpacked(packed: io.BytesIO, where: str) -> bytes:
    """What gzip packed.

    Raises:
        RecordError: If it is damaged or too large.
    """
    try:
        with gzip.GzipFile(fileobj=packed) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(f"cannot be unpacked: {error}", where=where, fix="Pack it again") from error
    if len(data) > MAX_BYTES:
        raise RecordError(f"unpacks to more than {MAX_BYTES >> 30} GiB", where=where, fix="Split it by metric")
    return data


def text_of(source: ResultsFile) -> str:
    """A file as text, without a byte order mark.

    Raises:
        RecordError: If it is not UTF-8.
    """
    return decoded(source.data, source.path, fix="Save it as UTF-8").removeprefix("\ufeff")
