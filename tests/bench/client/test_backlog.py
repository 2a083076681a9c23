"""Replies that wait: none is lost, wherever they wait."""

from __future__ import annotations

import pytest

from llmgate.bench.client import backlog
from llmgate.bench.client.backlog import Backlog
from llmgate.bench.client.response import Reply


def reply(size: int) -> Reply:
    return Reply(sent_s=1.0, end_s=2.0, error=None, data=b"x" * size, reads=((size, 2.0, b"stamp"),))


@pytest.mark.parametrize("limit", [0, 25, 10**6])
def test_every_reply_comes_back_once(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "UNREAD_BYTES", limit)
    waiting = Backlog()
    for k in range(10):
        waiting.add(k, float(k), reply(k))
    assert sorted(waiting.drain(), key=lambda one: one[0]) == [(k, float(k), reply(k)) for k in range(10)]
    assert list(waiting.drain()) == []
