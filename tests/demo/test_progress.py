"""One bar over the whole demo, whatever of it is found done already and however fast the machine is."""

from __future__ import annotations

import io
import re

import pytest

from llmgate.demo.progress import DemoProgress

EXPECTED = {"models": 20.0, "champion: vLLM starts": 30.0, "champion: answers": 40.0, "champion: serving": 10.0}


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def whole(stream: io.StringIO, *, pace: float = 1.0, models: float = 1.0) -> DemoProgress:
    """A demo in which every stage takes `pace` times what was expected, and the models `models` times that."""
    clock = Clock()
    with DemoProgress(EXPECTED, stream, clock=clock) as progress:
        progress.begin("models")
        clock.now += 20.0 * pace * models
        progress.begin("champion: vLLM starts")
        for second in range(30):
            clock.now += pace
            progress.check()
            if second % 10 == 0:
                progress.stage(f"vLLM: step {second}")
        for done in range(81):
            progress.count("answers", done, 80)
            clock.now += 0.5 * pace if done < 80 else 0.0
        for done in range(11):
            progress.count("serving requests", done, 10)
            clock.now += pace if done < 10 else 0.0
        progress.say("PASS")
    return progress


def test_a_log_has_a_line_per_tenth_and_what_is_said() -> None:
    log = io.StringIO()
    progress = whole(log)
    tenths = re.findall(r"^\[(..:..)\] (\d+) % of the demo done(?:, about (.*) left)?$", log.getvalue(), re.MULTILINE)
    assert tenths == [
        ("00:20", "20", "80 s"), ("00:30", "30", "70 s"), ("00:40", "40", "60 s"), ("00:50", "50", "50 s"), ("01:00", "60", "40 s"), ("01:10", "70", "30 s"),
        ("01:20", "80", "20 s"), ("01:30", "90", "10 s"), ("01:40", "100", ""),
    ]  # fmt: skip
    assert "[00:21] vLLM: step 0\n" in log.getvalue()
    assert "\x1b" not in log.getvalue()
    assert progress.took == EXPECTED


@pytest.mark.parametrize(("pace", "least", "most"), [(1.0, 45, 55), (3.0, 100, 150), (0.5, 25, 45)])
def test_the_time_that_is_left_follows_the_machine(pace: float, least: float, most: float) -> None:
    clock = Clock()
    progress = DemoProgress(EXPECTED, io.StringIO(), clock=clock)
    progress.begin("models")
    clock.now += 20.0 * pace
    progress.begin("champion: vLLM starts")
    clock.now += 30.0 * pace
    progress.count("answers", 0, 80)
    done, left_s = progress.position()
    assert done == pytest.approx(0.5)
    assert least <= left_s <= most


def test_what_was_found_done_says_nothing_about_the_machine() -> None:
    clock = Clock()
    progress = DemoProgress(EXPECTED, io.StringIO(), clock=clock)
    progress.begin("models")
    clock.now += 0.5
    progress.begin("champion: answers")
    assert list(progress.position()) == pytest.approx([0.0, 50.0])
    clock.now += 20.0
    progress.count("answers", 40, 80)
    assert list(progress.position()) == pytest.approx([0.4, 30.0])


def test_a_stage_that_counts_nothing_moves_with_its_time_and_never_ends_by_it() -> None:
    clock = Clock()
    progress = DemoProgress(EXPECTED, io.StringIO(), clock=clock)
    progress.begin("models")
    seen = []
    for _ in range(100):
        clock.now += 1.0
        seen.append(progress.position()[0])
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.19)


def test_a_terminal_gets_one_bar_that_is_not_wider_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    whole(screen)
    written = screen.getvalue()
    assert "50 s left" in written
    assert "champion: answers" in written
    assert "\n[01:40] PASS" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", written)
    frames = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).replace("\r", "\n").splitlines()
    assert max(map(len, frames)) <= 60


def test_the_bar_ends_with_an_error_and_stays_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    progress = DemoProgress(EXPECTED, screen, clock=Clock())
    progress.begin("models")
    with pytest.raises(ZeroDivisionError), progress:
        raise ZeroDivisionError
    assert "100 %" not in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[?25h")


def test_the_table_at_the_end_has_every_stage_and_the_whole() -> None:
    table = whole(io.StringIO(), pace=2.0).table()
    names, times = (list(column.cells) for column in table.columns)
    assert names == [*EXPECTED, "the whole demo"]
    assert times == ["00:40", "01:00", "01:20", "00:20", "03:20"]
