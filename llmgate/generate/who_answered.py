"""Who answered, by the reply itself and by the headers of gateways.

A gateway may answer out of a cache, or by another model than the one asked for, and still say 200. These say so:

| gateway | header | says |
|---|---|---|
| LiteLLM | `x-litellm-cache-key` | sent only where the answer comes out of its cache |
| LiteLLM | `x-litellm-attempted-fallbacks` | above 0 where another model group answered |
| LiteLLM, ngrok | `x-litellm-model-name`, `ngrok-aig-model` | the model behind the name that was asked for |
| Portkey | `x-portkey-cache-status` | `HIT`, `SEMANTIC HIT` |
| Portkey | `x-portkey-last-used-option-index` | `config.targets[1]` is the second target of its configuration |
| Cloudflare | `cf-aig-cache-status`, `cf-cache-status` | `HIT` |
| Cloudflare | `cf-aig-step` | above 0 where a fallback answered |
| Helicone | `helicone-cache`, `helicone-fallback-index` | `HIT`; above 0 |
| Kong, APISIX | `x-cache-status`, `x-ai-cache-status` | `Hit`; `HIT-L1`, `HIT-L2` |
| any HTTP cache | `age`, `cache-status`, `x-cache` | above 0 (RFC 9111); `hit` (RFC 9211) |
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llmgate.record.answered_by import AnsweredBy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["said_by", "with_headers"]

HIT: Final = re.compile(r"(?<![a-z])hit(?![a-z])", re.IGNORECASE)
PROMPT_CACHE: Final = re.compile(r"prompt|prefix|kv|token", re.IGNORECASE)
"""A server that had a part of the prompt ready still wrote the answer."""
REROUTED: Final = frozenset(
    {
        "x-litellm-attempted-fallbacks",
        "x-portkey-last-used-option-index",
        "cf-aig-step",
        "helicone-fallback-index",
    }
)
BEHIND: Final = ("x-litellm-model-name", "ngrok-aig-model")
SHOWN: Final = 60
"""Characters of a header's value that are kept."""


def said_by(reply: Mapping[str, object]) -> AnsweredBy:
    """What a reply, or an event of a stream, says of who gave it."""
    model, provider = reply.get("model"), reply.get("provider")
    return AnsweredBy(
        model="" if model is None else _text(model), provider=_text(provider) if isinstance(provider, str) else ""
    )


def _text(value: object) -> str:
    """The value as a name that can be written: anything but a text is no name that was asked for."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "backslashreplace").decode()


def with_headers(said: AnsweredBy, headers: Mapping[str, str], *, asked: str) -> AnsweredBy | None:
    """What the reply and the headers say together.

    Args:
        said: What the reply says.
        headers: Of the response; names in any case.
        asked: The model's name in the request.

    Returns:
        None if nothing says that the answer is not a fresh one of the model that was asked for.
    """
    told = [(lowered, _text(value.strip())) for name, value in headers.items() if _tells(lowered := name.lower())]
    if not told and said.model == asked and not said.provider:
        return None
    whole = replace(
        said,
        model=None if said.model == asked else said.model,
        provider=said.provider or _first(value for name, value in told if name in BEHIND),
        cached=_first(name for name, value in told if _is_cached(name, value)),
        rerouted=_first(f"{name}: {value[:SHOWN]}" for name, value in told if _is_rerouted(name, value)),
    )
    return None if whole == AnsweredBy() else whole


def _tells(name: str) -> bool:
    """Whether a header, in lower case, may say anything here."""
    return "cache" in name or name == "age" or name in BEHIND or name in REROUTED


def _is_cached(name: str, value: str) -> bool:
    if name == "x-litellm-cache-key":
        return bool(value)
    if name == "age":
        return value.isdecimal() and bool(value.strip("0"))
    if "cache" not in name or PROMPT_CACHE.search(name):
        return False
    return HIT.search(value) is not None or ("hit" in name and value.lower() in {"true", "1", "yes"})


def _is_rerouted(name: str, value: str) -> bool:
    return name in REROUTED and any(index.strip("0") for index in re.findall(r"\d+", value))


def _first(found: Iterator[str]) -> str:
    return next(found, "")
