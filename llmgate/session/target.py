"""Something that can be asked: where it is, what it is, and whether it still lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmgate.generate.client import Endpoint
from llmgate.record.manifest import ModelIdentity, ServerIdentity

__all__ = ["Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A model that can be asked now.

    Attributes:
        endpoint: Where and under which name.
        model: Its identity for the record.
        server: What serves it.
        death: Why the server is gone, None while it lives or when it is not ours.
        others: Further servers of the same model, beside `endpoint`.
        pid: Process id of a server of ours, None for those of others.
    """

    endpoint: Endpoint
    model: ModelIdentity
    server: ServerIdentity
    death: Callable[[], str | None]
    pid: int | None = None
    others: tuple[Endpoint, ...] = ()
