"""What a test prints and logs, kept apart from what tests that run at the same time do.

A task carries the place for its output in a context variable, which tasks and threads that it starts inherit. pytest's
streams and handlers ask for that variable; what was kept is written again when the test's call is reported, and pytest
captures it there as it always does.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

__all__ = ["CURRENT", "Output", "OutputRouter"]


@dataclass(slots=True)
class Output:
    """What one test said: text by stream (`stdout`, `stderr`), and records of its loggers."""

    texts: list[tuple[str, str]] = field(default_factory=list)
    records: list[logging.LogRecord] = field(default_factory=list)


STREAMS: Final = ("stdout", "stderr")
CURRENT: ContextVar[Output | None] = ContextVar("llmgate_output", default=None)


class Kept(logging.Handler):
    """Keeps the records of tests that run beside the one that pytest reports."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it with the test that it belongs to."""
        if output := CURRENT.get():
            output.records.append(record)


def of_none(_: logging.LogRecord) -> bool:
    """Whether a record belongs to no test that runs beside others."""
    return CURRENT.get() is None


class OutputRouter:
    """Gives tests that run at the same time their own output.

    Args:
        config: Tells of pytest's capturing and logging, either of which may be switched off.
    """

    def __init__(self, config: pytest.Config) -> None:
        plugins = config.pluginmanager
        capture = plugins.get_plugin("capturemanager")
        # With -s, output goes to the terminal as it comes.
        self._capture: Any = capture if capture is not None and capture.is_globally_capturing() else None
        logs: Any = plugins.get_plugin("logging-plugin")
        found = [getattr(logs, name, None) for name in ("caplog_handler", "report_handler")]
        self._handlers = [handler for handler in found if isinstance(handler, logging.Handler)]
        self._level: int | None = getattr(logs, "log_level", None)
        self._kept = Kept()
        self._routed: list[Any] = []
        self._root_level: int | None = None

    def start(self) -> None:
        """Begin, between two of pytest's hooks; again is no harm."""
        self._route()
        if self._capture is not None and len(self._routed) <= len(STREAMS):
            # The streams that tests see while pytest captures are other ones.
            self._capture.resume_global_capture()
            self._route()
            self._capture.suspend_global_capture(in_=False)
        root = logging.getLogger()
        if not self._handlers or self._kept in root.handlers:
            return
        for handler in self._handlers:
            handler.addFilter(of_none)
        root.addHandler(self._kept)
        if self._level is not None:
            self._root_level = root.level
            root.setLevel(min(root.level, self._level))

    def stop(self) -> None:
        """Leave streams and loggers as they were."""
        while self._routed:
            with contextlib.suppress(AttributeError):
                del self._routed.pop().write
        root = logging.getLogger()
        if self._kept not in root.handlers:
            return
        for handler in self._handlers:
            handler.removeFilter(of_none)
        root.removeHandler(self._kept)
        if self._root_level is not None:
            root.setLevel(self._root_level)
            self._root_level = None

    @contextlib.contextmanager
    def capturing(self) -> Iterator[None]:
        """Capture while pytest waits between its hooks; what belongs to no test is told with the next one."""
        if self._capture is None:
            yield
            return
        self._capture.resume_global_capture()
        try:
            yield
        finally:
            self._capture.suspend_global_capture(in_=False)

    def replay(self, output: Output) -> None:
        """Say again what a test said, so that pytest captures it as that test's."""
        for name, text in output.texts:
            getattr(sys, name).write(text)
        for record in output.records:
            for handler in self._handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)
        output.texts.clear()
        output.records.clear()

    def _route(self) -> None:
        for name in STREAMS if self._capture is not None else ():
            stream = getattr(sys, name)
            if not any(stream is routed for routed in self._routed):
                # A stream that cannot be told apart is left alone: its text is then told with another test.
                with contextlib.suppress(AttributeError):
                    stream.write = by_test(name, stream.write)
                    self._routed.append(stream)


def by_test(name: str, write: Callable[[str], int]) -> Callable[[str], int]:
    """A stream's `write` that gives a test what is its own."""

    def routed(text: str) -> int:
        output = CURRENT.get()
        if output is None:
            return write(text)
        output.texts.append((name, text))
        return len(text)

    return routed
