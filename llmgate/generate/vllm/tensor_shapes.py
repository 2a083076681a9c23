"""Which tensors a safetensors file holds, and their shapes, by its header alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import ServerError
from llmgate.record.reach import open_regular

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Shape", "folder_shapes", "tensor_shapes"]

Shape = tuple[int, ...]
HEADER_BYTES: Final = 100_000_000
FIX: Final = "Copy the file again from where it was saved"


def tensor_shapes(path: Path) -> dict[str, Shape]:
    """The shapes of a file's tensors by their names, where the file is as long as its header says.

    Args:
        path: A safetensors file.

    Raises:
        ServerError: If it cannot be read, is no safetensors, or was cut.

    Reference: the safetensors format: eight bytes of length, little-endian, a JSON header, the data.
    """
    try:
        with open_regular(path) as file:
            length = int.from_bytes(file.read(8), "little")
            if length > HEADER_BYTES:
                raise ValueError("its header is too long")
            header: Any = json.loads(file.read(length))
            size = file.seek(0, 2)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        shapes = {str(name): tuple(int(each) for each in entry["shape"]) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except OSError as error:
        raise ServerError(f"it cannot be read ({error.strerror})", where=str(path), fix=FIX) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ServerError("its header is not that of safetensors", where=str(path), fix=FIX) from error
    if 8 + length + end != size:
        raise ServerError(f"it has {size:,} bytes, and its header says {8 + length + end:,}", where=str(path), fix=FIX)
    return shapes


def folder_shapes(folder: Path) -> dict[str, Shape]:
    """The shapes of all tensors in the safetensors of a folder.

    Raises:
        ServerError: As `tensor_shapes`.
    """
    return {name: shape for path in sorted(folder.glob("*.safetensors")) for name, shape in tensor_shapes(path).items()}
