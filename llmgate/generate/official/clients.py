"""Clients of the official `openai` package, one for each case, at the server under test."""

from __future__ import annotations

import importlib
import ssl
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import UsageError
from llmgate.generate.official.desk import CASE_HEADER, Desk
from llmgate.generate.official.slots import SharedSlots
from llmgate.generate.official.transport import mixed, transports
from llmgate.generate.official.wire import AiohttpWire, Body

if TYPE_CHECKING:
    from collections.abc import Callable

    import openai

    from llmgate.generate.client import Endpoint, RetryPolicy
    from llmgate.record.redaction import Redactor
    from llmgate.record.schema import Exchange

__all__ = ["OfficialClients"]

LIBRARIES: Final = frozenset({"httpx", "httpx2"})
NO_KEY: Final = "llmgate-sets-it"
"""The client wants a key; the real one is set when a request is sent, so no test can show it."""


class OfficialClients:
    """Gives each case a client of its own, whose requests are limited, checked, retried and recorded.

    Args:
        endpoint: Where to ask; its key is sent, and nothing else is ever talked to.
        concurrency: Requests in flight at most, of all clients together.
        on_exchange: Told of each request after its last attempt, with the token of its case, in the thread that
            asked; must not raise.
        retry: Attempts and timeouts. The clients themselves never try again.
        death: Returns why the server that is being asked is gone, or None while it lives.
        redact: Applied to what is quoted of bodies that are no answers.

    Raises:
        UsageError: If `openai` is not installed, or too old.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        on_exchange: Callable[[str, Exchange], None],
        retry: RetryPolicy,
        death: Callable[[], str | None],
        redact: Redactor,
    ) -> None:
        package, library = official()
        desk = Desk(
            library,
            endpoint,
            retry=retry,
            slots=SharedSlots(concurrency),
            on_exchange=on_exchange,
            death=death,
            redact=redact,
        )

        # Streams that are read beside other requests of their case may need more connections than there are places.
        def limits(*, keep: bool = True) -> Any:
            return library.Limits(max_connections=None, max_keepalive_connections=concurrency if keep else 0)

        # The certificates that this machine trusts, as for all else that asks the endpoint.
        verify = ssl.create_default_context() if endpoint.url.startswith("https:") else False
        wire: dict[str, Any] = {"verify": verify, "trust_env": False}
        body = mixed(Body, library.AsyncByteStream)
        transport, sync_transport = transports(
            desk,
            # aiohttp wants to be closed in its loop, which only the one of the suites' tests waits for.
            lambda *, keep: (
                AiohttpWire(library, body) if keep else library.AsyncHTTPTransport(limits=limits(keep=False), **wire)
            ),
            lambda: library.HTTPTransport(limits=limits(), **wire),
        )
        # No proxy of the environment, no redirect: either could lead the prompt and the key to another host.
        common: dict[str, Any] = {
            "timeout": library.Timeout(retry.timeout_s, connect=retry.connect_s, pool=None),
            "follow_redirects": False,
            "trust_env": False,
        }
        given = {"base_url": endpoint.url, "api_key": NO_KEY, "max_retries": 0, "timeout": common["timeout"]}
        self._async = package.AsyncOpenAI(**given, http_client=library.AsyncClient(transport=transport, **common))
        self._platform = getattr(package._base_client, "get_platform", lambda: None)()  # noqa: SLF001 - see `for_case`
        self._sync = package.OpenAI(**given, http_client=library.Client(transport=sync_transport, **common))

    def for_case(self, token: str) -> openai.AsyncOpenAI:
        """The asynchronous client of a case.

        Args:
            token: Names the case to `on_exchange`; ASCII without line breaks.
        """
        client: openai.AsyncOpenAI = self._async.with_options(default_headers={CASE_HEADER: token})
        # Each new client would find it out again, in a thread, for a header.
        client._platform = self._platform  # noqa: SLF001
        return client

    def for_case_sync(self, token: str) -> openai.OpenAI:
        """The synchronous client of a case."""
        client: openai.OpenAI = self._sync.with_options(default_headers={CASE_HEADER: token})
        return client

    async def aclose(self) -> None:
        """Close all connections."""
        await self._async.close()
        self._sync.close()


def official() -> tuple[Any, Any]:
    """The `openai` package and the HTTP library that it uses.

    Raises:
        UsageError: If it is not installed, or too old.
    """
    try:
        # Late: an extra that only suites in code need, and a second of imports.
        package = importlib.import_module("openai")
        bases = package.DefaultAsyncHttpxClient.__mro__
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"tests that use `llm` need the official client, and it cannot be imported: {error}",
            fix="pip install 'pytest-llmgate[openai]'",
        ) from error
    name = next(root for base in bases if (root := base.__module__.partition(".")[0]) in LIBRARIES)
    return package, importlib.import_module(name)
