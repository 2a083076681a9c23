"""safetensors files without safetensors: against the library itself where it is installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.demo.tensors import INDEX, Tensor, read_header, read_model, write_model
from llmgate.errors import CannotRunError

if TYPE_CHECKING:
    from pathlib import Path


def made(folder: Path, contents: dict[str, bytes]) -> tuple[Tensor, ...]:
    """A model of byte vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "raw"
    raw.write_bytes(b"".join(contents.values()))
    tensors, offset = [], 0
    for name, content in contents.items():
        size = len(content)
        tensors.append(Tensor(name=name, dtype="U8", shape=(size,), file=raw, offset=offset, size=size))
        offset += size
    write_model(folder, tensors)
    raw.unlink()
    return read_model(folder)


def content(tensor: Tensor) -> bytes:
    return tensor.file.read_bytes()[tensor.offset : tensor.offset + tensor.size]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x01",
        b"\xff" * 16,
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x02\0\0\0\0\0\0\0{",
        b'\x09\0\0\0\0\0\0\0{"a": {}}',
        b'\x37\0\0\0\0\0\0\0{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}   ab',
    ],
)
def test_what_is_no_complete_file_is_refused(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(broken)
    with pytest.raises(CannotRunError, match="not a complete safetensors file"):
        read_header(tmp_path / "model.safetensors")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="holds no"):
        read_model(tmp_path)


@settings(deadline=None, max_examples=40)
@given(
    contents=st.dictionaries(st.text(min_size=1, max_size=8), st.binary(max_size=40), min_size=1, max_size=8),
    shard_bytes=st.integers(1, 80),
)
def test_tensors_survive_any_sharding(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes], shard_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("m")
    first = made(
        folder / "first", {name: value for name, value in contents.items() if name != "__metadata__"} or {"a": b""}
    )
    second = folder / "second"
    second.mkdir()
    write_model(second, first, shard_bytes=shard_bytes)
    again = read_model(second)
    assert {t.name: (t.shape, t.dtype, content(t)) for t in again} == {
        t.name: (t.shape, t.dtype, content(t)) for t in first
    }
    if (second / INDEX).exists():
        index = json.loads((second / INDEX).read_text(encoding="utf-8"))
        assert index["weight_map"] == {t.name: t.file.name for t in again}
        assert index["metadata"]["total_size"] == sum(t.size for t in again)


def test_the_library_reads_what_we_write_and_we_read_what_it_writes(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    numpy = pytest.importorskip("numpy")
    arrays = {"a": numpy.arange(6, dtype="float32").reshape(2, 3), "b": numpy.array([7], dtype="int64")}
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    library.save_file(arrays, tmp_path / "theirs" / "model.safetensors")
    write_model(tmp_path / "ours", read_model(tmp_path / "theirs"))
    loaded = library.load_file(tmp_path / "ours" / "model.safetensors")
    assert {name: array.tolist() for name, array in loaded.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }
