"""What a restart has to know."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from llmgate.errors import CannotRunError, RecordError
from llmgate.promote.mirror import MirrorEvent
from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.session.webhook.memory import Job, Memory, PendingTag

if TYPE_CHECKING:
    from pathlib import Path


def clock() -> float:
    return 1000.0


def test_all_of_it_is_there_again_and_for_the_owner_alone(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state", clock)
    job = Job(name="bot", version="7", delivery="a", at="now", state="running", starts=2, session=17)
    memory.jobs[job.key] = job
    memory.notes["bot/7"] = PendingTag(name="bot", version="7", status="running now")
    memory.seen.remember("a", 999)
    at = datetime(2026, 11, 28, tzinfo=UTC)
    memory.ledger["bot/champion"] = MirrorEvent(event="promoted", version="7", at=at)
    memory.save()
    memory.close()
    again = Memory(tmp_path / "state", clock)
    assert again.jobs == {"bot/7": job}
    assert again.notes["bot/7"].status == "running now"
    assert again.ledger == memory.ledger
    with pytest.raises(DeliveryRefusedError):
        again.seen.check("a", 1000)
    again.close()
    for path in (tmp_path / "state", *(tmp_path / "state").iterdir()):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077


def test_two_receivers_do_not_share_a_folder(tmp_path: Path) -> None:
    memory = Memory(tmp_path, clock)
    with pytest.raises(CannotRunError, match="another receiver"):
        Memory(tmp_path, clock)
    memory.close()
    Memory(tmp_path, clock).close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"form": 2}', '{"form": 1, "more": 1}', '{"seen": {"a": "b"}}'])
def test_a_state_that_cannot_be_read_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    for _ in range(2):  # the lock is let go of
        with pytest.raises(CannotRunError, match="no state of a receiver"):
            Memory(tmp_path, clock)
    assert (tmp_path / "state.json").read_text() == text


def test_a_state_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()
    with pytest.raises(CannotRunError, match="cannot be read"):
        Memory(tmp_path, clock)


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)
    with pytest.raises(CannotRunError, match="others may write to it"):
        Memory(tmp_path / "state", clock)


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(CannotRunError, match="belongs to another user"):
        Memory(tmp_path, clock)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotRunError, match="cannot be used"):
        Memory(tmp_path / "file", clock)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state", clock)
    (tmp_path / "state" / "state.json").mkdir()
    with pytest.raises(RecordError, match="cannot be written"):
        memory.save()
    memory.close()
