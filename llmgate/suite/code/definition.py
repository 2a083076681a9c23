"""A suite that is declared in Python, whose cases are the calls of test functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from llmgate.errors import SuiteError, UsageError, did_you_mean
from llmgate.suite.code.source import TestSource, read_source

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json

__all__ = ["CodeSuite", "SuiteTest", "test_of"]

Function = TypeVar("Function", bound=Callable[..., Any])
MARK: Final = "__llmgate_test__"
GIVEN: Final = frozenset(
    {
        *("version", "description", "dataset", "case", "prompt", "tools", "sampling", "repeat", "gate", "drift"),
        *("judge", "prices", "defaults", "allow_leakage"),
    }
)
"""The keys of a suite file that a suite in code has; asserts are its tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteTest:
    """A test function of a suite.

    Attributes:
        suite: The suite.
        function: The function.
        metrics: The metrics that it feeds; None for all of the suite.
    """

    suite: CodeSuite
    function: Callable[..., Any]
    metrics: tuple[str, ...] | None = None


class CodeSuite:
    """A suite of tests in Python.

    ```python
    suite = llmgate.suite("support", version="1.0.0", dataset="support.jsonl", gate={"accuracy": {"margin": 0.03}})

    @suite.cases
    async def test_support(case, llm):
        reply = await llm.chat.completions.create(model=case.model, messages=case.messages)
        case.check("accuracy", case["answer"] in reply.choices[0].message.content)
    ```

    Args:
        name: The suite's name.
        path: The file that declares it; paths that it names start in its folder.
        given: Keys of a suite file: `version`, `dataset`, `case`, `prompt`, `sampling`, `repeat`, `gate`, `drift`, …

    Raises:
        UsageError: If a key does not exist, or there is no dataset.
    """

    def __init__(self, name: str, *, path: Path, **given: Any) -> None:
        for key in given:
            if key not in GIVEN:
                reason = "asserts are what its tests check" if key in {"assert", "asserts"} else ""
                raise UsageError(
                    f"a suite in code has no {key!r}", where=str(path), fix=reason or did_you_mean(key, GIVEN)
                )
        if "dataset" not in given:
            raise UsageError(
                f"the suite {name!r} has no dataset", where=str(path), fix='Add dataset="FILE.jsonl", beside the tests'
            )
        self.name = name
        self.path = path
        self.tests: list[SuiteTest] = []
        self.document: dict[str, Any] = {"llmgate": 1, "suite": name}
        for key, value in given.items():
            self.document[key.replace("_", "-")] = str(value) if isinstance(value, Path) else value

    @overload
    def cases(self, function: Function, /) -> Function: ...

    @overload
    def cases(self, /, *, metrics: Sequence[str]) -> Callable[[Function], Function]: ...

    def cases(self, function: Function | None = None, /, *, metrics: Sequence[str] | None = None) -> Any:
        """Make a test function the suite's: it is called once for each row, as `case`.

        Args:
            function: The test.
            metrics: The metrics that it feeds, where the suite has others that it does not; a case that leaves one of
                its metrics without a check is an error.
        """

        def taken(function: Function) -> Function:
            test = SuiteTest(suite=self, function=function, metrics=None if metrics is None else tuple(metrics))
            try:
                setattr(function, MARK, test)
            except AttributeError as error:
                raise UsageError(f"{function!r} is no test function", where=str(self.path)) from error
            self.tests.append(test)
            return function

        return taken if function is None else taken(function)

    def source(self) -> TestSource:
        """What its tests check.

        Raises:
            SuiteError: If their source cannot be read.
        """
        if not self.tests:
            raise SuiteError(f"the suite {self.name!r} has no test", where=str(self.path), fix="Add @suite.cases")
        return read_source(test.function for test in self.tests)

    def facts(self) -> dict[str, Json]:
        """What a suite file would say."""
        return dict(self.document)


def test_of(function: object) -> SuiteTest | None:
    """The suite's test that a function is, None if it is none."""
    found = getattr(function, MARK, None)
    return found if isinstance(found, SuiteTest) else None
