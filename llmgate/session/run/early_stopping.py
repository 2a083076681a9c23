"""Early stopping: asking in the recorded order, with the gate's word at each look on whether to go on.

Generation and looks are one loop: `measure` asks for a turn per generation and hands every result over; the last
result of a block takes the look. Results of later blocks are held back until then, so that a stopped record holds
exactly what its last look saw. A suite that cannot be looked at is asked whole, and the run says why.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError
from llmgate.gate.sequential.verify_stop import reason_to_stop
from llmgate.record.looks import Stop
from llmgate.record.order import case_order
from llmgate.record.run.loading import load_record
from llmgate.record.schema import CaseKey, Record
from llmgate.report.visible import one_line
from llmgate.session.attempts.before import verdicts_before
from llmgate.session.decide.records import noted_baseline
from llmgate.session.reach.target import judge_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.record.looks import LookPlan
    from llmgate.record.run.rundir import RunDir
    from llmgate.record.schema import CaseResult
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.settings.typed import Settings

__all__ = ["Enough", "InterimMonitor", "SuiteMonitor", "make_monitor"]

Enough = Callable[["LookPlan", int, Mapping[CaseKey, "CaseResult"]], str]
"""Plan, look (from 1) and the results that it sees → why the suite may stop there; empty if it has to go on."""


class InterimMonitor:
    """The suites of a run that may stop early.

    Args:
        run: Where results go.
        plans: The suites' looks.
        enough: Whether a suite may stop; called in a thread of its own.
        ahead: Answers of later blocks that may be asked for while a look is still to come.
        progress: Told about every look.
    """

    def __init__(
        self, run: RunDir, plans: Iterable[LookPlan], enough: Enough, *, ahead: int, progress: Progress
    ) -> None:
        self._suites = {plan.suite: SuiteMonitor(run, plan, enough, ahead=ahead, progress=progress) for plan in plans}

    def arranged(self, todo: Sequence[CaseKey]) -> list[CaseKey]:
        """What is to be asked, the suites with looks last and in their recorded order."""
        rest = [key for key in todo if key.suite not in self._suites]
        return rest + [key for suite in self._suites.values() for key in suite.arranged(todo)]

    def of(self, key: CaseKey) -> SuiteMonitor | None:
        """The looks that a generation belongs to."""
        return self._suites.get(key.suite)

    async def begin(self) -> None:
        """Take the looks for which all answers are there already, as in a run that is gone on with."""
        for suite in self._suites.values():
            await suite.advance()


class SuiteMonitor:
    """One suite that may stop early; arguments as for `InterimMonitor`."""

    def __init__(self, run: RunDir, plan: LookPlan, enough: Enough, *, ahead: int, progress: Progress) -> None:
        self._run = run
        self._plan = plan
        self._enough = enough
        self._progress = progress
        order = case_order((case for case in run.cases if case.suite == plan.suite), seed=plan.seed)
        self._block: dict[CaseKey, int] = {}
        for place, case in enumerate(order):
            block = next(k for k, size in enumerate(plan.cases) if place < size)
            for repeat in range(case.repeats):
                self._block[CaseKey(suite=case.suite, case=case.case, repeat=repeat)] = block
        self._answered_until = max((self._block[key] for key in run.results if key in self._block), default=0)
        self._current = 0
        self._left: Counter[int] = Counter()
        self._held: list[CaseResult] = []
        self._tasks: dict[CaseKey, asyncio.Task[None] | None] = {}
        self._permits = asyncio.Semaphore(ahead)
        self._queued: Counter[int] = Counter()
        self._ahead: Counter[int] = Counter()
        self._stopped = False

    def arranged(self, todo: Iterable[CaseKey]) -> list[CaseKey]:
        """The suite's part of what is to be asked, in order; from here on it is expected."""
        wanted = set(todo)
        mine = [key for key in self._block if key in wanted]
        self._left = Counter(self._block[key] for key in mine)
        return mine

    async def turn(self, key: CaseKey) -> bool:
        """Wait until a generation may be asked for.

        Returns:
            Whether it is still wanted.
        """
        block = self._block[key]
        if self._stopped:
            return False
        self._tasks[key] = asyncio.current_task()
        if block > self._current:
            self._queued[block] += 1
            await self._permits.acquire()
            self._ahead[block] += 1
        return True

    def keep(self, result: CaseResult) -> None:
        """Record a result, or hold it back until the look before it is over."""
        if self._block[result.key] > self._current:
            self._held.append(result)
        else:
            self._run.append(result)

    async def done(self, key: CaseKey) -> None:
        """Nothing more comes for a generation; the last one of a block takes the look."""
        block = self._block[key]
        self._tasks.pop(key, None)
        self._left[block] -= 1
        if block == self._current and not self._left[block]:
            await self.advance()

    async def advance(self) -> None:
        """Take every look that is due."""
        while not self._stopped and not self._left[self._current] and self._current < self._plan.looks - 1:
            # Where later answers are recorded already there is nothing to save, and a stop would not be one.
            reason = await self._look() if self._answered_until <= self._current else ""
            if reason:
                self._stop(reason)
                return
            self._current += 1
            ready = [result for result in self._held if self._block[result.key] == self._current]
            self._held = [result for result in self._held if self._block[result.key] != self._current]
            for result in ready:
                self._run.append(result)
            for _ in range(self._queued.pop(self._current, 0)):
                self._permits.release()

    async def _look(self) -> str:
        seen = {
            key: result for key, result in self._run.scored.items() if self._block.get(key, 1 << 30) <= self._current
        }
        return await asyncio.to_thread(self._enough, self._plan, self._current + 1, seen)

    def _stop(self, reason: str) -> None:
        self._stopped = True
        self._held.clear()
        for task in self._tasks.values():
            if task is not None:
                task.cancel()
        look = self._current + 1
        discarded = sum(count for block, count in self._ahead.items() if block > self._current)
        saved = self._run.stop(Stop(suite=self._plan.suite, look=look, reason=reason, discarded=discarded)) - discarded
        self._progress.stage(
            f"{self._plan.suite}: stopped at look {look} of {self._plan.looks} ({reason}):"
            f" {self._plan.cases[look - 1]:,} of {self._plan.planned:,} cases asked, {saved:,} generations saved"
        )


def make_monitor(
    settings: Settings, plan: Plan, run: RunDir, out: Path, *, progress: Progress
) -> InterimMonitor | None:
    """What takes the looks of a run.

    Args:
        settings: The options.
        plan: What is asked.
        run: Where results go; its manifest has the looks.
        out: The run's folder, in which the baseline is noted.
        progress: Told which suites cannot be looked at, and why.

    Returns:
        None if no suite may stop early.

    Raises:
        RecordError: If the baseline cannot be read.
    """
    if not run.manifest.looks:
        return None
    baseline = noted_baseline(out)
    before = verdicts_before(settings, run.manifest, baseline.folder if baseline is not None else None)
    if before != ():
        # Answers of all attempts count together, and a case that was not asked would count with fewer.
        progress.stage("all cases are asked, because this candidate was tried before")
        return None
    # One that waits for its judge is told below to be none that can be compared with yet.
    champion = None if baseline is None else load_record(Path(baseline.folder), unfinished=True)
    possible = []
    for looks in run.manifest.looks:
        why = _impossible(settings, plan, run, looks, champion)
        if why:
            progress.stage(f"{looks.suite}: all cases are asked, because {why}")
        else:
            possible.append(looks)

    def enough(looks: LookPlan, look: int, results: Mapping[CaseKey, CaseResult]) -> str:
        part = Record(manifest=run.manifest, cases=run.cases, results=results)
        return reason_to_stop(part, champion, looks, look=look)

    return InterimMonitor(run, possible, enough, ahead=settings.fixed_concurrency, progress=progress)


def _impossible(settings: Settings, plan: Plan, run: RunDir, looks: LookPlan, champion: Record | None) -> str:
    """Why a suite cannot be looked at before its end, empty if it can."""
    cases = [case for case in plan.cases if case.planned.suite == looks.suite]
    asks = {spec.type for case in cases for spec in case.asserts if plan.vocabulary.defers(spec)}
    place = judge_place(settings)
    if asks and run.manifest.judge is not None and (place is None or (place.url is None and not place.same_server)):
        return f"its judge ({', '.join(sorted(asks))}) is only started after the model under test has ended"
    metrics = [metric for metric in run.manifest.policy.metrics if metric.suite == looks.suite and metric.gates]
    if not metrics:
        return "none of its metrics gates"
    if champion is None and not any(metric.floor is not None for metric in metrics):
        return "there is neither a baseline nor a threshold that could be decided on"
    try:
        reason_to_stop(Record(manifest=run.manifest, cases=run.cases, results={}), champion, looks, look=1)
    except LlmgateError as error:
        return f"the baseline cannot be compared with: {one_line(str(error), 400)}"
    return ""
