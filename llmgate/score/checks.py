"""The vocabulary: which asserts exist, whether an assert is sound, and what it says about an output.

promptfoo's names and meaning; deviations are deliberate and follow three principles. An assert that cannot be
evaluated is an error, never a pass, and never a failure that `not-` would turn into a pass. A check that cannot fail
is a mistake in the suite. `not-` turns both the verdict and the score round.

To add a type, write its `prepare` function in the module of its family and put it into that module's table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import JudgeError, LlmgateError, SuiteError, UndefinedError, did_you_mean
from llmgate.record.schema import CheckResult, Judgement, Outcome
from llmgate.score.check import CheckContext, ConsultKind, Evaluate, Finding, Kind, Need
from llmgate.score.models import Consult
from llmgate.score.pattern import PATTERN_CHECKS
from llmgate.score.rubric import RUBRIC_CHECKS
from llmgate.score.rule import RuleValue, broken
from llmgate.score.sql import SQL_CHECKS
from llmgate.score.structure import STRUCTURE_CHECKS
from llmgate.score.text import TEXT_CHECKS

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
        **PATTERN_CHECKS,
        **STRUCTURE_CHECKS,
        **RUBRIC_CHECKS,
        **SQL_CHECKS,
    }
)
"""Every assert type by its base name, without `not-`."""

_MAX_REASON_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An assert whose rule has been read; exactly one of the two is there."""

    evaluate: Evaluate | None = None
    consult: Consult | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """The assert types that exist; meets `llmgate.suite.asserts.Vocabulary`."""

    kinds: Mapping[str, Kind]

    @property
    def names(self) -> frozenset[str]:
        """Base types, without `not-`."""
        return frozenset(self.kinds)

    def needs(self, name: str) -> frozenset[Need]:
        """What this type has to ask, empty for deterministic and for unknown types."""
        kind = self.kinds.get(name)
        return kind.needs if isinstance(kind, ConsultKind) else frozenset()

    def is_judge(self, name: str) -> bool:
        """Whether this type asks a judge model."""
        return Need.JUDGE in self.needs(name)

    def version(self, name: str) -> str:
        """The version of this type's meaning; part of the suite's digest."""
        return self.kinds[name].version

    def prepare(self, spec: AssertSpec) -> Prepared:
        """Reads an assert once, for use on many outputs.

        Raises:
            SuiteError: If the type does not exist or the rule is broken.
        """
        kind = self.kinds.get(spec.type)
        if kind is None:
            prefix = "not-" if spec.negated else ""
            names = (prefix + name for name in self.kinds)
            raise SuiteError(
                f"unknown assert type {spec.name!r}", where=spec.where or None, fix=did_you_mean(spec.name, names)
            )
        _check_fields(spec, kind)
        if isinstance(kind, ConsultKind):
            return Prepared(consult=kind.prepare(spec))
        return Prepared(evaluate=kind.prepare(spec))

    def validate(self, spec: AssertSpec, columns: Mapping[str, object]) -> None:
        """Refuses a bad value at load time.

        Args:
            spec: The assert.
            columns: A dataset row: its columns must be all that templates name, and its values must make a rule.

        Raises:
            SuiteError: With `spec.where`, what is wrong, and how to fix it.
        """
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


def _check_fields(spec: AssertSpec, kind: Kind) -> None:
    if not (math.isfinite(spec.weight) and spec.weight >= 0):
        raise broken(spec, f"the weight is {spec.weight}, but must be 0 or more")
    if spec.threshold is not None and not math.isfinite(spec.threshold):
        raise broken(spec, f"the threshold is {spec.threshold}")
    for key in sorted(spec.config.keys() - kind.settings):
        fix = did_you_mean(key, kind.settings) if kind.settings else "This type has no `config`"
        raise broken(spec, f"unknown setting {key!r}", fix)


VOCABULARY: Final = Checks(KINDS)


def run_check(spec: AssertSpec, context: CheckContext) -> CheckResult:
    """Applies one deterministic assert to one output.

    Never raises for what a model, a dataset or a suite can cause: what cannot be evaluated is an error with its cause.
    """
    try:
        return finding_result(spec, find(spec, context))
    except Exception as error:  # noqa: BLE001 - fail closed, and one case must not end the run
        return error_result(spec, error)


def find(spec: AssertSpec, context: CheckContext) -> Finding:
    """What a deterministic assert finds, `not-` and weight 0 applied.

    Raises:
        Exception: If the assert cannot be evaluated.
    """
    evaluate = prepare_check(spec).evaluate
    if evaluate is None:
        raise JudgeError(f"{spec.name} asks a model, and none was asked", where=spec.where or None)
    return turned(spec, evaluate(context))


async def run_consult(spec: AssertSpec, context: CheckContext, models: Models) -> CheckResult:
    """Applies one assert of any type to one output, asking models where it must.

    Never raises but for cancellation: a failed call or an unreadable reply is an error of this assert.
    """
    log: list[Judgement] = []
    try:
        result = finding_result(spec, await consult(spec, context, models.logged(log)))
    except Exception as error:  # noqa: BLE001 - fail closed, and one case must not end the run
        result = error_result(spec, error)
    return replace(result, judgements=tuple(log))


async def consult(spec: AssertSpec, context: CheckContext, models: Models) -> Finding:
    """What an assert of any type finds, `not-` and weight 0 applied.

    Raises:
        Exception: If the assert cannot be evaluated.
    """
    prepared = prepare_check(spec)
    if prepared.consult is None:
        return find(spec, context)
    return turned(spec, await prepared.consult(context, models))


class _Identity:
    """Keys the memo by the very object: specs hold lists and mappings, which have no hash, but do not change."""

    __slots__ = ("spec",)

    def __init__(self, spec: AssertSpec) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return id(self.spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.spec is self.spec


def prepare_check(spec: AssertSpec) -> Prepared:
    """`VOCABULARY.prepare(spec)`, done once for each spec object: all cases of a suite share theirs.

    Raises:
        SuiteError: If the type does not exist or the rule is broken.
    """
    return _prepared(_Identity(spec))


@lru_cache(maxsize=4096)
def _prepared(identity: _Identity) -> Prepared:
    return VOCABULARY.prepare(identity.spec)


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
