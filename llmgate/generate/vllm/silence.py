"""When does a server that says nothing count as hung? A judgement on what was seen, without a clock or a file.

vLLM's `/health` says whether the engine has failed; of an engine that was stopped, or waits for a lock, it knows
nothing (0.32: `check_health` reads a flag). What tells is progress: its counters of tokens and of requests move, or a
question of our own is answered. A server without progress is not hung as long as it computes: one step over a long
prompt may take minutes on a processor. So

- no progress and next to no processor time, or a stopped process, for `limit_s`: it hangs,
- no progress for `busy_limit_s`, however much it computes: it hangs as well. No answer takes longer than that, because
  whoever asks gives up then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from llmgate.generate.vllm.tree import ServerTask

__all__ = ["Glance", "Silence"]

IDLE_SHARE: Final = 0.05
"""Of one core. An engine that computes takes a whole one; what waits for it, polling, far less."""
SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What one look at a server showed.

    Attributes:
        at_s: When, on a monotonic clock.
        answered: Whether it answered over HTTP at all.
        counters: What it has done until now, by name; None if it did not say.
        load: Requests that it says it has, None if it did not say.
        asked: Whether a question of our own was answered since the last look.
        tasks: Its processes, the API server's first; they need not be looked at where there was progress.
    """

    at_s: float
    answered: bool
    counters: Mapping[str, float] | None
    load: float | None
    asked: bool
    tasks: tuple[ServerTask, ...]


class Silence:
    """Follows the looks at one server.

    Args:
        limit_s: How long it may show no progress without computing.
        busy_limit_s: How long it may show no progress at all.
        step_s: The time between looks as planned. Where far more lies between two, this process did not run either
            (a suspended machine, a stopped job), and that is no silence of the server's.

    Attributes:
        silent_s: Since its last sign of progress, in seconds.
    """

    def __init__(self, *, limit_s: float, busy_limit_s: float, step_s: float) -> None:
        self.silent_s = 0.0
        self._limit_s = limit_s
        self._busy_limit_s = max(limit_s, busy_limit_s)
        self._most_s = 3.0 * step_s
        self._last: Glance | None = None
        self._counters: Mapping[str, float] | None = None
        self._since: dict[int, float] = {}

    def note(self, look: Glance) -> str | None:
        """Take a look into account.

        Returns:
            How it hangs, in words; None if it does not.
        """
        moved = look.counters is not None and look.counters != self._counters
        if look.counters is not None:
            self._counters = look.counters
        if self._last is None or moved or look.asked:
            self.silent_s = 0.0
            self._since.clear()
        else:
            self.silent_s += min(look.at_s - self._last.at_s, self._most_s)
        for task in look.tasks:
            self._since.setdefault(task.pid, task.cpu_s)
        self._last = look
        if self.silent_s < self._limit_s:
            return None
        stopped = [task for task in look.tasks if task.stopped]
        busy = self._used_s(look) >= IDLE_SHARE * self.silent_s
        if stopped or not busy:
            return self._told(look, stopped or self._engine(look))
        if self.silent_s >= self._busy_limit_s:
            return (
                f"{self._head(look)}, although its processes compute: it goes round in circles, or a step is too long"
            )
        return None

    def _used_s(self, look: Glance) -> float:
        """Processor time since the last progress, of those who have to bring some about.

        An API server that answers our looks needs time for that, which is no work on an answer.
        """
        tasks = look.tasks[1:] if look.answered else look.tasks
        return sum(task.cpu_s - self._since.get(task.pid, task.cpu_s) for task in tasks)

    @staticmethod
    def _engine(look: Glance) -> list[ServerTask]:
        """Who should have brought about progress: the API server where it does not answer, else those who compute."""
        computing = [task for task in look.tasks if task.computes]
        return computing if look.answered and computing else list(look.tasks[:1])

    def _head(self, look: Glance) -> str:
        http = "it answers /metrics, but no token came" if look.answered else "it answers nothing, not even /metrics,"
        return f"the server hangs: {http} for {self.silent_s:.0f} s"

    def _told(self, look: Glance, tasks: list[ServerTask]) -> str:
        shown = "; ".join(task.told() for task in tasks[:SHOWN])
        more = f"; and {len(tasks) - SHOWN} more" if len(tasks) > SHOWN else ""
        return f"{self._head(look)}. {shown}{more}" if shown else self._head(look)
