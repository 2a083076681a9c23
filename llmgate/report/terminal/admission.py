"""An admission record as lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.report.panels.admissions import canaries_caught, shown_figure, shown_points
from llmgate.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.judges.admission import AdmissionRecord, BiasFigures

__all__ = ["admission_lines"]

_MOST_SYSTEMS = 12


def admission_lines(record: AdmissionRecord) -> Iterator[str]:
    """The figures with what is needed, and every reason for a refusal."""
    results, wanted, instrument = record.results, record.thresholds, record.instrument
    judges = ", ".join(judge.model for judge in instrument.judges) or "not named: these figures admit no judge of a run"
    yield _row("judge", one_line(judges, 200))
    yield _row("asked", one_line(f"{instrument.type} {instrument.criterion}", 200))
    labels = ", ".join(f"{count:,} {label}" for label, count in results.labels.items())
    settled = f"{results.settled:,} of {results.items:,} items"
    yield _row("labels", f"{settled} in {one_line(record.labels_name, 100)}: {labels}")
    if results.people is not None:
        yield _row("people", f"α {shown_figure(results.people)} among themselves")
    yield _row("agreement", shown_figure(results.agreement))
    yield _row("κ", f"{shown_figure(results.kappa)}, lower bound needed {wanted.kappa:.2f}")
    yield _row("AC1", shown_figure(results.ac1))
    yield _row("α", shown_figure(results.alpha))
    if results.sensitivity is not None and results.specificity is not None:
        yield _row("sensitivity", shown_figure(results.sensitivity))
        yield _row("specificity", shown_figure(results.specificity))
    if results.order is not None:
        position = results.first_position
        first = "" if position is None else f"; names the first one in {position:.0%} of calls"
        yield _row("orders agree", f"{shown_figure(results.order)}, lower bound needed {wanted.order:.2f}{first}")
    yield _row("repeats", f"{shown_figure(results.repeat)}, lower bound needed {wanted.repeat:.2f}")
    yield _row("canaries", f"{canaries_caught(record)} caught")
    yield _row("no verdict", f"on {results.unparseable:,} of {results.items:,} items, at most {wanted.unparseable:.0%}")
    for stratum in results.strata:
        yield _row("stratum", f"{one_line(stratum.stratum, 60)}: κ {shown_figure(stratum.kappa)}")
    if results.bias is not None:
        yield from _bias_rows(results.bias, wanted.margin)
    for reason in record.reasons:
        yield f"refused: {one_line(reason, 600)}"


def _bias_rows(bias: BiasFigures, margin: float) -> Iterator[str]:
    """What differences between systems, and between kinds of answers, may be off by."""
    if bias.unknown:
        yield _row("bias", f"between systems not known: {one_line(bias.unknown, 200)}")
    for system in bias.systems[:_MOST_SYSTEMS]:
        yield _row("system", f"{one_line(system.system, 60)}: judge − people {shown_points(system.bias)} points")
    if len(bias.systems) > _MOST_SYSTEMS:
        yield _row("", f"and {len(bias.systems) - _MOST_SYSTEMS:,} systems more")
    if bias.worst is not None and bias.difference is not None:
        one, other = (one_line(system, 60) for system in bias.worst.systems)
        seen = f"people {100.0 * bias.worst.people:+.1f}, judge {100.0 * bias.worst.judge:+.1f}"
        yield _row(
            "bias", f"at most {100.0 * bias.difference:.1f} points between two systems, below {100.0 * margin:g} needed"
        )
        yield _row("", f"{one} → {other}: {seen}")
    for trait in bias.traits:
        yield _row(trait.trait, f"judge − people, against the others, {shown_points(trait.bias)} points")


def _row(label: str, text: str) -> str:
    return f"{label:<13} {text}"
