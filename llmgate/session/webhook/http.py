"""Deliveries in, answers out. Nothing of a body is read as anything before its signature held."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from llmgate.errors import CannotRunError
from llmgate.promote.webhook.events import read_event
from llmgate.promote.webhook.refusal import DeliveryRefusedError
from llmgate.promote.webhook.signature import (
    DELIVERY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    check_age,
    check_signature,
    read_head,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp.web_protocol import RequestHandler

    from llmgate.promote.webhook.events import Event
    from llmgate.promote.webhook.replay import SeenDeliveries

__all__ = ["HEALTH_PATH", "MAX_BODY_BYTES", "WEBHOOK_PATH", "DeliveryServer", "RefusalLog"]

WEBHOOK_PATH: Final = "/webhook"
HEALTH_PATH: Final = "/health"
MAX_BODY_BYTES: Final = 2_000_000
"""MLflow sends a version's description and tags too; a tag has up to 100,000 characters, an attestation 60,000."""
HEAD_S: Final = 10.0
"""Seconds that the head of a request may take. aiohttp has no limit of its own."""
BODY_S: Final = 10.0
MOST_CONNECTIONS: Final = 100
OPENING_S: Final = 0.5
QUIET_S: Final = 10.0
"""Refusals within this long after one that was logged are only counted."""


class RefusalLog:
    """Logs refusals, but not each of a flood.

    Args:
        say: Takes a line for the log.
        clock: Seconds, monotonic.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._until = float("-inf")
        self._unsaid = 0

    def refused(self, sender: str, error: DeliveryRefusedError) -> None:
        """Log a refusal, or count it."""
        if self._clock() < self._until:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more refused before)" if self._unsaid else ""
        self._say(f"refused with {error.status}, from {sender}: {error}{more}")
        self._unsaid = 0
        self._until = self._clock() + QUIET_S


class DeliveryServer:
    """An HTTP server for deliveries.

    Args:
        secrets: What they are signed with; any of them.
        seen: Those that came.
        accept: Carries out an event of a delivery; what it returns is the answer. It may refuse.
        say: Takes a line for the log.
        clock: Unix time in seconds.
        head_s: Seconds for the head of a request.
        body_s: Seconds for its body.
        max_body_bytes: Its size.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        seen: SeenDeliveries,
        accept: Callable[[Event, str], str],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        head_s: float = HEAD_S,
        body_s: float = BODY_S,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._secrets = tuple(secrets)
        self._seen = seen
        self._accept = accept
        self._clock = clock
        self._head_s = head_s
        self._body_s = body_s
        self._max_body_bytes = max_body_bytes
        self._log = RefusalLog(say)
        self._silent: set[RequestHandler] = set()
        self._opening: set[RequestHandler] = set()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen.

        Returns:
            The port.

        Raises:
            CannotRunError: If that is not possible.
        """
        app = web.Application()
        app.router.add_post(WEBHOOK_PATH, self._deliver)
        app.router.add_get(HEALTH_PATH, self._health)
        self._runner = web.AppRunner(app, access_log=None, lingering_time=1.0, auto_decompress=False)
        await self._runner.setup()
        serve = self._runner.server
        loop = asyncio.get_running_loop()

        def connected() -> asyncio.Protocol:
            if serve is None or len({*serve.connections, *self._opening}) >= MOST_CONNECTIONS:
                return Closed()
            handler = serve()
            # asyncio accepts a hundred at once and opens them afterwards; until then aiohttp does not know of them.
            self._opening.add(handler)
            loop.call_later(OPENING_S, self._opening.discard, handler)
            self._silent.add(handler)
            loop.call_later(self._head_s, self._hang_up, handler)
            return handler

        try:
            self._server = await loop.create_server(connected, host, port)
        except OSError as error:
            await self.stop()
            raise CannotRunError(
                f"cannot listen ({error.strerror})", where=f"{host}:{port}", fix="Choose another --host or --port"
            ) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more connections, and let those end that are being answered."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _hang_up(self, handler: RequestHandler) -> None:
        if handler in self._silent:
            self._silent.discard(handler)
            handler.force_close()

    async def _health(self, request: web.Request) -> web.Response:
        self._silent.discard(request.protocol)
        return answer(200, {"status": "ok"})

    async def _deliver(self, request: web.Request) -> web.Response:
        self._silent.discard(request.protocol)
        try:
            status = await self._delivered(request)
        except DeliveryRefusedError as error:
            self._log.refused(request.remote or "?", error)
            return answer(error.status, {"refused": error.what})
        return answer(202, {"status": status})

    async def _delivered(self, request: web.Request) -> str:
        if request.content_type != "application/json":
            raise DeliveryRefusedError(415, "the content type is not application/json")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise DeliveryRefusedError(415, "the body is compressed")
        names = (DELIVERY_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
        head = read_head({name: request.headers.getall(name, []) for name in names})
        check_age(head, self._clock())
        body = await self._body(request)
        check_signature(head, body, self._secrets)
        # From here to `remember` nothing is awaited: of two copies that come at once, one is the second.
        now = self._clock()
        self._seen.check(head.delivery, now)
        event = read_event(body)
        self._seen.remember(head.delivery, now)
        try:
            return self._accept(event, head.delivery)
        except DeliveryRefusedError:
            # MLflow sends it again after 503, under the same id.
            self._seen.forget(head.delivery)
            raise

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > self._max_body_bytes:
            raise DeliveryRefusedError(413, f"the body has more than {self._max_body_bytes} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_s):
                async for piece in request.content.iter_any():
                    body += piece
                    if len(body) > self._max_body_bytes:
                        raise DeliveryRefusedError(413, f"the body has more than {self._max_body_bytes} bytes")
        except TimeoutError as error:
            raise DeliveryRefusedError(408, f"the body took longer than {self._body_s:g} s") from error
        return bytes(body)


class Closed(asyncio.Protocol):
    """A connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


def answer(status: int, body: dict[str, str]) -> web.Response:
    """An answer, after which the connection ends: the next one has to prove itself again."""
    response = web.json_response(body, status=status)
    response.force_close()
    return response
