"""Progress shows life without flooding a log; on a terminal it is a bar."""

from __future__ import annotations

import io
import re

import pytest

from llmgate.session.progress import LineProgress


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def counted(seconds: float, total: int) -> list[str]:
    """The lines about work that took so long."""
    clock, lines = Clock(), list[str]()
    progress = LineProgress(lines.append, clock=clock)
    progress.stage("asking")
    progress.count("answers", 0, total)
    for done in range(1, total + 1):
        clock.now = seconds * done / total
        progress.count("answers", done, total)
    return lines


def test_a_log_has_a_line_per_tenth_with_the_time_that_is_left() -> None:
    assert counted(100.0, 2000) == [
        "[00:00] asking",
        "[00:10] answers 200 of 2,000 (10 %, 2 min left)",
        "[00:20] answers 400 of 2,000 (20 %, 80 s left)",
        "[00:30] answers 600 of 2,000 (30 %, 70 s left)",
        "[00:40] answers 800 of 2,000 (40 %, 60 s left)",
        "[00:50] answers 1,000 of 2,000 (50 %, 50 s left)",
        "[01:00] answers 1,200 of 2,000 (60 %, 40 s left)",
        "[01:10] answers 1,400 of 2,000 (70 %, 30 s left)",
        "[01:20] answers 1,600 of 2,000 (80 %, 20 s left)",
        "[01:30] answers 1,800 of 2,000 (90 %, 10 s left)",
        "[01:40] answers 2,000 of 2,000 (100 %)",
    ]


@pytest.mark.parametrize(
    ("seconds", "total", "lines"), [(0.0, 10, 0), (0.5, 500, 0), (3.0, 3, 3), (30.0, 7, 7), (36_000.0, 1_000, 119)]
)
def test_quick_work_is_not_counted_and_long_work_shows_life(seconds: float, total: int, lines: int) -> None:
    assert len(counted(seconds, total)) == pytest.approx(lines + 1, abs=2 if lines > 100 else 0)


def test_a_terminal_gets_one_bar_that_is_not_wider_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    clock = Clock()
    progress = LineProgress(clock=clock)
    progress.stage("asking")
    for done in range(101):
        clock.now += 0.2
        progress.count("answers [bold]", done, 100)
    progress.stage("deciding")
    written = screen.getvalue()
    assert "50/100" in written
    assert "answers [bold]" in written
    assert written.endswith("deciding\n")
    frames = written.replace("\x1b[2K", "").replace("\r", "\n").splitlines()
    assert max(len(strip(frame)) for frame in frames) <= 60


def strip(text: str) -> str:
    """Without colours and movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
