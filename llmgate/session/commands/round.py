"""`llmgate round`: several finished runs, decided together, or one of them by a final on new cases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, LlmgateError, NotComparableError, RecordError
from llmgate.gate.decision.types import Decision, Verdict
from llmgate.gate.rounds.together import DeclaredRound, decide_final, decide_round
from llmgate.record.run.files import MANIFEST
from llmgate.session.attempts.counting import counted_with
from llmgate.session.clock import today
from llmgate.session.decide.noted_round import noted_place
from llmgate.session.decide.opened import OpenedRecords
from llmgate.session.decide.publish import publish
from llmgate.session.decide.records import BASELINE_NAME, BY_NOTE, Baseline, note_baseline, noted_baseline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.schema import Record
    from llmgate.session.decide.publish import Published
    from llmgate.session.settings.typed import Settings

__all__ = ["DecidedRound", "RoundQuestion", "ask_round", "publish_round"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundQuestion:
    """What `llmgate round` was asked. See its help for what each option means.

    Attributes:
        name: Of the round.
        candidates: Folders of all its runs.
        champion: Folder of the champion's run.
        final: Folder of the one that was asked again on new cases; None to decide all together.
        final_champion: Folder of the champion's run on the new cases.
    """

    name: str
    candidates: tuple[Path, ...]
    champion: Path
    final: Path | None = None
    final_champion: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedRound:
    """What was decided.

    Attributes:
        runs: The folders that have a decision, in order: all candidates, or the final.
        champion: What they were compared with.
        decisions: One for each.
    """

    runs: tuple[Path, ...]
    champion: Path
    decisions: tuple[Decision, ...]

    @property
    def exit_code(self) -> int:
        """0 if one passes, 1 if all fail, else 3."""
        verdicts = {decision.verdict for decision in self.decisions}
        if Verdict.PASS in verdicts:
            return EXIT_PASS
        return EXIT_FAIL if verdicts == {Verdict.FAIL} else EXIT_INCONCLUSIVE


def ask_round(question: RoundQuestion, records: OpenedRecords | None = None) -> DecidedRound:
    """Decide a round from what is on disk.

    The policy is the candidates' own: one that is chosen when the results are known would be chosen by them.

    Args:
        question: What was asked.
        records: Keeps what was read.

    Raises:
        RecordError: If a run of the round lies beside those that are named, or was decided otherwise before.
        NotComparableError: If a run was compared with another champion.
        LlmgateError: As `decide_round` and `decide_final`.
    """
    records = records or OpenedRecords()
    champion = records.of(question.champion)
    declared = DeclaredRound(
        name=question.name, candidates=[records.of(folder) for folder in question.candidates], champion=champion
    )
    for folder in question.candidates:
        _same_champion(folder, champion, records)
    _refuse_unnamed(question)
    declared = _counted(declared, question.candidates, declared.candidates, champion)
    if question.final is None or question.final_champion is None:
        for folder in question.candidates:
            _refuse_decided(folder, declared.digests, question.name)
        return DecidedRound(
            runs=question.candidates, champion=question.champion, decisions=decide_round(declared, today=today())
        )
    for folder in question.candidates:
        if noted_place(folder) is not None:
            raise RecordError(
                "the round was decided together already, and a final would be a second chance",
                where=str(folder),
                fix="Declare a new round for candidates that did not pass",
            )
    _refuse_decided(question.final, declared.digests, question.name)
    final, other = records.of(question.final), records.of(question.final_champion)
    _same_champion(question.final, other, records)
    declared = _counted(declared, [question.final], [final], other)
    decision = decide_final(declared, final, other, today=today())
    return DecidedRound(runs=(question.final,), champion=question.final_champion, decisions=(decision,))


def _counted(
    declared: DeclaredRound, folders: Sequence[Path], records: Sequence[Record], champion: Record
) -> DeclaredRound:
    """The round with the earlier attempts of these runs: each was entered when it was run, which stands beside it."""
    earlier, problems = dict(declared.earlier), dict(declared.problems)
    for folder, record in zip(folders, records, strict=True):
        with counted_with(folder, record, champion, record.manifest.policy, BY_NOTE) as counted:
            digest = record.seal.journal_digest if record.seal is not None else ""
            earlier[digest], problems[digest] = counted.earlier, counted.problems
    return replace(declared, earlier=earlier, problems=problems)


def publish_round(decided: DecidedRound, settings: Settings, records: OpenedRecords) -> tuple[Published, ...]:
    """Write the report of every run, and tell the registry where one is named.

    Args:
        decided: What was decided.
        settings: Where it is told.
        records: What the decisions read.

    Raises:
        LlmgateError: As `publish`.
    """
    published = []
    for folder, decision in zip(decided.runs, decided.decisions, strict=True):
        known = noted_baseline(folder) if (folder / BASELINE_NAME).exists() else None
        baseline = Baseline(folder=str(decided.champion), uri=known.uri if known is not None else None)
        note_baseline(folder, baseline)
        # No new version is registered: the model lies where the run was made.
        of_run = replace(settings, mlflow_model=None, registry_uri=records.of(folder).manifest.model.registry_uri)
        published.append(publish(folder, decision, baseline, of_run, records))
    return tuple(published)


def _same_champion(folder: Path, champion: Record, records: OpenedRecords) -> None:
    """What a run was compared with when it was made must be what it is compared with now."""
    noted = noted_baseline(folder) if (folder / BASELINE_NAME).exists() else None
    if noted is None or not Path(noted.folder).exists():
        return
    known = records.of(noted.folder)
    if known.seal != champion.seal:
        raise NotComparableError(
            f"the run was made to be compared with {noted.folder}, and not with {champion.path}",
            where=str(folder),
            fix="Name that one with --champion, or run the candidate anew",
        )


def _refuse_unnamed(question: RoundQuestion) -> None:
    """A round whose worse candidates are left out is a smaller one, and passes too easily."""
    named = {folder.resolve() for folder in (*question.candidates, question.final) if folder is not None}
    places = {folder.resolve().parent for folder in question.candidates}
    for folder in sorted(child for place in places for child in place.iterdir() if child.is_dir()):
        if folder.resolve() in named or not MANIFEST.exists(folder):
            continue
        try:
            manifest = MANIFEST.read(folder)
        except LlmgateError:
            # Some other run that cannot be read; those of the round are named, and read.
            continue
        if manifest.round == question.name:
            raise RecordError(
                f"this run is of round {question.name} too, and is not named",
                where=str(folder),
                fix="Name all runs of the round, the unfinished ones resumed; a final is named with --final",
            )


def _refuse_decided(folder: Path, digests: tuple[str, ...], name: str) -> None:
    place = noted_place(folder)
    if place is not None and (place.candidates, place.name) != (digests, name):
        raise RecordError(
            f"the run was decided already, as candidate {place.number} of {place.of} in round {place.name}",
            where=str(folder),
            fix="Name the same runs in the same order; a decided round is not decided anew with others",
        )
