"""What the session asks of whoever answers: one endpoint, or several that serve the same model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmgate.errors import EndpointError
    from llmgate.generate.client import Endpoint
    from llmgate.generate.replies import Vectors
    from llmgate.record.schema import Failure, Generation

__all__ = ["Chat"]


class Chat(Protocol):
    """Answers requests within its limits, and tries again; see `ChatClient`."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it asks, for messages and for who answered."""
        ...

    @property
    def stopped(self) -> EndpointError | None:
        """Why nothing is asked any more, None while it is."""
        ...

    @property
    def gave_up(self) -> bool:
        """Whether so many connections failed in a row that asking on would only cost time."""
        ...

    async def ask(
        self, body: Mapping[str, Any], *, expected: Callable[[str], bool] = ..., which: str = ...
    ) -> Generation | Failure:
        """One chat completion: see `ChatClient.ask`.

        Args:
            body: The request without `model`.
            expected: Whether an answer may end for this reason although it does not mean completion.
            which: Names the generation, as requests of two may be equal: a cache keeps them apart by it.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors | Failure:
        """Vectors of texts: see `ChatClient.embed`."""
        ...
