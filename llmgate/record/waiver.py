"""A finding that somebody has accepted in writing until a date. Types only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from llmgate.errors import PolicyError

__all__ = ["Waiver"]

ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One finding of one suite that does not keep the verdict from PASS while the waiver holds.

    It names a gating metric, a slice of one, or a case whose required assert may fail. What could not be evaluated
    cannot be waived.

    Attributes:
        suite: Suite name.
        metric: The metric, alone or with `field` and `value`.
        field: Slice field.
        value: Slice value.
        case: The case, alone.
        until: Last day on which it holds, as an ISO date in UTC.
        by: Who accepted it.
        reason: Why.

    Raises:
        PolicyError: If it names nothing or too much, lacks a name or reason, or its date is none.
    """

    suite: str
    metric: str | None = None
    field: str | None = None
    value: str | None = None
    case: str | None = None
    until: str
    by: str
    reason: str

    def __post_init__(self) -> None:
        target = tuple(part is not None for part in (self.metric, self.field, self.value, self.case))
        if target not in {(True, False, False, False), (True, True, True, False), (False, False, False, True)}:
            raise PolicyError(
                "a waiver names one finding",
                where=f"{self.suite}::waiver",
                fix="Give it `metric:`, `metric:` with `slice: {FIELD: VALUE}`, or `case:`",
            )
        if not self.by.strip() or not self.reason.strip():
            raise PolicyError(
                "a waiver needs somebody who gave it and a reason", where=self.target, fix="Write `by:` and `reason:`"
            )
        if self._date() is None:
            raise PolicyError(
                f"until is {self.until!r}, which is no date", where=self.target, fix="Write it as 2026-12-31"
            )

    @property
    def target(self) -> str:
        """What it is about, as verdicts name it: `suite::metric`, `suite::metric[field=value]`, `suite::case`."""
        if self.case is not None:
            return f"{self.suite}::{self.case}"
        part = f"[{self.field}={self.value}]" if self.field is not None else ""
        return f"{self.suite}::{self.metric}{part}"

    def holds_on(self, today: date) -> bool:
        """Whether it still holds on a day."""
        last = self._date()
        return last is not None and today <= last

    def _date(self) -> date | None:
        # Python reads further forms of ISO dates, which people do not.
        if not ISO_DATE.fullmatch(self.until):
            return None
        try:
            return date.fromisoformat(self.until)
        except ValueError:
            return None
