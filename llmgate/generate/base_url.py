"""The base URL of an endpoint, as people write it, without anything that must not be seen."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from llmgate.errors import EndpointError

__all__ = ["normalise_url"]

AUTHORITY: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""A host and a port of which all readers of URLs say the same; of backslashes and stray brackets they do not."""
EXAMPLE: Final = "Write, for example, http://127.0.0.1:8000/v1"


def normalise_url(url: str) -> str:
    """Accept a base URL with or without `/v1` and a final slash.

    A URL is recorded, shown and compared, so it must hold no credentials: they are refused, and never repeated.

    Raises:
        EndpointError: If it is not an http(s) URL, or names a user, a password, a query or a fragment.
    """
    if set(url) & set("@?#"):
        raise EndpointError(
            "a user, a password or a query stands in the URL of an endpoint, and would be written into records",
            fix="Leave out what stands before @ or after ?, and put the key into the environment variable that"
            " --api-key-env names (LLMGATE_API_KEY; for judges LLMGATE_JUDGE_API_KEY)",
        )
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(AUTHORITY.fullmatch(parts.netloc)) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise EndpointError("this is not an http(s) URL", where=url, fix=EXAMPLE)
    base = url.rstrip("/")
    return base if base.endswith("/v1") else f"{base}/v1"
