"""One assert as it stands in a suite, and what the suite room must know about the vocabulary.

The suite room refuses unknown names, but the checks live in `score`, above it. So the session hands the
vocabulary down as a value that meets the `Vocabulary` protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

__all__ = ["MOST_WEIGHT", "AssertSpec", "Json", "TypeNames", "Vocabulary", "with_members"]

T = TypeVar("T")

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What YAML and JSON can hold."""

MOST_WEIGHT: Final = 1_000_000_000
"""Sums of larger ones could be infinite, and a mean over them nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertSpec:
    """One assert of a suite.

    Attributes:
        type: Base type without `not-`.
        negated: Whether it was written with `not-`.
        value: As written; templates not rendered yet.
        has_value: Whether `value` was written at all (an explicit null counts as written).
        threshold: As written, or None.
        weight: From 0 to `MOST_WEIGHT`.
        metric: The metric that it feeds.
        required: A case that must never be wrong: a fail fails the session.
        config: Further settings of this type, as written; which exist is the type's own business.
        transform: Names of transforms that are applied to the output first, in order.
        judges: Names of the judges to ask; empty for the only one.
        asserts: The members of an `assert-set`.
        where: `file:line` for error messages.
    """

    type: str
    negated: bool = False
    value: Json = None
    has_value: bool = True
    threshold: float | None = None
    weight: float = 1.0
    metric: str = "accuracy"
    required: bool = False
    config: Mapping[str, Json] = field(default_factory=dict)
    transform: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    asserts: tuple[AssertSpec, ...] = ()
    where: str = ""

    @property
    def name(self) -> str:
        """The type as written."""
        return f"not-{self.type}" if self.negated else self.type

    @property
    def leaves(self) -> tuple[AssertSpec, ...]:
        """What checks something: the members of a set, or the assert itself."""
        return self.asserts or (self,)


def with_members(asserts: Iterable[AssertSpec]) -> Iterator[AssertSpec]:
    """Asserts, each followed by its members if it is a set."""
    for spec in asserts:
        yield from (spec, *spec.asserts)


@dataclass(frozen=True, slots=True, eq=False)
class TypeNames(AbstractSet[str]):
    """Names of types: those that are listed, and all that begin with one of a few prefixes, which cannot be listed.

    Attributes:
        listed: Whole names.
        prefixes: For example `ragas:`.
    """

    listed: frozenset[str]
    prefixes: tuple[str, ...] = ()

    def __contains__(self, name: object) -> bool:
        """Whether there may be such a type; one with a prefix is looked up when its rule is read."""
        return name in self.listed or (isinstance(name, str) and self.prefix(name) is not None)

    def __iter__(self) -> Iterator[str]:
        """The names that can be listed."""
        return iter(self.listed)

    def __len__(self) -> int:
        """How many can be listed."""
        return len(self.listed)

    @classmethod
    def _from_iterable(cls, it: Iterable[T]) -> AbstractSet[T]:
        return frozenset(it)

    def prefix(self, name: str) -> str | None:
        """The prefix that a name begins with, None if there is none or nothing follows it."""
        return next((prefix for prefix in self.prefixes if name.startswith(prefix) and name != prefix), None)


class Vocabulary(Protocol):
    """The assert types that exist."""

    @property
    def names(self) -> AbstractSet[str]:
        """Base types, without `not-`."""

    def is_judge(self, name: str) -> bool:
        """Whether this type asks a judge model."""

    def version(self, name: str) -> str:
        """The version of this type's meaning."""

    def validate(self, spec: AssertSpec, columns: Mapping[str, object]) -> None:
        """Refuse a bad value at load time.

        Args:
            spec: The assert.
            columns: A dataset row to try templates on.

        Raises:
            SuiteError: With `spec.where`, what is wrong, and how to fix it.
        """
