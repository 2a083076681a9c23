"""What lies in a spool comes out as it went in, from memory and from a file."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.suite.data.spool import Spool, pack, unpack

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(pieces=st.lists(st.binary(max_size=40), max_size=30), in_memory=st.sampled_from([0, 1, 50, 1 << 20]))
def test_every_piece_is_read_back(pieces: list[bytes], in_memory: int) -> None:
    spool = Spool(in_memory)
    assert [spool.add(piece) for piece in pieces] == list(range(len(pieces)))
    assert [spool[number] for number in range(len(spool))] == pieces
    assert [spool[number] for number in reversed(range(len(spool)))] == pieces[::-1]


def test_what_was_put_away_and_what_was_not_are_one() -> None:
    spool = Spool(1000)
    pieces = [bytes([number % 256]) * (number % 700) for number in range(5000)]
    for number, piece in enumerate(pieces):
        spool.add(piece)
        assert spool[number] == piece
        assert spool[number // 2] == pieces[number // 2]


@pytest.mark.parametrize("number", [-1, 2])
def test_there_is_no_other_piece(number: int) -> None:
    spool = Spool()
    spool.add(b"a")
    spool.add(b"b")
    with pytest.raises(IndexError):
        spool[number]


def test_a_full_disk_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "No space left on device")

    spool = Spool(10)
    spool.add(b"first, in the file")
    monkeypatch.setattr(os, "pwrite", full)
    pieces = [b"%d" % number * 5000 for number in range(600)]
    for piece in pieces:
        spool.add(piece)
    assert spool[0] == b"first, in the file"
    assert [spool[number + 1] for number in range(len(pieces))] == pieces
    monkeypatch.undo()
    spool.add(b"and it goes on")
    assert spool[len(spool) - 1] == b"and it goes on"
    assert spool[300] == pieces[299]


def test_its_file_ends_with_it() -> None:
    spool = Spool(0)
    spool.add(b"x")
    spool.add(b"y")
    descriptor = spool._fd
    assert descriptor is not None
    assert os.fstat(descriptor).st_nlink == 0, "nobody else finds it"
    del spool
    gc.collect()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


@given(value=JSON)
def test_values_are_unpacked_as_they_were(value: object) -> None:
    assert unpack(pack((value, b"\x00", "x"))) == (value, b"\x00", "x")


def test_texts_of_a_kind_of_its_own_are_texts() -> None:
    class Own(str):
        pass

    class DatasetRows(list[Any]):
        pass

    assert unpack(pack((Own("a"), {"b": DatasetRows([Own("c")])}, None))) == ("a", {"b": ["c"]}, None)
