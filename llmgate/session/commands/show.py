"""`llmgate show`: single cases of a run that is on disk, with the champion's answers where there is a baseline."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import LlmgateError, UsageError, did_you_mean
from llmgate.gate.decide_records import decide_records
from llmgate.record.run.content_digest import content_digest
from llmgate.record.run.loading import load_record
from llmgate.report.case_rows import CaseRow, Listing
from llmgate.report.limits import ReportLimits
from llmgate.report.panels.cases import CaseBook
from llmgate.report.pieces import Piece
from llmgate.report.visible import full_name, one_line
from llmgate.report.words import plural
from llmgate.session.clock import today
from llmgate.session.decide.records import BASELINE_NAME, noted_baseline

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmgate.record.schema import Record
    from llmgate.report.panels.chosen_cases import CaseName

__all__ = ["CasesQuestion", "ShownCases", "plain_content", "show_cases"]

WHOLE: Final = ReportLimits(text=1_000_000, repeats=10_000, checks=1_000)
"""One case is shown whole."""
SHORT: Final = ReportLimits(text=800, repeats=1)
NEAREST: Final = 3
LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesQuestion:
    """Which cases: one by its name, those that got worse on a metric, those below par; else the worst of all.

    Attributes:
        case: `suite::case`, or the case alone.
        worse: `suite::metric`, or the metric alone.
        missed: Those below par.
        most: How many at most.
    """

    case: str | None = None
    worse: str | None = None
    missed: bool = False
    most: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCases:
    """The cases.

    Attributes:
        heading: What they are and how many there are, "" for the one that was asked for.
        note: What the reader has to know besides.
        content: The digest of what the whole run found, "" for one that is not finished.
    """

    heading: str
    rows: tuple[CaseRow, ...]
    total: int
    note: str = ""
    content: str = ""


def show_cases(run: Path, baseline: Path | None, question: CasesQuestion) -> ShownCases:
    """Look cases up.

    Args:
        run: The folder of a run, which may be unfinished.
        baseline: The champion's; None for the one that the run was compared with.
        question: Which cases.

    Raises:
        UsageError: If there is no such case or metric, or a comparison is asked for and there is no baseline.
        RecordError: If a record cannot be read.
        NotComparableError: If the two may not be compared.
    """
    candidate = load_record(run, unfinished=True, shard=True)
    champion, note = champion_of(run, baseline)
    shown = looked_up(candidate, champion, question, run, note)
    return replace(shown, content=content_digest(candidate) if candidate.seal else "")


def looked_up(candidate: Record, champion: Record | None, question: CasesQuestion, run: Path, note: str) -> ShownCases:
    """The cases that a question is about; raises as `show_cases`."""
    if question.case is not None:
        book = CaseBook.open(candidate, champion, None, WHOLE)
        name = find_case(question.case, book.cards.plan, run)
        return ShownCases(heading="", rows=(book.cards.card(name, ""),), total=1, note=note)
    if question.missed or (question.worse is None and champion is None):
        book = CaseBook.open(candidate, champion, None, SHORT)
        listing, what = book.missed(question.most, above=set()), "below par"
    elif champion is None:
        raise UsageError(
            "what got worse is told by a baseline, and this run has none",
            where=str(run),
            fix=note or "Name the champion's run with --baseline, or use --missed",
        )
    else:
        listing, what = worse_cases(candidate, champion, question)
    shown = f"; the first {len(listing.rows):,}" if listing.total > len(listing.rows) else ""
    heading = f"{plural(listing.total, 'case')} {what}{shown}"
    return ShownCases(heading=heading, rows=listing.rows, total=listing.total, note=note)


def champion_of(run: Path, baseline: Path | None) -> tuple[Record | None, str]:
    """The champion's record, and why there is none where one was noted."""
    if baseline is not None:
        return load_record(baseline), ""
    if not (run / BASELINE_NAME).exists():
        return None, ""
    try:
        noted = noted_baseline(run)
        return (load_record(Path(noted.folder)), "") if noted else (None, "")
    except LlmgateError as error:
        return None, f"The baseline of this run cannot be read ({error.what}). Name it with --baseline"


def worse_cases(candidate: Record, champion: Record, question: CasesQuestion) -> tuple[Listing, str]:
    """What the decision on both records says that got worse, on one metric or on all."""
    decision = decide_records(candidate, champion, today=today())
    book = CaseBook.open(candidate, champion, decision, SHORT)
    if question.worse is None:
        return book.flips(decision.flips, question.most, better=False, above=set()), "got worse"
    metrics = {full_name(it.suite, it.metric): it for it in decision.metrics}
    named = [it for name, it in metrics.items() if question.worse in {name, it.metric}]
    if not named:
        raise UsageError(
            f"there is no metric {one_line(question.worse, LONGEST_NAME)!r}",
            where="--worse",
            fix=did_you_mean(
                question.worse, metrics if "::" in question.worse else {it.metric for it in decision.metrics}
            ),
        )
    chosen = {(it.suite, it.metric) for it in named}
    # Each card is about the metric that was asked for, whatever else its case lost.
    flips = [flip for flip in decision.flips if (flip.suite, flip.metric) in chosen]
    return book.flips(flips, question.most, better=False, above=set()), f"got worse on {one_line(question.worse, 200)}"


def find_case(wanted: str, names: Collection[CaseName], run: Path) -> CaseName:
    """The one case of that name.

    Raises:
        UsageError: If there is none, with the nearest names, or several suites have one.
    """
    found = [name for name in names if wanted in {name[1], "::".join(name)}]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{len(found)} suites have a case {one_line(wanted, LONGEST_NAME)!r}",
            where=str(run),
            fix=f"Write {' or '.join(full_name(*name) for name in found[:NEAREST])}",
        )
    known = {full_name(*name)[:LONGEST_NAME]: None for name in names}
    short = {one_line(name[1], LONGEST_NAME): full_name(*name) for name in names}
    near = difflib.get_close_matches(wanted[:LONGEST_NAME], known if "::" in wanted else short, n=NEAREST)
    raise UsageError(
        f"there is no case {one_line(wanted, LONGEST_NAME)!r}",
        where=str(run),
        fix=f"Did you mean {' or '.join(short.get(name, name) for name in near)}?"
        if near
        else f"The run has {plural(len(names), 'case')}, for example {next(iter(known), 'none')}",
    )


def plain_content(value: object) -> Any:
    """Rows as JSON holds them; a text is one string."""
    if isinstance(value, tuple):
        if value and isinstance(value[0], Piece):
            return "".join(f"[… {piece.text} …]" if piece.kind == "note" else piece.text for piece in value)
        return [plain_content(item) for item in value]
    if is_dataclass(value):
        return {field.name: plain_content(getattr(value, field.name)) for field in fields(value)}
    return value
