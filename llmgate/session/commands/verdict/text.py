"""A signed verdict for a person: what it says, whom it is about, and whether anybody vouches for that."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from llmgate.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from llmgate.attest.envelope import Envelope
    from llmgate.attest.statement import ChampionFacts, VerdictStatement

__all__ = ["NOT_VERIFIED", "verdict_lines"]

WIDTH: Final = 80
LABEL: Final = 11
LONGEST: Final = 2_000
MOST_METRICS: Final = 30
RECORDS: Final = {"candidate": "record"}
NOT_VERIFIED: Final = "NOT VERIFIED: anybody could have written this; see `llmgate verdict verify`"


def verdict_lines(
    verdict: VerdictStatement, envelope: Envelope, *, verified: Sequence[str], now: datetime
) -> list[str]:
    """What stands in a verdict, in at most 80 columns.

    Args:
        verdict: What was read from the envelope.
        envelope: The envelope.
        verified: Who is known to have signed it; empty if nobody looked.
        now: Aware time.
    """
    return [
        *entry("", f"VERIFIED: signed by {', '.join(verified)}" if verified else NOT_VERIFIED),
        "",
        *(line for label, text in facts(verdict, envelope, now) for line in entry(label, text)),
    ]


def entry(label: str, text: str) -> list[str]:
    """A labelled text. Its further lines are indented, so that no text can look like a label."""
    head, rest = (f"{label:<{LABEL}}", " " * LABEL) if label else ("", "  ")
    return textwrap.wrap(
        one_line(text, LONGEST) or "-",
        WIDTH,
        initial_indent=head,
        subsequent_indent=rest,
        break_on_hyphens=False,
    )


def facts(verdict: VerdictStatement, envelope: Envelope, now: datetime) -> Iterator[tuple[str, str]]:
    """Label and text, in the order in which a reader asks."""
    told, registry = verdict.predicate, verdict.registry
    if verdict.kind == "override":
        yield "OVERRIDE", verdict.reason
        yield "by", verdict.by
    else:
        yield verdict.outcome, str(told.get("sentence", ""))
    yield "for", f"{registry.model} v{registry.version} -> {registry.alias}"
    yield "in", f"registry {registry.id}, workspace {registry.workspace}"
    yield "created", utc(registry.created_at)
    yield "source", registry.source
    yield verdict.subject_is, verdict.subject
    yield from champion(verdict.champion)
    for suite in verdict.suites:
        yield "suite", f"{suite.name} {suite.version}, dataset {suite.dataset.removeprefix('sha256:')[:16]}"
    yield from metrics(told)
    yield from measurements(told)
    for clause in texts(told.get("weakerPolicy")):
        yield "weaker", f"the policy asks for less than the champion's: {clause}"
    for problem in texts(told.get("problems")):
        yield "problem", problem
    if isinstance(left_out := told.get("leftOut"), dict):
        yield "left out", ", ".join(f"{count} × {name}" for name, count in left_out.items())
    for name, digest in verdict.records.items():
        yield RECORDS.get(name, name), digest or "none"
    if verdict.kind == "gate":
        yield "attempt", attempt(verdict.attempts, told)
    yield "issued", utc(verdict.issued_at)
    ended = now >= verdict.expires_at
    yield "expires", f"{utc(verdict.expires_at)}{', which is over: it promotes nothing any more' if ended else ''}"
    yield "verdict", verdict.digest
    for signature in envelope.signatures:
        yield "key id", signature.keyid or "none told"


def attempt(on_version: int, told: Mapping[str, Any]) -> str:
    """Which verdict on the version it is, and which attempt at the candidate."""
    counted = told.get("attempt")
    earlier = texts(counted.get("earlier")) if isinstance(counted, dict) else ()
    if not isinstance(counted, dict) or not earlier:
        return str(on_version)
    return f"{on_version} on this version; {counted.get('number')} at this candidate, earlier: {', '.join(earlier)}"


def champion(told: ChampionFacts | None) -> Iterator[tuple[str, str]]:
    """Whom it was compared with."""
    if told is None:
        yield "against", "nobody"
        return
    yield "against", f"v{told.version}, created {utc(told.created_at)}"
    yield "  verdict", told.verdict or "none: it holds the alias without one"
    yield "  weights", told.weights or "not known"


def metrics(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each metric with its interval, those that gate first; in points, as the report has them."""
    rows = [row for row in told.get("metrics") or () if isinstance(row, dict)]
    rows.sort(key=lambda row: row.get("role") == "watch")
    for row in rows[:MOST_METRICS]:
        name = f"{row.get('suite')}::{row.get('metric')}"
        yield "metric", f"{name} ({row.get('role')}): {row.get('verdict')}, {figures(row)}"
    if len(rows) > MOST_METRICS:
        yield "metric", f"and {len(rows) - MOST_METRICS} more; --json shows them"


def figures(row: Mapping[str, Any]) -> str:
    """One metric's figures."""
    parts = [points(row.get("candidate"))]
    if row.get("champion") is not None:
        parts.append(f"champion {points(row['champion'])}, change {points(row.get('delta'), sign=True)}")
    if row.get("lower") is not None:
        upper = points(row.get("upper"), sign=True)
        parts.append(f"bounds {points(row['lower'], sign=True)} to {upper}")
    parts += [f"{name} {points(row[name])}" for name in ("margin", "min", "max") if row.get(name) is not None]
    if row.get("errors"):
        parts.append(f"errors {row['errors']}")
    if row.get("waived"):
        parts.append("waived")
    return ", ".join(parts)


def measurements(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Serving, where it was measured."""
    for item in told.get("serving") or ():
        if isinstance(item, dict) and isinstance(item.get("figures"), dict):
            shown = ", ".join(f"{name} {value:.4g}" for name, value in item["figures"].items() if number(value))
            doubt = "; ".join(texts(item.get("invalid")))
            yield (
                "serving",
                f"{item.get('name')}: {shown or 'no figures'}{f' (not to be believed: {doubt})' if doubt else ''}",
            )


def texts(value: object) -> list[str]:
    """The texts of a list, if it is one."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def number(value: object) -> bool:
    """Whether it is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def points(value: object, *, sign: bool = False) -> str:
    """A fraction as points; a dash if there is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "–"
    return f"{100 * value:{'+' if sign else ''}.1f}"


def utc(value: datetime) -> str:
    """For a reader."""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"
