"""What a caller of the Python API gives, checked before a check trusts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import UsageError
from llmgate.score.assertion.check import CheckContext
from llmgate.score.assertion.settings import read_number
from llmgate.suite.template import javascript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "MOST_RETRIES",
    "given_asserts",
    "given_context",
    "given_judges",
    "given_mean",
    "given_retries",
    "given_spec",
]

MOST_RETRIES: Final = 100
_NOTHING: Final[Mapping[str, Any]] = {}


def given_context(
    output: object,
    *,
    variables: Mapping[str, object] | None,
    prompt: object,
    tokens: Mapping[str, object] | None,
    options: Mapping[str, object] | None,
    **reported: Any,
) -> CheckContext:
    """The output and what belongs to it.

    Args:
        output: Text, or data such as JSON holds.
        variables: The dataset row.
        prompt: Text, or the messages of a conversation, which count as their JSON.
        tokens: Counts by name.
        options: Settings of the whole test.
        **reported: Further fields of a `CheckContext`, which may be anything.

    Raises:
        UsageError: If one of them is of no use.
    """
    if not isinstance(output, str):
        _refuse_other_data(output)
    if not isinstance(prompt, str):
        prompt = _prompt(prompt)
    return CheckContext(
        output=output,
        variables=_mapping("vars", variables),
        prompt=prompt,
        tokens=_mapping("tokens", tokens),
        options=_mapping("options", options),
        **reported,
    )


def _mapping(name: str, value: object) -> Mapping[str, Any]:
    if value is None:
        return _NOTHING
    if type(value) is not dict and not isinstance(value, Mapping):
        raise UsageError(f"{name} must be a mapping, not {_kind(value)}", fix=f'For example {name}={{"name": …}}')
    return value


def _prompt(prompt: object) -> str:
    if prompt is None:
        return ""
    if not isinstance(prompt, list | tuple | Mapping):
        raise UsageError(f"the prompt is {_kind(prompt)}, not text", fix="Give what the model was asked")
    _refuse_other_data(prompt)
    return javascript.json_text(prompt)


def _refuse_other_data(value: object) -> None:
    """Of an object only its address would be compared."""
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_other_data(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_other_data(item)
    elif not (value is None or isinstance(value, str | int | float)):
        raise UsageError(f"the output is or holds {_kind(value)}, neither text nor JSON data", fix="Give its text")


def given_judges(judge: object) -> Mapping[str, Callable[[str], Any]]:
    """Judges by name, the only one under the empty name.

    Raises:
        UsageError: If one cannot be called.
    """
    judges: Mapping[str, Any] = judge if isinstance(judge, Mapping) else _NOTHING if judge is None else {"": judge}
    for name, function in judges.items():
        if not callable(function):
            which = f"the judge {name!r}" if name else "the judge"
            raise UsageError(
                f"{which} is {_kind(function)}, not a function", fix="Give a function from prompt to reply"
            )
    return judges


def given_retries(retries: object) -> int:
    """How often an unreadable reply is asked again.

    Raises:
        UsageError: If it is no whole number from 0 to `MOST_RETRIES`.
    """
    if not isinstance(retries, int) or isinstance(retries, bool) or not 0 <= retries <= MOST_RETRIES:
        shown = javascript.text(retries)[:60]
        raise UsageError(f"judge_retries must be a whole number from 0 to {MOST_RETRIES}, not {shown}")
    return retries


def given_mean(threshold: object) -> float | None:
    """The least weighted mean of a whole test; a text that is a number counts as one, as in a suite.

    Raises:
        UsageError: If it is no finite number.
    """
    if threshold is None:
        return None
    number = read_number(threshold)
    if not abs(number) < float("inf"):
        raise UsageError(f"the threshold must be a number, not {javascript.text(threshold)[:60]!r}")
    return number


def given_asserts(specs: object) -> Sequence[Mapping[str, Any]]:
    """The asserts of a whole test; what each of them is worth is seen when it is read.

    Raises:
        UsageError: If they are no list.
    """
    if isinstance(specs, str | Mapping) or not hasattr(specs, "__iter__"):
        raise UsageError(f"the asserts must be a list of mappings, not {_kind(specs)}", fix="Write [{…}, {…}]")
    return list(specs)


def given_spec(spec: object) -> dict[str, Any]:
    """One assert.

    Raises:
        UsageError: If it is no mapping.
    """
    if not isinstance(spec, Mapping):
        fix = 'For example {"type": "icontains", "value": "Paris"}'
        raise UsageError(f"an assert must be a mapping, not {_kind(spec)}", fix=fix)
    return dict(spec)


def _kind(value: object) -> str:
    name = "nothing" if value is None else type(value).__name__
    return name if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
