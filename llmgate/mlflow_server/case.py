"""One protected model, inside of the transaction that holds its lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from llmgate.attest.check import about, open_verdict
from llmgate.attest.policy import Protection, RegistryPolicy
from llmgate.attest.statement import RegistryFacts
from llmgate.errors import AttestationError
from llmgate.mlflow_server.decisions import admit, attempt, decide
from llmgate.mlflow_server.events import PromotionRow, VerdictRow, instant, millis
from llmgate.mlflow_server.ledger import Ledger
from llmgate.mlflow_server.tagged import digest_of, envelopes, is_prompt_version
from llmgate.mlflow_server.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmgate.attest.check import Signed
    from llmgate.mlflow_server.decisions import Move
    from llmgate.mlflow_server.events import History, StoredVersion

__all__ = ["LockedModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModel:
    """What is known while a change to a protected model is decided.

    Attributes:
        name: The model.
        workspace: MLflow's workspace.
        policy: The registry's policy.
        rule: What protects the model.
        view: What the registry says about it.
        ledger: Its rows.
        now: Aware time.
    """

    name: str
    workspace: str
    policy: RegistryPolicy
    rule: Protection
    view: View
    ledger: Ledger
    now: datetime

    def is_prompt(self, facts: StoredVersion) -> bool:
        """Whether a version is a prompt of a prompt: text, which no gate is about."""
        return is_prompt_version(facts) and self.view.is_prompt()

    def facts_for(self, facts: StoredVersion, alias: str) -> RegistryFacts:
        """The version as a verdict has to name it."""
        return RegistryFacts(
            id=self.policy.registry,
            workspace=self.workspace,
            model=self.name,
            version=str(facts.version),
            created_at=instant(facts.created),
            source=facts.source,
            alias=alias,
        )

    def verified(self, text: str, facts: StoredVersion, alias: str) -> Signed:
        """A verdict on this version, for this alias, signed by somebody who counts now.

        Raises:
            AttestationError: If it is anything else.
        """
        signed = open_verdict(text, policy=self.policy, model=self.name, now=self.now)
        about(signed.verdict, self.facts_for(facts, alias))
        return signed

    def promote(self, facts: StoredVersion, alias: str, present: StoredVersion | None) -> str:
        """Let a version have an alias, and note it.

        Args:
            facts: The version.
            alias: The alias, or `stage:NAME`.
            present: Who holds it now, None if nobody does.

        Returns:
            What the ledger's tag shows from now on.

        Raises:
            AttestationError: If it may not have it.
        """
        shown = envelopes(facts.tags, alias)
        history = self.ledger.recent(alias)
        try:
            row = self.moved(facts, alias, present, history, shown)
        except AttestationError:
            if not history.since:
                raise
            # A part of the history refuses what all of it may allow, and never the other way round.
            history = self.ledger.history(alias)
            row = self.moved(facts, alias, present, history, shown)
        return self.ledger.shown(self.ledger.add_promotion(history, row), alias)

    def moved(
        self,
        facts: StoredVersion,
        alias: str,
        present: StoredVersion | None,
        history: History,
        shown: Mapping[str, str],
    ) -> PromotionRow:
        """How the alias moves to a version.

        Raises:
            AttestationError: If it may not.
        """
        opened = self.opened(facts, alias, history, shown)
        move = decide(
            facts=facts,
            present=present,
            history=history,
            opened=opened,
            shown=frozenset(shown),
            rule=self.rule,
            now=self.now,
        )
        return PromotionRow(
            seq=history.last + 1,
            alias=alias,
            event=move.event,
            to=move.to,
            over=move.over,
            at=millis(self.now),
            reason=reason(move, opened),
        )

    def opened(
        self, facts: StoredVersion, alias: str, history: History, shown: Mapping[str, str]
    ) -> Signed | AttestationError | None:
        """The newest verdict that the ledger has on a version, verified again; why not; or None without any."""
        known = history.of(facts.version, facts.created)
        text = shown.get(known[-1].digest) if known else None
        if text is None:
            return None
        try:
            return self.verified(text, facts, alias)
        except AttestationError as error:
            return error

    def take(self, text: str, facts: StoredVersion, alias: str) -> str:
        """Take a verdict into the ledger, be it good or bad for the version.

        Returns:
            What the ledger's tag shows from now on.

        Raises:
            AttestationError: If it does not verify, is about something else, or is outdated.
        """
        signed = self.verified(text, facts, alias)
        verdict = signed.verdict
        history = self.ledger.history(alias)
        if admit(signed, history, facts, self.now):
            row = VerdictRow(
                seq=history.last + 1,
                alias=alias,
                version=facts.version,
                created=facts.created,
                digest=verdict.digest,
                outcome=verdict.outcome,
                weights=verdict.weights,
                issued=millis(verdict.issued_at),
                expires=millis(verdict.expires_at),
                attempt=attempt(history, facts, verdict.weights),
                signers=", ".join(sorted(key.name for key in signed.keys))[:500],
                at=millis(self.now),
            )
            history = self.ledger.add_verdict(history, row)
        return self.ledger.shown(history, alias)

    def knows(self, facts: StoredVersion, alias: str, text: str) -> bool:
        """Whether the ledger has the verdict that an envelope holds."""
        digest = digest_of(text)
        return any(row.digest == digest for row in self.ledger.history(alias).of(facts.version, facts.created))

    def earned(self, text: str | None) -> bool:
        """Whether what a tag holds is a verdict by which an alias was got, which stays there for good."""
        digest = text and digest_of(text)
        return bool(digest) and digest in self.ledger.earned()


def reason(move: Move, opened: Signed | AttestationError | None) -> str:
    """Why, and by whom, for an override."""
    if move.event != "overridden" or opened is None or isinstance(opened, AttestationError):
        return ""
    return f"{opened.verdict.by}: {opened.verdict.reason}"[:1000]
