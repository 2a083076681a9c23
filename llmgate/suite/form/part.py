"""What all forms share: models that refuse what they do not know, and what pydantic refuses in words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

from llmgate.errors import LlmgateError, PolicyError, SuiteError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["NAME", "Finite", "Name", "Part", "first_problem", "keys_of", "placed", "worded"]

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"

Name = Annotated[str, Field(pattern=NAME)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    """Strict with people: unknown keys are errors.

    The docstrings of fields are what editors show beside a key; `field_docs` finds them.
    """

    # Prepared when a file is read: of the forms that are imported, a run uses few by themselves.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def keys_of(form: type[BaseModel]) -> list[str]:
    """The keys of a form as they are written."""
    return [field.alias or name for name, field in form.model_fields.items()]


def first_problem(error: ValidationError) -> ErrorDetails:
    """What to name; unknown keys first, as a misspelt key is also the reason why another one is missing."""
    return min(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")


def worded(problem: ErrorDetails, written: Sequence[str | int], form: type[BaseModel]) -> tuple[str, str]:
    """What is wrong in a file, and what to do about it.

    Args:
        problem: What pydantic says.
        written: Where that stands in the file.
        form: The form of the whole file.
    """
    key, field, message = str(written[-1]), ".".join(map(str, written)), problem["msg"]
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}", did_you_mean(key, _keys_at(form, problem["loc"]))
    if problem["type"] == "missing":
        return f"the key {field!r} is missing", f"Add `{key}:`"
    return f"{field}: {message[:1].lower()}{message[1:]}", "Correct the value"


@contextmanager
def placed(where: str | None = None, kind: type[LlmgateError] = SuiteError) -> Iterator[None]:
    """Word what a policy refuses as an error of this kind, about this place of a file if one is given."""
    try:
        yield
    except PolicyError as error:
        raise kind(error.what, where=where or error.where, fix=error.fix) from error


def _keys_at(form: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that are valid where an unknown one stands."""
    steps = iter(location[:-1])
    for step in steps:
        fields = {field.alias or name: field.annotation for name, field in form.model_fields.items()}
        annotation = fields.get(str(step))
        inner = next(_forms(annotation), None)
        if inner is not None:
            form = inner
            if get_origin(annotation) is dict:
                next(steps, None)  # a name that people gave
    return keys_of(form)


def _forms(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _forms(argument)
