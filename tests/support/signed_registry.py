"""A live MLflow store, gated or not, with someone who gates, signs and promotes in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.errors import PromotionRefusedError
from llmgate.mlflow_quiet import quiet
from llmgate.promote.alias import CHAMPION
from llmgate.promote.registries import open_registry
from llmgate.promote.rollback import roll_back
from llmgate.promote.status import read_status
from llmgate.promote.target import parse_version_uri
from llmgate.session.decide.attestation import Posted, Signing, post_verdict
from llmgate.session.decide.records import Baseline
from support.registry import Registry
from support.verdicts import REGISTRY, Keys

if TYPE_CHECKING:
    from llmgate.promote.rollback import RolledBack
    from llmgate.promote.status import Status
    from llmgate.promote.target import VersionFacts

__all__ = ["PROTECT_BOTS", "Gated", "SignedRegistry"]

PROTECT_BOTS = """
  - models: ["bot-*"]
    aliases: [champion]
    suites: {support: "*"}
    rollback: any
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A version that was gated, and its signed verdict posted.

    Attributes:
        uri: The version.
        record: Its record.
        run: MLflow's id of its gate run.
        posted: The verdict.
    """

    uri: str
    record: Path
    run: str
    posted: Posted

    @property
    def number(self) -> str:
        """Its version number."""
        return self.uri.rsplit("/", 1)[1]


@dataclass(frozen=True, kw_only=True)
class SignedRegistry:
    """One registered model of a store, and the keys with which verdicts for it are signed.

    Attributes:
        plain: The store without its gate, as somebody with the database's password has it.
        keys: Those that the policy trusts.
        client: MLflow's own client of the store as clients have it.
    """

    plain: Registry
    keys: Keys
    client: Any

    @property
    def name(self) -> str:
        """The model."""
        return self.plain.name

    def raw(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call MLflow's own client."""
        with quiet():
            return getattr(self.client, method)(*args, **kwargs)

    def open(self) -> Any:
        """The registry as llmgate sees it."""
        return open_registry(self.plain.uri)

    def facts(self, uri: str) -> VersionFacts:
        """A version, read now."""
        found: VersionFacts = self.open().version(*parse_version_uri(uri))
        return found

    def gate(
        self,
        weights: str,
        against: Gated | None = None,
        *,
        uri: str | None = None,
        role: str | None = None,
        alias: str = CHAMPION,
        **measured: Any,
    ) -> Gated:
        """Measure a version, compare it, log the run, sign the verdict and post it.

        Args:
            weights: Text that stands for its weights.
            against: Whom it is compared with, as the holder of the alias.
            uri: A version that is there already.
            role: Whose key signs; bootstrap for a first version, else gate.
            alias: What it asks for.
            measured: As for `Registry.measure`.
        """
        uri = uri or self.plain.create(weights)
        record = self.plain.measure(weights, uri, **measured)
        run = self.plain.gate_run(record, against.record if against else None)
        target = self.open()
        logged = target.log(run, subject=None, new=None)
        signer = self.keys.signers[role or ("gate" if against else "bootstrap")]
        posted = post_verdict(
            target,
            self.facts(uri),
            logged.run_id,
            record,
            decision=run.decision,
            baseline=Baseline(folder=str(against.record), uri=against.uri) if against else None,
            signing=Signing(signer=signer, registry=REGISTRY, alias=alias),
        )
        return Gated(uri=uri, record=record, run=logged.run_id, posted=posted)

    def crown(self, weights: str = "v1") -> Gated:
        """A first champion."""
        first = self.gate(weights)
        self.plain.promote(first.uri)
        return first

    def succeed(self, against: Gated, weights: str = "v2") -> Gated:
        """A champion after another one."""
        second = self.gate(weights, against)
        self.plain.promote(second.uri)
        return second

    def set_alias(self, version: Gated, alias: str = CHAMPION) -> None:
        """By MLflow's own client, as anybody would."""
        self.raw("set_registered_model_alias", self.name, alias, version.number)

    def roll_back(self, reason: str = "it swears", **asked: Any) -> RolledBack:
        """The call under test."""
        return roll_back(self.open(), self.name, reason=reason, source_digest=self.plain.contents.get, **asked)

    def status(self) -> Status:
        """The call under test."""
        return read_status(self.open(), self.name)

    def refusal(self, uri: str, **asked: Any) -> str:
        """Why `llmgate promote` is refused; the alias stays where it is."""
        before = self.plain.holder()
        try:
            self.plain.promote(uri, **asked)
        except PromotionRefusedError as error:
            assert self.plain.holder() == before
            return str(error)
        raise AssertionError(f"{uri} was promoted")
