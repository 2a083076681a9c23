"""An assert as it is written becomes an `AssertSpec`: one reading for suite files, CSV cells and the Python API."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationError

from llmgate.errors import SuiteError, did_you_mean
from llmgate.suite.asserts import MOST_WEIGHT, AssertSpec
from llmgate.suite.form.part import Finite, Name, Part, first_problem, keys_of
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "ASSERT_SET",
    "AssertPart",
    "Defaults",
    "assert_spec",
    "check_defaults",
    "read_assert",
    "unknown_type",
]

ASSERT_SET: Final = "assert-set"
DEFAULT_METRIC: Final = "accuracy"
_GATE_DOES: Final[Mapping[str, tuple[str, str]]] = {
    "max-score": (
        "it picks the model with the best score of a case, and an assert sees the answer of one",
        "Leave it out: the gate compares the other asserts' scores with the champion's, case by case (--baseline)",
    )
}
"""Types of promptfoo that compare models by what is known only when all have answered: what they do, and what to do."""

Weight = Annotated[Finite, Field(ge=0, le=MOST_WEIGHT)]
Where = Callable[..., str]
"""Words the place of a part from its path within the assert."""


class Defaults(Part):
    """`defaults:` - what asserts of a suite are given where they say nothing themselves."""

    threshold: dict[str, Finite] = Field(default={})
    """Assert type to threshold."""
    weight: Weight = 1.0
    """How much an assert counts within its metric."""
    metric: Name = DEFAULT_METRIC
    """The metric that asserts feed."""
    transform: str | list[str] = Field(default=[])
    """Named transforms of the output, applied in order before an assert looks at it."""
    judges: list[str] = Field(default=[])
    """Names of the judges that judged asserts ask; none for the only one."""


def _number(value: object) -> object:
    """A text that is a number as that number, as promptfoo reads it; anything else as it is."""
    if not isinstance(value, str) or not javascript.trim(value):
        return value
    number = javascript.text_to_number(value)
    return value if math.isnan(number) else number


class AssertPart(Part):
    """One entry of `assert:`."""

    type: str
    """The check; `not-` before it turns it round."""
    value: Any = None
    """What the check looks for; texts are templates of the row: "{{ answer }}"."""
    threshold: Annotated[
        Finite | None, BeforeValidator(_number, json_schema_input_type=Annotated[Finite | str | None, Field()])
    ] = None
    """The least score with which the check passes."""
    weight: Weight | None = None
    """How much it counts within its metric; 0 shows it only."""
    metric: Name | None = None
    """The metric that it feeds: accuracy, unless said otherwise."""
    required: bool = False
    """Whether a case that fails it fails the whole run, whatever the statistics say."""
    config: dict[str, Any] = Field(default={})
    """Further settings of this type."""
    transform: str | list[str] | None = None
    """Named transforms of the output, applied in order before the check looks at it."""
    judges: list[str] | None = None
    """Names of the judges to ask; none for the only one."""
    asserts: Annotated[list[AssertPart] | None, Field(alias="assert")] = None
    """The members of an `assert-set`."""


def unknown_type(name: str, names: Collection[str], where: str | None) -> SuiteError:
    """The error for a type that does not exist.

    Args:
        name: As written, perhaps with `not-`.
        names: The types that exist.
        where: `file:line`.
    """
    base = name.removeprefix("not-")
    if base in _GATE_DOES:
        what, fix = _GATE_DOES[base]
        return SuiteError(f"{name!r} is no assert type here: {what}", where=where, fix=fix)
    prefix = "not-" if base != name else ""
    known = [known if known == ASSERT_SET else prefix + known for known in names]
    return SuiteError(f"unknown assert type {name!r}", where=where, fix=did_you_mean(name, known))


def assert_spec(
    part: AssertPart, names: Collection[str], where: Where, defaults: Defaults | None = None, *, inner: bool = False
) -> AssertSpec:
    """Name and place one assert.

    Args:
        part: As written.
        names: The base types that exist.
        where: Words a place, for messages.
        defaults: What the suite gives asserts that say nothing themselves.
        inner: Whether it stands inside an `assert-set`.

    Raises:
        SuiteError: If the type is unknown, or a set is empty, nested, negated or no set has members.
    """
    defaults = defaults or Defaults()
    negated = part.type.startswith("not-")
    base = part.type.removeprefix("not-")
    if base != ASSERT_SET and base not in names:
        raise unknown_type(part.type, [*names, ASSERT_SET], where("type"))
    _check_set(part, where, inner=inner)
    transform = defaults.transform if part.transform is None else part.transform
    metric = part.metric or defaults.metric
    # Members feed their set's metric unless they name one.
    within = defaults.model_copy(update={"metric": metric})
    return AssertSpec(
        type=base,
        negated=negated,
        value=part.value,
        has_value="value" in part.model_fields_set,
        threshold=defaults.threshold.get(base) if part.threshold is None else part.threshold,
        weight=defaults.weight if part.weight is None else part.weight,
        metric=metric,
        required=part.required,
        config=part.config,
        transform=(transform,) if isinstance(transform, str) else tuple(transform),
        judges=tuple(defaults.judges if part.judges is None else part.judges),
        asserts=tuple(
            assert_spec(member, names, lambda *path, i=i: where("assert", i, *path), within, inner=True)
            for i, member in enumerate(part.asserts or ())
        ),
        where=where("type"),
    )


def _check_set(part: AssertPart, where: Where, *, inner: bool) -> None:
    if inner and part.required:
        raise SuiteError(
            "a member of an assert-set cannot be required",
            where=where("required"),
            fix="Require the set itself",
        )
    if part.type.removeprefix("not-") != ASSERT_SET:
        if part.asserts is not None:
            raise SuiteError(
                f"{part.type} has no members", where=where("assert"), fix=f"Only `type: {ASSERT_SET}` has `assert:`"
            )
        return
    if inner:
        raise SuiteError("an assert-set cannot stand inside another one", where=where("type"), fix="Write one set")
    if part.type != ASSERT_SET:
        raise SuiteError("an assert-set cannot be negated", where=where("type"), fix="Negate its members")
    if not part.asserts:
        raise SuiteError(
            "the assert-set is empty, so there is nothing to check", where=where("type"), fix="Add asserts"
        )
    if part.threshold is not None and part.threshold <= 0:
        raise SuiteError(
            f"the threshold of the assert-set is {part.threshold:g}, so it cannot fail",
            where=where("threshold"),
            fix="Write a number above 0",
        )


def check_defaults(defaults: Defaults, names: Collection[str], where: Where) -> None:
    """Refuse thresholds for types that do not exist: they would be given to no assert.

    Raises:
        SuiteError: If there is one.
    """
    for name in defaults.threshold:
        if name != ASSERT_SET and name not in names:
            base = name.removeprefix("not-")
            fix = f"Write {base}: it counts for {name} too" if base in names else did_you_mean(name, names)
            raise SuiteError(
                f"a default threshold for {name!r}, which is no assert type", where=where("threshold", name), fix=fix
            )


def read_assert(
    written: Mapping[str, Any], names: Collection[str], where: str = "", defaults: Defaults | None = None
) -> AssertSpec:
    """Read one assert from a mapping, such as a row or a caller of the Python API has.

    Args:
        written: As it would stand under `assert:`.
        names: The base types that exist.
        where: Its place, for messages.
        defaults: What a suite gives asserts that say nothing themselves.

    Raises:
        SuiteError: If it is malformed.
    """
    try:
        part = AssertPart.model_validate(dict(written))
    except ValidationError as error:
        problem = first_problem(error)
        field = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            fix = did_you_mean(field, keys_of(AssertPart))
            raise SuiteError(f"unknown key {field!r} in an assert", where=where or None, fix=fix) from error
        raise SuiteError(f"an assert's {field}: {problem['msg']}", where=where or None) from error
    return assert_spec(part, names, lambda *_: where, defaults)
