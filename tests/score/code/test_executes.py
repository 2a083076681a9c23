"""code-executes: opt-in, which block is run, what counts as success."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate import Evaluation, evaluate_assert
from llmgate.errors import CannotRunError
from llmgate.score.code.executes import OPT_IN, find_code
from llmgate.score.code.sandbox import run_python


def can_isolate() -> bool:
    try:
        return run_python([("a", "")]).finished
    except CannotRunError:
        return False


isolated = pytest.mark.skipif(not can_isolate(), reason="the kernel grants no namespaces")
TESTS = "def check(f):\n    assert f(2) == 4\n\ncheck({{ name }})"


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPT_IN, "1")


def check(output: object, value: object = TESTS, type_: str = "code-executes", **config: Any) -> Evaluation:
    spec = {"type": type_, "config": config, **({} if value is None else {"value": value})}
    return evaluate_assert(spec, output, vars={"name": "double"})


def block(code: str, info: str = "python") -> str:
    return f"Sure:\n\n```{info}\n{code}\n```\nDone."


GOOD = "def double(x):\n    return 2 * x"


@pytest.mark.parametrize("value", ["0", "", "yes", "true", None])
def test_nothing_runs_without_leave(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OPT_IN, raising=False) if value is None else monkeypatch.setenv(OPT_IN, value)
    monkeypatch.setattr("llmgate.score.code.sandbox.subprocess.Popen", lambda *_, **__: pytest.fail("it ran"))
    for type_ in ("code-executes", "not-code-executes"):
        for output in (block(GOOD), ""):
            found = check(output, type_=type_)
            assert found.outcome == "error"
            assert "LLMGATE_ALLOW_CODE=1" in found.reason


@isolated
@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (GOOD, "pass", "passed its tests"),
        ("def double(x):\n    return x", "fail", "AssertionError"),
        ("def triple(x):\n    return x", "fail", "name 'double' is not defined"),
        ("def double(x)\n    return x", "fail", "SyntaxError"),
        (GOOD + "\nimport sys\nsys.exit(0)", "fail", "ended before its tests"),
        (GOOD + "\nx = '''", "fail", "SyntaxError"),
        (GOOD + "\nif __name__ == '__main__':\n    input()", "pass", "passed"),
        ("import numpy\n" + GOOD, "fail", "No module named 'numpy'"),
        ("while True: pass", "fail", "longer than|signal"),
        ("while True: print('x' * 9999)", "fail", "printed more than"),
        ("import ctypes\nctypes.string_at(0)", "fail", "signal 11"),
    ],
)
def test_verdicts(code: str, outcome: str, reason: str, allowed: None) -> None:
    found = check(block(code), timeout=2)
    assert found.outcome == outcome, found.reason
    assert found.score == float(outcome == "pass")
    assert re.search(reason, found.reason), found.reason


@isolated
def test_without_tests_the_code_only_has_to_end_well(allowed: None) -> None:
    assert check(block("print(1)"), None).outcome == "pass"
    assert check(block("if __name__ == '__main__':\n    raise ValueError"), None).outcome == "fail"
    assert check(block("import sys; sys.exit(0)"), None).outcome == "pass"
    assert check(block("import sys; sys.exit(3)"), None).outcome == "fail"
    assert check(block("1 / 0"), None, "not-code-executes").outcome == "pass"


def test_an_answer_without_code_fails_and_one_that_is_no_text_is_an_error(allowed: None) -> None:
    for output in ("", "def double(x): return 2 * x", "```js\nx\n```", "```python\n\n```"):
        assert check(output).outcome == "fail"
    for type_ in ("code-executes", "not-code-executes"):
        assert check({"content": block(GOOD)}, type_=type_).outcome == "error"
        assert check(block("#" * (2**20 + 1)), type_=type_).outcome == "error"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\na\n```\n```python\nb\n```", "a"),
        ("```\na\n```\n```Python3 title=x\nb\n```", "b"),
        ("```js\na\n```\n```\nb\n```", "b"),
        ("```py\n```\n```py\nb\n```", "b"),
        ("```py\ncut off", "cut off"),
        ("1. So:\n   ```python\n   if a:\n       b\n   ```", "if a:\n    b"),
        ("~~~python\na\n~~~", "a"),
        ("```javascript\na\n```", None),
        ("a", None),
    ],
)
def test_which_block_is_run(text: str, code: str | None) -> None:
    assert find_code(text, "python") == code


@pytest.mark.parametrize(
    "config",
    [
        {"language": "ruby"},
        {"language": 3},
        {"network": "allow"},
        {"network": []},
        {"network": "best-effort"},
        {"timeout": 0},
        {"timeout": 61},
        {"timeout": "5"},
        {"timeout": True},
        {"timeout": float("nan")},
        {"memory_mb": 1},
        {"memory_mb": 10**6},
        {"memory": 256},
    ],
)
def test_broken_settings(config: dict[str, Any], allowed: None) -> None:
    for type_ in ("code-executes", "not-code-executes"):
        assert check("", type_=type_, **config).outcome == "error"


@pytest.mark.parametrize("value", ["", " ", 5, ["assert True"], {"a": 1}, False, "{{ missing }}"])
def test_broken_tests(value: object, allowed: None) -> None:
    for type_ in ("code-executes", "not-code-executes"):
        assert check("", value, type_).outcome == "error"


def test_a_null_is_no_test(allowed: None) -> None:
    assert evaluate_assert({"type": "code-executes", "value": None}, "").outcome == "error"


def test_a_sandbox_that_cannot_be_had_is_an_error(allowed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise CannotRunError("the sandbox could not be set up")

    monkeypatch.setattr("llmgate.score.code.trial.run_programs", refuse)
    for type_ in ("code-executes", "not-code-executes"):
        assert check(block(GOOD), type_=type_).outcome == "error"


@given(st.text() | st.text(alphabet="`~ \npython"))
def test_any_text_is_searched(text: str) -> None:
    code = find_code(text, "python")
    assert code is None or code.strip()
