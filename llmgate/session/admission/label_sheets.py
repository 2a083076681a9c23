"""Records → a file for people to label, in which nobody sees whose answer is whose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import RecordError, UsageError, did_you_mean
from llmgate.gate.evidence.comparable import check_comparable, check_decidable
from llmgate.gate.evidence.gather import gather
from llmgate.gate.evidence.human_labels import answers_to, parts_of
from llmgate.gate.metrics.label_corrected import FEWEST_LABELS
from llmgate.gate.sequential.verify_stop import looks_of
from llmgate.record.disk import write_atomic
from llmgate.record.label_file import labels_to_text, read_given_labels
from llmgate.record.labels import AnswerKey, AnswerLabels, answer_digest, draw_cases, draw_strata, own_seed
from llmgate.record.run.loading import load_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmgate.record.schema import Generation, PlannedCase, Record

__all__ = ["Drawn", "sample_labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was written.

    Attributes:
        path: The file.
        cases: Cases that were drawn.
        of: Cases that feed the metric.
        answers: Answers in the file; what both sides say alike is in it once.
        known: How many of them are labelled already.
    """

    path: Path
    cases: int
    of: int
    answers: int
    known: int

    def lines(self) -> list[str]:
        """For the terminal."""
        todo = self.answers - self.known
        return [
            f"{self.cases:,} of {self.of:,} cases drawn, {self.answers:,} different answers, {todo:,} still to label",
            f"Fill in `human` on each line of {self.path}: true or false, or a number from 0 to 1",
        ]


def sample_labels(
    candidate: Path,
    champion: Path | None,
    *,
    metric: str,
    cases: int,
    out: Path,
    seed: int | None = None,
    reuse: Sequence[Path] = (),
    stratify: bool = False,
) -> Drawn:
    """Draw cases, and write their answers down to be labelled.

    Which cases are drawn follows from the seed and the cases' ids alone, never from an answer or a score; answers stand
    in an order in which neither side comes first.

    Args:
        candidate: Folder of the candidate's record.
        champion: Folder of the champion's, None to label for a minimum.
        metric: `SUITE/METRIC`.
        cases: How many to draw.
        out: The file, which must not exist.
        seed: Of the drawing; None for the one that follows from the champion's record.
        reuse: Earlier files, whose labels of the same answers are kept.
        stratify: Draw more of the cases on which the judge finds the two sides different.

    Raises:
        UsageError: If the file exists, the metric does not, or too few cases are to be drawn.
        RecordError: If a record or an earlier file cannot be read.
        NotComparableError: If the two records may not be compared.
    """
    record = load_record(candidate)
    check_decidable(record)
    other = None if champion is None else load_record(champion)
    if other is not None:
        check_comparable(record, other, record.manifest.policy)
    suite, name = _metric(record, metric)
    if out.exists():
        raise UsageError("this file exists already", where=str(out), fix="Choose another --out; --reuse takes it over")
    feeding = (case for case in record.cases if case.suite == suite and (case.metrics is None or name in case.metrics))
    planned = {case.case: case for case in feeding}
    looks, _ = looks_of(record, record.manifest.policy)
    if suite in looks and looks[suite].stop:
        # A run that stopped early asked these, in an order that no answer decided.
        planned = {case: planned[case] for case in planned if case in looks[suite].asked}
    if cases < min(FEWEST_LABELS, len(planned)):
        raise UsageError(
            f"{cases} cases are too few to correct a judge", where="--cases", fix=f"Draw {FEWEST_LABELS} at least"
        )
    journals = [side.seal.journal_digest for side in (record, other) if side is not None and side.seal is not None]
    if seed is None:
        seed = own_seed(suite, name, journals[-1])
    strata: dict[str, tuple[int, int]] = {}
    if stratify:
        parts = _parts(record, other, (suite, name), planned)
        chosen = draw_strata(parts, cases, seed=seed)
        strata = {part: (len(of), len(chosen[part])) for part, of in parts.items()}
        drawn = tuple(case for of in chosen.values() for case in of)
    else:
        drawn = draw_cases(planned, cases, seed=seed)
    rows = [row for case in drawn for row in _rows(planned[case], [side for side in (record, other) if side], seed)]
    wanted = {AnswerKey(case=row["case"], answer=row["digest"]) for row in rows}
    known = {key: label for key, label in _known(reuse, suite, name).items() if key in wanted}
    labels = AnswerLabels(
        source=str(out),
        digest="",
        suite=suite,
        metric=name,
        cases=len(drawn),
        seed=seed,
        candidate=journals[0],
        champion=journals[1] if other is not None else None,
        labels=known,
        strata=strata,
    )
    write_atomic(out, labels_to_text(labels, rows).encode())
    return Drawn(path=out, cases=len(drawn), of=len(planned), answers=len(rows), known=len(known))


def _parts(
    record: Record, other: Record | None, metric: tuple[str, str], planned: Mapping[str, PlannedCase]
) -> Mapping[str, tuple[str, ...]]:
    """The cases by what the judge says of both sides."""
    if other is None:
        raise UsageError("there is one side only", where="--stratify", fix="Name the champion's run, or leave it out")
    if len({case.cluster for case in planned.values() if case.cluster}) > 0:
        raise UsageError(
            "cases that belong to clusters are drawn simply", where="--stratify", fix="Leave out --stratify"
        )
    policy = record.manifest.policy
    tables = [gather(side, policy).table(*metric) for side in (record, other)]
    parts = parts_of([table for table in tables if table is not None])
    # A run that stopped early has scores of what it asked alone.
    kept = {part: tuple(case for case in cases if case in planned) for part, cases in parts.items()}
    return {part: cases for part, cases in kept.items() if cases}


def _metric(record: Record, metric: str) -> tuple[str, str]:
    known = [f"{policy.suite}/{policy.metric}" for policy in record.manifest.policy.metrics]
    if metric not in known:
        raise UsageError(f"there is no metric {metric!r}", where="--metric", fix=did_you_mean(metric, known))
    policy = record.manifest.policy.metrics[known.index(metric)]
    return policy.suite, policy.metric


def _rows(case: PlannedCase, records: Sequence[Record], seed: int) -> Iterator[dict[str, str]]:
    """The different answers to one case, in an order that says nothing about who gave them."""
    answers: dict[str, Generation] = {}
    for record in records:
        for answer in answers_to(record, case.suite, case.case):
            if answer is not None:
                answers.setdefault(answer_digest(answer), answer)
    prompt = "\n\n".join(f"{message.role}: {message.content}" for message in case.messages)
    for digest in sorted(
        answers, key=lambda digest: hashlib.sha256(f"{seed}\x00{case.case}\x00{digest}".encode()).digest()
    ):
        answer = answers[digest]
        calls = "".join(f"\n[calls {call}]" for call in answer.tool_calls or ())
        yield {
            "case": case.case,
            "prompt": prompt,
            "expected": case.expected,
            "answer": f"{answer.text}{calls}",
            "digest": digest,
        }


def _known(paths: Sequence[Path], suite: str, metric: str) -> Mapping[AnswerKey, float]:
    known: dict[AnswerKey, float] = {}
    for path in paths:
        given = read_given_labels(path)
        if (given.suite, given.metric) != (suite, metric):
            raise RecordError(
                f"these labels are about {given.suite}/{given.metric}, not {suite}/{metric}",
                where=str(path),
                fix="Name a file of the same metric",
            )
        known |= given.labels
    return known
