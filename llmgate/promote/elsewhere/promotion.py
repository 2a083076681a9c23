"""Promote in another registry, by a signed verdict about exactly this version and against exactly this holder.

What a verdict allows is decided in `llmgate.attest.check`, as for MLflow's gated server. What such a server has and a
client has not is a ledger and a lock: here, between looking and acting, another client can still win, and a verdict can
be used again until it expires, a newer one is attached, or the alias moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from llmgate.attest.check import Granted, Holder, Signed, about, may_hold, open_verdict
from llmgate.attest.envelope import read_envelope
from llmgate.attest.statement import ChampionFacts, RegistryFacts, VerdictStatement, read_statement
from llmgate.errors import AttestationError, LlmgateError, PromotionRefusedError
from llmgate.promote.alias import alias_problem
from llmgate.promote.elsewhere.contract import RegisteredVersion, VerdictRegistry
from llmgate.promote.signed import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmgate.attest.policy import Protection, RegistryPolicy

__all__ = ["PromotedElsewhere", "facts_to_sign", "past_verdicts", "promote_elsewhere"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedElsewhere:
    """What was done.

    Attributes:
        version: Who holds the alias now.
        alias: The alias.
        over: Who held it before, None if nobody did.
        granted: How it was earned; None if the version held the alias already.
        verdict: Digest of the verdict that earned it, None if nothing shows one.
        keys: The names of the keys that signed it.
    """

    version: RegisteredVersion
    alias: str
    over: RegisteredVersion | None
    granted: Granted | None
    verdict: str | None
    keys: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What a reader has to know, one line each."""
        before = f" (was {self.over.uri})" if self.over is not None and self.granted else ""
        verb = "is now" if self.granted else "already is"
        lines = [f"{self.version.uri} {verb} {self.alias}{before}"]
        if self.granted:
            lines.append(f"{self.granted} by verdict {self.verdict}, signed with {', '.join(self.keys)}")
        elif self.verdict is None:
            lines.append("nothing shows a verdict that earned it")
        lines.append("checked by this client only: whoever may write there can set it without")
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPromotion:
    """A promotion that is being decided.

    Attributes:
        over: Who holds the alias, None if nobody does.
        text: The signed verdict.
    """

    registry: VerdictRegistry
    version: RegisteredVersion
    over: RegisteredVersion | None
    alias: str
    text: str


def promote_elsewhere(
    registry: VerdictRegistry,
    model: str,
    version: str,
    *,
    alias: str,
    policy: RegistryPolicy,
    envelope: str | None = None,
    clock: Callable[[], datetime] | None = None,
) -> PromotedElsewhere:
    """Give a version the alias if a signed verdict allows it.

    A verdict that is handed over and says FAIL or INCONCLUSIVE is attached before the refusal: it outdates older ones.

    Args:
        registry: Where the version is.
        model: Its name there.
        version: The version.
        alias: The alias.
        policy: Whose signatures count, and what a verdict must have.
        envelope: The signed verdict; by default the one that was attached last.
        clock: Gives the aware time, for tests.

    Raises:
        PromotionRefusedError: With why, and what to do.
        CannotRunError: If the registry cannot be reached.
    """
    now = clock or partial(datetime.now, UTC)
    where = f"{model} v{version} -> {alias}"
    try:
        rule = rule_for(registry, policy, model, alias)
        found = registry.version(model, version)
        if not found.ready:
            raise PromotionRefusedError("the registry has not finished making this version", fix="Wait until it has")
        over = registry.holder(model, alias)
        if over is not None and over.identity == found.identity:
            registry.finish(found, alias)
            return PromotedElsewhere(
                version=found, alias=alias, over=over, granted=None, verdict=found.earned.get(alias)
            )
        lying = registry.envelopes(found, alias)
        text = envelope if envelope is not None else last_attached(found, alias, lying)
        signed = open_verdict(text, policy=policy, model=model, now=now())
        facts = registry_facts(found, alias, policy.registry)
        about(signed.verdict, facts)
        not_outdated(signed.verdict, lying, facts)
        asked = AskedPromotion(registry=registry, version=found, over=over, alias=alias, text=text)
        granted = allowed(asked, signed, rule, now())
        act(asked, signed.verdict.digest)
        return PromotedElsewhere(
            version=found,
            alias=alias,
            over=over,
            granted=granted,
            verdict=signed.verdict.digest,
            keys=tuple(key.name for key in signed.keys),
        )
    except AttestationError as error:
        raise refusal(error, where=where) from error
    except PromotionRefusedError as error:
        if error.where is not None:
            raise
        raise PromotionRefusedError(error.what, where=where, fix=error.fix) from error


def facts_to_sign(
    registry: VerdictRegistry, model: str, version: str, *, alias: str, registry_id: str
) -> tuple[RegistryFacts, ChampionFacts | None]:
    """What a verdict about this version has to name: the version, and who holds the alias now.

    Raises:
        CannotRunError: If the registry cannot be reached.
    """
    found, over = registry.version(model, version), registry.holder(model, alias)
    facts = registry_facts(found, alias, registry_id)
    if over is None or over.identity == found.identity:
        return facts, None
    earned = earned_verdict(registry, over, alias)
    return facts, ChampionFacts(
        version=over.version,
        created_at=over.created_at,
        verdict=over.earned.get(alias),
        weights=earned.weights if earned is not None else None,
        journal=earned.subject if earned is not None and earned.weights is None else None,
    )


def past_verdicts(registry: VerdictRegistry, version: RegisteredVersion, alias: str) -> tuple[VerdictStatement, ...]:
    """What the verdicts say that lie with a version, oldest first. No signature was looked at.

    Raises:
        AttestationError: If one cannot be read.
    """
    found = [read_unverified(digest, text) for digest, text in registry.envelopes(version, alias).items()]
    return tuple(sorted(found, key=lambda verdict: verdict.issued_at))


def rule_for(registry: VerdictRegistry, policy: RegistryPolicy, model: str, alias: str) -> Protection:
    """What protects this alias of this model. What nothing protects needs no promotion."""
    if problem := alias_problem(alias) or registry.alias_problem(alias):
        raise PromotionRefusedError(problem)
    rule = policy.rule_for(model)
    if rule is None or not rule.protects(alias):
        what = f"the model {model!r}" if rule is None else f"the alias {alias!r} of {model!r}"
        raise PromotionRefusedError(
            f"no rule of {policy.where} is about {what}, so nothing says what a verdict must have",
            fix="Add one under `protect:`",
        )
    if (real := rule.look_alike(alias)) is not None:
        raise PromotionRefusedError(f"{alias!r} only looks like the alias {real!r}")
    return rule


def last_attached(version: RegisteredVersion, alias: str, lying: Mapping[str, str]) -> str:
    """The verdict to which the version points."""
    digest = version.attached.get(alias)
    if digest is None:
        raise PromotionRefusedError(
            "this version has no verdict",
            fix="Run the gate on it with a signing key, and hand over what it signed with --verdict",
        )
    text = lying.get(digest)
    if text is None:
        raise PromotionRefusedError(
            f"the version points to the verdict {digest[:16]}…, which is gone",
            fix="Hand it over with --verdict, or run the gate again on this version",
        )
    if read_envelope(text).digest != digest:
        raise PromotionRefusedError(
            "the verdict was exchanged after it was attached", fix="Run the gate again on this version"
        )
    return text


def not_outdated(verdict: VerdictStatement, lying: Mapping[str, str], facts: RegistryFacts) -> None:
    """No verdict about this version came later, whoever signed it: what speaks against a promotion needs no key."""
    for digest, text in lying.items():
        other = read_unverified(digest, text)
        if other.registry != facts or other.digest == verdict.digest:
            continue
        if other.issued_at >= verdict.issued_at:
            raise PromotionRefusedError(
                f"a later verdict of {other.issued_at:%Y-%m-%d %H:%M:%S} UTC says {other.outcome}",
                fix="Promote by that one, or run the gate again on this version",
            )


def read_unverified(digest: str, text: str) -> VerdictStatement:
    """A verdict that lies with a version, no signature looked at."""
    try:
        envelope = read_envelope(text)
        if envelope.digest != digest:
            raise AttestationError("it was exchanged")
        return read_statement(envelope.payload, envelope.digest)
    except AttestationError as error:
        raise AttestationError(
            f"the verdict {digest[:16]}… that lies with this version cannot be read ({error.what})",
            fix="find out who changed it, and remove it",
        ) from error


def allowed(asked: AskedPromotion, signed: Signed, rule: Protection, now: datetime) -> Granted:
    """Ask the rules, and keep a verdict that is bad news."""
    verdict, alias = signed.verdict, asked.alias
    try:
        return may_hold(signed, rule=rule, holder=as_holder(asked.registry, asked.over, alias), now=now)
    except AttestationError:
        bad_news = verdict.kind == "gate" and verdict.outcome != "PASS"
        if bad_news and asked.version.attached.get(alias) != verdict.digest:
            asked.registry.attach(asked.version, alias, verdict.digest, asked.text)
        raise


def act(asked: AskedPromotion, digest: str) -> None:
    """Attach, look again, set, look again."""
    registry, version, alias = asked.registry, asked.version, asked.alias
    registry.attach(version, alias, digest, asked.text)
    if registry.version(version.model, version.version).identity != version.identity:
        raise PromotionRefusedError("the version was made again while its verdict was checked", fix="Promote it again")
    if identity(registry.holder(version.model, alias)) != identity(asked.over):
        raise PromotionRefusedError(
            "the alias moved while the verdict was checked", fix="Run the gate again with the new holder as baseline"
        )
    try:
        registry.set_holder(version, alias, over=asked.over, digest=digest)
    except LlmgateError as error:
        error.add_note("The verdict is attached. Whether the alias moved is not known: look, and promote it again.")
        raise
    winner = registry.holder(version.model, alias)
    if identity(winner) != version.identity:
        raise PromotionRefusedError(
            f"another promotion won, version {winner.version if winner else 'none'} holds the alias now",
            fix="Run the gate again with the new holder as baseline",
        )


def as_holder(registry: VerdictRegistry, over: RegisteredVersion | None, alias: str) -> Holder | None:
    """Who holds the alias, as the rules want to know it."""
    if over is None:
        return None
    earned = earned_verdict(registry, over, alias)
    return Holder(
        version=over.version,
        created_at=over.created_at,
        verdict=over.earned.get(alias),
        weights=earned.weights if earned is not None else None,
    )


def earned_verdict(registry: VerdictRegistry, over: RegisteredVersion, alias: str) -> VerdictStatement | None:
    """The verdict that earned the holder its alias; None if it points to none, or that one is gone."""
    digest = over.earned.get(alias)
    text = None if digest is None else registry.envelopes(over, alias).get(digest)
    return None if digest is None or text is None else read_unverified(digest, text)


def registry_facts(version: RegisteredVersion, alias: str, registry_id: str) -> RegistryFacts:
    """What a verdict about this version has to name."""
    return RegistryFacts(
        id=registry_id,
        workspace=version.workspace,
        model=version.model,
        version=version.version,
        created_at=version.created_at,
        source=version.source,
        alias=alias,
    )


def identity(holder: RegisteredVersion | None) -> tuple[str, datetime] | None:
    """Tells a holder from one that was made again."""
    return None if holder is None else holder.identity
