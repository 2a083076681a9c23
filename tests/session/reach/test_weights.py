"""When earlier digests are believed, and when a bar is shown."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from support.servers import model_folder

from llmgate.attest.keys import COMMAND, KEY
from llmgate.errors import WeightsError
from llmgate.record.weights import weights_digest, weights_manifest
from llmgate.record.weights_cache import WeightsCache
from llmgate.session.progress import LineProgress
from llmgate.session.reach.weights import (
    SIGNING,
    check_unchanged,
    folder_digest,
    hash_folder,
    hold,
    told,
    usable_cache,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder of which the user's cache holds wrong digests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("CI", "LLMGATE_SIGNING_KEY", "LLMGATE_SIGNING_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    made, path = model_folder(tmp_path), tmp_path / "cache" / "llmgate" / "weights.json"
    weights_manifest(made, cache=WeightsCache(path, clock=lambda: time.time() + 10))
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "files": dict.fromkeys(content["files"], "0" * 64)}), encoding="utf-8")
    return made


def test_a_persons_own_machine_believes_its_cache(folder: Path) -> None:
    assert hash_folder(folder, LineProgress(print)).digest != weights_digest(folder)


@pytest.mark.parametrize("name", ["CI", "LLMGATE_SIGNING_KEY", "LLMGATE_SIGNING_COMMAND"])
def test_neither_ci_nor_who_signs_believes_it_unless_told(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "true")
    assert hash_folder(folder, LineProgress(print)).digest == weights_digest(folder)
    assert hash_folder(folder, LineProgress(print), trust_cache=True).digest != weights_digest(folder)


def test_who_signs_is_known_by_the_variables_of_the_signer() -> None:
    assert SIGNING == (KEY, COMMAND)


def test_ci_that_says_nothing_is_ci(folder: Path) -> None:
    cache = usable_cache({**os.environ, "CI": ""}, trusted=False)
    assert weights_manifest(folder, cache=cache).digest == weights_digest(folder)


def test_what_this_process_hashed_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    for file in folder.iterdir():
        os.utime(file, (1, 1))
    monkeypatch.setattr("llmgate.record.weights_cache.YOUNG_S", -10.0)
    digest = folder_digest(folder)
    # The weights cannot be read any more, and nothing else shows that they were not.
    monkeypatch.setattr("llmgate.record.weights_hashing._Work._read", lambda *_: pytest.fail("it was read"))
    assert folder_digest(folder) == hold(folder, digest, LineProgress(print)).manifest.digest == digest


def test_a_model_that_is_not_what_was_identified_is_refused_before_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    digest = folder_digest(folder)
    hold(folder, digest, LineProgress(print), trust_cache=False)
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{} ")
    with pytest.raises(WeightsError, match=f"files changed since it was identified as {digest[:12]}"):
        hold(folder, digest, LineProgress(print))


def test_all_that_a_server_loaded_is_looked_at(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    other = tmp_path / "other"
    other.mkdir()
    (other / "adapter_model.safetensors").write_bytes(b"a")
    held = [hold(each, None, LineProgress(print)) for each in (folder, other)]
    check_unchanged(held, LineProgress(print))
    (other / "adapter_model.safetensors").write_bytes(b"b")
    with pytest.raises(WeightsError, match=r"adapter_model\.safetensors: 1 bytes as expected, but other contents"):
        check_unchanged(held, LineProgress(print))


def test_a_bar_is_for_work_that_takes_more_than_a_moment() -> None:
    now, lines = [0.0], list[str]()
    progress = LineProgress(lines.append, clock=lambda: now[0])
    tell = told(progress, "hashed, MB:", clock=lambda: now[0])
    tell(10**9, 15 * 10**9)
    assert lines == []
    for second in range(3, 15):
        now[0] = float(second)
        tell(second * 10**9, 15 * 10**9)
    assert any("hashed, MB: 6,000 of 15,000 (40 %, 9 s left)" in line for line in lines), lines
