"""What must never be written, found in every form in which a server, a tool or an excerpt may show it."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "NO_SECRETS",
    "REDACTED",
    "SECRET_NAME",
    "SHORTEST",
    "TOKEN",
    "Redactor",
    "environment_secrets",
    "url_secrets",
]

SECRET_NAME: Final = re.compile(r"(?i)KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|BEARER|_(?:PAT|PWD|AUTH)$")
"""What an environment calls a secret."""
URL_SECRET: Final = re.compile(
    r"://[^\s/?#@:]*:([^\s@]+)@"
    r"|://([^\s/?#@:]{20,})@"
    r"|[?&](?:api[-_]?key|key|(?:\w+[-_])?token|sig|signature|secret|password)=([^&#\s\"']+)",
    re.IGNORECASE,
)
SHORTEST: Final = 8
"""Replacing every `a` would destroy the record."""
LONGEST_LINE: Final = 16
"""From this length on a line of a secret of several lines, such as a private key, is a secret by itself."""
CUT: Final = 12
"""So much of a token's beginning or end is enough to know it: excerpts of any module may have cut the rest off."""
TOKEN: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])(?!.*://)[\w+=-][\w+/=.~:-]{15,}")
"""A value of random characters; the beginning of a path or of a sentence says too little."""
REDACTED: Final = "[redacted]"


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces secrets by value before anything is written or shown.

    Known are each value itself, its escapes in JSON, Python, HTML and URLs, hexadecimal, and Base64 at any place of a
    longer text (`user:password` of basic authentication). Of tokens also what an excerpt leaves of their beginning or
    end. Values shorter than eight characters are left alone.
    """

    secrets: tuple[str, ...] = field(default=(), repr=False)
    _whole: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _cut: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = {part for secret in self.secrets for part in parts(secret) if len(part) >= SHORTEST}
        whole = {form for secret in known for form in forms(secret)}
        cut = {form for secret in known if TOKEN.fullmatch(secret) for form in (secret, *base64_forms(secret))}
        # The longest first: one secret may be the beginning of another.
        object.__setattr__(self, "_whole", tuple(sorted(whole, key=len, reverse=True)))
        object.__setattr__(self, "_cut", tuple(sorted(cut, key=len, reverse=True)))

    def __call__(self, entry: bytes) -> bytes:
        """A JSON text with every secret in its strings replaced by `[redacted]`; any other text likewise."""
        text = entry.decode("utf-8", "surrogateescape")
        clean = self.text(text)
        if clean == text:
            return entry
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict | list):
            # Inside the strings, so that neither an escape is cut in two nor a number loses its digits.
            clean = json.dumps(self._inside(value), ensure_ascii=False, separators=(",", ":"))
        return clean.encode("utf-8", "surrogateescape")

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[redacted]`."""
        for form in self._whole:
            text = text.replace(form, REDACTED)
        for form in self._cut:
            text = without_ends(text, form)
        return text

    def _inside(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._inside(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self._inside(item) for key, item in value.items()}
        return value


def environment_secrets(environ: Mapping[str, str] = os.environ, *, names: Iterable[str] = ()) -> set[str]:
    """What an environment calls a secret, what variables of these names hold, and credentials in its URLs."""
    named = frozenset(names)
    values = {value for name, value in environ.items() if name in named or SECRET_NAME.search(name)}
    return {value for value in values if value} | url_secrets(environ.values())


def url_secrets(texts: Iterable[str]) -> set[str]:
    """Passwords and keys in URLs that stand somewhere in these texts, as they are written and as they are meant."""
    found = {secret for text in texts for match in URL_SECRET.finditer(text) for secret in match.groups() if secret}
    return found | {unquote(secret) for secret in found}


def parts(secret: str) -> Iterator[str]:
    """The secret without white space around it, and its lines if it has several."""
    yield secret.strip()
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= LONGEST_LINE)


def forms(secret: str) -> Iterator[str]:
    """How a text may show a secret whole."""
    raw = as_bytes(secret)
    escaped = [secret]
    for ascii_only in (False, True):
        # Twice: a tool's arguments are JSON in JSON.
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        escaped += [once, once.replace("/", "\\/"), json.dumps(once, ensure_ascii=ascii_only)[1:-1]]
    yield from escaped
    yield repr(secret)[1:-1]
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    for entity in ("&#x27;", "&#39;"):
        yield html.escape(secret).replace("&#x27;", entity)
    yield raw.hex()
    yield raw.hex().upper()
    yield from base64_forms(secret)


def base64_forms(secret: str) -> Iterator[str]:
    """The characters of Base64 that depend on the secret alone, for each place where it may begin among three bytes."""
    raw = as_bytes(secret)
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode("ascii")
        core = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield core
        yield core.translate({ord("+"): "-", ord("/"): "_"})


def as_bytes(secret: str) -> bytes:
    """The bytes of a value of the environment."""
    return secret.encode("utf-8", "surrogateescape")


def without_ends(text: str, token: str) -> str:
    """The text without what an excerpt left of a token: its beginning or its end."""
    head, tail = token[:CUT], token[-CUT:]
    at = text.find(head)
    while at >= 0:
        length = shared(text[at : at + len(token)], token)
        text = text[:at] + REDACTED + text[at + length :]
        at = text.find(head, at + len(REDACTED))
    at = text.find(tail)
    while at >= 0:
        end = at + CUT
        before = text[max(0, end - len(token)) : end]
        length = shared(before[::-1], token[::-1])
        text = text[: end - length] + REDACTED + text[end:]
        at = text.find(tail, end - length + len(REDACTED))
    return text


def shared(text: str, token: str) -> int:
    """How many characters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, token, strict=False)))


NO_SECRETS: Final = Redactor()
