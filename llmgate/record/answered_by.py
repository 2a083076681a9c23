"""Who gave an answer: what the reply says, and the gateways on its way, where it is not plainly the model asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import not_
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["AnsweredBy", "MaybeAnsweredBy", "MaybeSaid", "Names", "OnlyIfTrue", "Said", "answers_for"]

Said = Annotated[str, Field(exclude_if=not_)]
"""Left out of files where it is empty."""
OnlyIfTrue = Annotated[bool, Field(exclude_if=not_)]
"""Left out of files where it is false."""
MaybeSaid = Annotated[str | None, Field(exclude_if=lambda value: value is None)]
"""Left out of files where it is None."""
Names = Annotated[tuple[str, ...], Field(exclude_if=not_)]
"""Left out of files where there is none."""

REVISION: Final = "@main"
DATE: Final = re.compile(r"-(?:20\d\d-?[01]\d-?[0-3]\d|(?:0[1-9]|1[0-2])[0-3]\d|2[0-9](?:0[1-9]|1[0-2]))")
"""As providers date what an alias stands for: -2024-08-06, -20241022, -0613 (month and day), -2407 (year and month)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredBy:
    """What is known of who answered.

    Attributes:
        model: The model that the reply names; None if it is the one asked for, "" if it names none.
        provider: Who ran the model, as OpenRouter's replies say, or which model stands behind the name, as LiteLLM's
            headers do.
        cached: What says that the answer came out of a cache, "" if nothing does.
        rerouted: What says that a gateway sent the request elsewhere than first intended, "" if nothing does.
    """

    model: MaybeSaid = None
    provider: Said = ""
    cached: Said = ""
    rerouted: Said = ""


MaybeAnsweredBy = Annotated[AnsweredBy | None, Field(exclude_if=lambda value: value is None)]


def answers_for(replied: str, asked: str, names: Collection[str] = ()) -> bool:
    """Whether a model that names itself like this is the one that was asked for.

    It is by the same name; by another name of the same model; by the name without or with the provider's prefix, as
    gateways have it (`openai/gpt-4o`); with `@main`, the revision of a model for which none was named (`transformers
    serve`); and as a dated snapshot of it, as providers answer for an alias. Not by a name that the endpoint merely
    lists too: what gateways fall back to is listed as well.

    Args:
        replied: The name in the reply.
        asked: The name in the request.
        names: Further names of that model.
    """
    return any(_answers_for(replied.casefold(), name.casefold()) for name in (asked, *names))


def _answers_for(replied: str, asked: str) -> bool:
    if "@" not in asked:
        replied = replied.removesuffix(REVISION)
    if "/" not in replied or "/" not in asked:
        replied, asked = (name.rpartition("/")[2] for name in (replied, asked))
    alias = asked.removesuffix("-latest")
    dated = replied.replace("@", "-").removeprefix(alias)
    return replied == asked or (dated != replied.replace("@", "-") and DATE.fullmatch(dated) is not None)
