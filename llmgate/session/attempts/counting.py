"""Which attempt a decision is, and which ones count with it: looked up, and entered once it is taken.

An attempt is known again by what it rests on: deciding on the same record, on a copy of it, or on a run that found the
same, is the same attempt. A run that was gone on with completes its attempt, if nothing that was answered has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from llmgate.errors import RecordError
from llmgate.gate.attempts.earlier import Earlier
from llmgate.gate.decision.types import Decision, Problem
from llmgate.gate.decision.wording import count
from llmgate.gate.evidence.answered_by import answered_otherwise
from llmgate.record.run.files import ATTEMPTS_NAME
from llmgate.session.attempts.elsewhere import Brought, beside_others, read_elsewhere
from llmgate.session.attempts.ledger import AttemptLedger
from llmgate.session.attempts.note import has_note, read_note, read_texts, write_note
from llmgate.session.attempts.own import as_problem, found_of, kept_record, placed_behind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from llmgate.record.policy import Policy
    from llmgate.record.schema import Record
    from llmgate.session.attempts.entry import AttemptEntry
    from llmgate.session.attempts.ledger import LedgerChain
    from llmgate.session.attempts.note import AttemptNote
    from llmgate.session.attempts.own import DecidedOn

__all__ = ["AttemptSources", "CountedWith", "counted_with"]

UNKNOWN: Final = (
    "nothing tells which attempt of its candidate this run is, and the answers of earlier ones would count with it"
)
OTHER: Final = "what is noted beside this run is of other answers, or another gate"
WHERE_IT_IS: Final = "Decide on it with `llmgate decide` where its attempt ledger is, and publish it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSources:
    """Where attempts are looked up.

    Attributes:
        ledger: Where they are kept and entered; None to believe what stands beside the record and nothing else.
        brought: Gives what a registry knows of a key, besides attempts whose ids are known here.
        always: Whether a run counts that has no note and whose policy keeps nothing for further attempts: a run of now
            does, an old record is decided as ever.
    """

    ledger: AttemptLedger | None = None
    brought: Callable[[str, frozenset[str]], Brought] | None = None
    always: bool = False


@dataclass(frozen=True, slots=True)
class CountedWith:
    """What counts with a decision.

    Attributes:
        earlier: The attempts before it.
        problems: What keeps it from PASS.
    """

    earlier: tuple[Earlier, ...] = ()
    problems: tuple[Problem, ...] = ()
    _enter: Callable[[Decision], None] | None = field(default=None, repr=False)

    def enter(self, decision: Decision) -> None:
        """Put the verdict into the ledger, once.

        Raises:
            RecordError: If it cannot be written.
        """
        if self._enter is not None:
            self._enter(decision)


@contextmanager
def counted_with(
    out: Path, candidate: Record, champion: Record | None, policy: Policy, attempts: AttemptSources
) -> Iterator[CountedWith]:
    """Look up the attempts before a decision. It is to be entered before the block ends, which holds the ledger.

    Args:
        out: Folder of the candidate's record.
        candidate: The record.
        champion: The champion's, None without one.
        policy: By which is decided.
        attempts: Where attempts are looked up.
    """
    if candidate.seal is None or (champion is not None and champion.seal is None):
        yield CountedWith()  # Deciding says what is wrong.
        return
    if any(problem.where == "model" for problem in answered_otherwise(candidate)):
        yield CountedWith()  # Out of a cache, or of another model: whatever it scored, it cannot pass.
        return
    noted, problem = own_note(out)
    if noted is None and problem is None and not (policy.reserve or attempts.always):
        yield CountedWith()
        return
    found = found_of(candidate, champion, policy)
    if attempts.ledger is None:
        yield by_note(out, noted, problem, found)
        return
    if noted is not None and noted.own.key != found.key:
        noted = None  # Decided before by another policy, or against another champion.
    brought = known_to_registry(attempts.ledger, attempts, found.key)
    with ExitStack() as held:
        try:
            chain = held.enter_context(attempts.ledger.hold(found.key))
        except RecordError as error:
            known = by_note(out, noted, problem, found) if noted is not None else CountedWith()
            yield replace(known, problems=(*known.problems, *brought.problems, as_problem(error)))
            return
        unreadable = (problem,) if problem is not None else ()
        yield by_ledger(out, chain, found, noted, replace(brought, problems=(*brought.problems, *unreadable)))


def own_note(out: Path) -> tuple[AttemptNote | None, Problem | None]:
    """What stands beside a record, and why it cannot be read."""
    if not has_note(out):
        return None, None
    try:
        return read_note(out), None
    except RecordError as error:
        return None, as_problem(error)


def by_note(out: Path, noted: AttemptNote | None, problem: Problem | None, found: DecidedOn) -> CountedWith:
    """What counts with a record by what stands beside it."""
    if noted is None or (noted.own.id, noted.own.key) != (found.id, found.key):
        what = UNKNOWN if noted is None else OTHER
        return CountedWith(problems=(problem or Problem(where=str(out / ATTEMPTS_NAME), what=what, fix=WHERE_IT_IS),))
    try:
        texts: Mapping[str, bytes] = read_texts(out)
    except RecordError as error:
        return CountedWith(problems=(as_problem(error),))

    def text(digest: str) -> bytes:
        if digest not in texts:
            raise RecordError("what was kept of it is gone", where=str(out / ATTEMPTS_NAME))
        return texts[digest]

    return CountedWith(earlier=earlier_of(noted.before, text), problems=smaller_reserves(noted.before, found.reserve))


def known_to_registry(ledger: AttemptLedger, attempts: AttemptSources, key: str) -> Brought:
    """What a registry knows; it is asked before the ledger is locked."""
    if attempts.brought is None:
        return Brought()
    known: frozenset[str] = frozenset()
    with suppress(RecordError):  # Who holds the ledger is told.
        known = frozenset(entry.id for entry in ledger.peek(key))
    return attempts.brought(key, known)


def by_ledger(
    out: Path, chain: LedgerChain, found: DecidedOn, noted: AttemptNote | None, brought: Brought
) -> CountedWith:
    """What counts with a record by the ledger, with what notes and a registry know besides."""
    problems = [*brought.problems]
    own_folder = [out] if noted is not None else []
    ids = frozenset(entry.id for entry in chain.entries)
    others = read_elsewhere([*own_folder, *beside_others(out, found.key, ids)], found.key) | brought.known
    lacking = others.beyond(chain.entries)
    entries = [*chain.entries, *lacking]

    def text(digest: str) -> bytes:
        return others.texts[digest] if digest in others.texts else chain.text(digest)

    known = {entry.id: entry for entry in entries}
    own = known.get(found.id)
    new = own is None
    if own is None:
        own, changed = placed_behind(found, entries, text)
        problems += changed
    elif noted is not None and noted.own.id == own.id and noted.own.earlier != own.earlier:
        what, fix = "it tells other attempts than the ledger does", "Restore it, or remove it and decide again"
        problems.append(Problem(where=str(out / ATTEMPTS_NAME), what=what, fix=fix))
    before = [known[identity] for identity in own.earlier if identity in known]
    if gone := len(own.earlier) - len(before):
        what = f"{count(gone, 'attempt')} that counted with this one cannot be found"
        problems.append(Problem(where=str(chain.folder), what=what, fix="Restore the ledger from a copy"))

    def enter(decision: Decision) -> None:
        mine = replace(own, verdict=decision.verdict) if new else own
        kept = {digest: others.texts[digest] for entry in entries for digest in entry.texts if digest in others.texts}
        chain.add(lacking, kept)
        if new:
            chain.add([mine], found.texts)
        told = {}
        digests = {digest for entry in (*before, mine) for digest in entry.texts}
        for digest in digests.difference(found.texts):
            with suppress(RecordError):
                told[digest] = text(digest)
        # In a folder that cannot be written nothing can be published either, and the ledger has it.
        with suppress(RecordError):
            write_note(out, mine, before, told, found.texts.within(digests))

    earlier = earlier_of(before, text)
    return CountedWith(earlier, (*problems, *smaller_reserves(before, found.reserve)), enter)


def earlier_of(entries: Sequence[AttemptEntry], text: Callable[[str], bytes]) -> tuple[Earlier, ...]:
    """Attempts with their records, as deciding takes them; one whose records are lost says why."""
    found = []
    champions: dict[tuple[str, ...], Record] = {}
    for number, entry in enumerate(entries, start=1):
        candidate = champion = None
        lost = ""
        try:
            if entry.champion is not None:
                champion = champions.get(entry.champion.texts) or kept_record(entry.champion, text)
                champions[entry.champion.texts] = champion
            candidate = kept_record(entry.candidate, text)
        except RecordError as error:
            champion, lost = None, str(error)
        found.append(
            Earlier(
                number=number,
                digest=entry.id,
                verdict=entry.verdict,
                candidate=candidate,
                champion=champion,
                lost=lost,
            )
        )
    return tuple(found)


def smaller_reserves(entries: Sequence[AttemptEntry], reserve: float) -> tuple[Problem, ...]:
    """What is wrong where an earlier attempt left less of the error rate than is counted on now."""
    least = min((entry.reserve for entry in entries), default=reserve)
    if least >= reserve:
        return ()
    what = f"an earlier attempt kept {least:g} of the error rate for further ones, and this one counts on {reserve:g}"
    fix = f"Write `reserve: {least:g}` into the suite's gate, as it was"
    return (Problem(where="attempts", what=what, fix=fix),)
