"""A version as somebody tells of it, for machines that sign and reach no registry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmgate.attest.statement import ChampionFacts, RegistryFacts, moment
from llmgate.errors import AttestationError, UsageError
from llmgate.session.commands.verdict.sign import Situation, own_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from llmgate.session.commands.verdict.sign import SigningQuestion

__all__ = ["told_situation"]

SHA256: Final = re.compile(r"[0-9a-f]{64}")
NOBODY: Final = "none"
ASK: Final = "`llmgate status models:/NAME` on a machine that reaches the registry shows it"


def told_situation(
    asked: SigningQuestion,
    *,
    created_at: str | None,
    source: str | None,
    workspace: str | None,
    holder: str | None,
    holder_created_at: str | None,
    holder_verdict: str | None,
    holder_weights: str | None,
    attempt: int,
    tagged: str | None,
    environ: Mapping[str, str],
) -> Situation:
    """Make the facts of what was told.

    Raises:
        UsageError: If something is missing or unreadable. Who holds the alias has to be said, even if it is nobody.
    """
    champion = None
    holders = {
        "--holder-created-at": holder_created_at,
        "--holder-verdict": holder_verdict,
        "--holder-weights": holder_weights,
    }
    if needed(holder, "--holder") == NOBODY:
        for option, value in holders.items():
            if value is not None:
                raise UsageError("nobody holds the alias, so there is nothing to tell of them", where=option)
    else:
        champion = ChampionFacts(
            version=number(needed(holder, "--holder")),
            created_at=instant(holder_created_at, "--holder-created-at"),
            verdict=digest(holder_verdict, "--holder-verdict"),
            weights=digest(holder_weights, "--holder-weights"),
        )
    facts = RegistryFacts(
        id=asked.registry,
        workspace=workspace or own_workspace(environ),
        model=asked.name,
        version=asked.number,
        created_at=instant(created_at, "--created-at"),
        source=needed(source, "--source"),
        alias=asked.alias,
    )
    return Situation(facts=facts, champion=champion, tagged=digest(tagged, "--weights"), attempts=attempt)


def needed(value: str | None, option: str) -> str:
    """What has to be told."""
    if value is None:
        raise UsageError("without a registry this has to be told", where=option, fix=ASK)
    return value


def number(text: str) -> str:
    """A version number."""
    if not re.fullmatch(r"[1-9]\d*", text):
        raise UsageError(f"{text!r} is no version number", where="--holder", fix="Write the number, or `none`")
    return text


def instant(value: str | None, option: str) -> datetime:
    """A time to the millisecond: the registry compares it."""
    try:
        return moment(needed(value, option))
    except AttestationError as error:
        raise UsageError(error.what, where=option, fix=ASK) from error


def digest(value: str | None, option: str) -> str | None:
    """A digest, or nothing."""
    if value is not None and not SHA256.fullmatch(value):
        raise UsageError("this is no SHA-256 in lower-case hexadecimal", where=option, fix=ASK)
    return value
