"""Checks that users write in Python, and how a suite comes to know them.

    @llmgate.check("polite", version="1")
    def polite(output: str, *, value: str) -> bool:
        return value in output

The decorated name is a value, not an entry in a table: pytest finds it in `conftest.py`, `llmgate run` in the
`conftest.py` beside a suite, and both in the entry-point group `llmgate.checks` of installed packages.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import JudgeError, SuiteError, UndefinedError, did_you_mean
from llmgate.record.schema import Message
from llmgate.score.assertion.check import CheckContext, Consult, Evaluate, Finding
from llmgate.score.assertion.definition import CheckKind, Kind, ModelGradedKind
from llmgate.score.assertion.models import JudgeRequest, Models, ask_judge
from llmgate.score.assertion.rule import RuleValue, invalid_value
from llmgate.score.foreign_code import Caller
from llmgate.score.judge.panel import PANEL_SETTINGS
from llmgate.suite.form.asserts import ASSERT_SET

if TYPE_CHECKING:
    from llmgate.suite.asserts import AssertSpec

__all__ = ["CustomCheck", "check", "find_checks"]

NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-:][a-z0-9]+)*")
ARGUMENTS: Final = ("value", "vars", "prompt", "threshold", "config", "context", "judge")
"""What a check may ask for, by the names of its keyword-only parameters."""
RESERVED: Final = frozenset({ASSERT_SET})
"""Names that suites use for something that is no check."""

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCheck:
    """A check written by a user; still callable, so that it can be tested as the function that it is.

    Attributes:
        name: The assert type in suites.
        version: Part of the suite's digest: raise it when the check's meaning changes.
        settings: Keys that `config` may have.
        function: What was decorated.
        wanted: What it asks for by keyword.
        timeout: Seconds that a call may take, None for as many as the run says.
    """

    name: str
    version: str
    settings: frozenset[str]
    function: Function
    wanted: frozenset[str]
    timeout: float | None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function."""
        return self.function(*args, **kwargs)

    def kind(self, caller: Caller) -> Kind:
        """The entry of the vocabulary, whose function is called by that caller."""
        told: dict[str, Any] = {
            "id": self.name,
            "version": self.version,
            "settings": dict.fromkeys(sorted(self.settings), ""),
        }
        if "judge" in self.wanted:
            return ModelGradedKind(prepare=lambda spec: _consult(self, caller, spec), **told)
        return CheckKind(prepare=lambda spec: _evaluate(self, caller, spec), **told)


def check(
    name: str, *, version: str, settings: Iterable[str] = (), timeout: float | None = None
) -> Callable[[Function], CustomCheck]:
    """Make an assert type of a function.

    The function takes the output as text, and by keyword whatever it names of: `value` (templates rendered), `vars`
    (the dataset row), `prompt`, `threshold`, `config`, `context` (everything, a `CheckContext`) and `judge` (an async
    function from prompt to reply). It returns True or False; a score in [0, 1], which passes from the assert's
    `threshold` on; or a `Finding`. It raises where it cannot evaluate, which is an error and never a pass. It may be
    `async` only if it asks the judge. It is called in a thread of its own; what does not end in time is an error.

    Args:
        name: The type, in lower case with hyphens. It cannot start with `not-`: that is made of every type.
        version: Part of the suite's digest: raise it when the same output comes to mean something else.
        settings: Keys that the assert's `config` may have.
        timeout: Seconds that a call may take, a judge's time apart; None for as many as `--timeout` gives an answer.

    Raises:
        SuiteError: If the name, the time limit, the version or the function's parameters are of no use.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name) or name.startswith("not-"):
        raise SuiteError(f"a check cannot be called {name!r}", fix="Use lower case letters, digits and hyphens")
    if name in RESERVED:
        raise SuiteError(f"a check cannot be called {name!r}, which means something else", fix="Rename the check")
    if not isinstance(version, str) or not version.strip():
        raise SuiteError(f"the check {name!r} has no version that is a text", fix='Write version="1"')
    if timeout is not None and not 0 < timeout < math.inf:
        raise SuiteError(f"the check {name!r} has the timeout {timeout!r}", fix="Give seconds above 0")
    keys = _settings(name, settings)

    def decorate(function: Function) -> CustomCheck:
        wanted = _parameters(name, function)
        if "judge" in wanted and keys & PANEL_SETTINGS.keys():
            taken = " and ".join(sorted(keys & PANEL_SETTINGS.keys()))
            raise SuiteError(
                f"the check {name!r} has the settings {taken}, which are those of panels", fix="Rename them"
            )
        return CustomCheck(name=name, version=version, settings=keys, function=function, wanted=wanted, timeout=timeout)

    return decorate


def find_checks(values: Iterable[object], caller: Caller | None = None) -> dict[str, Kind]:
    """The checks among the values of a module.

    Args:
        values: Of the module's names.
        caller: Calls their functions; None for one of their own.

    Raises:
        SuiteError: If two different ones share a name.
    """
    checks: dict[str, CustomCheck] = {}
    for value in values:
        if isinstance(value, CustomCheck):
            other = checks.setdefault(value.name, value)
            if other.function is not value.function:
                raise SuiteError(f"two checks are called {value.name!r}", fix="Give each check its own name")
    caller = caller or Caller()
    return {name: custom.kind(caller) for name, custom in checks.items()}


def _settings(name: str, settings: Iterable[str]) -> frozenset[str]:
    if isinstance(settings, str):
        # Its letters would be the names.
        raise SuiteError(f"the settings of the check {name!r} are one text", fix=f'Write settings=["{settings}"]')
    keys = frozenset(settings)
    if not all(isinstance(key, str) and key for key in keys):
        raise SuiteError(f"the check {name!r} has a setting that is no text", fix='Write settings=["least"]')
    return keys


def _parameters(name: str, function: Function) -> frozenset[str]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise SuiteError(f"the check {name!r} is no function: {error}", fix="Decorate a function") from error
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    if len(positional) != 1 or len(parameters) != 1 + len(keywords):
        raise SuiteError(
            f"the check {name!r} must take the output, and everything else by keyword",
            fix="Write `def check(output, *, value)`",
        )
    for keyword in keywords:
        if keyword not in ARGUMENTS:
            raise SuiteError(
                f"the check {name!r} asks for {keyword!r}, which does not exist", fix=did_you_mean(keyword, ARGUMENTS)
            )
    if inspect.iscoroutinefunction(function) is not ("judge" in keywords):
        raise SuiteError(
            f"the check {name!r} is async and asks no judge, or the other way round",
            fix="Only checks with a `judge` parameter are `async def`",
        )
    return frozenset(keywords)


def _arguments(wanted: frozenset[str], spec: AssertSpec, value: RuleValue, context: CheckContext) -> dict[str, Any]:
    offered: Mapping[str, object] = {
        "value": value.render(context.variables),
        "vars": context.variables,
        "prompt": context.prompt,
        "threshold": spec.threshold,
        "config": spec.config,
        "context": context,
    }
    return {name: offered[name] for name in wanted if name != "judge"}


def _checked_value(wanted: frozenset[str], spec: AssertSpec) -> RuleValue:
    if "value" in wanted and not spec.has_value:
        raise invalid_value(spec, "the assert has no value", "Add `value:`")
    return RuleValue.compile(spec)


def _evaluate(custom: CustomCheck, caller: Caller, spec: AssertSpec) -> Evaluate:
    value = _checked_value(custom.wanted, spec)

    def evaluate(context: CheckContext) -> Finding:
        arguments = _arguments(custom.wanted, spec, value, context)
        return caller.call(
            _named(spec), lambda: _finding(spec, custom.function(context.text, **arguments)), custom.timeout
        )

    return evaluate


def _consult(custom: CustomCheck, caller: Caller, spec: AssertSpec) -> Consult:
    value = _checked_value(custom.wanted, spec)

    async def consult(context: CheckContext, models: Models) -> Finding:
        async def judge(prompt: str) -> str:
            messages = (Message(role="user", content=prompt),)
            request = JudgeRequest(messages=messages, schema=None, sampling=models.sampling)
            # Through `ask_judge`, which writes question and reply into the record.
            return await ask_judge(models, request, lambda reply: reply.text)

        arguments = _arguments(custom.wanted, spec, value, context)

        async def asking(judge: Callable[[str], Awaitable[str]]) -> Finding:
            return _finding(spec, await custom.function(context.text, judge=judge, **arguments))

        return await caller.consult(_named(spec), asking, judge, custom.timeout)

    return consult


def _named(spec: AssertSpec) -> str:
    return f"the check {spec.type}"


def _finding(spec: AssertSpec, result: object) -> Finding:
    if getattr(result, "shape", None) == () and callable(getattr(result, "item", None)):
        # A scalar of numpy or torch.
        result = result.item()  # type: ignore[attr-defined]
    if isinstance(result, bool):
        return Finding.of(result, f"{spec.type} says {'yes' if result else 'no'}")
    if isinstance(result, Finding):
        if not isinstance(result.passed, bool) or not 0 <= result.score <= 1:
            raise UndefinedError(f"{spec.type} returned {result}, whose score is not in [0, 1]")
        return result
    if not isinstance(result, int | float):
        raise JudgeError(f"{spec.type} returned {type(result).__name__}, not a truth value, a score or a Finding")
    if not (math.isfinite(result) and 0 <= result <= 1):
        raise UndefinedError(f"{spec.type} returned the score {result}, which is not in [0, 1]")
    if spec.threshold is None:
        raise invalid_value(spec, "the check returned a score, and the assert has no threshold", "Add `threshold:`")
    return Finding(result >= spec.threshold, float(result), f"scored {result:.4g}, wanted {spec.threshold:g}")
