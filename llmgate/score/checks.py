"""The vocabulary: which asserts exist, whether an assert is sound, and what it says about an output.

promptfoo's names and meaning; deviations are deliberate and follow three principles. An assert that cannot be
evaluated is an error, never a pass, and never a failure that `not-` would turn into a pass. A check that cannot fail
is a mistake in the suite. `not-` turns both the verdict and the score round.

To add a type, write its `prepare` function in the module of its family and put it into that module's table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from llmgate.errors import JudgeError, LlmgateError, SuiteError, UndefinedError, did_you_mean
from llmgate.record.schema import CheckResult, Judgement, Outcome
from llmgate.score.check import CheckContext, ConsultKind, Evaluate, Finding, Kind, Need
from llmgate.score.choice import CHOICE_CHECKS
from llmgate.score.citations import CITATION_CHECKS
from llmgate.score.code import CODE_CHECKS
from llmgate.score.decline import DECLINE_CHECKS
from llmgate.score.edit import EDIT_CHECKS
from llmgate.score.extras import EXTRA_KINDS
from llmgate.score.jsondiff import JSON_DIFF_CHECKS
from llmgate.score.jsonfield import JSON_FIELD_CHECKS
from llmgate.score.judged import JUDGED_CHECKS
from llmgate.score.language import LANGUAGE_CHECKS
from llmgate.score.markup import MARKUP_CHECKS
from llmgate.score.mathequal import MATH_CHECKS
from llmgate.score.measured import MEASURED_CHECKS
from llmgate.score.models import Consult
from llmgate.score.overlap import OVERLAP_CHECKS
from llmgate.score.panel import with_panels
from llmgate.score.pattern import PATTERN_CHECKS
from llmgate.score.published import PUBLISHED_CHECKS
from llmgate.score.rag import RAG_CHECKS
from llmgate.score.raganswer import RAG_ANSWER_CHECKS
from llmgate.score.ragcontext import RAG_CONTEXT_CHECKS
from llmgate.score.ragcorrectness import RAG_CORRECTNESS_CHECKS
from llmgate.score.refusal import REFUSAL_CHECKS
from llmgate.score.rule import RuleValue, broken
from llmgate.score.safety import SAFETY_CHECKS
from llmgate.score.similarity import SIMILARITY_CHECKS
from llmgate.score.sql import SQL_CHECKS
from llmgate.score.squad import SQUAD_CHECKS
from llmgate.score.structure import STRUCTURE_CHECKS
from llmgate.score.text import TEXT_CHECKS
from llmgate.score.tools import TOOL_CHECKS
from llmgate.score.transform import NothingLeftError, compile_transforms
from llmgate.suite.assertpart import ASSERT_SET
from llmgate.suite.asserts import TypeNames

if TYPE_CHECKING:
    from llmgate.score.models import Models
    from llmgate.suite.asserts import AssertSpec

__all__ = [
    "KINDS",
    "VOCABULARY",
    "CheckContext",
    "Checks",
    "Prepared",
    "consult",
    "error_reason",
    "error_result",
    "find",
    "finding_result",
    "one_line",
    "prepare_check",
    "run_check",
    "run_consult",
    "turned",
]

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **TEXT_CHECKS,
        **CHOICE_CHECKS,
        **LANGUAGE_CHECKS,
        **MATH_CHECKS,
        **PATTERN_CHECKS,
        **STRUCTURE_CHECKS,
        **DECLINE_CHECKS,
        **EDIT_CHECKS,
        **MEASURED_CHECKS,
        **OVERLAP_CHECKS,
        **PUBLISHED_CHECKS,
        **REFUSAL_CHECKS,
        **SIMILARITY_CHECKS,
        **SQUAD_CHECKS,
        **MARKUP_CHECKS,
        **JSON_FIELD_CHECKS,
        **JSON_DIFF_CHECKS,
        **RAG_CHECKS,
        **RAG_ANSWER_CHECKS,
        **RAG_CORRECTNESS_CHECKS,
        **RAG_CONTEXT_CHECKS,
        **CITATION_CHECKS,
        **JUDGED_CHECKS,
        **RUBRIC_CHECKS,
        **TOOL_CHECKS,
        **CODE_CHECKS,
        **SAFETY_CHECKS,
        **SQL_CHECKS,
    }
)
"""Every assert type by its base name, without `not-`."""

_MAX_REASON_CHARS = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An assert whose rule has been read; exactly one of the two is there."""

    evaluate: Evaluate | None = None
    consult: Consult | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """The assert types that exist; meets `llmgate.suite.asserts.Vocabulary`.

    Attributes:
        kinds: By base name.
        prefixed: Prefix of a base name → what makes the kind from the rest of the name.
    """

    kinds: Mapping[str, Kind]
    prefixed: Mapping[str, Callable[[str], Kind]] = field(default_factory=dict)

    @property
    def names(self) -> TypeNames:
        """Base types, without `not-`."""
        return TypeNames(frozenset(self.kinds), tuple(self.prefixed))

    def kind(self, name: str) -> Kind | None:
        """The kind of a base type, None if there is none."""
        if name in self.kinds:
            return self.kinds[name]
        prefix = self.names.prefix(name)
        return None if prefix is None else self.prefixed[prefix](name.removeprefix(prefix))

    def needs(self, name: str) -> frozenset[Need]:
        """What this type has to ask, empty for deterministic and for unknown types."""
        kind = self.kind(name)
        return kind.needs if isinstance(kind, ConsultKind) else frozenset()

    def asks(self, spec: AssertSpec) -> frozenset[Need]:
        """What an assert has to ask, the members of an `assert-set` included."""
        kind = self.kind(spec.type)
        own = kind.needs if isinstance(kind, ConsultKind) else frozenset()
        if isinstance(kind, ConsultKind) and kind.needs_of is not None:
            own = kind.needs_of(spec)
        return own.union(*map(self.asks, spec.asserts))

    def defers(self, spec: AssertSpec) -> bool:
        """Whether an assert, or a member of it, is evaluated with models at hand, after those that need none."""
        return isinstance(self.kind(spec.type), ConsultKind) or any(map(self.defers, spec.asserts))

    def also(self, kinds: Mapping[str, Kind]) -> Checks:
        """The same vocabulary with further types.

        Raises:
            SuiteError: If a name is taken.
        """
        for name in kinds:
            if self.kind(name) is not None:
                raise SuiteError(f"a check is called {name!r}, like a type that exists", fix="Rename the check")
        return replace(self, kinds=MappingProxyType({**self.kinds, **with_panels(kinds)}))

    def is_judge(self, name: str) -> bool:
        """Whether this type asks a judge model."""
        return Need.JUDGE in self.needs(name)

    def version(self, name: str) -> str:
        """The version of this type's meaning; part of the suite's digest.

        Raises:
            SuiteError: If the type does not exist.
        """
        kind = self.kind(name)
        if kind is None:
            raise SuiteError(f"unknown assert type {name!r}", fix=did_you_mean(name, self.names))
        return kind.version

    def prepare(self, spec: AssertSpec) -> Prepared:
        """Reads an assert once, for use on many outputs.

        Raises:
            SuiteError: If the type does not exist or the rule is broken.
        """
        kind = self.kind(spec.type)
        if kind is None:
            prefix = "not-" if spec.negated else ""
            names = (prefix + name for name in self.kinds)
            raise SuiteError(
                f"unknown assert type {spec.name!r}", where=spec.where or None, fix=did_you_mean(spec.name, names)
            )
        _check_fields(spec, kind)
        transform = compile_transforms(spec)
        if isinstance(kind, ConsultKind):
            consult = kind.prepare(spec)
            return Prepared(consult=_consult_transformed(spec, transform, consult) if transform else consult)
        evaluate = kind.prepare(spec)
        return Prepared(evaluate=_evaluate_transformed(spec, transform, evaluate) if transform else evaluate)

    def validate(self, spec: AssertSpec, columns: Mapping[str, object]) -> None:
        """Refuses a bad value at load time.

        Args:
            spec: The assert.
            columns: A dataset row: its columns must be all that templates name, and its values must make a rule.

        Raises:
            SuiteError: With `spec.where`, what is wrong, and how to fix it.
        """
        if spec.type == ASSERT_SET:
            for one in spec.asserts:
                self.validate(one, columns)
            return
        prepared = self.prepare(spec)
        if not spec.has_value:
            return
        value = RuleValue.compile(spec)
        for name in sorted(value.names - columns.keys()):
            raise broken(spec, f"the template uses {name!r}, which is no column", did_you_mean(name, columns))
        if value.constant or prepared.evaluate is None:
            return
        try:
            prepared.evaluate(CheckContext(output="", variables=columns))
        except SuiteError as error:
            raise SuiteError(f"{error.what} (tried on the first row)", where=error.where, fix=error.fix) from error
        except LlmgateError:
            # The rule is sound; only this made-up output cannot be evaluated.
            return


def _evaluate_transformed(spec: AssertSpec, transform: Callable[[object], object], evaluate: Evaluate) -> Evaluate:
    def transformed(context: CheckContext) -> Finding:
        try:
            output = transform(context.output)
        except NothingLeftError as error:
            return _nothing_left(spec, error)
        return evaluate(replace(context, output=output))

    return transformed


def _consult_transformed(spec: AssertSpec, transform: Callable[[object], object], consult: Consult) -> Consult:
    async def transformed(context: CheckContext, models: Models) -> Finding:
        try:
            output = transform(context.output)
        except NothingLeftError as error:
            return _nothing_left(spec, error)
        return await consult(replace(context, output=output), models)

    return transformed


def _nothing_left(spec: AssertSpec, error: NothingLeftError) -> Finding:
    if spec.negated:
        raise error
    return Finding.of(False, error.what)


def _check_fields(spec: AssertSpec, kind: Kind) -> None:
    if not (math.isfinite(spec.weight) and spec.weight >= 0):
        raise broken(spec, f"the weight is {spec.weight}, but must be 0 or more")
    if spec.threshold is not None and not math.isfinite(spec.threshold):
        raise broken(spec, f"the threshold is {spec.threshold}")
    for key in sorted(spec.config.keys() - kind.settings):
        fix = did_you_mean(key, kind.settings) if kind.settings else "This type has no `config`"
        raise broken(spec, f"unknown setting {key!r}", fix)


VOCABULARY: Final = Checks(with_panels(KINDS), EXTRA_KINDS)


def run_check(spec: AssertSpec, context: CheckContext, vocabulary: Checks = VOCABULARY) -> CheckResult:
    """Applies one deterministic assert to one output.

    Never raises for what a model, a dataset or a suite can cause: what cannot be evaluated is an error with its cause.
    """
    try:
        return finding_result(spec, find(spec, context, vocabulary))
    except Exception as error:  # noqa: BLE001 - fail closed, and one case must not end the run
        return error_result(spec, error)


def find(spec: AssertSpec, context: CheckContext, vocabulary: Checks = VOCABULARY) -> Finding:
    """What a deterministic assert finds, `not-` and weight 0 applied.

    Raises:
        Exception: If the assert cannot be evaluated.
    """
    evaluate = prepare_check(spec, vocabulary).evaluate
    if evaluate is None:
        raise JudgeError(f"{spec.name} asks a model, and none was asked", where=spec.where or None)
    return turned(spec, evaluate(context))


async def run_consult(
    spec: AssertSpec, context: CheckContext, models: Models, vocabulary: Checks = VOCABULARY
) -> CheckResult:
    """Applies one assert of any type to one output, asking models where it must.

    Never raises but for cancellation: a failed call or an unreadable reply is an error of this assert.
    """
    log: list[Judgement] = []
    try:
        result = finding_result(spec, await consult(spec, context, models.logged(log), vocabulary))
    except Exception as error:  # noqa: BLE001 - fail closed, and one case must not end the run
        result = error_result(spec, error)
    return replace(result, judgements=tuple(log))


async def consult(spec: AssertSpec, context: CheckContext, models: Models, vocabulary: Checks = VOCABULARY) -> Finding:
    """What an assert of any type finds, `not-` and weight 0 applied.

    Raises:
        Exception: If the assert cannot be evaluated.
    """
    prepared = prepare_check(spec, vocabulary)
    if prepared.consult is None:
        return find(spec, context, vocabulary)
    return turned(spec, await prepared.consult(context, models))


class _Identity(Generic[T]):
    """Keys the memo by the very object: specs hold lists and mappings, which have no hash, but do not change."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value


def prepare_check(spec: AssertSpec, vocabulary: Checks = VOCABULARY) -> Prepared:
    """`vocabulary.prepare(spec)`, done once for each spec object: all cases of a suite share theirs.

    Raises:
        SuiteError: If the type does not exist or the rule is broken.
    """
    return _prepared(_Identity(spec), _Identity(vocabulary))


@lru_cache(maxsize=4096)
def _prepared(spec: _Identity[AssertSpec], vocabulary: _Identity[Checks]) -> Prepared:
    return vocabulary.value.prepare(spec.value)


def turned(spec: AssertSpec, finding: Finding) -> Finding:
    """`not-` turns verdict and score round, and weight 0 records without ever failing.

    Raises:
        UndefinedError: If the score is not finite.
    """
    passed, score, reason = finding.passed, finding.score, finding.reason
    if not math.isfinite(score):
        raise UndefinedError(f"{spec.name}: the score is {score}", where=spec.where or None)
    if spec.negated:
        passed, score = not passed, 1.0 - score
    if not passed and spec.weight == 0 and not spec.required:
        passed, reason = True, f"would fail, but has weight 0: {reason}"
    return Finding(passed, score, reason)


def finding_result(spec: AssertSpec, finding: Finding) -> CheckResult:
    """The result of an assert for the record, from a finding that has been `turned`; the score is kept in [0, 1]."""
    return CheckResult(
        type=spec.name,
        outcome=Outcome.PASS if finding.passed else Outcome.FAIL,
        score=min(1.0, max(0.0, finding.score)),
        reason=one_line(finding.reason),
        metric=spec.metric,
        weight=spec.weight,
        required=spec.required,
    )


def error_reason(error: Exception) -> str:
    """Why an assert could not be evaluated, worded for a reader."""
    if isinstance(error, LlmgateError):
        return str(error)
    if isinstance(error, RecursionError):
        return "the output is nested too deeply"
    return f"internal error: {type(error).__name__}: {error}"


def error_result(spec: AssertSpec, error: Exception) -> CheckResult:
    """The result of an assert that could not be evaluated, whatever its weight and whether or not it is negated."""
    return CheckResult(
        type=spec.name,
        outcome=Outcome.ERROR,
        score=None,
        reason=one_line(error_reason(error)),
        metric=spec.metric,
        weight=spec.weight if math.isfinite(spec.weight) and spec.weight >= 0 else 1.0,
        required=spec.required,
    )


def one_line(reason: str) -> str:
    """A reason as records hold it: one line, bounded, writable as UTF-8."""
    line = " ".join(reason.split())
    # A surrogate without its partner could not be written to the record.
    line = line.encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= _MAX_REASON_CHARS else line[: _MAX_REASON_CHARS - 1] + "…"
