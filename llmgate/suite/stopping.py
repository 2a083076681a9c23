"""`stopping:` below `gate:` - when a suite may end before all its cases are asked, or is extended beyond its base.

stopping: {looks: 5, seed: 0}                 five looks, the last one at all cases
stopping: {looks: [0.3, 0.6, 1], seed: 7}     looks at these shares of the cases
stopping: {extend: {cases: 400}}              400 of the cases are only asked if the others do not decide
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from llmgate.errors import PolicyError, SuiteError
from llmgate.record.order import plan_looks
from llmgate.suite.assertpart import Finite, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.record.looks import LookPlan
    from llmgate.suite.cases import Case
    from llmgate.suite.spec import Suite

__all__ = ["ExtendPart", "StoppingPart", "planned_looks"]

_LOOKS = 5
_MOST_LOOKS = 50


class ExtendPart(Part):
    """`extend:` - the reserve."""

    cases: Annotated[int, Field(ge=1)]
    """How many cases are only asked if the others do not decide."""


class StoppingPart(Part):
    """`stopping:` - when the suite may end before all its cases are asked."""

    looks: int | list[Finite] | None = None
    """How many looks, equally spaced, or at which shares of the cases; before a reserve, of the base. Default: 5, and
    one at the end of the base where there is a reserve."""
    seed: int = 0
    """Decides the order of the cases."""
    required: bool = False
    """Whether cases may stay unasked although they have asserts that must never fail."""
    extend: ExtendPart | None = None
    """Cases that are only asked if the others do not decide."""

    @field_validator("looks")
    @classmethod
    def some(cls, looks: int | list[float] | None) -> int | list[float] | None:
        """Refuse numbers of looks that nobody can mean."""
        if isinstance(looks, int) and not 1 <= looks <= _MOST_LOOKS:
            raise ValueError(f"{looks} looks; there may be 1 to {_MOST_LOOKS}")
        if looks == []:
            raise ValueError("no look at all; end the list with 1")
        return looks

    def fractions(self, cases: int) -> tuple[float, ...]:
        """Of all cases.

        Args:
            cases: How many there are, more than the reserve.
        """
        looks = self.looks or (1 if self.extend else _LOOKS)
        of_base = tuple((k + 1) / looks for k in range(looks)) if isinstance(looks, int) else tuple(looks)
        if self.extend is None:
            return of_base
        base = cases - self.extend.cases
        return (*(fraction * base / cases for fraction in of_base), 1.0)


def planned_looks(suite: Suite, cases: Sequence[Case]) -> LookPlan | None:
    """When a suite looks at its results.

    Args:
        suite: The suite.
        cases: All its cases.

    Returns:
        None if it does not stop early.

    Raises:
        SuiteError: If the looks are impossible, or cases that must never be wrong could stay unasked.
    """
    part = suite.gates.block.stopping
    if part is None:
        return None
    where = suite.gates.where("stopping")
    must = next((one for case in cases for one in case.asserts if one.required), None)
    if must is not None and not part.required:
        raise SuiteError(
            f"the suite may stop before all cases are asked, and {must.name!r} must never fail",
            where=where,
            fix="Remove `stopping:`, or write `stopping: {required: true}` if such a case may stay unasked",
        )
    if part.extend is not None and part.extend.cases >= len(cases):
        raise SuiteError(
            f"the suite has {len(cases)} cases, so there is none before a reserve of {part.extend.cases}",
            where=where,
            fix="Give fewer cases to `extend:`, or more rows to the dataset",
        )
    if isinstance(part.looks, list) and part.looks[-1] != 1:
        raise SuiteError(
            f"the last look is at {part.looks[-1]:g} of the cases, but must be at all",
            where=where,
            fix="End the list with 1, for example `looks: [0.3, 0.6, 1]`",
        )
    try:
        return plan_looks(
            [case.planned for case in cases],
            seed=part.seed,
            fractions=part.fractions(len(cases)),
            reserve=part.extend.cases if part.extend else 0,
        )
    except PolicyError as error:
        raise SuiteError(error.what, where=where, fix=error.fix) from error
