"""Where a verdict lies as a file, for registries whose tags are too short for one; its digest stands in a tag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmgate.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_VERDICTS", "SUFFIX", "bounded", "digests_in", "file_name", "read_text"]

SUFFIX = ".dsse.json"
MAX_VERDICTS = 1000
"""How many verdicts of one version and alias are read; more are nobody's honest history."""
MAX_BYTES = 100_000
"""A verdict stays under 60,000; what is larger is not one."""
DIGEST = re.compile(r"[0-9a-f]{64}")


def file_name(digest: str) -> str:
    """The name of a verdict's file."""
    return f"{digest}{SUFFIX}"


def digests_in(names: Iterable[str]) -> list[str]:
    """The digests of the verdicts among file names or paths; other files are not verdicts."""
    last = (name.rpartition("/")[2] for name in names)
    return sorted(name.removesuffix(SUFFIX) for name in last if name.endswith(SUFFIX) and is_digest(name))


def is_digest(name: str) -> bool:
    """Whether the name is that of a verdict's file."""
    return DIGEST.fullmatch(name.removesuffix(SUFFIX)) is not None


def bounded(digests: list[str], where: str) -> list[str]:
    """The same digests.

    Raises:
        CannotRunError: If there are more than anybody reads.
    """
    if len(digests) > MAX_VERDICTS:
        raise CannotRunError(
            f"{len(digests)} verdicts lie there, and at most {MAX_VERDICTS} are read",
            where=where,
            fix="Find out who puts them there, and move old ones away",
        )
    return digests


def read_text(data: bytes, where: str) -> str:
    """A verdict's file as text.

    Raises:
        CannotRunError: If it is too large or no UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise CannotRunError(f"this file has {len(data)} bytes and is no verdict", where=where, fix="Remove it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotRunError("this file is not text and no verdict", where=where, fix="Remove it") from error
