"""The attempt that a decision is about to be: what it rests on, and its place behind those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmgate.errors import RecordError
from llmgate.gate.decision.types import Problem
from llmgate.gate.decision.verdict_word import Verdict
from llmgate.gate.decision.wording import count
from llmgate.record.schema import Record
from llmgate.session.attempts.blobs import PackedTexts
from llmgate.session.attempts.compact import changed_answers, compacted, expanded
from llmgate.session.attempts.entry import AttemptEntry, AttemptSide, attempt_id, current
from llmgate.session.attempts.key import attempt_key
from llmgate.session.clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.record.policy import Policy

__all__ = ["DecidedOn", "as_problem", "found_of", "kept_record", "placed_behind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedOn:
    """What a decision rests on.

    Attributes:
        key: See `attempt_key`.
        id: See `attempt_id`.
        candidate: The candidate's record, as entries name it.
        champion: The champion's, None without one.
        records: Both, as they were read.
        texts: What is kept of both, by digest.
        reserve: The policy's.
    """

    key: str
    id: str
    candidate: AttemptSide
    champion: AttemptSide | None
    records: tuple[Record, Record | None]
    texts: PackedTexts
    reserve: float


def found_of(candidate: Record, champion: Record | None, policy: Policy) -> DecidedOn:
    """What a decision on two sealed records rests on."""
    key = attempt_key(candidate.manifest, champion.manifest if champion is not None else None, policy)
    mine, texts = side_of(candidate)
    theirs = None
    if champion is not None:
        theirs, more = side_of(champion)
        texts |= more
    return DecidedOn(
        key=key,
        id=attempt_id(key, mine, theirs),
        candidate=mine,
        champion=theirs,
        records=(candidate, champion),
        texts=texts,
        reserve=policy.reserve,
    )


def side_of(record: Record) -> tuple[AttemptSide, PackedTexts]:
    """A record as an entry names it, and what is kept of it."""
    kept = compacted(record)
    side = AttemptSide(
        run=record.manifest.run_id,
        model=record.manifest.model.name,
        journal=record.seal.journal_digest if record.seal is not None else "",
        head=kept.head.digest,
        cases=kept.cases.digest,
        results=kept.results.digest,
    )
    return side, kept.texts


def placed_behind(
    found: DecidedOn, entries: Sequence[AttemptEntry], text: Callable[[str], bytes]
) -> tuple[AttemptEntry, list[Problem]]:
    """The entry of an attempt that is not in the ledger; its verdict is still to come.

    Args:
        found: What it rests on.
        entries: All attempts that are known.
        text: What was kept of them, by digest.

    Returns:
        The entry, and what keeps it from PASS: answers of the same run that had been decided on and changed since.
    """
    problems: list[Problem] = []
    completes: AttemptEntry | None = None
    for entry in current(entries):
        if entry.candidate.run != found.candidate.run:
            continue
        pairs = [(entry.candidate, found.records[0])]
        same = run_of(entry.champion) == run_of(found.champion)
        if same and entry.champion is not None and found.records[1] is not None:
            pairs.append((entry.champion, found.records[1]))
        changed = [problem for side, now in pairs if (problem := changed_since(side, now, text)) is not None]
        problems += changed
        if same and not changed:
            completes = entry
    own = AttemptEntry(
        key=found.key,
        id=found.id,
        verdict=Verdict.INCONCLUSIVE,
        reserve=found.reserve,
        decided_at=timestamp(),
        candidate=found.candidate,
        champion=found.champion,
        earlier=completes.earlier if completes is not None else tuple(entry.id for entry in current(entries)),
        replaces=completes.id if completes is not None else "",
    )
    return own, problems


def run_of(side: AttemptSide | None) -> str | None:
    """The run of a side."""
    return side.run if side is not None else None


def changed_since(side: AttemptSide, now: Record, text: Callable[[str], bytes]) -> Problem | None:
    """What is wrong with a run that was decided on before: an answer that was there is another now."""
    try:
        before = kept_record(side, text)
    except RecordError as error:
        return as_problem(error)
    changed = changed_answers(before, now)
    if not changed:
        return None
    some = f"{count(len(changed), 'answer')} of this run"
    return Problem(
        where=side.run,
        what=f"{some} changed since it was decided on, the first is {min(changed)}",
        fix="Restore the record, or run anew without --resume: that is the next attempt",
    )


def kept_record(side: AttemptSide, text: Callable[[str], bytes]) -> Record:
    """The record of a side, as it was kept.

    Raises:
        RecordError: If it is missing, damaged, or not the one that the entry names.
    """
    head, cases, results = (text(digest) for digest in side.texts)
    record = expanded(head, cases, results, where=f"attempt of run {side.run}")
    journal = record.seal.journal_digest if record.seal is not None else ""
    if (record.manifest.run_id, journal) != (side.run, side.journal):
        raise RecordError("what was kept is of another run", where=f"attempt of run {side.run}")
    return record


def as_problem(error: RecordError) -> Problem:
    """An error of the ledger as what keeps a verdict from PASS."""
    return Problem(
        where=error.where or "attempts", what=error.what, fix=error.fix or "Restore the attempt ledger from a copy"
    )
