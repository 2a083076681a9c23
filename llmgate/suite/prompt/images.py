"""Pictures in a prompt: an address that the model's server fetches itself, or a local file sent along.

A dataset is hostile input, and what a prompt holds is sent away. So a path stays inside the folder that it starts in,
symbolic links included (`llmgate.record.reach`), and a file is sent only if its first bytes are those of a picture.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from llmgate.errors import DatasetError
from llmgate.record.disk import read_regular
from llmgate.record.reach import contained

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.reach import Reach

__all__ = ["MAX_IMAGE_BYTES", "MAX_INLINED_BYTES", "Images"]

MAX_IMAGE_BYTES: Final = 10_000_000
MAX_INLINED_BYTES: Final = 500_000_000
"""Of all the different pictures of a suite, which are in memory while it runs."""

ADDRESS: Final = re.compile(r"https?://[^\s/?#]+[^\s]*")
SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
DATA_URL: Final = re.compile(r"data:(image/[a-z]+);base64,(.*)", re.DOTALL)
HEAD_BYTES: Final = 16
KINDS: Final = "PNG, JPEG, GIF and WebP"


class Images:
    """The pictures of one suite, each read once.

    Args:
        reach: Of the suite; of it, only the folders count that the user named by hand.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._urls: dict[Path, str] = {}
        self._bytes = 0

    def url(self, written: str, folder: Path, *, where: str) -> str:
        """What to send for a picture.

        Args:
            written: An http(s) address, a `data:` URL, or a path.
            folder: Where the path starts, and which it may not leave.
            where: `file:line`, for messages.

        Raises:
            DatasetError: If it is no picture that may be sent.
        """
        if ADDRESS.fullmatch(written):
            return written
        inline = DATA_URL.fullmatch(written)
        if inline:
            return _checked_data_url(inline.group(1), inline.group(2), where)
        if SCHEME.match(written) or not written.strip() or not written.isprintable():
            raise DatasetError(
                f"{written[:80]!r} names no picture", where=where, fix="Write a relative path or an https address"
            )
        reach = self._reach.below(folder)
        path = contained(folder / written, reach, where=where, error=DatasetError)
        if path not in self._urls:
            self._urls[path] = self._read(path, reach, where)
        return self._urls[path]

    def _read(self, path: Path, reach: Reach, where: str) -> str:
        try:
            data = read_regular(path, within=reach, limit=MAX_IMAGE_BYTES)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise DatasetError(f"there is no picture {path}", where=where, fix="Check the path") from error
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror}", where=where, fix="Check the file") from error
        self._bytes += len(data)
        if self._bytes > MAX_INLINED_BYTES:
            raise DatasetError(
                f"the pictures of this suite have more than {MAX_INLINED_BYTES} bytes",
                where=where,
                fix="Make them smaller, or give addresses that the server can fetch",
            )
        return f"data:{_kind(data, where)};base64,{base64.b64encode(data).decode('ascii')}"


def _checked_data_url(kind: str, text: str, where: str) -> str:
    _check_size(len(text) * 3 // 4, where)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DatasetError("the data URL is not base64", where=where, fix="Write a path instead") from error
    if _kind(data, where) != kind:
        raise DatasetError(
            f"the data URL says {kind} and holds {_kind(data, where)}", where=where, fix="Write a path instead"
        )
    return f"data:{kind};base64,{text}"


def _check_size(size: int, where: str) -> None:
    if size > MAX_IMAGE_BYTES:
        raise DatasetError(
            f"the picture has {size} bytes, more than {MAX_IMAGE_BYTES}", where=where, fix="Make it smaller"
        )


def _kind(data: bytes, where: str) -> str:
    head = data[:HEAD_BYTES]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    raise DatasetError("the file is not a picture that models take", where=where, fix=f"They take {KINDS}")
