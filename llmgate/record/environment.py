"""Which variables of an environment are secrets, and what of it the programs that llmgate starts get to see."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from llmgate.record.redaction import SECRET_NAME, SHORTEST, TOKEN, url_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["for_programs", "is_secret", "repeated_in"]

OURS: Final = re.compile(r"^(?:LLMGATE|OPENAI|MLFLOW)_")
"""Meant for this process alone."""
ORDINARY: Final = re.compile(r"(?i)TOKENIZER|TOKENS|IMPLICIT_TOKEN|KEYBOARD|_(?:PATH|FILE|DIR)$|^VLLM_(?!API_KEY)")
"""Names that only sound like a secret's."""
PROXY: Final = re.compile(r"(?i)_proxy$")
"""A program cannot use a proxy without the password in its URL."""


def is_secret(name: str, value: str) -> bool:
    """Whether a variable is called a secret, or is a URL with one."""
    if PROXY.search(name):
        return False
    return bool(SECRET_NAME.search(name) and not ORDINARY.search(name)) or bool(url_secrets((value,)))


def for_programs(
    environ: Mapping[str, str] = os.environ, *, names: Collection[str] = (), keep: Collection[str] = ()
) -> dict[str, str]:
    """The environment of a program that needs none of our secrets.

    Args:
        environ: The environment to start from.
        names: Variables that hold a secret whatever they are called; so does every other one with the same value.
        keep: Variables that the program needs although they are secrets.
    """
    values = {environ[name] for name in names if len(environ.get(name, "")) >= SHORTEST}
    return {
        name: value
        for name, value in environ.items()
        if name in keep or not (name in names or value in values or OURS.match(name) or is_secret(name, value))
    }


def repeated_in(text: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The name of a secret variable whose value stands in a text, None if there is none."""
    found = (n for n, value in environ.items() if value in text and TOKEN.fullmatch(value) and is_secret(n, value))
    return next(found, None)
