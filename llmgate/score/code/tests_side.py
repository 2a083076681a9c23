"""The process that executes the tests: ours, with stand-ins where the tests name what is in the model's code.

What a stand-in returns is a plain value that was made here, or another stand-in. A stand-in is never compared, hashed
or true: none of that may be the word of the code under test. Run in the sandbox by `trial.py`.
"""

from __future__ import annotations

import collections.abc
import importlib
import json
import linecache
import marshal
import os
import sys
import types
from typing import Any

from llmgate.score.code.client import Client, Refused
from llmgate.score.code.wire import Link

__all__ = ["judge"]

MOST_RESULT = 4_000


class _FailedError(Exception):
    """A test did not pass, in words."""


class _BrokenError(Exception):
    """The tests cannot be executed, in words."""


def judge(job: dict[str, Any]) -> None:
    """Executes the tests, and writes what came of them to a descriptor that nobody else has."""
    run = _Run(job)
    try:
        found = run.found()
    except BaseException as error:  # noqa: BLE001 - it is always told
        found = {"outcome": "error", "reason": f"{type(error).__name__}: {error}"}
    line = json.dumps({**found, "reason": str(found["reason"])[:MOST_RESULT]}).encode()
    sys.stdout.flush()
    os.write(job["result_fd"], line)
    os._exit(0)


class _Run:
    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._inside = job["inside"]
        self._client = (
            None
            if self._inside
            else Client(Link(job["replies_fd"], job["calls_fd"]), job["classes"], job["exceptions"])
        )
        self._assertions = 0
        self._executed: list[str] = []
        self._module = types.ModuleType("__main__")
        self._names = self._module.__dict__
        for name in ("tests", "before"):
            text = job[f"{name}_text"]
            linecache.cache[f"<{name}>"] = (len(text), None, text.splitlines(keepends=True), f"<{name}>")

    def found(self) -> dict[str, Any]:
        """What came of the tests."""
        outcome, reason = "pass", ""
        try:
            self._execute()
        except _FailedError as error:
            outcome, reason = "fail", str(error)
        except _BrokenError as error:
            outcome, reason = "error", str(error)
        except Refused:
            pass
        client = self._client
        if client is not None and client.fault is not None:
            outcome, reason = client.fault
        elif outcome == "pass" and not self._assertions:
            outcome, reason = "error", "no assertion was executed, so the tests tested nothing"
        elif outcome == "pass" and client is not None and not client.uses:
            outcome, reason = "error", "the tests used nothing of the code, so they tested nothing"
        return {"outcome": outcome, "reason": reason, "assertions": self._assertions, "tests": self._executed[:50]}

    def _execute(self) -> None:
        job = self._job
        sys.argv = ["program"]
        sys.modules["__main__"] = self._module
        for path in job["modules"]:
            module, _, name = path.partition(".")
            found = importlib.import_module(module)
            self._names[name or module] = getattr(found, name) if name else found
        if job["unittest"]:
            _disarm_main()
        self._names |= {"__llmgate_counted__": self._count, "__llmgate_method__": self._counting}
        if self._client is None:
            self._load_inside()
        else:
            if job["before_code"]:
                self._guarded("before", lambda: exec(marshal.loads(job["before_code"]), self._names))  # noqa: S102, S302
            self._client.load()
            self._names.update(self._client.stand_ins(job["names"]))
        if job["tests_code"]:
            self._guarded("the tests", lambda: exec(marshal.loads(job["tests_code"]), self._names))  # noqa: S102, S302
        self._functions()
        if job["unittest"]:
            self._test_cases()
        for text in job["doctests"]:
            self._doctest(text)

    def _load_inside(self) -> None:
        from llmgate.score.code.solution_side import load  # noqa: PLC0415 - it is there only where it is needed

        try:
            module = load(self._job["before"], self._job["code"])
        except BaseException as error:
            raise _FailedError(f"the code failed: {worded(error)}") from error
        self._names.update({name: value for name, value in vars(module).items() if not name.startswith("__")})

    def _functions(self) -> None:
        names = self._names
        if self._job["check"]:
            self._guarded("check", lambda: names["check"](names[self._job["entry_point"]]))
        for name in self._job["functions"]:
            function = names.get(name)
            if isinstance(function, types.FunctionType):
                self._guarded(name, lambda function=function: _finished(function()))

    def _test_cases(self) -> None:
        import unittest  # noqa: PLC0415 - it costs 20 ms, and few need it

        for value in list(self._names.values()):
            if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == "__main__":
                result = unittest.TestResult()
                result.failfast = True
                unittest.defaultTestLoader.loadTestsFromTestCase(value).run(result)
                self._executed.append(value.__name__)
                self._stop_at_a_fault()
                problems = [*result.failures, *result.errors]
                if problems:
                    case, text = problems[0]
                    raise _FailedError(f"{case.id().removeprefix('__main__.')}: {_last_line(text)}")
                if result.unexpectedSuccesses or result.expectedFailures:
                    raise _BrokenError(f"{value.__name__} expects a failure, which is no way to test code")

    def _doctest(self, text: str) -> None:
        import doctest  # noqa: PLC0415 - it costs 30 ms, and few need it

        said: list[str] = []
        test = doctest.DocTestParser().get_doctest(text, self._names, "doctest", "<tests>", 0)
        results = doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
        self._stop_at_a_fault()
        self._executed.append("doctest")
        if results.failed:
            raise _FailedError(" ".join("".join(said).split())[:300].replace("*" * 70, "").strip())
        self._assertions += sum(1 for example in test.examples if example.want)

    def _guarded(self, name: str, action: Any) -> None:
        try:
            action()
        except Refused:
            raise
        except BaseException as error:
            self._stop_at_a_fault()
            ours = self._client is None or error is not self._client.raised
            if isinstance(error, ImportError) and ours and error.name != "solution":
                raise _BrokenError(f"{name} cannot be executed: {worded(error)}") from error
            if isinstance(error, SystemExit) and ours and not error.code:
                return
            raise _FailedError(f"{worded(error)}{_place(error)}") from error
        self._stop_at_a_fault()
        self._executed.append(name)

    def _stop_at_a_fault(self) -> None:
        if self._client is not None and self._client.fault is not None:
            raise Refused

    def _count(self) -> None:
        self._assertions += 1

    def _counting(self, method: Any) -> Any:
        def call(*args: Any, **keywords: Any) -> Any:
            result = method(*args, **keywords)
            self._assertions += 1
            return result

        return call


def _finished(value: Any) -> None:
    """What a test function returns is of no interest, unless it is still to be awaited."""
    if isinstance(value, collections.abc.Coroutine):
        import asyncio  # noqa: PLC0415 - it costs 40 ms, and few need it

        asyncio.run(value)


def _disarm_main() -> None:
    """Test cases are executed here, whether or not the tests would do it themselves."""
    import unittest  # noqa: PLC0415 - it costs 20 ms, and few need it

    def main(*_: Any, **__: Any) -> None:
        return None

    unittest.main = unittest.TestProgram = main  # type: ignore[assignment,misc]


def worded(error: BaseException) -> str:
    """An exception in a line."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - its own doing
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """The last line of the tests that an exception came through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            line = linecache.getline("<tests>", trace.tb_lineno).strip()
            place = f" (tests, line {trace.tb_lineno}: {line[:120]})"
        trace = trace.tb_next
    return place


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "-", "+", "?"))]
    return next((line for line in reversed(lines) if "Error" in line or "Exception" in line), (lines or [""])[-1])
