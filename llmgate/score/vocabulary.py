"""The vocabulary: which asserts exist, whether an assert is sound, and what it asks.

promptfoo's names and meaning; deviations are deliberate and follow three principles. An assert that cannot be
evaluated is an error, never a pass, and never a failure that `not-` would turn into a pass. A check that cannot fail
is a mistake in the suite. `not-` turns both the verdict and the score round.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, cast

from llmgate.errors import LlmgateError, SuiteError, did_you_mean
from llmgate.score.adapters.registry import EXTRA_KINDS
from llmgate.score.assertion.check import CheckContext, Consult, Evaluate
from llmgate.score.assertion.definition import Kind, ModelGradedKind, Need
from llmgate.score.assertion.rule import RuleValue, invalid_value
from llmgate.score.builtin import BuiltinKinds
from llmgate.score.judge.panel import with_panel, with_panels
from llmgate.suite.asserts import MOST_WEIGHT, AssertSpec, TypeNames
from llmgate.suite.form.asserts import ASSERT_SET, unknown_type

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["VOCABULARY", "Checks", "Needs", "Prepared", "needs_of", "prepare_check"]

V = TypeVar("V")
T = TypeVar("T")

MOST_KEPT: Final = 4096
"""Rows may bring asserts of their own."""


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
        custom: The base names whose checks users wrote.
    """

    kinds: Mapping[str, Kind]
    prefixed: Mapping[str, Callable[[str], Kind]] = field(default_factory=dict)
    custom: frozenset[str] = frozenset()

    @property
    def names(self) -> TypeNames:
        """Base types, without `not-`."""
        return TypeNames(frozenset(self.kinds), tuple(self.prefixed))

    def kind(self, name: str) -> Kind | None:
        """The kind of a base type, None if there is none."""
        if name in self.kinds:
            return self.kinds[name]
        prefix = self.names.prefix(name)
        return None if prefix is None else with_panel(self.prefixed[prefix](name.removeprefix(prefix)))

    def asks(self, spec: AssertSpec) -> frozenset[Need]:
        """What an assert asks for, the members of an `assert-set` included."""
        kind = self.kind(spec.type)
        own = kind.asks if kind else frozenset[Need]()
        if isinstance(kind, ModelGradedKind) and kind.asks_of is not None:
            own = kind.asks_of(spec)
        return own.union(*map(self.asks, spec.asserts))

    def folder(self, spec: AssertSpec) -> str | None:
        """The model on this machine that an assert asks, as the suite names it; of a set's members ask each."""
        kind = self.kind(spec.type)
        return kind.folder(spec) if isinstance(kind, ModelGradedKind) else None

    def defers(self, spec: AssertSpec) -> bool:
        """Whether an assert, or a member of it, is evaluated with models at hand, after those that need none."""
        return isinstance(self.kind(spec.type), ModelGradedKind) or any(map(self.defers, spec.asserts))

    def is_forgeable(self, spec: AssertSpec) -> bool:
        """Whether an answer could bring about a pass of an assert, or of a member of it, without being right."""
        kind = self.kind(spec.type)
        return (kind is not None and kind.forgeable(spec)) or any(map(self.is_forgeable, spec.asserts))

    def is_custom(self, spec: AssertSpec) -> bool:
        """Whether a user wrote the check of an assert, or of a member of it."""
        return spec.type in self.custom or any(map(self.is_custom, spec.asserts))

    def also(self, kinds: Mapping[str, Kind]) -> Checks:
        """The same vocabulary with further types, of users.

        Raises:
            SuiteError: If a name is taken.
        """
        if not kinds:
            return self
        for name in kinds:
            if self.kind(name) is not None:
                raise SuiteError(f"a check is called {name!r}, like a type that exists", fix="Rename the check")
        # Not one mapping of all: that would import every type.
        both = MappingProxyType(ChainMap(with_panels(kinds), cast("MutableMapping[str, Kind]", self.kinds)))
        return replace(self, kinds=both, custom=self.custom | kinds.keys())

    def is_judge(self, name: str) -> bool:
        """Whether this type asks a judge model."""
        kind = self.kind(name)
        return kind is not None and Need.JUDGE in kind.asks

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
            raise unknown_type(spec.name, self.kinds.keys(), spec.where or None)
        _check_fields(spec, kind)
        if not spec.transform:
            if isinstance(kind, ModelGradedKind):
                return Prepared(consult=kind.prepare(spec))
            return Prepared(evaluate=kind.prepare(spec))
        # With transforms come JavaScript and patterns: only who names one pays for them.
        from llmgate.score.transform import compile_transforms, consult_transformed, evaluate_transformed  # noqa: PLC0415

        transform = compile_transforms(spec)
        if isinstance(kind, ModelGradedKind):
            return Prepared(consult=consult_transformed(spec, transform, kind.prepare(spec)))
        return Prepared(evaluate=evaluate_transformed(spec, transform, kind.prepare(spec)))

    def validate(self, spec: AssertSpec, columns: Mapping[str, object]) -> None:
        """Refuses a bad value at load time.

        Args:
            spec: The assert.
            columns: A dataset row: its columns must be all that templates name, and its values must make a rule.

        Raises:
            SuiteError: With `spec.where`, what is wrong, and how to fix it.
        """
        if spec.type == ASSERT_SET:
            for member in spec.asserts:
                self.validate(member, columns)
            return
        prepared = self.prepare(spec)
        if not spec.has_value:
            return
        kind = self.kind(spec.type)
        value = RuleValue.compile(spec, deep=kind is not None and kind.deep)
        for name in sorted(value.names - columns.keys()):
            raise invalid_value(spec, f"the template uses {name!r}, which is no column", did_you_mean(name, columns))
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
    if not 0 <= spec.weight <= MOST_WEIGHT:
        raise invalid_value(spec, f"the weight is {spec.weight}, but must be from 0 to {MOST_WEIGHT:,}")
    if spec.threshold is not None and not math.isfinite(spec.threshold):
        raise invalid_value(spec, f"the threshold is {spec.threshold}")
    for key in sorted(spec.config.keys() - kind.settings.keys()):
        fix = did_you_mean(key, kind.settings) if kind.settings else "This type has no `config`"
        raise invalid_value(spec, f"unknown setting {key!r}", fix)


VOCABULARY: Final = Checks(BuiltinKinds(with_panel), EXTRA_KINDS)


class _Once(Generic[V, T]):
    """A function of a value and a vocabulary that is called once for each two objects.

    By the very objects: specs hold lists and mappings, which have no hash, but do not change. They are kept beside the
    result, so that no other gets their identity.
    """

    def __init__(self, make: Callable[[V, Checks], T]) -> None:
        self._make = make
        self._known: dict[tuple[int, int], tuple[V, Checks, T]] = {}

    def __call__(self, value: V, vocabulary: Checks) -> T:
        at = id(value), id(vocabulary)
        known = self._known.get(at)
        if known is None:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            known = self._known[at] = value, vocabulary, self._make(value, vocabulary)
        return known[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the asserts of a case need.

    Attributes:
        logprobs: Whether the request has to ask for log probabilities.
        custom: Whether a user wrote one of them.
        now: Those that ask no model.
        later: Those that are evaluated with models at hand.
    """

    logprobs: bool
    custom: bool
    now: tuple[AssertSpec, ...]
    later: tuple[AssertSpec, ...]

    @classmethod
    def of(cls, asserts: tuple[AssertSpec, ...], vocabulary: Checks) -> Self:
        """What these need."""
        return cls(
            logprobs=any(Need.LOGPROBS in vocabulary.asks(spec) for spec in asserts),
            custom=any(map(vocabulary.is_custom, asserts)),
            now=tuple(spec for spec in asserts if not vocabulary.defers(spec)),
            later=tuple(filter(vocabulary.defers, asserts)),
        )


def prepare_check(spec: AssertSpec, vocabulary: Checks = VOCABULARY) -> Prepared:
    """`vocabulary.prepare(spec)`, done once for each spec object: all cases of a suite share theirs.

    Raises:
        SuiteError: If the type does not exist or the rule is broken.
    """
    return _PREPARED(spec, vocabulary)


def needs_of(asserts: tuple[AssertSpec, ...], vocabulary: Checks = VOCABULARY) -> Needs:
    """What the asserts of a case need, found out once for each such tuple: all cases of a suite share theirs."""
    return _NEEDS(asserts, vocabulary)


_PREPARED: Final[_Once[AssertSpec, Prepared]] = _Once(lambda spec, vocabulary: vocabulary.prepare(spec))
_NEEDS: Final[_Once[tuple[AssertSpec, ...], Needs]] = _Once(Needs.of)
