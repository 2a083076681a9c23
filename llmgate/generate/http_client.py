"""Sends requests to one endpoint over connections that are kept and used again.

No proxies, no cookies, no .netrc, no redirects: the key and the prompt go to the host of the URL, and to no other.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from llmgate.errors import EndpointError
from llmgate.generate.http_connection import EndpointConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.generate.http_connection import HttpAnswer

__all__ = ["EndpointHttp"]

KEPT_S: Final = 4.0
"""uvicorn, under vLLM, closes a connection that was idle for 5 s; one that it closes meanwhile costs an attempt."""
ATTEMPT_DELAY_S: Final = 0.25
"""Of a host with several addresses, the next one is tried after so long (RFC 8305)."""
READ_BYTES: Final = 64 * 1024
PORTS: Final = {"http": 80, "https": 443}
PATH_CHARACTERS: Final = "/%:@!$&'()*+,;=~-._"


class EndpointHttp:
    """Posts JSON to the paths below one base URL, in one event loop.

    Args:
        url: The base URL, without user, query and fragment (see `base_url`).
        headers: Sent with every request.
        timeout_s: For one request, from asking for a connection to the last byte.
        connect_s: For making a connection.

    Raises:
        EndpointError: If the URL is none, or a header cannot be sent, such as a key with a line break.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str], timeout_s: float, connect_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise EndpointError("this is not an http(s) URL", where=url)
        self._host = parts.hostname
        # An address is the only one; and where the time for connecting ends just as the race between several is won,
        # asyncio forgets the winner's socket.
        self._race_s = None if is_address(self._host) else ATTEMPT_DELAY_S
        self._port = parts.port or PORTS[parts.scheme]
        self._ssl = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout_s = timeout_s
        self._connect_s = connect_s
        self._prefix = quote(parts.path, safe=PATH_CHARACTERS)
        host = f"[{self._host}]" if ":" in self._host else self._host
        authority = host if self._port == PORTS[parts.scheme] else f"{host}:{self._port}"
        sent = {
            "Host": authority,
            "User-Agent": "llmgate",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            **headers,
        }
        self._fields = "".join(f"{name}: {header_value(name, value, url)}\r\n" for name, value in sent.items())
        self._heads: dict[str, bytes] = {}
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._idle: list[EndpointConnection] = []
        self._open: set[EndpointConnection] = set()

    async def post(self, path: str, body: bytes) -> HttpAnswer:
        """Send one request and wait for its whole answer, whatever its status.

        Args:
            path: Below the base URL, without a slash at its beginning.
            body: JSON.

        Raises:
            TimeoutError: If there was no connection, or no whole answer, in time.
            OSError: If there is no connection or no answer (see `EndpointConnection.exchange`).
        """
        head = self._heads.get(path) or self._head(path)
        request = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        connection = self._kept()
        if connection is not None:
            return await connection.exchange(request, timeout_s=self._timeout_s)
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._timeout_s
        connection = await self._connected()
        return await connection.exchange(request, timeout_s=max(0.0, due_s - loop.time()))

    async def close(self) -> None:
        """Close all connections."""
        for connection in tuple(self._open):
            connection.close()
        self._idle.clear()
        # The event loop lets go of their sockets in its next turn.
        await asyncio.sleep(0)

    def _head(self, path: str) -> bytes:
        line = f"POST {self._prefix}/{path} HTTP/1.1\r\n"
        head = self._heads[path] = f"{line}{self._fields}Content-Length: ".encode()
        return head

    def _kept(self) -> EndpointConnection | None:
        """The connection that was used last, if it can be used again."""
        while self._idle:
            connection = self._idle.pop()
            fresh = asyncio.get_running_loop().time() - connection.idle_since_s < KEPT_S
            if connection.usable and fresh:
                return connection
            connection.close()
        return None

    async def _connected(self) -> EndpointConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(min(self._connect_s, self._timeout_s)):
                _, connection = await loop.create_connection(
                    partial(EndpointConnection, self._buffer, idle=self._idle.append, gone=self._open.discard),
                    self._host,
                    self._port,
                    ssl=self._ssl,
                    server_hostname=self._host if self._ssl else None,
                    happy_eyeballs_delay=self._race_s,
                )
        except UnicodeError as error:
            raise OSError(f"{self._host!r} is no name of a host ({error})") from error
        self._open.add(connection)
        return connection


def is_address(host: str) -> bool:
    """Whether a host is an address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def header_value(name: str, value: str, url: str) -> str:
    """A value that can stand in a header.

    Raises:
        EndpointError: If it cannot; the value, which may be a key, is not repeated.
    """
    if not value.isascii() or not value.isprintable():
        raise EndpointError(
            f"the header {name} has characters that cannot stand in a header",
            where=url,
            fix="Look for a line break or a character beyond ASCII in the key",
        )
    return value
