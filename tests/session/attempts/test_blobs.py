"""What is kept of attempts, packed in memory and on disk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import RecordError
from llmgate.session.attempts.blobs import PackedText, PackedTexts, pack, pack_parts, read_blob, unpack, write_blob

if TYPE_CHECKING:
    from pathlib import Path


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_a_text_in_parts_is_the_text(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    text = PackedText.of(parts)
    assert text.digest == hashlib.sha256(whole).hexdigest()
    assert unpack(text.packed, where="") == whole
    assert unpack(pack_parts(parts), where="") == whole
    assert pack(whole) == pack(whole)


def test_texts_are_found_by_their_digests() -> None:
    one, two = PackedText.of([b"one"]), PackedText.of([b"two"])
    both = PackedTexts([one]) | PackedTexts([two, one])
    assert dict(both) == {one.digest: b"one", two.digest: b"two"}
    assert dict(both.within({two.digest, "another"})) == {two.digest: b"two"}
    assert "another" not in both


def test_a_blob_that_is_damaged_is_written_again_and_never_read(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"text").hexdigest()
    write_blob(tmp_path, digest, b"text")
    (path,) = tmp_path.iterdir()
    for damaged in (b"", b"rubbish", path.read_bytes()[:-1], pack(b"another"), path.read_bytes() + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(RecordError):
            read_blob(tmp_path, digest)
    write_blob(tmp_path, digest, b"text")
    assert read_blob(tmp_path, digest) == b"text"
