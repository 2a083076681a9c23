"""What a judge said while it was tried, as it came: JSON Lines that survive a crash and can be read without a model.

The first line says what was tried. A verdict that was not readable is kept and never asked for again, because asking
until an answer suits would be no trial; only where no reply came at all a resumed trial asks once more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from llmgate.errors import RecordError
from llmgate.record.disk import JsonForm, decoded, first_problem, open_own, read_bytes
from llmgate.record.judges.admission import Instrument
from llmgate.record.redaction import NO_SECRETS, Redactor

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

__all__ = ["VERDICTS_MAJOR", "Trial", "TrialVerdict", "VerdictLog", "read_verdicts"]

VERDICTS_MAJOR: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried; a log goes on only with the same.

    Attributes:
        labels: SHA-256 of the labels; "" where it is not known.
        instrument: Who is asked what; None where it is not known.
    """

    labels: str = ""
    instrument: Instrument | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialVerdict:
    """One question and what the judge said.

    Attributes:
        item: The item's id.
        task: `verdict`, `again` for the same question once more, or `canary:NAME`.
        said: `pass` or `fail`; of a canary among pairs `pass` if it was not beaten. None for no verdict.
        orders: Of a pair: the winner (`1`, `2` or `tie`) with answer 1 shown first, and with answer 2 shown first.
        error: Why there is no verdict.
        replies: What came back, word for word.
    """

    item: str
    task: str = "verdict"
    said: str | None = None
    orders: tuple[str | None, str | None] | None = None
    error: str | None = None
    replies: tuple[str, ...] = field(default=())

    @property
    def final(self) -> bool:
        """Whether it stands: a reply came, whatever it says."""
        return self.error is None or bool(self.replies)


_VERDICT: Final[JsonForm[TrialVerdict]] = JsonForm(TrialVerdict)
_TRIAL: Final[JsonForm[Trial]] = JsonForm(Trial)

Verdicts = Mapping[tuple[str, str], TrialVerdict]
"""By task and item; the last one of each."""


class VerdictLog:
    """A log that is being written.

    Args:
        path: The file.
        trial: What is tried.
        resume: Go on with a file that is there.
        redact: Applied to everything written.

    Raises:
        RecordError: If there is a file and it is not to be gone on with, or it is about something else.
    """

    def __init__(self, path: Path, trial: Trial, *, resume: bool, redact: Redactor = NO_SECRETS) -> None:
        self.path = path
        self._redact = redact
        self.verdicts: dict[tuple[str, str], TrialVerdict] = {}
        if path.exists():
            if not resume:
                raise RecordError(
                    "verdicts are there already",
                    where=str(path),
                    fix="Add --resume to go on with them, --recorded to decide by them, or choose another --out",
                )
            before, verdicts = read_verdicts(path)
            if unplaced(before) != unplaced(trial):
                raise RecordError(
                    "the trial cannot be resumed: labels, criterion or judge are not the same any more",
                    where=str(path),
                    fix="Restore them, or choose another --out",
                )
            self.verdicts.update(verdicts)
        try:
            drop_torn_line(path)
            self._file = os.fdopen(open_own(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8")
        except OSError as error:
            raise RecordError(
                f"cannot be written ({error.strerror})", where=str(path), fix="Choose another --out"
            ) from error
        if not self.verdicts and path.stat().st_size == 0:
            self._line({"llmgate-verdicts": VERDICTS_MAJOR, **asdict(trial)})

    def append(self, verdict: TrialVerdict) -> None:
        """Keep a verdict."""
        line = self._line(asdict(verdict))
        # As it will be read back: the digest of the verdicts is taken of these.
        self.verdicts[verdict.task, verdict.item] = _VERDICT.validate_json(line)

    def _line(self, values: dict[str, Any]) -> bytes:
        line = self._redact(json.dumps(values, allow_nan=False).encode())
        self._file.write(line.decode() + "\n")
        self._file.flush()
        return line

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; it can be gone on with."""
        self._file.close()


def unplaced(trial: Trial) -> Trial:
    """What is tried, wherever its judges are reached: a server that was started again has another port."""
    if trial.instrument is None:
        return trial
    judges = tuple(replace(judge, source="") for judge in trial.instrument.judges)
    return replace(trial, instrument=replace(trial.instrument, judges=judges))


def drop_torn_line(path: Path) -> None:
    """Cut off a last line without an end: what is written next must not be glued to it."""
    with os.fdopen(open_own(path, os.O_RDWR), "r+b") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)


def read_verdicts(path: Path) -> tuple[Trial, dict[tuple[str, str], TrialVerdict]]:
    """Read a log, or verdicts that were recorded elsewhere, which need no first line of their own.

    Returns:
        What was tried, and the last verdict of each task and item.

    Raises:
        RecordError: With file and line, if it cannot be understood. A torn last line is left out.
    """
    text = decoded(read_bytes(path, fix="Name a file"), str(path), fix="Restore it")
    trial = Trial()
    verdicts: dict[tuple[str, str], TrialVerdict] = {}
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = _object(line)
            if number == 1 and "llmgate-verdicts" in values:
                trial = _trial(values, f"{path}:1")
                continue
            verdict = _VERDICT.validate_json(line, strict=True)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break  # The writer was stopped in the middle of it; a whole line ends.
            problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
            raise RecordError(f"cannot be understood: {problem}", where=f"{path}:{number}", fix="Restore it") from error
        verdicts[verdict.task, verdict.item] = verdict
    return trial, verdicts


def _object(line: str) -> dict[str, Any]:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("no object")
    return values


def _trial(values: dict[str, Any], where: str) -> Trial:
    if values["llmgate-verdicts"] != VERDICTS_MAJOR:
        raise RecordError(
            f"the format is {values['llmgate-verdicts']!r}, and this llmgate reads {VERDICTS_MAJOR}",
            where=where,
            fix="Use the llmgate version that wrote it",
        )
    return _TRIAL.validate_json(json.dumps(values), strict=True)
