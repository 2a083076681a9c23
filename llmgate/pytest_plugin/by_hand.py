"""Options that are given by hand only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.errors import UsageError
from llmgate.session.options.table import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["check_by_hand"]


def check_by_hand(words: Sequence[object], given: Mapping[str, object]) -> None:
    """Refuse options that are given by hand only and came out of `addopts` or PYTEST_ADDOPTS.

    Args:
        words: What stood on the command line.
        given: Option fields and what pytest made of them.

    Raises:
        UsageError: If there is one.
    """
    for option in OPTIONS:
        flag = f"--llmgate-{option.name}"
        if option.by_hand and given[option.field] and not any(str(w).partition("=")[0] == flag for w in words):
            raise UsageError(f"{flag} is given by hand only", where="addopts", fix="Write it on the command line")
