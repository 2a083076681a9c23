"""Which model answers at an endpoint that somebody else runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
import urllib.parse
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from llmgate.errors import EndpointError, did_you_mean
from llmgate.generate.key_travel import OUR_KEY, KeyPlace
from llmgate.generate.refusals import WhyRefused, refusal_of, refused_words
from llmgate.generate.replies import read_json
from llmgate.record.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EndpointFacts", "UnlistedError", "ask", "listed_models", "probe", "served_models"]

Trial = Literal["chat/completions", "embeddings"]

TIMEOUT_S: Final = 20.0
TRIAL_S: Final = 120.0
"""For the first answer of a server that may still have to load its model."""
TRIALS: Final[Mapping[Trial, Mapping[str, object]]] = {
    "chat/completions": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1},
    "embeddings": {"input": ["Hello"], "encoding_format": "float"},
}
KEY_MAYBE: Final = frozenset({400, 403, 500})
"""By which gateways also answer a missing or a wrong key, without a word about it."""
EXCERPT: Final = 300
OR_NAME_IT: Final = "where it lists no models, name the one that it serves with --served-name"
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
        parent: The model whose adapter it is, as the endpoint says; "" if it does not call it one.
        unconfirmed: Why nothing confirms the name but a first answer: what the list of models says instead. "" if it
            lists the model.
        longest: Tokens that a prompt and its answer may have together (vLLM: `max_model_len`), None if it does not say.
    """

    model: str
    engine: str
    version: str | None
    source: str | None
    names: tuple[str, ...]
    parent: str = ""
    unconfirmed: str = ""
    longest: int | None = None


class UnlistedError(EndpointError):
    """An endpoint that answers, and has no list of models."""


def probe(
    url: str,
    *,
    api_key: str | None = None,
    model: str | None = None,
    key_place: KeyPlace = OUR_KEY,
    trial: Trial = "chat/completions",
) -> EndpointFacts:
    """Ask an endpoint what it serves, before anything is measured.

    A name that was given is believed of an endpoint whose list of models is empty or cannot be had, if it answers one
    small request under that name.

    Args:
        url: Base URL including `/v1`.
        api_key: Sent as a bearer token.
        model: The name to use; None if the endpoint serves just one.
        key_place: Where the key comes from, for who is told that it is wrong.
        trial: What the small request asks for.

    Raises:
        EndpointError: If it cannot be reached, is no OpenAI-compatible endpoint, or does not serve the model.
    """
    try:
        listed = listing(url, api_key, key_place)
        name = choose(url, listed, model)
    except UnlistedError as error:
        if model is None:
            raise
        if (why := refused_trial(url, api_key, model, trial, key_place)) is not None:
            what, fix = why
            raise EndpointError(f"{error.what}, and {what}", where=url, fix=fix) from error
        listed, name, unconfirmed = {model: {}}, model, error.what
    else:
        unconfirmed = ""
    try:
        version = fetch(f"{url.removesuffix('/v1')}/version", api_key).get("version")
    except (EndpointError, AttributeError):
        version = None  # other servers have no such route; the record then says so
    root, longest = listed[name].get("root"), listed[name].get("max_model_len")
    same = [other for other, entry in listed.items() if root and origin(entry) == origin(listed[name])]
    return EndpointFacts(
        model=name,
        engine="vllm" if isinstance(version, str) else "openai-compatible",
        version=version if isinstance(version, str) else None,
        source=root if isinstance(root, str) else None,
        names=tuple(dict.fromkeys((name, *same))),
        parent=parent if isinstance(parent := listed[name].get("parent"), str) else "",
        unconfirmed=unconfirmed,
        longest=longest if type(longest) is int else None,
    )


def refused_trial(
    url: str, api_key: str | None, model: str, trial: Trial, key_place: KeyPlace
) -> tuple[str, str] | None:
    """Send one small request to an endpoint that does not tell what it serves.

    Returns:
        Why it does not answer, and what to do; None if it does.

    Raises:
        EndpointError: If it cannot be reached.
    """
    body = {"model": model, **TRIALS[trial]}
    status, headers, content = reply(f"{url}/{trial}", body=body, api_key=api_key, timeout_s=TRIAL_S)
    if status == HTTPStatus.OK:
        return None
    refusal = refusal_of(status, headers, content, now_s=time.time())
    if refusal is not None:
        rate = refusal.why is WhyRefused.RATE
        return None if rate else refused_words(refusal, key_place, sent=bool(api_key))
    what = f"it answers a request for {model!r} with {said_in_short(status, content)}"
    fix = "Check the URL and the name of the model"
    if not api_key:
        # So LiteLLM answers a request without a key.
        fix += f"; if it wants a key, put it into {key_place.variable} ({key_place.option})"
    return what, fix


def listed_models(url: str, *, api_key: str | None = None, key_place: KeyPlace = OUR_KEY) -> tuple[str, ...]:
    """The names under which an endpoint lists models.

    Args:
        url: Base URL including `/v1`.
        api_key: Sent as a bearer token.
        key_place: As for `probe`.

    Raises:
        EndpointError: If it cannot be reached, or is no OpenAI-compatible endpoint.
    """
    return tuple(listing(url, api_key, key_place))


def served_models(
    url: str, *, api_key: str | None = None, model: str | None = None, key_place: KeyPlace = OUR_KEY
) -> tuple[str, ...]:
    """The names that an endpoint lists, or the one that was given where it lists none and answers under it.

    Args:
        url: Base URL including `/v1`.
        api_key: Sent as a bearer token.
        model: The name that was given.
        key_place: As for `probe`.

    Raises:
        EndpointError: As for `probe`, but for names that are not listed.
    """
    try:
        names = listed_models(url, api_key=api_key, key_place=key_place)
    except UnlistedError:
        if model is None:
            raise
        names = ()
    if names or model is None:
        return names
    return (probe(url, api_key=api_key, model=model, key_place=key_place).model,)


def listing(url: str, api_key: str | None, key_place: KeyPlace = OUR_KEY) -> dict[str, Any]:
    """What an endpoint says of each model, by name."""
    document = fetch(f"{url}/models", api_key, key_place)
    try:
        return {named(entry["id"]): entry for entry in document["data"]}
    except (KeyError, TypeError) as error:
        fix = f"Name an OpenAI-compatible endpoint; {OR_NAME_IT}"
        raise UnlistedError("the list of models has no data[].id", where=f"{url}/models", fix=fix) from error


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
    if not listed:
        fix = "Name the one that it serves with --served-name, which is believed if it answers under that name"
        raise UnlistedError("the endpoint serves 0 models (none), by its list", where=url, fix=fix)
    if model is not None:
        if model not in listed:
            raise EndpointError(f"the endpoint does not serve {model!r}", where=url, fix=did_you_mean(model, listed))
        return model
    if len(listed) != 1:
        names = ", ".join(sorted(listed)[:10])
        raise EndpointError(
            f"the endpoint serves {len(listed)} models ({names})", where=url, fix="Choose one with --served-name"
        )
    return next(iter(listed))


def fetch(url: str, api_key: str | None, key_place: KeyPlace = OUR_KEY) -> Any:
    """GET a JSON document."""
    status, headers, content = reply(url, api_key=api_key, timeout_s=TIMEOUT_S)
    if status != HTTPStatus.OK:
        refusal = refusal_of(status, headers, content, now_s=time.time())
        if refusal is not None and refusal.why is not WhyRefused.RATE:
            what, fix = refused_words(refusal, key_place, sent=bool(api_key))
            raise EndpointError(what, where=url, fix=fix)
        raise UnlistedError(f"the endpoint answers HTTP {status}", where=url, fix=advice(status, api_key, key_place))
    try:
        return read_json(content)
    except ValueError as error:
        fix = f"Check the URL; {OR_NAME_IT}"
        raise UnlistedError("the endpoint does not answer JSON in valid Unicode", where=url, fix=fix) from error


def advice(status: int, api_key: str | None, key_place: KeyPlace) -> str:
    """What to do about a status that comes without a reason."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return "Wait until the server has loaded its model, or check the URL"
    fix = "Check the URL"
    if status in KEY_MAYBE:
        has = "the key in" if api_key else "whether it wants a key, in"
        fix += f", and {has} the environment variable named by {key_place.option} ({key_place.variable})"
    return f"{fix}; {OR_NAME_IT}"


def said_in_short(status: int, content: bytes) -> str:
    """A status, and the beginning of what was said with it."""
    words = " ".join(content[:EXCERPT].decode(errors="replace").split())
    return f"HTTP {status}" + (f": {words}" if words else "")


def reply(url: str, *, body: Any = None, api_key: str | None, timeout_s: float) -> tuple[int, Mapping[str, str], bytes]:
    """GET, or POST where there is a body: status, headers, and the body of the reply without the key.

    Raises:
        EndpointError: If there is none.
    """
    try:
        return exchange("GET" if body is None else "POST", url, body=body, api_key=api_key, timeout_s=timeout_s)
    except (OSError, http.client.HTTPException) as error:
        proxies = sorted(name for name in os.environ if name.lower() in PROXIES)
        unasked = f"; {proxies[0]} is set, but endpoints are asked directly, without proxies" if proxies else ""
        raise EndpointError(
            f"the endpoint cannot be reached ({error})", where=url, fix=f"Start the server, or check the URL{unasked}"
        ) from error


def ask(method: str, url: str, *, body: Any = None, api_key: str | None, timeout_s: float) -> tuple[int, Any]:
    """One request whose reply is JSON: see `exchange`.

    Returns:
        Status and decoded body; the body is None if it is no JSON that could be kept (see `read_json`).
    """
    status, _, content = exchange(method, url, body=body, api_key=api_key, timeout_s=timeout_s)
    try:
        return status, read_json(content)
    except ValueError:
        return status, None


def exchange(
    method: str, url: str, *, body: Any = None, api_key: str | None, timeout_s: float
) -> tuple[int, Mapping[str, str], bytes]:
    """One request, its body sent as JSON; following no redirects, and without proxies, as every request to an endpoint.

    A proxy would see the key of what is not encrypted, and be measured and counted on instead of the server.

    Returns:
        Status, headers and body, the key taken out of it.

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
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, body=None if body is None else json.dumps(body), headers=headers)
        response = connection.getresponse()
        # A server may repeat the key, and what it says of itself is shown and recorded.
        return response.status, dict(response.headers), Redactor((api_key or "",))(response.read(MAX_BYTES))
