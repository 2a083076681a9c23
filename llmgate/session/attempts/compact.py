"""A record without its words, small enough to be kept for every attempt: what deciding on it needs, and no more.

Three texts: the head (manifest and seal), the cases (without prompts), and what was found (without answers). Attempts
share cases, and those with the same stored champion its texts, so each is kept once, by its digest. What was found is
written in the order of the plan and without times, so that two runs that found the same have the same digest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from llmgate.errors import RecordError
from llmgate.record.disk import first_problem, lines_of
from llmgate.record.output_features import AnswerFeatures
from llmgate.record.run.files import MANIFEST, SEAL
from llmgate.record.run.stored import CASE, RESULT
from llmgate.record.schema import CaseKey, CaseResult, CheckResult, Failure, Generation, PlannedCase, Record
from llmgate.session.attempts.blobs import PackedText, PackedTexts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llmgate.record.manifest import Manifest
    from llmgate.record.schema import Seal

__all__ = ["CompactRecord", "changed_answers", "compacted", "expanded"]

FORM: Final = 1
ANY: Final = CaseKey(suite="", case="")
NO_TRAITS: Final = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactRecord:
    """A record's three texts, packed: two of 200,000 cases would not fit beside their records."""

    head: PackedText
    cases: PackedText
    results: PackedText

    @property
    def texts(self) -> PackedTexts:
        """Each text by its digest."""
        return PackedTexts((self.head, self.cases, self.results))


def compacted(record: Record) -> CompactRecord:
    """What is kept of a sealed record."""
    if record.seal is None:
        raise RecordError("this run is unfinished, so it is no attempt", where=record.path or record.manifest.run_id)
    manifest = record.manifest
    head = {
        "form": FORM,
        "manifest": json.loads(MANIFEST.holds.dump_json(manifest, exclude=MANIFEST.unsaid(manifest))),
        "seal": json.loads(SEAL.holds.dump_json(record.seal)),
    }
    return CompactRecord(
        head=PackedText.of([canonical(head)]),
        cases=PackedText.of(lines_without_words(record.cases)),
        results=PackedText.of([canonical(found_in(record))]),
    )


def canonical(value: object) -> bytes:
    """JSON whose bytes depend on nothing but the value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def lines_without_words(cases: Iterable[PlannedCase]) -> Iterator[bytes]:
    """A line per case."""
    return (CASE.dump_json(without_words(case)) + b"\n" for case in cases)


def without_words(case: PlannedCase) -> PlannedCase:
    """A case without its prompt; the digest of the request tells whether it is the same."""
    return PlannedCase(
        suite=case.suite,
        case=case.case,
        repeats=case.repeats,
        cluster=case.cluster,
        slices=dict(case.slices),
        metrics=case.metrics,
        threshold=case.threshold,
        request_digest=case.request_digest,
        traits=case.traits,
    )


def found_in(record: Record) -> dict[str, Any]:
    """What was found: distinct results once, and which of them each answer got."""
    scored, shapes = record.scored, Shapes()
    which: list[int | None] = []
    traits: list[tuple[int, ...] | None] = []
    for key in keys_of(record.cases):
        result = scored.get(key)
        if result is None:
            which.append(None)
            traits.append(NO_TRAITS)
            continue
        which.append(shapes.number(result))
        seen = result.traits
        traits.append(NO_TRAITS if seen is None else (int(seen.refusal), seen.characters, seen.reading))
    return {"form": FORM, "shapes": shapes.written, "which": which, "traits": traits}


class Shapes:
    """Distinct results, numbered as they come.

    Attributes:
        written: Each of them, for the text.
    """

    def __init__(self) -> None:
        self.written: list[Any] = []
        self._known: dict[CaseResult, int] = {}
        self._parts: dict[tuple[object, ...], tuple[CaseResult, int]] = {}

    def number(self, result: CaseResult) -> int:
        """The number of a result's shape.

        Results that were read from a journal share their checks, so that most shapes need not be made to be known. The
        result is kept beside its number, so that no other checks get the identity of its own.
        """
        answer = result.answer
        ended = answer.kind if isinstance(answer, Failure) else (answer.finish_reason, answer.answered_by)
        parts = (ended, id(result.checks), result.judged, result.threshold)
        if parts not in self._parts:
            self._parts[parts] = result, self._numbered(shape_of(result))
        return self._parts[parts][1]

    def _numbered(self, shape: CaseResult) -> int:
        if shape not in self._known:
            self._known[shape] = len(self.written)
            written = json.loads(RESULT.dump_json(shape))
            del written["key"]
            self.written.append(written)
        return self._known[shape]


def keys_of(cases: Any) -> Iterator[CaseKey]:
    """All planned answers, in planned order."""
    return (key for case in cases for key in case.keys)


def shape_of(result: CaseResult) -> CaseResult:
    """A result without what is its own alone: its key, words, times."""
    answer = result.answer
    bare: Generation | Failure
    if isinstance(answer, Failure):
        bare = Failure(kind=answer.kind, message="not kept in the ledger")
    else:
        bare = Generation(text="", finish_reason=answer.finish_reason, latency_s=0.0, answered_by=answer.answered_by)
    return CaseResult(
        key=ANY,
        answer=bare,
        checks=tuple(map(bare_check, result.checks)),
        judged=result.judged,
        threshold=result.threshold,
    )


def bare_check(check: CheckResult) -> CheckResult:
    """A check without its reason and what judges said."""
    return CheckResult(
        type=check.type,
        outcome=check.outcome,
        score=check.score,
        metric=check.metric,
        weight=check.weight,
        required=check.required,
        part=check.part,
        forgeable=check.forgeable,
    )


def expanded(head: bytes, cases: bytes, results: bytes, *, where: str) -> Record:
    """The record again, without its words.

    Args:
        head: Manifest and seal.
        cases: The cases.
        results: What was found.
        where: Names it in errors.

    Raises:
        RecordError: If the texts cannot be understood, or do not belong together.
    """
    try:
        told = json.loads(head)
        manifest: Manifest = MANIFEST.holds.validate_json(json.dumps(told["manifest"]))
        seal: Seal = SEAL.holds.validate_json(json.dumps(told["seal"]))
        planned = tuple(CASE.validate_json(line) for line in lines_of(cases))
        found = json.loads(results)
        if {told["form"], found["form"]} != {FORM}:
            raise ValueError("it is of another form")
        record = Record(manifest=manifest, cases=planned, results=placed(planned, found), seal=seal)
        if len(record.results) != seal.results:
            raise ValueError("its seal counts other results")
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        why = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise RecordError(f"what was kept of an attempt cannot be understood ({why})", where=where) from error
    return record


def placed(cases: tuple[PlannedCase, ...], found: Mapping[str, Any]) -> dict[CaseKey, CaseResult]:
    """Results by their keys."""
    nobody = {"suite": "", "case": ""}
    shapes = [RESULT.validate_json(json.dumps({**shape, "key": nobody})) for shape in found["shapes"]]
    which, traits = found["which"], found["traits"]
    results: dict[CaseKey, CaseResult] = {}
    for key, shape, seen in zip(keys_of(cases), which, traits, strict=True):
        if shape is None:
            continue
        if not 0 <= shape < len(shapes):
            raise ValueError("a result is of no kind that is there")
        results[key] = replace(shapes[shape], key=key, traits=None if seen is None else features(*seen))
    return results


def features(refusal: int, characters: int, reading: int) -> AnswerFeatures:
    """An answer's features."""
    return AnswerFeatures(refusal=bool(refusal), characters=characters, reading=reading)


def changed_answers(before: Record, now: Record) -> list[CaseKey]:
    """Answers that had been evaluated and were evaluated otherwise since: filling in what is missing changes none."""
    return [key for key, result in before.scored.items() if result.evaluated and differs(result, now.scored.get(key))]


def differs(before: CaseResult, now: CaseResult | None) -> bool:
    """Whether an answer that was evaluated is another now."""
    return now is None or shape_of(now) != shape_of(before) or traits_differ(before, now)


def traits_differ(before: CaseResult, now: CaseResult) -> bool:
    """Whether two answers look different."""
    old, new = before.traits, now.traits
    if old is None or new is None:
        return False
    return (old.refusal, old.characters) != (new.refusal, new.characters)
