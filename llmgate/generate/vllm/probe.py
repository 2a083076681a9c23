"""First questions to a fresh server: is it healthy, is it ours, does it generate?"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import urllib.parse
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from llmgate.errors import ServerError
from llmgate.generate.endpoint import ask

__all__ = ["Probe"]

QUICK_S = 5.0
BUSY_S = 60.0
PAGE_BYTES: Final = 4_000_000
PROGRESS: Final[tuple[str, ...]] = (
    *("vllm:iteration_tokens_total_count", "vllm:prompt_tokens_total", "vllm:generation_tokens_total"),
    *("vllm:request_success_total", "vllm:num_preemptions_total"),
)
"""Counters that move when the engine has done something; the first with each of its steps."""
LOAD: Final[tuple[str, ...]] = ("vllm:num_requests_running", "vllm:num_requests_waiting")
SAMPLE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{[^\n]*\})? ([0-9.eE+-]+)$", re.MULTILINE)
"""Of the Prometheus text format: a name, labels, a number. What is no number (`NaN`) tells nothing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Asks one server over plain HTTP.

    Attributes:
        url: Base URL, without `/v1`.
        api_key: Sent as bearer token, where the server wants one.
    """

    url: str
    api_key: str | None = None

    def ask(self, method: str, path: str, *, body: Any = None, timeout_s: float = QUICK_S) -> tuple[int, Any]:
        """One request: see `endpoint.ask`."""
        return ask(method, f"{self.url}{path}", body=body, api_key=self.api_key, timeout_s=timeout_s)

    def healthy(self) -> bool:
        """Whether `/health` answers 200."""
        try:
            return self.ask("GET", "/health")[0] == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def activity(self, *, timeout_s: float = QUICK_S) -> dict[str, float] | None:
        """Those of `PROGRESS` and `LOAD` that the server tells, each summed over its labels; None if it tells none.

        Args:
            timeout_s: For the answer.

        Raises:
            OSError: If there is no connection, or no answer in time.
            http.client.HTTPException: If the answer is not HTTP.
        """
        names = (*PROGRESS, *LOAD)
        # A page of all metrics takes some milliseconds in which it does nothing else. Several API servers that share
        # their metrics know no names, and answer with nothing.
        query = urllib.parse.urlencode([("name[]", name) for name in names])
        found: dict[str, float] = {}
        for path in (f"/metrics?{query}", "/metrics"):
            for name, value in SAMPLE.findall(self._page(path, timeout_s)):
                if name in names:
                    found[name] = found.get(name, 0.0) + float(value)
            if found:
                break
        return found or None

    def _page(self, path: str, timeout_s: float) -> str:
        parts = urllib.parse.urlsplit(self.url)
        place = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
        with contextlib.closing(place) as connection:
            connection.request("GET", path)
            return connection.getresponse().read(PAGE_BYTES).decode("utf-8", errors="replace")

    def question(self, name: str, *, timeout_s: float) -> bool:
        """Whether the server answers a request for one token in time, whatever it answers.

        Args:
            name: The model's name.
            timeout_s: For the answer.
        """
        body = {"model": name, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
        try:
            self.ask("POST", "/v1/completions", body=body, timeout_s=timeout_s)
        except (OSError, http.client.HTTPException):
            return False
        return True

    def try_out(self, name: str, *, timeout_s: float) -> str | None:
        """Ask for the models and for one token.

        Args:
            name: The model name that must be served.
            timeout_s: For the completion, which may compile first.

        Returns:
            The server's version, None if it does not tell.

        Raises:
            ServerError: If it serves something else, or refuses to generate.
            OSError: If a connection breaks, or there is no answer in time.
            http.client.HTTPException: If it answers that it failed.
        """
        served = _ids(self.ask("GET", "/v1/models", timeout_s=BUSY_S))
        if name not in served:
            raise ServerError(
                f"it serves {', '.join(served) or 'no models'}, and not {name}",
                where=self.url,
                fix="Another server may have taken the port; choose another one",
            )
        prompt = {"model": name, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
        status, answer = self.ask("POST", "/v1/completions", body=prompt, timeout_s=timeout_s)
        excerpt = json.dumps(answer)[:300]
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise http.client.HTTPException(f"HTTP {status}: {excerpt}")
        if status != HTTPStatus.OK or not isinstance(answer, dict) or not answer.get("choices"):
            raise ServerError(
                f"it is healthy, but answered a one-token completion with HTTP {status}: {excerpt}",
                where=self.url,
                fix="Is this a model that generates text?",
            )
        about = self.ask("GET", "/version", timeout_s=BUSY_S)[1]
        version = about.get("version") if isinstance(about, dict) else None
        return version if isinstance(version, str) else None


def _ids(answer: tuple[int, Any]) -> list[str]:
    status, body = answer
    models = body.get("data") if status == HTTPStatus.OK and isinstance(body, dict) else None
    return [str(model["id"]) for model in models or () if isinstance(model, dict) and "id" in model]
