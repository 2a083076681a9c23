"""People's labels beside a judge's scores: bound to the two runs, complete, and of no other case than was drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llmgate.errors import NotComparableError, RecordError, did_you_mean
from llmgate.gate.decision.wording import count, name_some
from llmgate.record.labels import ALIKE, AnswerKey, answer_digest, draw_cases, draw_strata
from llmgate.record.schema import Generation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from llmgate.gate.evidence.evidence import Evidence
    from llmgate.record.labels import AnswerLabels
    from llmgate.record.schema import PlannedCase, Record
    from llmgate.record.scores import ScoreTable

__all__ = ["answers_to", "parts_of", "with_labels"]


def with_labels(
    evidence: Sequence[Evidence], records: Sequence[Record], sheets: Sequence[AnswerLabels]
) -> tuple[Evidence, ...]:
    """Put what people say beside the scores of both sides.

    Args:
        evidence: Of the candidate, and of the champion where there is one.
        records: Theirs.
        sheets: Labels, one file per metric.

    Raises:
        NotComparableError: If labels are of other runs.
        RecordError: If a metric is labelled twice or does not exist, an answer to a case that was drawn has no label,
            or a label belongs to no such answer. What is unusable is refused: labels that were left out, or chosen,
            would correct towards whoever chose.
    """
    labelled = tuple(evidence)
    seen: dict[tuple[str, str], str] = {}
    for sheet in sheets:
        key = (sheet.suite, sheet.metric)
        if key in seen:
            raise RecordError(
                f"{sheet.suite}/{sheet.metric} is labelled in {seen[key]} already",
                where=sheet.source,
                fix="Give one file per metric",
            )
        seen[key] = sheet.source
        _check_runs(sheet, labelled)
        labelled = _labelled(labelled, records, sheet)
    return labelled


def answers_to(record: Record, suite: str, case: str) -> tuple[Generation | None, ...]:
    """Each repeat's answer to a case, None where there is none."""
    return next(
        (_answers(record, planned) for planned in record.cases if (planned.suite, planned.case) == (suite, case)), ()
    )


def _check_runs(sheet: AnswerLabels, evidence: Sequence[Evidence]) -> None:
    digests = (*(side.digest for side in evidence), None)[:2]
    journals = (sheet.candidate, sheet.champion)
    for side, journal, digest in zip(("candidate", "champion"), journals, digests, strict=True):
        if journal != digest:
            raise NotComparableError(
                f"the labels are about answers of another {side}: journal {journal}, and here it is {digest}",
                where=sheet.source,
                fix="Draw anew with `llmgate labels sample`; --reuse keeps what is labelled already",
            )


def _labelled(evidence: tuple[Evidence, ...], records: Sequence[Record], sheet: AnswerLabels) -> tuple[Evidence, ...]:
    tables = [_table(side, sheet) for side in evidence]
    drawn = _drawn(tables, sheet)
    planned = [{case.case: case for case in record.cases if case.suite == sheet.suite} for record in records]
    answers = [
        {case: _answers(record, cases[case]) if case in cases else () for case in drawn}
        for record, cases in zip(records, planned, strict=True)
    ]
    _check_complete(sheet, answers)
    return tuple(
        replace(
            side,
            tables=tuple(replace(t, human=_column(t, given, sheet)) if t is table else t for t in side.tables),
            labels=(*side.labels, sheet),
        )
        for side, table, given in zip(evidence, tables, answers, strict=True)
    )


def parts_of(tables: Sequence[ScoreTable]) -> dict[str, tuple[str, ...]]:
    """The cases by whether the judge scores the candidate better, worse, or both sides alike.

    A case without a score on either side counts as one on which they are alike.

    Args:
        tables: The candidate's scores and the champion's.
    """
    mine, other = (dict(zip(table.items.ids.tolist(), table.scores.tolist(), strict=True)) for table in tables)
    parts: dict[str, list[str]] = {"better": [], "worse": [], ALIKE: []}
    for case in sorted(mine.keys() | other.keys()):
        difference = mine.get(case, math.nan) - other.get(case, math.nan)
        parts["better" if difference > 0.0 else "worse" if difference < 0.0 else ALIKE].append(str(case))
    return {part: tuple(cases) for part, cases in parts.items() if cases}


def _drawn(tables: Sequence[ScoreTable], sheet: AnswerLabels) -> tuple[str, ...]:
    """The cases that have to be labelled: drawn again, never believed."""
    if not sheet.strata:
        return draw_cases({str(i) for t in tables for i in t.items.ids.tolist()}, sheet.cases, seed=sheet.seed)
    if len(tables) < 2:
        raise RecordError("cases were drawn by two sides, and there is one", where=sheet.source, fix="Draw anew")
    parts = parts_of(tables)
    drawn = draw_strata(parts, sheet.cases, seed=sheet.seed)
    found = {part: (len(cases), len(drawn[part])) for part, cases in parts.items()}
    if found != dict(sheet.strata):
        raise RecordError(
            f"the cases were drawn as {dict(sheet.strata)}, and by the scores they would be {found}",
            where=sheet.source,
            fix="Restore the first line, or draw anew with `llmgate labels sample --stratify`; --reuse keeps labels",
        )
    return tuple(case for cases in drawn.values() for case in cases)


def _table(evidence: Evidence, sheet: AnswerLabels) -> ScoreTable:
    table = evidence.table(sheet.suite, sheet.metric)
    if table is None:
        known = [f"{other.suite}/{other.metric}" for other in evidence.tables]
        raise RecordError(
            f"there is no metric {sheet.suite}/{sheet.metric}",
            where=sheet.source,
            fix=did_you_mean(f"{sheet.suite}/{sheet.metric}", known),
        )
    return table


def _check_complete(sheet: AnswerLabels, answers: Sequence[Mapping[str, tuple[Generation | None, ...]]]) -> None:
    wanted = {
        AnswerKey(case=case, answer=answer_digest(answer))
        for side in answers
        for case, given in side.items()
        for answer in given
        if answer is not None
    }
    missing, strange = sorted(wanted - sheet.labels.keys()), sorted(sheet.labels.keys() - wanted)
    if missing:
        raise RecordError(
            f"{count(len(missing), 'answer')} to the cases that were drawn have no label:"
            f" {name_some(dict.fromkeys(key.case for key in missing))}",
            where=sheet.source,
            fix="Restore their lines and fill them in; labels that were left out are not at random",
        )
    if strange:
        raise RecordError(
            f"{count(len(strange), 'label')} belong to no answer to a case that was drawn:"
            f" {name_some(dict.fromkeys(key.case for key in strange))}",
            where=sheet.source,
            fix="Remove them, or draw anew with `llmgate labels sample`",
        )


def _answers(record: Record, case: PlannedCase) -> tuple[Generation | None, ...]:
    results = [record.results.get(key) for key in case.keys]
    answers = [None if result is None else result.answer for result in results]
    return tuple(answer if isinstance(answer, Generation) else None for answer in answers)


def _column(
    table: ScoreTable, answers: Mapping[str, tuple[Generation | None, ...]], sheet: AnswerLabels
) -> NDArray[np.float64]:
    """People's score of each case, the mean of its repeats; NaN where it was not drawn or an answer is missing."""
    column = np.full(len(table.items), math.nan)
    for i, case in enumerate(table.items.ids.tolist()):
        given = answers.get(case, ())
        whole = [answer for answer in given if answer is not None]
        if whole and len(whole) == len(given):
            scores = [sheet.labels[AnswerKey(case=case, answer=answer_digest(answer))] for answer in whole]
            column[i] = math.fsum(scores) / len(scores)
    return column
