"""Progress shows life without flooding a log."""

from __future__ import annotations

from llmgate.session.progress import LineProgress


def test_counts_are_written_every_five_seconds_and_at_their_end() -> None:
    now = [0.0]
    lines: list[str] = []
    progress = LineProgress(lines.append, clock=lambda: now[0])
    progress.stage("asking")
    for done in range(1, 101):
        now[0] += 0.13
        progress.count("answers", done, 100)
    assert lines == [
        "[00:00] asking",
        "[00:05] answers 39 / 100",
        "[00:10] answers 78 / 100",
        "[00:13] answers 100 / 100",
    ]


def test_quick_work_is_not_counted() -> None:
    lines: list[str] = []
    progress = LineProgress(lines.append, clock=lambda: 0.0)
    progress.stage("asking")
    for done in range(1, 11):
        progress.count("answers", done, 10)
    assert lines == ["[00:00] asking"]
