"""An admission record as lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.report.panels.admissions import canaries_caught, shown_figure
from llmgate.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.judges.admission import AdmissionRecord

__all__ = ["admission_lines"]


def admission_lines(record: AdmissionRecord) -> Iterator[str]:
    """The figures with what is needed, and every reason for a refusal."""
    found, wanted, made = record.results, record.thresholds, record.instrument
    judges = ", ".join(judge.model for judge in made.judges) or "not named: these figures admit no judge of a run"
    yield _row("judge", one_line(judges, 200))
    yield _row("asked", one_line(f"{made.type} {made.criterion}", 200))
    labels = ", ".join(f"{count:,} {label}" for label, count in found.labels.items())
    yield _row("labels", f"{found.settled:,} of {found.items:,} items in {one_line(record.labels_name, 100)}: {labels}")
    if found.people is not None:
        yield _row("people", f"α {shown_figure(found.people)} among themselves")
    yield _row("agreement", shown_figure(found.agreement))
    yield _row("κ", f"{shown_figure(found.kappa)}, lower bound needed {wanted.kappa:.2f}")
    yield _row("AC1", shown_figure(found.ac1))
    yield _row("α", shown_figure(found.alpha))
    if found.sensitivity is not None and found.specificity is not None:
        yield _row("sensitivity", shown_figure(found.sensitivity))
        yield _row("specificity", shown_figure(found.specificity))
    if found.order is not None:
        first = "" if found.first_position is None else f"; names the first one in {found.first_position:.0%} of calls"
        yield _row("orders agree", f"{shown_figure(found.order)}, lower bound needed {wanted.order:.2f}{first}")
    yield _row("repeats", f"{shown_figure(found.repeat)}, lower bound needed {wanted.repeat:.2f}")
    yield _row("canaries", f"{canaries_caught(record)} caught")
    yield _row("no verdict", f"on {found.unparseable:,} of {found.items:,} items, at most {wanted.unparseable:.0%}")
    for stratum in found.strata:
        yield _row("stratum", f"{one_line(stratum.stratum, 60)}: κ {shown_figure(stratum.kappa)}")
    for reason in record.reasons:
        yield f"refused: {one_line(reason, 600)}"


def _row(label: str, text: str) -> str:
    return f"{label:<13} {text}"
