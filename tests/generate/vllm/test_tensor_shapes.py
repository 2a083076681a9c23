"""Shapes by a safetensors header, and files that are none."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.adapters import write_safetensors

from llmgate.errors import ServerError
from llmgate.generate.vllm.tensor_shapes import folder_shapes, tensor_shapes

if TYPE_CHECKING:
    from pathlib import Path


def test_shapes_are_read_without_the_tensors(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a.safetensors", {"x": np.zeros((2, 3), np.float32), "y": np.zeros((4,), np.float32)})
    write_safetensors(tmp_path / "b.safetensors", {"z": np.zeros((1, 1), np.float32)})
    assert tensor_shapes(tmp_path / "a.safetensors") == {"x": (2, 3), "y": (4,)}
    assert folder_shapes(tmp_path) == {"x": (2, 3), "y": (4,), "z": (1, 1)}


def header(entry: object) -> bytes:
    text = json.dumps(entry).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
        header({"x": {"dtype": "F32", "shape": [1]}}),
        header({"x": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}}) + bytes(4),
        header({"x": 3}),
        b"\x08\0\0\0\0\0\0\0" + b"[" * 8,
    ],
)
def test_what_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ServerError, match="header"):
        tensor_shapes(path)


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"x": np.zeros((2, 3), np.float32)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ServerError, match="and its header says"):
        tensor_shapes(path)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    with pytest.raises(ServerError, match="no regular file"):
        tensor_shapes(tmp_path / "x.safetensors")
