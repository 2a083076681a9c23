"""May the alias move? Pure: the ledger's history, what the registry says now, and a verdict that was opened or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.attest.check import may_hold
from llmgate.attest.policy import Rollback
from llmgate.errors import AttestationError
from llmgate.mlflow_server.events import Event, Held, millis

if TYPE_CHECKING:
    from datetime import datetime

    from llmgate.attest.check import Signed
    from llmgate.attest.policy import Protection
    from llmgate.mlflow_server.events import History, StoredVersion, VerdictRow

__all__ = ["Move", "admit", "attempt", "decide", "holder_now", "stack"]

GATE_IT = "run the gate on this version with a signing key, or sign its run with `llmgate verdict sign --post`"
BY_OVERRIDE = "look into it, then let somebody with an override key sign for who shall hold it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a registry may do, and what its ledger gets.

    Attributes:
        event: How the alias moves.
        to: Who holds it then.
        over: Who holds it until then.
    """

    event: Event
    to: Held
    over: Held | None


def stack(history: History) -> tuple[Held, ...]:
    """Those who held the alias and were not rolled back, the present holder last.

    Raises:
        AttestationError: If the rows contradict each other.
    """
    held: list[Held] = []
    for row in history.promotions:
        if row.event == "rolled-back":
            while held and not held[-1].same_version(row.to):
                held.pop()
            if not held:
                raise broken(f"version {row.to.version} was rolled back to, and nothing says that it was promoted")
            continue
        if row.over is not None and (not held or held[-1] != row.over):
            held.append(row.over)
        held.append(row.to)
    return tuple(held)


def holder_now(history: History, present: StoredVersion | None) -> tuple[Held | None, bool]:
    """Who holds the alias, with the verdict that earned it.

    Args:
        history: Of this alias.
        present: The version that the registry says.

    Returns:
        The holder, and whether the registry and the ledger agree; an alias that was never gated agrees with anything.
    """
    last = stack(history)[-1:]
    if last and present is not None and last[0].same_version(present):
        return last[0], True
    if present is None:
        return None, not last
    return Held(version=present.version, created=present.created, verdict=None, weights=None), not last


def admit(signed: Signed, history: History, facts: StoredVersion, now: datetime) -> bool:
    """Whether the ledger takes a verdict that is about this version; False if it has it already.

    Raises:
        AttestationError: If it is of no use any more, or a newer one is known.
    """
    whole(history)
    verdict = signed.verdict
    known = history.of(facts.version, facts.created)
    if known and known[-1].digest == verdict.digest:
        return False
    if newer := [row for row in known if row.issued >= millis(verdict.issued_at)]:
        raise AttestationError(
            f"the verdict of {verdict.issued_at:%Y-%m-%d %H:%M:%S} UTC is not newer than the {newer[-1].outcome} of "
            f"this version that the registry has",
            fix="run the gate again on this version",
        )
    if now >= verdict.expires_at:
        raise AttestationError(
            f"the verdict expired at {verdict.expires_at:%Y-%m-%d %H:%M:%S} UTC", fix="run the gate again"
        )
    return True


def attempt(history: History, facts: StoredVersion, weights: str | None) -> int:
    """Which verdict on this version, or on the same weights under another number, the next one is."""
    same = [
        row
        for row in history.verdicts
        if (row.version, row.created) == (facts.version, facts.created)
        or (weights is not None and row.weights == weights)
    ]
    return len(same) + 1


def decide(
    *,
    facts: StoredVersion,
    present: StoredVersion | None,
    history: History,
    opened: Signed | AttestationError | None,
    shown: frozenset[str],
    rule: Protection,
    now: datetime,
) -> Move:
    """Whether a version may get a protected alias that it does not hold.

    Args:
        facts: The version.
        present: Who holds the alias by the registry's account, None if nobody does.
        history: The ledger on this alias. By a part of it nothing is allowed that all of it would refuse.
        opened: The newest verdict that the ledger has on this version, verified again from the version's tags; why it
            does not verify; None if the ledger has none.
        shown: Digests of the verdicts for this alias that are in the version's tags.
        rule: What protects the alias.
        now: Aware time.

    Raises:
        AttestationError: With why not, and what to do.
    """
    whole(history)
    over, agreed = holder_now(history, present)
    holders = stack(history)
    if not agreed and holders[-1].same_version(facts):
        # Somebody moved it past the gate; going back to where the ledger has it is nothing new.
        return Move(event="rolled-back", to=still_shown(holders[-1], shown), over=over)
    try:
        return promotion(facts, over, history, opened, agreed=agreed, rule=rule, now=now)
    except AttestationError as refusal:
        # Whoever held it before has to be judged by everything that came since.
        if history.since or not agreed or not any(held.same_version(facts) for held in holders[:-1]):
            raise
        return Move(event="rolled-back", to=still_shown(rollback(facts, history, rule, refusal), shown), over=over)


def promotion(
    facts: StoredVersion,
    over: Held | None,
    history: History,
    opened: Signed | AttestationError | None,
    *,
    agreed: bool,
    rule: Protection,
    now: datetime,
) -> Move:
    """By the newest verdict."""
    # By an older one it may have been promoted at a place that is left out.
    known = [row for row in history.of(facts.version, facts.created) if row.seq >= history.since]
    if not known:
        raise AttestationError("no verdict of this version is known to the registry", fix=GATE_IT)
    newest = known[-1]
    if isinstance(opened, AttestationError):
        raise opened
    if opened is None or opened.verdict.digest != newest.digest:
        raise AttestationError(
            f"the newest verdict of this version ({newest.outcome}) is not in its tags any more",
            fix="put it there again, or run the gate again",
        )
    if newest.digest in history.earned():
        raise AttestationError("its verdict has promoted it before, and a verdict promotes once", fix=GATE_IT)
    granted = may_hold(opened, rule=rule, holder=None if over is None else over.holder(), now=now)
    if not agreed and granted != "overridden":
        raise AttestationError(
            "the alias is not where the registry's ledger says, so it was moved past the gate", fix=BY_OVERRIDE
        )
    to = Held(version=facts.version, created=facts.created, verdict=newest.digest, weights=newest.weights)
    return Move(event=granted, to=to, over=over)


def rollback(facts: StoredVersion, history: History, rule: Protection, refusal: AttestationError) -> Held:
    """Back to somebody who held the alias.

    Raises:
        AttestationError: If the policy, or what has become known since, forbids it.
    """
    earlier = stack(history)[:-1]
    held = next(held for held in reversed(earlier) if held.same_version(facts))
    if rule.rollback is Rollback.NONE:
        raise AttestationError(f"the policy allows no rollback, and as a promotion {refusal.what}", fix=refusal.fix)
    if rule.rollback is Rollback.PREVIOUS and not earlier[-1].same_version(facts):
        raise AttestationError(
            f"a rollback goes to the previous holder, version {earlier[-1].version}, and as a promotion {refusal.what}",
            fix=refusal.fix,
        )
    known = history.of(facts.version, facts.created)
    since = newer_than(held, known)
    if bad := [row for row in since if row.outcome in {"FAIL", "INCONCLUSIVE"}]:
        raise AttestationError(
            f"it held the alias before, and has got the verdict {bad[-1].outcome} since", fix=GATE_IT
        )
    if any(None not in {row.weights, held.weights} and row.weights != held.weights for row in since):
        raise AttestationError("it held the alias before, and its weights are others since", fix=GATE_IT)
    return held


def still_shown(held: Held, shown: frozenset[str]) -> Held:
    """A former holder whose verdict is where it was.

    Raises:
        AttestationError: If it is not.
    """
    if held.verdict is not None and held.verdict not in shown:
        raise AttestationError(
            f"the verdict by which version {held.version} held the alias is not in its tags any more",
            fix="restore the tag from a backup, or run the gate on this version",
        )
    return held


def newer_than(held: Held, known: tuple[VerdictRow, ...]) -> tuple[VerdictRow, ...]:
    """The verdicts on a holder since the one by which it got the alias; all of them if it got it without."""
    if held.verdict is None:
        return known
    places = [index for index, row in enumerate(known) if row.digest == held.verdict]
    if not places:
        raise broken(f"the verdict by which version {held.version} was promoted is missing")
    return known[places[-1] + 1 :]


def whole(history: History) -> None:
    """No row is missing, as far as rows can tell.

    Raises:
        AttestationError: If one is.
    """
    if not history.whole:
        raise broken("events are missing in it")
    verdicts = {row.digest for row in history.verdicts}
    for row in history.promotions:
        known = row.seq > history.since or row is history.promotions[-1]
        if known and row.to.verdict is not None and row.to.verdict not in verdicts:
            raise broken(f"the verdict by which version {row.to.version} was promoted is missing")


def broken(what: str) -> AttestationError:
    """The ledger was tampered with."""
    return AttestationError(
        f"the registry's ledger is damaged: {what}",
        fix="restore the tables llmgate_verdicts and llmgate_promotions from a backup",
    )
