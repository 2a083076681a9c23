"""Deliveries that came already: each is carried out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.promote.webhook.signature import MAX_AGE_S, MAX_AHEAD_S

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CAPACITY", "KEPT_S", "SeenDeliveries"]

KEPT_S: Final = MAX_AGE_S + 2 * MAX_AHEAD_S
"""Longer than a delivery is young enough to be taken, even if it was signed a little in the future."""
CAPACITY: Final = 10_000


class SeenDeliveries:
    """Ids of deliveries that were taken within the last minutes. Never forgets one that could come again.

    Args:
        seen: By id, when it came, Unix time in seconds; of an earlier process.
        capacity: How many it holds; when it is full, new deliveries wait for old ones to grow too old.
    """

    def __init__(self, seen: Mapping[str, float] | None = None, *, capacity: int = CAPACITY) -> None:
        self._seen = dict(seen or {})
        self._capacity = capacity

    def check(self, delivery: str, now: float) -> None:
        """Refuse what came already, and everything while there is no room to remember it.

        Raises:
            DeliveryRefusedError: With 409 or 503.
        """
        if delivery in self._seen:
            raise DeliveryRefusedError(409, "a delivery with this id came already")
        if len(self._seen) >= self._capacity:
            # A clock that was set back leaves times in the future; those are kept.
            self._seen = {known: at for known, at in self._seen.items() if now - at <= KEPT_S}
        if len(self._seen) >= self._capacity:
            raise DeliveryRefusedError(503, f"more than {self._capacity} deliveries came within minutes")

    def remember(self, delivery: str, now: float) -> None:
        """Take note that it was taken."""
        self._seen[delivery] = now

    def forget(self, delivery: str) -> None:
        """Take the note back: it was not carried out after all, and may come again."""
        self._seen.pop(delivery, None)

    def young(self, now: float) -> dict[str, float]:
        """What the next process has to know."""
        return {known: at for known, at in self._seen.items() if now - at <= KEPT_S}
