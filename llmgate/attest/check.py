"""May this verdict give this version this alias? Pure: a policy, a signed text, and what the registry says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from llmgate.attest.envelope import REMEMBERED, read_envelope, verified_by
from llmgate.attest.policy import KeyRole, TrustedKey
from llmgate.attest.statement import VerdictStatement, read_statement
from llmgate.errors import AttestationError

if TYPE_CHECKING:
    from llmgate.attest.policy import Protection, RegistryPolicy
    from llmgate.attest.statement import RegistryFacts

__all__ = ["CLOCK_SKEW", "Granted", "Holder", "Signed", "about", "may_hold", "open_verdict"]

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a verdict may lie in the future before the clocks are not believed."""
AGAIN: Final = "run the gate again on this version"
statement_of: Final = lru_cache(maxsize=REMEMBERED)(read_statement)
Granted = Literal["promoted", "bootstrapped", "overridden"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A verdict whose signature was verified.

    Attributes:
        verdict: What was signed.
        keys: The trusted keys that signed it, at least one.
    """

    verdict: VerdictStatement
    keys: tuple[TrustedKey, ...]

    def signed_as(self, role: KeyRole) -> bool:
        """Whether one of the keys may sign in this role."""
        return any(role in key.roles for key in self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the alias now, by the registry's own account.

    Attributes:
        version: Version number.
        created_at: When that version was created.
        verdict: Digest of the verdict by which it got the alias, None if it got it in another way.
        weights: Digest of the weights in that verdict, None where there are none.
    """

    version: str
    created_at: datetime
    verdict: str | None
    weights: str | None


def open_verdict(text: str, *, policy: RegistryPolicy, model: str, now: datetime) -> Signed:
    """Read an envelope and verify who signed it, and when it was given.

    Args:
        text: The envelope.
        policy: Whose signatures count.
        model: The model that it is used for.
        now: Aware time.

    Raises:
        AttestationError: If it is unreadable, signed by nobody who counts, or from the future.
    """
    envelope = read_envelope(text)
    trusted = {key.key.keyid: key for key in policy.keys if key.trusted(model, now)}
    signers = verified_by(envelope, [key.key for key in trusted.values()])
    if not signers:
        hint = who({signature.keyid for signature in envelope.signatures}, policy, model, now)
        raise AttestationError(
            f"no key that counts for {model!r} signed the verdict{hint}",
            fix="sign it with a key of the registry's policy",
        )
    verdict = statement_of(envelope.payload, envelope.digest)
    signed = Signed(verdict=verdict, keys=tuple(trusted[key.keyid] for key in signers))
    if not any(signed.signed_as(role) for role in roles_for(verdict)):
        names = ", ".join(key.name for key in signed.keys)
        raise AttestationError(
            f"the key {names} may not sign {'an override' if verdict.kind == 'override' else 'a verdict'}",
            fix=f"sign it with a key of the role {roles_for(verdict)[0]}",
        )
    if verdict.issued_at > now + CLOCK_SKEW:
        raise AttestationError(
            f"the verdict was given at {verdict.issued_at:%Y-%m-%d %H:%M:%S} UTC, which is still to come",
            fix="set the clocks right and sign it again",
        )
    return signed


def who(keyids: set[str], policy: RegistryPolicy, model: str, now: datetime) -> str:
    """Why a key that is known does not count; key ids are hints, and this is only a hint to a reader."""
    for key in policy.keys:
        if key.key.keyid in keyids:
            if key.not_after is not None and now >= key.not_after:
                return f" (the key {key.name} expired on {key.not_after:%Y-%m-%d})"
            if key.not_before is not None and now < key.not_before:
                return f" (the key {key.name} counts from {key.not_before:%Y-%m-%d} on)"
            if not key.trusted(model, now):
                return f" (the key {key.name} does not sign for this model)"
            return f" (it names the key {key.name}, but the signature is not valid)"
    return ""


def roles_for(verdict: VerdictStatement) -> tuple[KeyRole, ...]:
    """The roles of which one must have signed it."""
    return (KeyRole.OVERRIDE,) if verdict.kind == "override" else (KeyRole.GATE, KeyRole.BOOTSTRAP)


def about(verdict: VerdictStatement, facts: RegistryFacts) -> None:
    """Hold a verdict against the version that it is used for.

    Raises:
        AttestationError: If it is about anything else.
    """
    told = verdict.registry
    if told.id != facts.id:
        raise AttestationError(
            f"the verdict is for the registry {told.id!r} and this one is {facts.id!r}",
            fix=f"run the gate with --registry-id {facts.id}",
        )
    for what in ("workspace", "model", "version", "alias"):
        if getattr(told, what) != getattr(facts, what):
            raise AttestationError(
                f"the verdict is for the {what} {getattr(told, what)!r} and not for {getattr(facts, what)!r}", fix=AGAIN
            )
    if told.created_at != facts.created_at:
        raise AttestationError("the verdict is about a version of this number that was deleted", fix=AGAIN)
    if told.source != facts.source:
        raise AttestationError(f"the verdict is about weights at {told.source!r}, not {facts.source!r}", fix=AGAIN)


def may_hold(signed: Signed, *, rule: Protection, holder: Holder | None, now: datetime) -> Granted:
    """Whether a verdict that is about the right version gives it the alias.

    Args:
        signed: The verdict; `open_verdict` and `about` have accepted it.
        rule: What protects the alias.
        holder: Who holds it now.
        now: Aware time.

    Returns:
        How the version gets it.

    Raises:
        AttestationError: With why not, and what to do.
    """
    verdict = signed.verdict
    in_time(verdict, rule, now)
    against(verdict, holder)
    if verdict.kind == "override":
        return "overridden"
    if verdict.outcome != "PASS":
        raise AttestationError(
            f"the verdict is {verdict.outcome}",
            fix="repair the regression that the report shows and " + AGAIN
            if verdict.outcome == "FAIL"
            else "add cases or clear the errors that the report shows and " + AGAIN,
        )
    if missing := rule.missing(verdict.suites):
        raise AttestationError(
            f"the verdict lacks the suite {', '.join(missing)}, which the registry's policy requires", fix=AGAIN
        )
    if rule.weights and verdict.weights is None:
        raise AttestationError(
            "an endpoint answered, and nothing shows that it served the weights of this version",
            fix="run the gate on the model folder with --model",
        )
    if verdict.weaker and not rule.weaker_policy:
        raise AttestationError(
            f"its policy asks for less than the one that the champion was held to ({'; '.join(verdict.weaker[:3])})",
            fix="judge it by that one, or let somebody with an override key sign for it",
        )
    if holder is None and not signed.signed_as(KeyRole.BOOTSTRAP):
        raise AttestationError(
            "nobody holds the alias yet, and the first verdict needs a key of its own",
            fix="sign it with a key of the role bootstrap",
        )
    if holder is not None and not signed.signed_as(KeyRole.GATE):
        raise AttestationError(
            "somebody holds the alias, and a bootstrap key only signs for the first",
            fix="sign it with a key of the role gate",
        )
    return "bootstrapped" if holder is None else "promoted"


def in_time(verdict: VerdictStatement, rule: Protection, now: datetime) -> None:
    """It has neither expired nor grown too old."""
    if now >= verdict.expires_at:
        raise AttestationError(f"the verdict expired at {verdict.expires_at:%Y-%m-%d %H:%M:%S} UTC", fix=AGAIN)
    if now - verdict.issued_at > rule.max_age:
        days = f"{rule.max_age.total_seconds() / 86400:g}"
        raise AttestationError(
            f"the verdict of {verdict.issued_at:%Y-%m-%d %H:%M:%S} UTC is older than the {days} days that count",
            fix=AGAIN,
        )


def against(verdict: VerdictStatement, holder: Holder | None) -> None:
    """It was made for exactly who holds the alias now."""
    champion = verdict.champion
    if holder is None and champion is None:
        return
    again = "run the gate again with the present holder as baseline"
    if champion is None:
        raise AttestationError(
            f"version {holder and holder.version} holds the alias, and the verdict was compared with nobody", fix=again
        )
    if holder is None:
        raise AttestationError(
            f"the verdict was compared with version {champion.version}, and nobody holds the alias", fix=AGAIN
        )
    same = (champion.version, champion.created_at, champion.verdict) == (
        holder.version,
        holder.created_at,
        holder.verdict,
    )
    weights = None in {champion.weights, holder.weights} or champion.weights == holder.weights
    if not same:
        raise AttestationError(
            f"the verdict was compared with version {champion.version} as it was, and the alias has moved since",
            fix=again,
        )
    if not weights:
        raise AttestationError(
            f"the verdict was compared with other weights than those of version {holder.version}", fix=again
        )
