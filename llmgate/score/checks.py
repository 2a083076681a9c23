"""The vocabulary: which asserts exist, whether an assert is sound, and what it says about an output.

promptfoo's names and meaning; deviations are deliberate and follow three principles. An assert that cannot be
evaluated is an error, never a pass, and never a failure that `not-` would turn into a pass. A check that cannot fail
is a mistake in the suite. `not-` turns both the verdict and the score round.

To add a type, write its `prepare` function in the module of its family and put it into that module's table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError, SuiteError, did_you_mean
from llmgate.record.schema import CheckResult, Outcome
from llmgate.score.check import CheckContext, CheckKind, Evaluate, Finding
from llmgate.score.pattern import PATTERN_CHECKS
from llmgate.score.rubric import RUBRIC_CHECKS
from llmgate.score.rule import RuleValue, broken
from llmgate.score.structure import STRUCTURE_CHECKS
from llmgate.score.text import TEXT_CHECKS

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = [
    "KINDS",
    "VOCABULARY",
    "CheckContext",
    "Checks",
    "error_result",
    "finding_result",
    "prepare_check",
    "run_check",
]

KINDS: Final[Mapping[str, CheckKind]] = MappingProxyType(
    {
        **TEXT_CHECKS,
        **PATTERN_CHECKS,
        **STRUCTURE_CHECKS,
        **RUBRIC_CHECKS,
    }
)
"""Every assert type by its base name, without `not-`."""

_MAX_REASON_CHARS = 300


@dataclass(frozen=True, slots=True)
class Checks:
    """The assert types that exist; meets `llmgate.suite.asserts.Vocabulary`."""

    kinds: Mapping[str, CheckKind]

    @property
    def names(self) -> frozenset[str]:
        """Base types, without `not-`."""
        return frozenset(self.kinds)

    def is_judge(self, name: str) -> bool:
        """Whether this type asks a judge model."""
        kind = self.kinds.get(name)
        return kind is not None and kind.judged

    def prepare(self, spec: AssertSpec) -> Evaluate:
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
        if not (math.isfinite(spec.weight) and spec.weight >= 0):
            raise broken(spec, f"the weight is {spec.weight}, but must be 0 or more")
        if spec.threshold is not None and not math.isfinite(spec.threshold):
            raise broken(spec, f"the threshold is {spec.threshold}")
        return kind.prepare(spec)

    def validate(self, spec: AssertSpec, columns: Mapping[str, object]) -> None:
        """Refuses a bad value at load time.

        Args:
            spec: The assert.
            columns: A dataset row: its columns must be all that templates name, and its values must make a rule.

        Raises:
            SuiteError: With `spec.where`, what is wrong, and how to fix it.
        """
        self.prepare(spec)
        if not spec.has_value:
            return
        value = RuleValue.compile(spec)
        for name in sorted(value.names - columns.keys()):
            raise broken(spec, f"the template uses {name!r}, which is no column", did_you_mean(name, columns))
        if value.constant:
            return
        try:
            self.prepare(spec)(CheckContext(output="", variables=columns))
        except SuiteError as error:
            raise SuiteError(f"{error.what} (tried on the first row)", where=error.where, fix=error.fix) from error
        except LlmgateError:
            # The rule is sound; only this made-up output cannot be evaluated.
            return


VOCABULARY: Final = Checks(KINDS)


def run_check(spec: AssertSpec, context: CheckContext) -> CheckResult:
    """Applies one deterministic assert to one output.

    Never raises for what a model, a dataset or a suite can cause: what cannot be evaluated is an error with its cause.
    """
    try:
        return finding_result(spec, prepare_check(spec)(context))
    except Exception as error:  # noqa: BLE001 - fail closed, and one case must not end the run
        return error_result(spec, error)


class _Identity:
    """Keys the memo by the very object: specs hold lists and mappings, which have no hash, but do not change."""

    __slots__ = ("spec",)

    def __init__(self, spec: AssertSpec) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return id(self.spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.spec is self.spec


def prepare_check(spec: AssertSpec) -> Evaluate:
    """`VOCABULARY.prepare(spec)`, done once for each spec object: all cases of a suite share theirs.

    Raises:
        SuiteError: If the type does not exist or the rule is broken.
    """
    return _prepared(_Identity(spec))


@lru_cache(maxsize=4096)
def _prepared(identity: _Identity) -> Evaluate:
    return VOCABULARY.prepare(identity.spec)


def finding_result(spec: AssertSpec, finding: Finding) -> CheckResult:
    """The result of an assert: `not-` turns verdict and score round, and weight 0 records without ever failing."""
    passed, score, reason = finding.passed, finding.score, finding.reason
    if spec.negated:
        passed, score = not passed, 1.0 - score
    if not passed and spec.weight == 0 and not spec.required:
        passed, reason = True, f"would fail, but has weight 0: {reason}"
    return CheckResult(
        type=spec.name,
        outcome=Outcome.PASS if passed else Outcome.FAIL,
        score=score,
        reason=_one_line(reason),
        metric=spec.metric,
        weight=spec.weight,
        required=spec.required,
    )


def error_result(spec: AssertSpec, error: Exception) -> CheckResult:
    """The result of an assert that could not be evaluated, whatever its weight and whether or not it is negated."""
    if isinstance(error, LlmgateError):
        reason = str(error)
    elif isinstance(error, RecursionError):
        reason = "the output is nested too deeply"
    else:
        reason = f"internal error: {type(error).__name__}: {error}"
    return CheckResult(
        type=spec.name,
        outcome=Outcome.ERROR,
        score=None,
        reason=_one_line(reason),
        metric=spec.metric,
        weight=spec.weight if math.isfinite(spec.weight) and spec.weight >= 0 else 1.0,
        required=spec.required,
    )


def _one_line(reason: str) -> str:
    line = " ".join(reason.split())
    # A surrogate without its partner could not be written to the record.
    line = line.encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= _MAX_REASON_CHARS else line[: _MAX_REASON_CHARS - 1] + "…"
