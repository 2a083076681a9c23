"""The signed verdicts in a version's tags, and by which of them it holds an alias. Nobody's signature is checked here.

The registry's ledger, where it shows one, says which verdict counts. A registry that is not gated shows none; there the
tags are pointers that whoever may edit a version can change, as all other tags are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmgate.attest.envelope import read_envelope
from llmgate.attest.statement import ChampionFacts, RegistryFacts, Verdict, read_statement
from llmgate.attest.tags import attestation_alias, attestation_key
from llmgate.errors import AttestationError
from llmgate.promote import tags
from llmgate.promote.promotion_facts import instant
from llmgate.promote.succession import NOTE_ROUNDING

if TYPE_CHECKING:
    from llmgate.promote.mirror import Mirror
    from llmgate.promote.target import PastVerdict, VersionFacts

__all__ = [
    "Attached",
    "HeldBy",
    "attached_verdicts",
    "attempts_so_far",
    "champion_facts",
    "held_by",
    "keys_to_post",
    "registry_facts",
]

PROMOTING: Final = frozenset({"PASS", "OVERRIDE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A signed verdict in a tag.

    Attributes:
        key: The tag.
        text: The envelope.
        verdict: What it says; whether that is true, a signature has to show.
    """

    key: str
    text: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBy:
    """By what a version holds an alias, as far as the registry shows it.

    Attributes:
        digest: Of the verdict, None if it holds the alias without one, or nothing is known.
        attached: The verdict itself, None if it is not in the version's tags.
        weights: Digest of the weights in it, None where it has none.
    """

    digest: str | None = None
    attached: Attached | None = None
    weights: str | None = None


def attached_verdicts(version: VersionFacts, alias: str) -> tuple[Attached, ...]:
    """The verdicts in a version's tags that are for an alias and about this version, the newest one first.

    What cannot be read, or is about another version, is left out: a copied version has the tags of the first.
    """
    found = []
    for key, text in version.tags.items():
        if attestation_alias(key) != alias:
            continue
        try:
            envelope = read_envelope(text)
            verdict = read_statement(envelope.payload, envelope.digest)
        except AttestationError:
            continue
        told = verdict.registry
        here = (version.name, version.version, version.created_at, version.workspace, alias)
        if (told.model, told.version, told.created_at, told.workspace, told.alias) == here:
            found.append(Attached(key=key, text=text, verdict=verdict))
    return tuple(sorted(found, key=lambda one: (one.verdict.issued_at, one.key), reverse=True))


def held_by(version: VersionFacts, alias: str, mirror: Mirror | None, *, gated: bool | None = None) -> HeldBy:
    """By which verdict a version got an alias.

    Args:
        version: Who holds the alias, or held it.
        alias: The alias.
        mirror: What the registry's ledger shows of it.
        gated: Whether the registry is gated. The ledger of one that shows no event knows of no verdict.
    """
    found = attached_verdicts(version, alias)
    if mirror is not None and (move := mirror.move_to(version.version)) is not None:
        own = next((one for one in found if one.verdict.digest == move.verdict), None)
        return HeldBy(digest=move.verdict, attached=own, weights=move.weights)
    if gated or mirror is not None:
        return HeldBy()
    promoting = [one for one in found if one.verdict.outcome in PROMOTING]
    noted = version.tags.get(tags.PROMOTED_AT, "") if version.tags.get(tags.PROMOTED_ALIAS) == alias else ""
    promoted_at = instant(noted)
    # The note of when it was promoted comes after the verdict that allowed it; later ones did not.
    before = [one for one in promoting if promoted_at is None or one.verdict.issued_at < promoted_at + NOTE_ROUNDING]
    own = next(iter(before), None)
    if own is None:
        return HeldBy()
    return HeldBy(digest=own.verdict.digest, attached=own, weights=own.verdict.weights)


def champion_facts(version: VersionFacts, alias: str, mirror: Mirror | None, *, gated: bool | None) -> ChampionFacts:
    """Who a candidate is compared with, in the words of a verdict.

    Args:
        version: The champion.
        alias: The alias that it holds.
        mirror: What the registry's ledger shows of the alias.
        gated: Whether the registry is gated.
    """
    held = held_by(version, alias, mirror, gated=gated)
    journal = held.attached.verdict.predicate.get("journal") if held.attached is not None else None
    return ChampionFacts(
        version=version.version,
        created_at=version.created_at,
        verdict=held.digest,
        weights=held.weights,
        journal=journal if isinstance(journal, str) else None,
    )


def registry_facts(version: VersionFacts, alias: str, registry: str) -> RegistryFacts:
    """A version in the words of a verdict."""
    return RegistryFacts(
        id=registry,
        workspace=version.workspace,
        model=version.name,
        version=version.version,
        created_at=version.created_at,
        source=version.source,
        alias=alias,
    )


def attempts_so_far(
    version: VersionFacts, alias: str, mirror: Mirror | None, past: tuple[PastVerdict, ...] = ()
) -> int:
    """How many verdicts were taken on a version: as many as the ledger, the tags or the gate runs know of."""
    shown = mirror.attempts(version.version) if mirror is not None else 0
    found = attached_verdicts(version, alias)
    return max(shown, len(found), *(one.verdict.attempts for one in found), len(past))


def keys_to_post(version: VersionFacts, alias: str, mirror: Mirror | None) -> tuple[str, ...]:
    """Under which tags a new verdict may be posted, in the order in which they are tried.

    The last verdict is replaced, unless it is known to have earned the alias. A registry may know more and refuse that;
    then the next number is free.
    """
    n = 1
    while attestation_key(alias, n) in version.tags:
        n += 1
    free = attestation_key(alias, n)
    if n == 1:
        return (free,)
    last = attestation_key(alias, n - 1)
    own = next((one for one in attached_verdicts(version, alias) if one.key == last), None)
    holds = alias in version.aliases or f"{tags.EARNED}/{alias}" in version.tags
    earned = holds if mirror is None else own is not None and own.verdict.digest in mirror.earned
    return (free,) if earned else (last, free)
