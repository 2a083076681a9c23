"""Files named by the digest of what they hold, packed; readable by their owner alone."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from llmgate.errors import RecordError
from llmgate.record.disk import digested, private_folder, read_regular, write_atomic

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from pathlib import Path

__all__ = ["MOST_BYTES", "PackedText", "PackedTexts", "pack", "pack_parts", "read_blob", "unpack", "write_blob"]

MOST_BYTES: Final = 1 << 30
"""So large may a text be: some millions of cases."""
MOST_PACKED: Final = 1 << 28
QUICKLY: Final = 1
"""How hard to pack what is only held in memory."""


@dataclass(frozen=True, slots=True)
class PackedText:
    """A text that is held packed.

    Attributes:
        digest: SHA-256 of the text, as hexadecimal.
        packed: What `unpack` makes the text of.
    """

    digest: str
    packed: bytes

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> Self:
        """Pack a text that need not be there whole at any time."""
        digest = hashlib.sha256()
        packed = pack_parts(digested(parts, digest), QUICKLY)
        return cls(digest.hexdigest(), packed)


class PackedTexts(Mapping[str, bytes]):
    """Texts by their digests, each unpacked when it is asked for.

    Args:
        texts: Them.
    """

    def __init__(self, texts: Iterable[PackedText] = ()) -> None:
        self._packed = {text.digest: text.packed for text in texts}

    def __getitem__(self, digest: str) -> bytes:
        """The text of a digest."""
        return unpack(self._packed[digest], where="memory")

    def __iter__(self) -> Iterator[str]:
        """Their digests."""
        return iter(self._packed)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._packed)

    def __or__(self, other: PackedTexts) -> PackedTexts:
        """Those of both."""
        both = PackedTexts()
        both._packed = self._packed | other._packed
        return both

    def within(self, digests: Container[str]) -> PackedTexts:
        """Those among some digests."""
        return PackedTexts(PackedText(digest, packed) for digest, packed in self._packed.items() if digest in digests)


def pack(text: bytes) -> bytes:
    """Packed, always to the same bytes."""
    return pack_parts((text,))


def pack_parts(parts: Iterable[bytes], level: int = 6) -> bytes:
    """A text that is too large to be held whole, packed as `pack` packs it unless another level is given."""
    packing = zlib.compressobj(level, wbits=31)
    return b"".join([*map(packing.compress, parts), packing.flush()])


def unpack(packed: bytes, *, where: str) -> bytes:
    """What was packed.

    Raises:
        RecordError: If it is damaged, or larger than anything that is written.
    """
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(packed, MOST_BYTES)
    except zlib.error as error:
        raise RecordError(f"is damaged ({error})", where=where) from error
    if not unpacking.eof or unpacking.unused_data:
        raise RecordError("is damaged, or too large", where=where)
    return text


def write_blob(folder: Path, digest: str, text: bytes) -> None:
    """Keep a text under its digest, unless it is there whole.

    Raises:
        RecordError: If it cannot be written.
    """
    with suppress(RecordError):
        read_blob(folder, digest)
        return
    try:
        private_folder(folder)
    except OSError as error:
        raise RecordError(f"cannot be made ({error.strerror})", where=str(folder)) from error
    write_atomic(place(folder, digest), pack(text))


def read_blob(folder: Path, digest: str) -> bytes:
    """The text of a digest.

    Raises:
        RecordError: If it is missing, damaged, or another text.
    """
    path = place(folder, digest)
    try:
        packed = read_regular(path, limit=MOST_PACKED)
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(path)) from error
    text = unpack(packed, where=str(path))
    if hashlib.sha256(text).hexdigest() != digest:
        raise RecordError("holds something else than its name says", where=str(path))
    return text


def place(folder: Path, digest: str) -> Path:
    """The file of a digest."""
    return folder / f"{digest}.json.gz"
