"""Numbers and counts as people say them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmgate.gate.decision.attempt_types import AttemptDecision
    from llmgate.gate.decision.types import MetricDecision

__all__ = [
    "amount",
    "attempt_words",
    "count",
    "figure_name",
    "name_some",
    "one_line",
    "percent",
    "points",
    "share",
    "short_name",
    "short_names",
    "verb",
]

_NAMED = 3
"""How many of the affected cases are named."""
_MOST_DECIMALS = 6
_LATENCY_WORDS: Final = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2el": "E2E latency"}


def attempt_words(attempt: AttemptDecision | None) -> str:
    """`attempt 3; earlier: INCONCLUSIVE, FAIL`; "" where nothing came before."""
    if attempt is None or not attempt.earlier:
        return ""
    return f"attempt {attempt.number}; earlier: {', '.join(attempt.earlier)}"


def count(number: int, noun: str) -> str:
    """`1 case`, `0 cases`, `1,000 cases`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def verb(number: int, singular: str, plural: str) -> str:
    """The form that agrees with the number."""
    return singular if number == 1 else plural


def name_some(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    shown = ", ".join(listed[:_NAMED])
    return f"{shown} and {len(listed) - _NAMED:,} more" if len(listed) > _NAMED else shown


def points(fraction: float, limit: float | None = None) -> str:
    """A fraction in percentage points, without its unit: 0.021 is `2.1`.

    Args:
        fraction: What to show.
        limit: What it was compared with; decimals are added until the two look different, unless they are equal.
            Without one the number is shown as it was written: 0.03 is `3`.
    """
    value = 100.0 * fraction
    if limit is None:
        return f"{value:.10g}"
    decimals = 1
    while decimals < _MOST_DECIMALS and fraction != limit and f"{value:.{decimals}f}" == f"{100 * limit:.{decimals}f}":
        decimals += 1
    return f"{value:.{decimals}f}"


def percent(fraction: float, limit: float | None = None) -> str:
    """As `points`, with the sign: `83.2 %`."""
    return f"{points(fraction, limit)} %"


def share(probability: float) -> str:
    """A probability in whole per cent; certainty is only claimed where it is certain."""
    if 0.995 <= probability < 1.0:
        return "more than 99 %"
    if 0.0 < probability < 0.005:
        return "less than 1 %"
    return f"{100.0 * probability:.0f} %"


def one_line(text: str, most: int = 200) -> str:
    """What people wrote, on one line and bounded, without a final full stop."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def short_name(name: str) -> str:
    """A name of others where words are counted: at most three words and 60 characters."""
    words = name.split()
    return one_line(" ".join(words[:3]) + ("…" if len(words) > 3 else ""), 60)


def short_names(metrics: Sequence[MetricDecision]) -> list[str]:
    """Of each metric its own name, with its suite before it where two suites have one of that name."""
    plain = [metric.metric for metric in metrics]
    worded = [figure_name(metric.metric) if metric.unit else metric.metric for metric in metrics]
    return [
        short_name(name if plain.count(metric.metric) == 1 else f"{metric.suite}::{name}")
        for metric, name in zip(metrics, worded, strict=True)
    ]


def figure_name(metric: str) -> str:
    """A serving figure as people call it: `median_ttft_ms` is `median TTFT`."""
    words = metric.removesuffix("_ms").split("_")
    if metric.endswith("_ms"):
        return " ".join(_LATENCY_WORDS.get(word, word) for word in words)
    return "goodput" if metric == "request_goodput" else " ".join(words)


def amount(value: float, unit: str = "", other: float | None = None) -> str:
    """A serving figure with three digits, and more where they are needed to tell it from another: `12.1 tok/s`."""
    decimals = 0 if value >= 100.0 else 1 if value >= 10.0 else 2
    if 0.0 < value < 1.0:
        decimals = 2 - math.floor(math.log10(value))
    while decimals < _MOST_DECIMALS and value != other and f"{value:.{decimals}f}" == f"{other or 0.0:.{decimals}f}":
        decimals += 1
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text and value == float(text.replace(",", "")) else text
    return f"{text} {unit}".rstrip()
