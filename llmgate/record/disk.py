"""Files, read and written whole, and what is wrong with them in words."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from llmgate.errors import DatasetError, RecordError
from llmgate.record.reach import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO, Protocol

    from pydantic import TypeAdapter, ValidationError

    from llmgate.record.reach import Reach

    class Digest(Protocol):
        """What takes a digest, as hashlib's do."""

        def update(self, data: bytes, /) -> None:
            """Take further bytes."""


__all__ = [
    "JsonForm",
    "decoded",
    "digested",
    "first_problem",
    "lines_of",
    "open_own",
    "private_folder",
    "read_bytes",
    "read_lined",
    "read_regular",
    "stream_lines",
    "write_atomic",
]

T = TypeVar("T")

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
DRAFT: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
LONGEST_NAME: Final = 40
"""Characters of a file's name that its draft has too."""
MAX_LINE_BYTES: Final = 64_000_000
PIECE_BYTES: Final = 1 << 20


def write_atomic(
    path: Path,
    data: bytes | Iterable[bytes],
    *,
    error: type[DatasetError | RecordError] = RecordError,
    private: bool = True,
) -> None:
    """Write a whole file or nothing: a reader sees the old content or the new one.

    What lies at the path is replaced and never followed, and neither is what somebody put where a draft might lie.

    Args:
        path: The file.
        data: Its content, or parts of it.
        error: What a failure is.
        private: Whether the owner alone may read it, as what holds prompts and answers; otherwise the umask decides.

    Raises:
        RecordError, DatasetError: As `error` says, if it cannot be written; nothing is left behind then.
    """
    draft = path.with_name(f".{path.name[:LONGEST_NAME]}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            with os.fdopen(os.open(draft, DRAFT, FILE_MODE if private else 0o666), "wb") as file:
                if private:
                    os.fchmod(file.fileno(), FILE_MODE)
                file.writelines([data] if isinstance(data, bytes) else data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as problem:
        fix = "Free some space, or choose another folder that you may write to"
        raise error(f"cannot be written ({problem.strerror})", where=str(path), fix=fix) from problem


def open_own(path: Path, flags: int) -> int:
    """Open a file to go on with it, or make it. Afterwards the owner alone may read it.

    Args:
        path: The file.
        flags: Of `os.open`; it is made if it is not there, and never emptied.

    Returns:
        The descriptor.

    Raises:
        OSError: If it cannot be opened, or somebody else put it there: a symbolic or hard link, no regular file,
            a file of another user in a folder that is not theirs. `strerror` says so.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, FILE_MODE)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed", str(path)) from problem
        raise
    try:
        status = os.fstat(descriptor)
        if why := _planted(status, path.parent.stat().st_uid):
            raise OSError(errno.EPERM, why, str(path))
        if stat.S_IMODE(status.st_mode) != FILE_MODE:
            # Of an older llmgate; some file systems have no modes.
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, FILE_MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _planted(status: os.stat_result, owner_of_folder: int) -> str:
    """Why a file is not ours to write to, "" if it is."""
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file"
    if status.st_nlink > 1:
        return "it has a second name, a hard link"
    if status.st_uid not in {os.geteuid(), owner_of_folder}:
        return "it belongs to another user"
    return ""


def private_folder(path: Path) -> None:
    """Make a folder that the owner alone may enter, with what is missing above it; one that is there stays as it is.

    Raises:
        OSError: If it cannot be made, or something else is there.
    """
    try:
        path.mkdir(mode=FOLDER_MODE)
    except FileNotFoundError:
        private_folder(path.parent)
        private_folder(path)
        return
    except OSError:
        if not path.is_dir():
            raise
        return
    if path.stat().st_mode & 0o777 != FOLDER_MODE:
        path.chmod(FOLDER_MODE)


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


def read_lined(path: Path, *, within: Reach | None = None) -> bytes:
    """The bytes of a regular file of lines; one that has none is not read whole to see that.

    Raises:
        OSError: As `read_regular`, or if a line is too long.
    """
    data, length = bytearray(), 0
    with open_regular(path, within=within) as file:
        while piece := file.read(PIECE_BYTES):
            end = piece.rfind(b"\n")
            length = length + len(piece) if end < 0 else len(piece) - end - 1
            if length > MAX_LINE_BYTES:
                raise OSError(errno.EFBIG, f"a line has more than {MAX_LINE_BYTES} bytes", str(path))
            data += piece
    return bytes(data)


def read_bytes(
    path: Path, *, fix: str | None = None, what: str = "", within: Reach | None = None, lined: bool = False
) -> bytes:
    """The bytes of a regular file.

    Args:
        path: The file.
        fix: What to advise if it cannot be read.
        what: The beginning of the message.
        within: Where it has to lie; None for a file that the user named.
        lined: Whether it has lines, and no endless one.

    Raises:
        RecordError: If it cannot be read.
    """
    try:
        return read_lined(path, within=within) if lined else read_regular(path, within=within)
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


def stream_lines(file: BinaryIO, digest: Digest | None = None) -> Iterator[bytes]:
    """The lines of an open file as `lines_of` splits them, without holding the file in memory.

    Args:
        file: Read from where it stands to its end.
        digest: Is told all bytes; whole when the last line has been taken.
    """
    rest = b""
    while piece := file.read(PIECE_BYTES):
        if digest is not None:
            digest.update(piece)
        data = rest + piece
        whole = data.rfind(b"\n") + 1
        yield from lines_of(data[:whole])
        rest = data[whole:]
    if rest:
        yield rest


def digested(parts: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    """Parts as they are taken, each told to a digest."""
    for part in parts:
        digest.update(part)
        yield part


def first_problem(error: ValidationError) -> str:
    """Word the first problem that pydantic found, without the input (it may be model text)."""
    problem = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"])
    return f"{field}: {problem['msg']}" if field else problem["msg"]


class JsonForm(Generic[T]):
    """A type as JSON in files, read, checked and written by pydantic.

    It is prepared when it is first needed: that takes milliseconds, and a run reads and writes few of the types whose
    modules it imports. One without a serving measurement has no use for the form of traces.

    Args:
        holds: The type: a dataclass, or what is made of dataclasses.
    """

    __slots__ = ("_adapter", "_holds")

    def __init__(self, holds: type[T]) -> None:
        self._holds = holds
        self._adapter: TypeAdapter[T] | None = None

    def _prepared(self) -> TypeAdapter[T]:
        if self._adapter is None:
            from pydantic import TypeAdapter  # noqa: PLC0415 - who only decides on scores does without it

            self._adapter = TypeAdapter(self._holds)
        return self._adapter

    def validate_json(self, data: str | bytes, *, strict: bool | None = None) -> T:
        """The value that JSON stands for.

        Args:
            data: The JSON.
            strict: Whether types have to be right without being converted.

        Raises:
            pydantic.ValidationError: If it is not JSON, or stands for no such value.
        """
        return self._prepared().validate_json(data, strict=strict)

    def dump_json(
        self,
        value: T,
        *,
        indent: int | None = None,
        exclude: Mapping[Any, Any] | None = None,
        exclude_defaults: bool = False,
    ) -> bytes:
        """The JSON of a value.

        Args:
            value: The value.
            indent: Spaces per level; None for all in one line.
            exclude: What is left out, as pydantic has it.
            exclude_defaults: Whether fields with their defaults are left out.
        """
        adapter = self._prepared()
        return adapter.dump_json(value, indent=indent, exclude=exclude, exclude_defaults=exclude_defaults)
