"""What GPUs and electricity cost, as the user says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase

from llmgate.errors import UsageError

__all__ = ["PriceTable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """Prices. None come with llmgate: they differ by contract, and they change.

    Attributes:
        currency: For display.
        gpus: (pattern of the GPU's name, price of one such GPU for an hour); `*`, `?` and `[…]` as in file names, case
            counts, the first that fits is taken.
        per_kwh: Price of electricity, in addition; None if the price of the hour includes it.

    Raises:
        UsageError: If a price is negative or no number, or there is none at all.
    """

    currency: str = "USD"
    gpus: tuple[tuple[str, float], ...] = ()
    per_kwh: float | None = None

    def __post_init__(self) -> None:
        named = [*self.gpus, *(() if self.per_kwh is None else (("per_kwh", self.per_kwh),))]
        for name, price in named:
            if not (math.isfinite(price) and price >= 0):
                raise UsageError(f"the price of {name} is {price}", where="prices", fix="Write a number of at least 0")
        if not named:
            raise UsageError("there is no price", where="prices", fix="Name a GPU under `gpus`, or give `per_kwh`")

    def per_hour(self, name: str) -> float | None:
        """The price of a GPU of that name for an hour, None if there is none."""
        return next((price for pattern, price in self.gpus if fnmatchcase(name, pattern)), None)
