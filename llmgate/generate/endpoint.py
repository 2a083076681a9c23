"""Which model answers at an endpoint that somebody else runs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from llmgate.errors import EndpointError, did_you_mean

__all__ = ["EndpointFacts", "probe"]

TIMEOUT_S: Final = 20.0
MAX_BYTES: Final = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFacts:
    """What an endpoint says about itself.

    Attributes:
        model: The name to use in requests.
        engine: `vllm` if it answers vLLM's `/version`, else `openai-compatible`.
        version: The engine's version, None if it does not say.
        source: The model's origin as the endpoint tells it (vLLM: `root`), None if it does not.
    """

    model: str
    engine: str
    version: str | None
    source: str | None


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing."""


def probe(url: str, *, api_key: str | None = None, model: str | None = None) -> EndpointFacts:
    """Ask an endpoint what it serves, before anything is measured.

    Args:
        url: Base URL including `/v1`.
        api_key: Sent as a bearer token.
        model: The name to use; None if the endpoint serves just one.

    Raises:
        EndpointError: If it cannot be reached, is no OpenAI-compatible endpoint, or does not serve the model.
    """
    reply = fetch(f"{url}/models", api_key)
    try:
        listed = {str(entry["id"]): entry for entry in reply["data"]}
    except (KeyError, TypeError) as error:
        raise EndpointError(
            "the list of models has no data[].id", where=f"{url}/models", fix="Name an OpenAI-compatible endpoint"
        ) from error
    name = choose(url, listed, model)
    try:
        version = fetch(f"{url.removesuffix('/v1')}/version", api_key).get("version")
    except (EndpointError, AttributeError):
        version = None  # other servers have no such route; the record then says so
    root = listed[name].get("root")
    return EndpointFacts(
        model=name,
        engine="vllm" if isinstance(version, str) else "openai-compatible",
        version=version if isinstance(version, str) else None,
        source=root if isinstance(root, str) else None,
    )


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
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - scheme checked before
    if api_key:
        request.add_header("Authorization", f"Bearer {api_key}")
    opener = urllib.request.build_opener(NoRedirects)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return json.loads(response.read(MAX_BYTES))
    except urllib.error.HTTPError as error:
        fix = "Set the environment variable named by --api-key-env" if error.code in {401, 403} else "Check the URL"
        raise EndpointError(f"the endpoint answers HTTP {error.code}", where=url, fix=fix) from error
    except ValueError as error:
        raise EndpointError("the endpoint does not answer JSON", where=url, fix="Check the URL") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise EndpointError(
            f"the endpoint cannot be reached ({reason})", where=url, fix="Start the server, or check the URL"
        ) from error
