"""`llmgate status` and `llmgate rollback`: who holds an alias, and back to who held it before."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import PromotionRefusedError
from llmgate.promote.alias import CHAMPION, alias_problem
from llmgate.promote.registries import open_registry
from llmgate.promote.rollback import roll_back
from llmgate.promote.status import read_status
from llmgate.promote.target import parse_model_uri
from llmgate.report.terminal.decision import labelled
from llmgate.report.visible import one_line
from llmgate.report.words import plural
from llmgate.session.decide.promote import source_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.promote.mirror import MirrorEvent
    from llmgate.promote.rollback import RolledBack
    from llmgate.promote.status import ChampionStatus, Status, WaitingVersion
    from llmgate.report.pieces import LedLine, Style

__all__ = ["roll_back_alias", "status_lines", "status_of", "status_values"]

DIGEST: Final = 12
"""So much of a digest is shown."""
INDENT: Final = 11
MOST_EVENTS: Final = 10
MOST_FORMER: Final = 5
STYLES: Final[dict[str, Style]] = {"PASS": "good", "FAIL": "bad", "INCONCLUSIVE": "warn"}
SENTENCE: Final = 300
REASON: Final = 200
TRIED: Final = 200


def roll_back_alias(uri: str, *, alias: str, to: str | None, reason: str, mlflow_uri: str | None = None) -> RolledBack:
    """Give an alias back to a version that held it.

    Args:
        uri: `models:/NAME`.
        alias: The alias.
        to: A version number; None for whoever held it last.
        reason: Why.
        mlflow_uri: Tracking server or store; None for MLFLOW_TRACKING_URI.

    Raises:
        UsageError: If the URI names no model, or the reason is empty.
        PromotionRefusedError: With one sentence: why, and what to do.
        CannotRunError: If MLflow cannot be reached.
    """
    name = parse_model_uri(uri)
    refuse_odd(name, alias)
    registry = open_registry(mlflow_uri)
    return roll_back(registry, name, alias=alias, to=to, reason=reason, source_digest=source_digest)


def refuse_odd(name: str, alias: str) -> None:
    """Refuse what cannot be an alias, or only looks like the champion's."""
    if problem := alias_problem(alias):
        raise PromotionRefusedError(problem, where=f"{name} {alias}")


def status_of(uri: str, *, alias: str = CHAMPION, mlflow_uri: str | None = None) -> Status:
    """Ask who holds an alias.

    Args:
        uri: `models:/NAME`.
        alias: The alias.
        mlflow_uri: Tracking server or store; None for MLFLOW_TRACKING_URI.

    Raises:
        UsageError: If the URI names no model.
        CannotRunError: If MLflow cannot be reached, has no such model, or shows a ledger that cannot be read.
    """
    name = parse_model_uri(uri)
    return read_status(open_registry(mlflow_uri), name, alias)


def status_values(value: Any) -> Any:
    """A status as JSON holds it; times are UTC."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: status_values(held) for key, held in asdict(value).items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict):
        return {key: status_values(held) for key, held in value.items()}
    return [status_values(held) for held in value] if isinstance(value, list | tuple) else value


def status_lines(status: Status, *, width: int) -> list[LedLine]:
    """A status for a terminal. Names and sentences are text of others: no line holds a control character."""
    lines = [*champion_lines(status, width)]
    lines += labelled("registry", about_registry(status), width, indent=INDENT)
    if status.ledger_holder is not None:
        holder = status.champion.version if status.champion else None
        text = (
            f"the ledger says that version {status.ledger_holder} holds the alias, and "
            f"{f'version {holder}' if holder else 'nobody'} does: it was moved past the gate"
        )
        lines += labelled("warning", text, width, style="bad", indent=INDENT)
    lines += [("", "", "plain"), *waiting_lines(status, width)]
    if status.history:
        lines += [("", "", "plain"), *history_lines(status.history, width)]
    return lines


def champion_lines(status: Status, width: int) -> Iterator[LedLine]:
    """Who holds the alias."""
    head, champion = f"{status.name} {status.alias}:", status.champion
    if champion is None:
        yield from labelled(head, "nobody holds it", width, style="strong", indent=0)
        if status.gated:
            text = "The first verdict has to be signed with a key of the role bootstrap"
            yield from labelled("", text, width, indent=INDENT)
        return
    yield from labelled(head, f"version {champion.version}", width, style="strong", indent=0)
    yield from labelled("since", since(champion), width, indent=INDENT)
    if champion.reason:
        yield from labelled("because", one_line(champion.reason, REASON), width, indent=INDENT)
    yield from labelled("verdict", verdict_words(champion), width, indent=INDENT)
    if champion.sentence:
        yield from labelled("", one_line(champion.sentence, SENTENCE), width, indent=INDENT)
    yield from labelled("answers", answers_words(status.name, status.alias, champion), width, indent=INDENT)
    if champion.attempts:
        tried = f"; by its last verdict attempt {one_line(champion.tried, TRIED)}" if champion.tried else ""
        yield from labelled("attempts", f"{champion.attempts}{tried}", width, indent=INDENT)
    if status.former:
        more = len(status.former) - MOST_FORMER
        shown = ", ".join(status.former[:MOST_FORMER]) + (f" and {more} more" if more > 0 else "")
        yield from labelled("before", f"version {shown}", width, indent=INDENT)


def since(champion: ChampionStatus) -> str:
    """When and how it got the alias."""
    if champion.since is None or champion.how is None:
        return "nobody wrote down when it got the alias"
    how = {"bootstrapped": "promoted as the first", "overridden": "by an override", "rolled-back": "rolled back"}
    over = f" {'from' if champion.how == 'rolled-back' else 'over'} version {champion.over}"
    return f"{when(champion.since)}, {how.get(champion.how, champion.how)}{over if champion.over else ''}"


def verdict_words(champion: ChampionStatus) -> str:
    """By which verdict it holds the alias."""
    if champion.verdict is None:
        told = f"; its last gate run says {one_line(champion.outcome, 20)}" if champion.outcome else ""
        return f"none is signed{told}"
    given = f" of {when(champion.issued_at)}" if champion.issued_at else ""
    return f"{one_line(champion.outcome or 'unknown', 20)}{given}, {champion.verdict[:DIGEST]}"


def answers_words(name: str, alias: str, champion: ChampionStatus) -> str:
    """Which of its runs later candidates are compared with."""
    at = "" if alias == CHAMPION else f" --alias {alias}"
    again = f"`llmgate champion refresh models:/{one_line(name, 120)}{at} SUITES...`"
    if champion.refreshed is None:
        return f"the tag that leads to its fresh run cannot be read: {again}"
    if not champion.refreshed:
        return f"those that earned the alias, which makes an unchanged model fail more often: {again}"
    used = ", but a signed verdict names the run that is compared with" if champion.verdict is not None else ""
    return f"asked again after its promotion, {one_line(champion.refreshed, 40)}{used}"


def about_registry(status: Status) -> str:
    """Whether it is gated, and whether it keeps a ledger of this alias."""
    if status.gated is None:
        return "does not say whether it is gated"
    if not status.gated:
        return "no gate protects this model: whoever may edit it may set the alias"
    if status.ledgered:
        return "gated: it refuses what no verdict allows"
    return "gated, and its ledger has nothing on this alias: no verdict yet, or the alias is not protected"


def waiting_lines(status: Status, width: int) -> Iterator[LedLine]:
    """Who is waiting."""
    if not status.waiting:
        yield "Waiting:", " no newer version", "plain"
        return
    yield "Waiting, the newest first", "", "strong"
    number = max(len(version.version) for version in status.waiting)
    for version in status.waiting:
        lead = f"  {version.version:>{number}}  {version.outcome or 'no verdict':<12}"
        yield from labelled(
            lead, waiting_words(version), width, style=STYLES.get(version.outcome or "", "dim"), indent=0
        )
    if status.left_out:
        yield "", f"  and {plural(status.left_out, 'version')} more", "plain"


def waiting_words(version: WaitingVersion) -> str:
    """What is known of a version that waits."""
    if version.outcome is None or version.at is None:
        return f"registered {when(version.created_at)}"
    words = [when(version.at)]
    if version.signed is None:
        words.append("not signed")
    elif version.spent:
        words.append(f"{version.signed[:DIGEST]}, which gave it the alias once")
    else:
        words.append(version.signed[:DIGEST])
        if version.expires_at is not None and version.outcome == "PASS":
            words.append(f"until {version.expires_at:%Y-%m-%d}")
    if version.tried:
        words.append(f"attempt {one_line(version.tried, TRIED)}")
    elif version.attempts > 1:
        words.append(f"attempt {version.attempts}")
    return ", ".join(words)


def history_lines(history: tuple[MirrorEvent, ...], width: int) -> Iterator[LedLine]:
    """What the ledger shows."""
    yield "History, the newest first", "", "strong"
    for event in history[:MOST_EVENTS]:
        yield from labelled(f"  {when(event.at)}", event_words(event), width, indent=0)
    if len(history) > MOST_EVENTS:
        yield "", f"  and {plural(len(history) - MOST_EVENTS, 'event')} more: see --json", "plain"


def event_words(event: MirrorEvent) -> str:
    """One event."""
    version = f"version {one_line(event.version, 20)}"
    verdict = f", {event.verdict[:DIGEST]}" if event.verdict else ""
    over = f" over {one_line(event.over, 20)}" if event.over else ""
    if not event.moved:
        attempt = f", attempt {event.attempt}" if event.attempt and event.attempt > 1 else ""
        return f"{one_line(event.outcome or 'verdict', 20)} of {version}{attempt}{verdict}"
    reason = f": {one_line(event.reason, REASON)}" if event.reason else ""
    if event.event == "rolled-back":
        return f"rolled back to {version}{over}{verdict}{reason}"
    return f"{event.event} {version}{over}{verdict}{reason}"


def when(moment: datetime) -> str:
    """To the minute, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"
