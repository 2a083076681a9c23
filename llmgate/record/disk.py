"""Files, read and written whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llmgate.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["decoded", "read_bytes", "replace_file", "write_atomic"]


def replace_file(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: a reader sees the old content or the new one.

    Raises:
        OSError: If it cannot be written; nothing is left behind then.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: see `replace_file`.

    Raises:
        RecordError: If it cannot be written.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise RecordError(
            f"cannot be written ({error.strerror})", where=str(path), fix="Free some space, or choose another --out"
        ) from error


def read_bytes(path: Path, *, fix: str | None = None, what: str = "") -> bytes:
    """The bytes of a file.

    Raises:
        RecordError: If it cannot be read; the message begins with `what` it is.
    """
    try:
        return path.read_bytes()
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
