"""A wire for the official client's HTTP library that costs less: aiohttp, with which suites ask as well.

Of the CPU that a request of the official client takes, its library's own wire is a third.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["AiohttpWire", "Body"]

OWN: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that aiohttp writes itself."""


@contextlib.contextmanager
def worded(library: Any, request: Any) -> Iterator[None]:
    """Raise aiohttp's errors as the library's."""
    try:
        yield
    except TimeoutError as error:
        raise library.ReadTimeout(str(error) or "no answer in time", request=request) from error
    except aiohttp.ClientConnectorError as error:
        raise library.ConnectError(str(error), request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise library.ReadError(str(error) or type(error).__name__, request=request) from error


class Body:
    """The bytes of a response, as they come: encoded as the server encoded them."""

    def __init__(self, library: Any, request: Any, response: aiohttp.ClientResponse) -> None:
        self._library = library
        self._request = request
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes."""
        with worded(self._library, self._request):
            async for part in self._response.content.iter_any():
                yield part

    async def aclose(self) -> None:
        """Give the connection back, if all was read, or end it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class AiohttpWire:
    """Sends requests of the library, in one event loop.

    Args:
        library: The HTTP library's module.
        body: `Body` as one of the library's streams.
    """

    def __init__(self, library: Any, body: Any) -> None:
        self._library = library
        self._body = body
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request whose body has been read."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # How many are in flight is limited before.
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        given = request.extensions.get("timeout") or {}
        with worded(self._library, request):
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=[(name, value) for name, value in request.headers.multi_items() if name not in OWN],
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=given.get("connect"), sock_read=given.get("read")
                ),
            )
        return self._library.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=self._body(self._library, request, response),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
