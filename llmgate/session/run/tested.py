"""What tests in code find: left in an inbox by the process that runs them, taken into the record as it comes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from llmgate.errors import RecordError
from llmgate.record.disk import JsonForm, read_regular, write_atomic
from llmgate.record.schema import CaseResult, Failure, FailureKind, Generation, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.run.rundir import RunDir
    from llmgate.record.schema import CaseKey
    from llmgate.session.progress import Progress
    from llmgate.session.run.plan import Plan
    from llmgate.session.target import Target

__all__ = ["Inbox", "TestedModel", "is_kept", "not_run", "take_results", "tested_model"]

POLL_S: Final = 0.02
STALL_S: Final = 20.0
"""So long after a process has died, nothing more is expected of those that live."""
FILE: Final = "tested.json"
MOST_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedModel:
    """The model under test, as tests reach it; without a key.

    Attributes:
        url: Base URL including `/v1`.
        model: The name that requests carry.
        names: Further names by which its replies may call it.
    """

    url: str
    model: str
    names: tuple[str, ...] = ()


MODEL: Final = JsonForm(TestedModel)


class Inbox:
    """Where tests leave results, from any thread.

    Args:
        out: The run's folder, in which tests of other processes find where the model is.

    Attributes:
        crashed: Whether a process that runs tests has died.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._results: SimpleQueue[CaseResult] = SimpleQueue()
        self.crashed = False
        (out / FILE).unlink(missing_ok=True)

    def put(self, result: CaseResult) -> None:
        """Leave a result."""
        self._results.put(result)

    def take(self) -> CaseResult | None:
        """The next one, None if there is none."""
        try:
            return self._results.get_nowait()
        except Empty:
            return None

    def open(self, target: Target) -> None:
        """Say where the model is, as it can be asked now."""
        endpoint = target.endpoint
        found = TestedModel(url=endpoint.url, model=endpoint.model, names=tuple(endpoint.names))
        write_atomic(self._out / FILE, MODEL.dump_json(found))


def tested_model(out: Path) -> TestedModel | None:
    """Where the model is, None as long as it cannot be asked.

    Args:
        out: The run's folder.

    Raises:
        RecordError: If the file that says so is damaged.
    """
    try:
        return MODEL.validate_json(read_regular(out / FILE, at_most=MOST_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise RecordError("the file cannot be read", where=str(out / FILE), fix="Run again") from error


def is_kept(result: CaseResult | None) -> bool:
    """Whether a test need not run again: it was answered, and all that is missing is what judges say."""
    return (
        result is not None
        and isinstance(result.answer, Generation)
        and all(check.outcome is not Outcome.ERROR or check.judgements for check in result.checks)
    )


def not_run(key: CaseKey, message: str) -> CaseResult:
    """The result of a test that did not run to its end."""
    return CaseResult(key=key, answer=Failure(kind=FailureKind.TEST, message=message[:500], attempts=0))


async def take_results(run: RunDir, plan: Plan, inbox: Inbox, *, progress: Progress) -> None:
    """Take what tests find until every case of theirs has a result.

    Args:
        run: Where results go.
        plan: Which suites are tests.
        inbox: Where they come from.
        progress: Told about each; may raise to end the run.

    Raises:
        RecordError: If a result is of no planned case, or could not be written.
    """
    heard = time.monotonic()
    todo = {key for key in run.missing() if key.suite in plan.tested and not is_kept(run.scored.get(key))}
    whole = len(todo)
    while todo:
        result = inbox.take()
        if result is None:
            progress.check()
            await asyncio.sleep(POLL_S)
            if inbox.crashed and time.monotonic() - heard > STALL_S:
                # What the dead process had in hand may wait behind a gate that waits for it.
                for key in sorted(todo):
                    inbox.put(not_run(key, "the process that was to run it died, and no other one did"))
            continue
        heard = time.monotonic()
        run.append(result)
        todo.discard(result.key)
        progress.count("tests", whole - len(todo), whole)
