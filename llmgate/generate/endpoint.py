"""Which model answers at an endpoint that somebody else runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import urllib.parse
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from llmgate.errors import EndpointError, did_you_mean
from llmgate.generate.replies import read_json
from llmgate.record.redaction import Redactor

__all__ = ["EndpointFacts", "ask", "listed_models", "probe"]

TIMEOUT_S: Final = 20.0
MAX_BYTES: Final = 4_000_000
PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFacts:
    """What an endpoint says about itself.

    Attributes:
        model: The name to use in requests.
        engine: `vllm` if it answers vLLM's `/version`, else `openai-compatible`.
        version: The engine's version, None if it does not say.
        source: The model's origin as the endpoint tells it (vLLM: `root`), None if it does not.
        names: All names under which it lists that model: the one above, and those of the same origin.
    """

    model: str
    engine: str
    version: str | None
    source: str | None
    names: tuple[str, ...]


def probe(url: str, *, api_key: str | None = None, model: str | None = None) -> EndpointFacts:
    """Ask an endpoint what it serves, before anything is measured.

    Args:
        url: Base URL including `/v1`.
        api_key: Sent as a bearer token.
        model: The name to use; None if the endpoint serves just one.

    Raises:
        EndpointError: If it cannot be reached, is no OpenAI-compatible endpoint, or does not serve the model.
    """
    listed = listing(url, api_key)
    name = choose(url, listed, model)
    try:
        version = fetch(f"{url.removesuffix('/v1')}/version", api_key).get("version")
    except (EndpointError, AttributeError):
        version = None  # other servers have no such route; the record then says so
    root = listed[name].get("root")
    same = [other for other, entry in listed.items() if root and origin(entry) == origin(listed[name])]
    return EndpointFacts(
        model=name,
        engine="vllm" if isinstance(version, str) else "openai-compatible",
        version=version if isinstance(version, str) else None,
        source=root if isinstance(root, str) else None,
        names=tuple(dict.fromkeys((name, *same))),
    )


def listed_models(url: str, *, api_key: str | None = None) -> tuple[str, ...]:
    """The names under which an endpoint lists models.

    Args:
        url: Base URL including `/v1`.
        api_key: Sent as a bearer token.

    Raises:
        EndpointError: If it cannot be reached, or is no OpenAI-compatible endpoint.
    """
    return tuple(listing(url, api_key))


def listing(url: str, api_key: str | None) -> dict[str, Any]:
    """What an endpoint says of each model, by name."""
    reply = fetch(f"{url}/models", api_key)
    try:
        return {named(entry["id"]): entry for entry in reply["data"]}
    except (KeyError, TypeError) as error:
        raise EndpointError(
            "the list of models has no data[].id", where=f"{url}/models", fix="Name an OpenAI-compatible endpoint"
        ) from error


def origin(entry: Any) -> tuple[object, object]:
    """Where a listed model comes from: vLLM lists one entry per name, and adapters with the model that they change."""
    return entry.get("root"), entry.get("parent")


def named(name: object) -> str:
    """A model's name.

    Raises:
        TypeError: If it is no text, or empty.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"{name!r} is no name")
    return name


def choose(url: str, listed: dict[str, Any], model: str | None) -> str:
    """The model's name, if there is no doubt about it."""
    if model is not None:
        if model not in listed:
            raise EndpointError(
                f"the endpoint does not serve {model!r}", where=url, fix=did_you_mean(model, listed) if listed else None
            )
        return model
    if len(listed) != 1:
        names = ", ".join(sorted(listed)[:10]) or "none"
        raise EndpointError(
            f"the endpoint serves {len(listed)} models ({names})", where=url, fix="Choose one with --served-name"
        )
    return next(iter(listed))


def fetch(url: str, api_key: str | None) -> Any:
    """GET a JSON document."""
    try:
        status, document = ask("GET", url, api_key=api_key, timeout_s=TIMEOUT_S)
    except (OSError, http.client.HTTPException) as error:
        proxies = sorted(name for name in os.environ if name.lower() in PROXIES)
        unasked = f"; {proxies[0]} is set, but endpoints are asked directly, without proxies" if proxies else ""
        raise EndpointError(
            f"the endpoint cannot be reached ({error})", where=url, fix=f"Start the server, or check the URL{unasked}"
        ) from error
    if status != HTTPStatus.OK:
        denied = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        fix = "Check the URL"
        if denied:
            fix = (
                "Set the environment variable named by --api-key-env (LLMGATE_API_KEY; for judges"
                " LLMGATE_JUDGE_API_KEY); OPENAI_API_KEY goes to https://api.openai.com only"
            )
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            fix = "Wait until the server has loaded its model, or check the URL"
        if status == HTTPStatus.BAD_REQUEST:  # So LiteLLM answers a wrong key, if it has no database of keys.
            fix += ", and the key in the environment variable named by --api-key-env"
        raise EndpointError(f"the endpoint answers HTTP {status}", where=url, fix=fix)
    if document is None:
        raise EndpointError("the endpoint does not answer JSON in valid Unicode", where=url, fix="Check the URL")
    return document


def ask(method: str, url: str, *, body: Any = None, api_key: str | None, timeout_s: float) -> tuple[int, Any]:
    """One request, its body sent as JSON; following no redirects, and without proxies, as every request to an endpoint.

    A proxy would see the key of what is not encrypted, and be measured and counted on instead of the server.

    Returns:
        Status and decoded body; the body is None if it is no JSON that could be kept (see `read_json`).

    Raises:
        OSError: If there is no connection, or no answer in time.
        http.client.HTTPException: If the answer is not HTTP.
    """
    parts = urllib.parse.urlsplit(url)
    headers = {"Accept": "application/json"} if body is None else {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with contextlib.closing(kind(parts.hostname or "", parts.port, timeout=timeout_s)) as connection:
        connection.request(method, parts.path, body=None if body is None else json.dumps(body), headers=headers)
        response = connection.getresponse()
        # A server may repeat the key, and what it says of itself is shown and recorded.
        content = Redactor((api_key or "",))(response.read(MAX_BYTES))
    try:
        return response.status, read_json(content)
    except ValueError:
        return response.status, None
