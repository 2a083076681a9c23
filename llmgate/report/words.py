"""Numbers as words: the same rounding and the same signs in every format."""

from __future__ import annotations

import math

__all__ = [
    "MINUS",
    "UNDEFINED",
    "count",
    "factor",
    "figure",
    "p_value",
    "percent",
    "plural",
    "points",
    "probability",
    "relative",
    "signed_points",
    "tell_apart",
]

UNDEFINED = "undefined"
MINUS = "\u2212"


def count(number: int) -> str:
    """12345 as `12,345`."""
    return f"{number:,}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 case`, `12,345 cases`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def percent(fraction: float | None, digits: int = 1) -> str:
    """0.9123 as `91.2 %`; what does not exist as an en dash; what is not finite as `undefined`."""
    if fraction is None:
        return "–"
    return f"{_fixed(fraction * 100, digits)} %" if math.isfinite(fraction * 100) else UNDEFINED


def points(fraction: float | None, digits: int = 1) -> str:
    """0.03 as `3`, 0.025 as `2.5`: a distance in points, without trailing zeros."""
    if fraction is None:
        return "–"
    if not math.isfinite(fraction * 100):
        return UNDEFINED
    text = _fixed(fraction * 100, max(digits, 1))
    return text.rstrip("0").rstrip(".")


def signed_points(fraction: float | None, digits: int = 1) -> str:
    """-0.006 as `−0.6`, 0.006 as `+0.6`, both in points."""
    if fraction is None:
        return "–"
    if not math.isfinite(fraction * 100):
        return UNDEFINED
    text = _fixed(fraction * 100, digits)
    return text if text.startswith(MINUS) or float(text.replace(",", "")) == 0 else f"+{text}"


def tell_apart(value: float | None, limit: float | None, *, most: int = 4) -> int:
    """Decimals of a percentage at which `value` no longer looks equal to a `limit` that it differs from.

    A bound of −2.996 against a margin of 3 must not be printed as −3.0: the reader could not see why it passed.

    Args:
        value: A fraction.
        limit: A fraction.
        most: Decimals that are never exceeded.
    """
    if value is None or limit is None or value == limit or not math.isfinite(value - limit):
        return 1
    for digits in range(1, most):
        if round(value * 100, digits) != round(limit * 100, digits):
            return digits
    return most


def figure(value: float) -> str:
    """A measured quantity with three or more significant digits: `0.123`, `12.3`, `1,234`."""
    if not math.isfinite(value):
        return UNDEFINED
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return _fixed(value, digits)


def relative(ratio: float | None) -> str:
    """A relative change of 0.042 as `+4.2 %`."""
    text = signed_points(ratio)
    return text if text in {"–", UNDEFINED} else f"{text} %"


def factor(change: float | None) -> str:
    """A relative change of 0.04 as `×1.04`."""
    return "–" if change is None else f"×{1.0 + change:.2f}"


def p_value(p: float | None) -> str:
    """0.0312 as `0.031`; empty for None."""
    if p is None:
        return ""
    return f"{p:.2g}" if math.isfinite(p) else UNDEFINED


def probability(p: float | None) -> str:
    """0.0312 as `p = 0.031`; empty for None."""
    if p is None:
        return ""
    return f"p = {p_value(p)}" if math.isfinite(p) else f"p {UNDEFINED}"
