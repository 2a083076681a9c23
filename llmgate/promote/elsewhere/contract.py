"""The smallest contract that every registry can meet: who is it, who holds the alias, which verdicts are there.

`PromotionTarget` asks for more: whole run records are kept and downloaded, and the decision is taken again from them.
That needs an experiment store. A registry of versions has a few short strings for each version, and some place for one
file beside it. What fits there is the signed verdict, and a signed verdict needs no record to be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["RegisteredVersion", "VerdictRegistry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """What a registry says about one version, at one moment.

    Attributes:
        uri: How a person names it.
        workspace: Where in the service it lies: account and region, project and location, entity and registry.
        model: Its name there.
        version: Number, or commit, as text.
        source: Where its weights lie, as the registry has it.
        created_at: When the registry made it, in whole milliseconds, aware.
        ready: Whether the registry has finished making it.
        holds: The aliases that it holds.
        attached: By alias, the digest of the verdict that was attached last. A pointer, never proof.
        earned: By alias, the digest of the verdict that earned it. A pointer, never proof.
        handle: What the registry's own client calls it.
    """

    uri: str
    workspace: str
    model: str
    version: str
    source: str
    created_at: datetime
    ready: bool
    holds: frozenset[str]
    attached: Mapping[str, str]
    earned: Mapping[str, str]
    handle: str

    @property
    def identity(self) -> tuple[str, datetime]:
        """Tells a version from one that was made again under the same number."""
        return self.version, self.created_at


class VerdictRegistry(Protocol):
    """A registry of versions. Methods raise `CannotRunError` if it cannot be reached or answers nonsense."""

    def alias_problem(self, alias: str) -> str | None:
        """Why this registry cannot keep such an alias, in one clause; None if it can."""

    def version(self, model: str, version: str) -> RegisteredVersion:
        """The facts of one version, read now.

        Raises:
            AbsentError: If there is no such version.
        """

    def holder(self, model: str, alias: str) -> RegisteredVersion | None:
        """Who holds the alias now; None if nobody does.

        Raises:
            PromotionRefusedError: If several do.
        """

    def attach(self, version: RegisteredVersion, alias: str, digest: str, envelope: str) -> None:
        """Keep a verdict beside the version. Doing it twice is the same as doing it once.

        Args:
            version: The version.
            alias: The alias that the verdict is for.
            digest: Hex SHA-256 of the verdict's payload.
            envelope: The signed verdict.

        Raises:
            PromotionRefusedError: If the registry forbids it.
        """

    def envelopes(self, version: RegisteredVersion, alias: str) -> Mapping[str, str]:
        """Every verdict that was attached to the version for this alias, by the digest under which it lies there."""

    def set_holder(
        self, version: RegisteredVersion, alias: str, *, over: RegisteredVersion | None, digest: str
    ) -> None:
        """Give the version the alias, and write down by which verdict.

        Args:
            version: The version.
            alias: The alias.
            over: Who holds it now, None if nobody does.
            digest: The verdict that earns it.

        Raises:
            PromotionRefusedError: If the registry forbids it, or somebody was faster.
        """

    def finish(self, version: RegisteredVersion, alias: str) -> None:
        """Do what an interrupted `set_holder` left undone for a version that holds the alias.

        Raises:
            PromotionRefusedError: If the registry forbids it.
        """
