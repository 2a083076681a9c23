"""Files, read and written whole, and what is wrong with them in words."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from llmgate.errors import DatasetError, RecordError
from llmgate.record.reach import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import ValidationError

    from llmgate.record.reach import Reach

__all__ = ["decoded", "first_problem", "lines_of", "read_bytes", "read_regular", "write_atomic"]


def write_atomic(path: Path, data: bytes, *, error: type[DatasetError | RecordError] = RecordError) -> None:
    """Write a whole file or nothing: a reader sees the old content or the new one.

    Raises:
        RecordError, DatasetError: As `error` says, if it cannot be written; nothing is left behind then.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        fix = "Free some space, or choose another folder that you may write to"
        raise error(f"cannot be written ({problem.strerror})", where=str(path), fix=fix) from problem


def read_regular(path: Path, *, at_most: int = -1, limit: int | None = None, within: Reach | None = None) -> bytes:
    """The bytes of a regular file, or their beginning: a device may never end, and a FIFO may never begin.

    Args:
        path: The file.
        at_most: Bytes to read; -1 for all.
        limit: The most bytes that the file may have.
        within: Where it has to lie; None for a file that the user named.

    Raises:
        OSError: If it cannot be read, is no regular file, lies elsewhere, or is too large.
    """
    with open_regular(path, within=within, limit=limit) as file:
        data = file.read(at_most if limit is None else limit + 1)
    if limit is not None and len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes", str(path))
    return data


def read_bytes(path: Path, *, fix: str | None = None, what: str = "", within: Reach | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        path: The file.
        fix: What to advise if it cannot be read.
        what: The beginning of the message.
        within: Where it has to lie; None for a file that the user named.

    Raises:
        RecordError: If it cannot be read.
    """
    try:
        return read_regular(path, within=within)
    except OSError as error:
        raise RecordError(f"{what} cannot be read ({error.strerror})".strip(), where=str(path), fix=fix) from error


def decoded(data: bytes, where: str, *, fix: str) -> str:
    """Bytes as text.

    Raises:
        RecordError: If they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8 at byte {error.start}", where=where, fix=fix) from error


def lines_of(data: bytes) -> Iterator[bytes]:
    """Split at newlines, keeping them; unlike `splitlines` nothing else ends a line."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def first_problem(error: ValidationError) -> str:
    """Word the first problem that pydantic found, without the input (it may be model text)."""
    problem = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"])
    return f"{field}: {problem['msg']}" if field else problem["msg"]
