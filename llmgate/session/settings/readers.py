"""Text of options → values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from llmgate.errors import UsageError
from llmgate.generate.finish import NOT_COMPLETE
from llmgate.record.manifest import Shard

if TYPE_CHECKING:
    from llmgate.session.options.option import Option

__all__ = [
    "read_adapters",
    "read_concurrency",
    "read_finish_reasons",
    "read_folders",
    "read_judges",
    "read_shard",
    "read_value",
]

ADAPTER_NAME: Final = re.compile(r"[A-Za-z0-9][\w.:-]{0,99}", re.ASCII)
"""It stands in requests, in a flag of vLLM's and in file names of others; `#` and `=` end it where it is written."""


def read_adapters(text: str) -> dict[str, str]:
    """Read `NAME=DIR` pairs.

    Returns:
        Name to folder, or another place of models.

    Raises:
        UsageError: If an entry is none, or a name is given twice.
    """
    adapters: dict[str, str] = {}
    for entry in shlex.split(text):
        name, equals, place = entry.partition("=")
        if not equals or not place or not ADAPTER_NAME.fullmatch(name):
            raise UsageError(
                f"{entry[:80]!r} names no adapter",
                where="--adapter",
                fix='Write NAME=DIR, several as one text: --adapter "new=DIR old=DIR"',
            )
        if name in adapters:
            raise UsageError(
                f"the adapter {name!r} is named twice", where="--adapter", fix="Give each a name of its own"
            )
        adapters[name] = place
    return adapters


AUTO: Final = "auto"
MOST: Final = 256
"""Requests in flight at most where the number adapts and nobody says: as many as vLLM takes into a batch."""


def read_concurrency(text: str) -> tuple[int, bool]:
    """Read `32`, `auto` or `auto:64`.

    Returns:
        The number, the most where it adapts; and whether it does.

    Raises:
        UsageError: If it is none of these.
    """
    word, colon, most = text.partition(":")
    adapts = word == AUTO
    number = (most if colon else str(MOST)) if adapts else text
    try:
        return int(number), adapts
    except ValueError:
        raise UsageError(f"--concurrency is {text!r}", fix="Give a number, auto, or auto:MOST as in auto:64") from None


SHARD: Final = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})")


def read_shard(text: str | None) -> Shard | None:
    """Read `I/N`.

    Raises:
        UsageError: If there is no part I of N.
    """
    if text is None:
        return None
    match = SHARD.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise UsageError(
            f"{text[:40]!r} is no part of a run", where="--shard", fix="Write I/N with I from 1 to N, e.g. --shard 2/8"
        )
    return Shard(index=int(match[1]), of=int(match[2]))


def read_folders(text: str | None) -> tuple[str, ...]:
    """The folders that an option names."""
    return tuple(shlex.split(text or ""))


def read_judges(text: str) -> dict[str, tuple[str, str]]:
    """Read `NAME=URL` and `NAME=MODEL@URL` pairs.

    Returns:
        Name to model (empty for the one that the endpoint lists) and URL.

    Raises:
        UsageError: If an entry is neither, or a name is given twice.
    """
    judges: dict[str, tuple[str, str]] = {}
    for entry in shlex.split(text):
        name, equals, place = entry.partition("=")
        model, at, url = place.partition("@")
        if not name or not equals or name in judges or "://" in name:
            # The entry itself is not repeated: it may hold credentials.
            raise UsageError(
                f"entry {len(judges) + 1} of --judges names no judge, or one that was named before",
                fix="Write NAME=URL or NAME=MODEL@URL, each name once",
            )
        judges[name] = (model, url) if at and "://" not in model else ("", place)
    return judges


def read_finish_reasons(name: str, text: str) -> frozenset[str]:
    """Read finish reasons, in lower case.

    Raises:
        UsageError: If one says that an answer is not complete.
    """
    reasons = frozenset(reason.lower() for reason in shlex.split(text))
    for reason in sorted(reasons & NOT_COMPLETE):
        raise UsageError(
            f"--{name} holds {reason!r}, by which no endpoint says that an answer is complete",
            fix="Leave it out, and give the cases that should end so an assert `finish-reason` that names it",
        )
    return reasons


def read_value(option: Option, value: object) -> object:
    """Check the type of one value."""
    if value is None:
        return None
    if option.kind == "flag":
        good = isinstance(value, bool)
    elif option.kind == "amount":
        good = isinstance(value, int | str) and not isinstance(value, bool)
        value = str(value)
    elif option.kind == "text":
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = shlex.join(str(part) for part in value)
        good = isinstance(value, str)
    else:
        try:
            value = int(str(value)) if option.kind == "int" else float(str(value))
        except ValueError:
            good = False
        else:
            good = True
    if not good:
        raise UsageError(f"--{option.name} is {value!r}, which is not {option.kind}", fix=option.help)
    return value
