r"""Prometheus' text format, as servers write it at `/metrics`, read strictly.

Format: "Exposition formats", text-based format, version 0.0.4. One sample a line, `name{label="value"} number [time]`;
in the values of labels `\\`, `\"` and `\n` stand for a backslash, a quote and the end of a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from llmgate.errors import EndpointError

__all__ = ["Sample", "read_samples"]

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(
    rf"({NAME})[ \t]*(?:\{{((?:[^\"}}]|\"(?:[^\"\\]|\\.)*\")*)\}})?"
    r"[ \t]*(?<=[ \t}])([^ \t]+)(?:[ \t]+(-?[0-9]+))?[ \t]*"
)
LABEL = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|$)')
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|Inf|NaN)", re.IGNORECASE)
ESCAPE = re.compile(r"\\(.)")
MEANT = {"n": "\n", '"': '"', "\\": "\\"}
QUOTED = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number of a page."""

    name: str
    labels: Mapping[str, str]
    value: float


def read_samples(text: str, *, where: str = "/metrics") -> tuple[Sample, ...]:
    """All samples of a page, in order.

    Args:
        text: The page.
        where: Its address, for messages.

    Raises:
        EndpointError: If a line is neither a sample nor a comment, or one series stands there twice.
    """
    samples: list[Sample] = []
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    # Not splitlines: the value of a label may hold other characters that end lines elsewhere.
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(" \t\r")
        if not stripped or stripped.startswith("#"):
            continue
        sample = _sample(stripped)
        if sample is None:
            raise _refused(f"this is no sample of the Prometheus text format: {stripped[:QUOTED]!r}", where, number)
        series = (sample.name, tuple(sorted(sample.labels.items())))
        if series in seen:
            raise _refused(f"a series of {sample.name} stands there twice", where, number)
        seen.add(series)
        samples.append(sample)
    return tuple(samples)


def _refused(what: str, where: str, line: int) -> EndpointError:
    return EndpointError(
        what, where=f"{where}:{line}", fix="Look at the page; a proxy may have put another in its place"
    )


def _sample(line: str) -> Sample | None:
    match = SAMPLE.fullmatch(line)
    if match is None or NUMBER.fullmatch(match[3]) is None:
        return None
    labels = _labels(match[2] or "")
    return None if labels is None else Sample(name=match[1], labels=labels, value=float(match[3]))


def _labels(text: str) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        if match is None:
            return None if text[at:].strip(" \t") else labels
        if match[1] in labels:
            return None
        labels[match[1]] = ESCAPE.sub(lambda found: MEANT.get(found[1], found[0]), match[2])
        at = match.end()
    return labels
