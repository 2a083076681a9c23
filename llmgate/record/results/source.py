"""A file's bytes, unpacked, and its text."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError
from llmgate.record.disk import decoded, lines_of, read_bytes
from llmgate.record.growth import CELL, Growth, json_cost

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ResultsFile", "lines_in", "read_source", "text_of", "unpacked"]

GZIP: Final = b"\x1f\x8b"
PIECE_BYTES: Final = 1 << 20
MAX_RATIO: Final = 200
"""Unpacked bytes per packed byte; tables of texts and scores have 3 to 30."""
FREE_BYTES: Final = 500_000
LINED: Final = frozenset({".jsonl", ".ndjson", ".csv", ".tsv"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsFile:
    """A file of results.

    Attributes:
        path: Where it was read from, for messages.
        data: Its bytes, unpacked.
        suffix: Of its name, without `.gz`, in lower case.
        growth: What reading it may cost.
        digest: SHA-256 of the file as it lies on disk.
    """

    path: str
    data: bytes
    suffix: str
    growth: Growth
    digest: str


def read_source(path: Path | str) -> ResultsFile:
    """Read a file, and unpack it if it is gzip.

    Raises:
        RecordError: If it cannot be read or unpacked.
    """
    path = Path(path)
    data = read_bytes(path, lined=path.suffix.lower() in LINED)
    name, growth, digest = path, Growth(len(data), str(path)), hashlib.sha256(data).hexdigest()
    if data.startswith(GZIP) or path.suffix.lower() == ".gz":
        data = unpacked(data, growth)
        name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return ResultsFile(path=str(path), data=data, suffix=name.suffix.lower(), growth=growth, digest=digest)


def unpacked(packed: bytes, growth: Growth) -> bytes:
    """What gzip packed.

    Raises:
        RecordError: If it is damaged or too large.
    """
    data, source = bytearray(), io.BytesIO(packed)
    try:
        with gzip.GzipFile(fileobj=source) as file:
            while piece := file.read(PIECE_BYTES):
                growth.spend(len(piece))
                data += piece
                if len(data) > MAX_RATIO * max(source.tell(), FREE_BYTES):
                    raise OSError(f"it grows to more than {MAX_RATIO} times its size")
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(f"cannot be unpacked: {error}", where=growth.where, fix="Pack it again") from error
    return bytes(data)


def text_of(source: ResultsFile) -> str:
    """A file of one JSON value as text, without a byte order mark.

    Raises:
        RecordError: If it is not UTF-8, or its data would be too large.
    """
    text = decoded(source.data, source.path, fix="Save it as UTF-8").removeprefix("\ufeff")
    source.growth.afford(json_cost(text))
    return text


def lines_in(source: ResultsFile) -> Iterator[tuple[str, str]]:
    """The lines that are not blank, one after the other, each with its place; none is in memory longer than needed.

    Raises:
        RecordError: If one is not UTF-8, or they grow too large.
    """
    start, growth = 0, source.growth
    growth.afford(CELL * source.data.count(b"\n"))  # hundreds of millions of them take long, blank or not
    for number, line in enumerate(lines_of(source.data), start=1):
        if not line.isspace():
            where = f"{source.path}:{number}"
            if len(line) > PIECE_BYTES:
                growth.afford(json_cost(line), where)
            yield where, _text(line, start, source.path).removeprefix("\ufeff" if number == 1 else "")
        start += len(line)


def _text(line: bytes, start: int, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8 at byte {start + error.start}", where=where, fix="Save it as UTF-8") from error
