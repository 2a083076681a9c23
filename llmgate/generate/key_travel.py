"""Whereto a key may travel: encrypted, or to this machine."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from llmgate.errors import UsageError
from llmgate.generate.base_url import normalise_url

__all__ = ["OUR_KEY", "KeyPlace", "check_key", "is_loopback", "is_openai"]

OPENAI: Final = frozenset({"api.openai.com", "api.openai.com:443"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where the user puts a key.

    Attributes:
        variable: The environment variable that holds it.
        option: The option that names another one.
    """

    variable: str = "LLMGATE_API_KEY"
    option: str = "--api-key-env"


OUR_KEY: Final = KeyPlace()


def is_openai(url: str) -> bool:
    """Whether a base URL is that of OpenAI, encrypted."""
    parts = urlsplit(url)
    # All of what stands before the path, so that no two readers of URLs could disagree about it.
    return parts.scheme == "https" and parts.netloc.lower() in OPENAI


def is_loopback(url: str) -> bool:
    """Whether a base URL means this machine: an address of the loopback network, or `localhost` where that is one."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" and all(ipaddress.ip_address(found).is_loopback for found in addresses(host))


def addresses(host: str) -> list[str]:
    """What a name stands for on this machine; nothing if it stands for nothing."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        return []


def check_key(url: str, name: str, *, over_http: bool) -> None:
    """Refuse to send a key where whoever is on the way can read it.

    Args:
        url: Base URL of the endpoint.
        name: The environment variable that holds the key.
        over_http: Whether the user allows it.

    Raises:
        UsageError: If it would go over plain http to another host.
        EndpointError: If it is no base URL.
    """
    if over_http or urlsplit(normalise_url(url)).scheme == "https" or is_loopback(url):
        return
    raise UsageError(
        f"the key in {name} would go over plain http to another host, and everyone on the way could read it",
        where=url,
        fix=f"Use https; or unset {name} if the endpoint needs no key; or give --allow-key-over-http if the network"
        " between is yours",
    )
