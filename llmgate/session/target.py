"""Something that can be asked: where it is, what it is, and whether it still lives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
        parent: The model whose adapter it is, as an endpoint of others says; "" for nothing.
        beside: All models that this server of ours serves, by their names: a base and its adapters. Empty if there is
            one.
        alike: Pairs of them that nothing tells from each other by what they answer.
    """

    endpoint: Endpoint
    model: ModelIdentity
    server: ServerIdentity
    death: Callable[[], str | None]
    pid: int | None = None
    parent: str = ""
    beside: Mapping[str, ModelIdentity] = field(default_factory=dict)
    alike: frozenset[frozenset[str]] = frozenset()
    others: tuple[Endpoint, ...] = ()
