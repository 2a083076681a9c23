"""Looks after a server of ours while it is used: one that hangs is ended, and it is said what hung.

Without it, a hung server would cost every request its timeout, and that as often as requests are repeated.
"""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from llmgate.generate.vllm.log import silent
from llmgate.generate.vllm.probe import LOAD, PROGRESS, QUICK_S
from llmgate.generate.vllm.silence import Glance, Silence
from llmgate.generate.vllm.tree import server_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.generate.vllm.command import ServerSpec
    from llmgate.generate.vllm.log import OnProgress
    from llmgate.generate.vllm.probe import Probe

__all__ = ["Watchable", "watched"]

STEP_S: Final = 5.0
"""Between two looks at most."""
LEAST_LOOK_S: Final = 1.0
"""An answer to a look may take so long at least."""
LOOKS: Final = 6
"""At least so many fit into the time that a server may be silent."""
QUESTION_AFTER: Final = 0.25
"""Of that time: then a server that says that it has nothing to do is asked for a token, to see that it would."""
JOIN_S: Final = 30.0


class Watchable(Protocol):
    """What is needed of a server; see `Server`."""

    @property
    def spec(self) -> ServerSpec:
        """Which names the model."""

    @property
    def pid(self) -> int | None:
        """Process id of the API server."""

    @property
    def probe(self) -> Probe:
        """Asks it."""

    def death_reason(self) -> str | None:
        """Why it is of no use any more."""

    def give_up(self, why: str) -> None:
        """End it."""


@contextmanager
def watched(server: Watchable, *, limit_s: float, busy_limit_s: float, on_hang: OnProgress = silent) -> Iterator[None]:
    """End a server that hangs while the block runs; its `death_reason` says then what hung.

    Args:
        server: One that is ready.
        limit_s: Seconds that it may show no progress and compute nothing; 0 to watch nothing.
        busy_limit_s: Seconds that it may show no progress at all; see `silence`.
        on_hang: Is told what hung, in another thread.
    """
    if limit_s <= 0:
        yield
        return
    watch = _Watch(server, limit_s=limit_s, busy_limit_s=busy_limit_s, on_hang=on_hang)
    watch.start()
    try:
        yield
    finally:
        watch.end()


class _Watch(threading.Thread):
    def __init__(self, server: Watchable, *, limit_s: float, busy_limit_s: float, on_hang: OnProgress) -> None:
        # A daemon: an answer that is waited for must keep no program from ending.
        super().__init__(name="llmgate-watchdog", daemon=True)
        self._server = server
        self._step_s = min(STEP_S, limit_s / LOOKS)
        self._look_s = min(QUICK_S, max(LEAST_LOOK_S, self._step_s))
        self._question_s = QUESTION_AFTER * limit_s
        self._busy_limit_s = busy_limit_s
        self._silence = Silence(limit_s=limit_s, busy_limit_s=busy_limit_s, step_s=self._step_s + self._look_s)
        self._on_hang = on_hang
        self._over = threading.Event()
        self._answered = threading.Event()
        self._asking: threading.Thread | None = None
        self._counters: dict[str, float] | None = None

    def run(self) -> None:
        """Look now and then, until the block ends or the server is of no use any more."""
        while not self._over.wait(self._step_s):
            if (why := self._server.death_reason()) is not None:
                # Its engine is gone: what is still there would keep requests waiting.
                self._server.give_up(why)
                return
            look = self._look()
            hang = self._silence.note(look)
            if self._over.is_set():
                return
            if hang is not None:
                self._server.give_up(hang)
                self._on_hang(hang)
                return
            if look.answered and not look.load and self._silence.silent_s >= self._question_s:
                self._ask()

    def end(self) -> None:
        """Look no more. A server that is being ended is waited for."""
        self._over.set()
        self.join(JOIN_S)

    def _look(self) -> Glance:
        told: dict[str, float] | None = None
        try:
            told = self._server.probe.activity(timeout_s=self._look_s)
            answered = True
        except (OSError, http.client.HTTPException):
            answered = False
        asked = self._answered.is_set()
        self._answered.clear()
        counters = {name: told[name] for name in PROGRESS if name in told} if told else None
        # Looking at all processes of a machine takes longer than the rest, and measurements may be going on.
        moved = asked or (counters is not None and counters != self._counters)
        self._counters = counters or self._counters
        pid = self._server.pid
        return Glance(
            at_s=time.monotonic(),
            answered=answered,
            counters=counters,
            load=sum(told.get(name, 0.0) for name in LOAD) if told else None,
            asked=asked,
            tasks=() if moved or pid is None else server_tasks(pid),
        )

    def _ask(self) -> None:
        """Ask for a token, without waiting for it; one question at a time."""
        if self._asking is not None and self._asking.is_alive():
            return

        def ask() -> None:
            if self._server.probe.question(self._server.spec.served_name, timeout_s=self._busy_limit_s):
                self._answered.set()

        self._asking = threading.Thread(target=ask, name="llmgate-watchdog-question", daemon=True)
        self._asking.start()
