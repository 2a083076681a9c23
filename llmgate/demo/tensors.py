"""safetensors files, read and written without loading a tensor.

A file is an 8-byte little-endian length, a JSON header (name → dtype, shape, byte range), and the bytes. Copying
tensors between files needs neither torch nor memory.

Reference: the format description of the safetensors project, https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llmgate.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Tensor", "read_header", "read_model", "write_model"]

LENGTH = struct.Struct("<Q")
HEADER_LIMIT = 100_000_000
ALIGNMENT = 8
CHUNK = 1 << 22
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """Where a tensor's bytes lie: `size` bytes at `offset` of `file`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    size: int


def read_header(file: Path) -> tuple[Tensor, ...]:
    """The tensors of one file, in the order of their bytes.

    Args:
        file: A safetensors file.

    Raises:
        CannotRunError: If it is not one, or is cut off.
    """
    try:
        with file.open("rb") as stream:
            (length,) = LENGTH.unpack(stream.read(LENGTH.size))
            if length > HEADER_LIMIT:
                raise ValueError("the header is too long")
            header = json.loads(stream.read(length))
        start = LENGTH.size + length
        tensors = [
            Tensor(
                name=name,
                dtype=facts["dtype"],
                shape=tuple(facts["shape"]),
                file=file,
                offset=start + facts["data_offsets"][0],
                size=facts["data_offsets"][1] - facts["data_offsets"][0],
            )
            for name, facts in header.items()
            if name != "__metadata__"
        ]
        end = max((tensor.offset + tensor.size for tensor in tensors), default=start)
        if file.stat().st_size < end:
            raise ValueError(f"it has {file.stat().st_size} bytes and should have {end}")
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CannotRunError(
            f"it is not a complete safetensors file: {error}", where=str(file), fix="Make the model again"
        ) from error
    return tuple(sorted(tensors, key=lambda tensor: tensor.offset))


def read_model(folder: Path) -> tuple[Tensor, ...]:
    """All tensors of a model folder, whatever its shards.

    Args:
        folder: A model folder.

    Raises:
        CannotRunError: If it holds none, or a file is damaged.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CannotRunError("the folder holds no *.safetensors", where=str(folder), fix="Give a model folder")
    return tuple(tensor for file in files for tensor in read_header(file))


def write_model(folder: Path, tensors: Sequence[Tensor], *, shard_bytes: int | None = None) -> None:
    """Copy tensors into a model folder.

    Args:
        folder: Where `model.safetensors`, or shards and their index, are written.
        tensors: What to copy, under the names that they shall have.
        shard_bytes: Largest size of a shard's tensors, unless one tensor alone is larger; None for a single file.
    """
    shards: list[list[Tensor]] = [[]]
    for tensor in tensors:
        if shard_bytes is not None and shards[-1] and sum(t.size for t in shards[-1]) + tensor.size > shard_bytes:
            shards.append([])
        shards[-1].append(tensor)
    if len(shards) == 1:
        _write(folder / "model.safetensors", shards[0])
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write(folder / name, shard)
        weight_map |= {tensor.name: name for tensor in shard}
    total = sum(tensor.size for tensor in tensors)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write(file: Path, tensors: Sequence[Tensor]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.size],
        }
        offset += tensor.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(LENGTH.size + len(text)) % ALIGNMENT)
    with file.open("wb") as target:
        target.write(LENGTH.pack(len(text)) + text)
        for tensor in tensors:
            with tensor.file.open("rb") as source:
                source.seek(tensor.offset)
                _copy(source, target, tensor.size)


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        chunk = source.read(min(size, CHUNK))
        if not chunk:
            raise CannotRunError("a weights file became shorter while it was read")
        target.write(chunk)
        size -= len(chunk)
