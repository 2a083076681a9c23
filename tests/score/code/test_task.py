"""The value of `code-executes`, read when the suite is loaded: forms, templates, and tests that test nothing."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate import Evaluation, evaluate_assert
from llmgate.errors import CannotRunError, SuiteError
from llmgate.score.code.executes import OPT_IN
from llmgate.score.code.sandbox import run_python
from llmgate.score.code.tests_text import read_tests


def can_isolate() -> bool:
    try:
        return run_python([("a", "")]).finished
    except CannotRunError:
        return False


isolated = pytest.mark.skipif(not can_isolate(), reason="the kernel grants no namespaces")


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPT_IN, "1")


def check(code: str, value: object, variables: dict[str, object] | None = None, **config: Any) -> Evaluation:
    spec = {"type": "code-executes", "value": value, "config": config}
    return evaluate_assert(spec, f"```python\n{code}\n```", vars=variables or {})


REFUSED = {
    "def f(x):\n    assert g(x)": "only where nothing calls it",
    "def check(candidate):\n    assert candidate(1)": "entry_point",
    "assert True": "assert nothing",
    "x = f(1)": "assert nothing",
    "f(1) == 2": "assert nothing",
    "assert len('a') == 1 and abs(-1) == 1": "entry_point",
    "import math\nassert math.pi > 3": "use nothing",
    "assert": "cannot be parsed",
    "def test_a(tmp_path):\n    assert f(tmp_path)": "takes arguments",
    "class A(Base):\n    pass\nassert A().x == 1": "make a class from Base",
    "import inspect\nassert 'x' in inspect.getsource(f)": "call getsource",
    "from unittest import mock\nassert f(1) == 1": "use mock",
    "from unittest.mock import patch\nassert f(1) == 1": "use mock",
    "assert isinstance(f(1), Box)": "isinstance with a class of the code",
    "setattr(f, 'x', 1)\nassert f(1) == 1": "setattr",
    ">>> f(1)": "assert nothing",
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_what_is_refused_at_load(text: str, why: str) -> None:
    with pytest.raises(SuiteError, match=why):
        read_tests(text)


def test_what_needs_the_inside_may_be_there() -> None:
    for text in ("class A(Base):\n    pass\nassert A().x == 1", "import inspect\nassert 'x' in inspect.getsource(f)"):
        assert read_tests(text, inside=True).names


@pytest.mark.parametrize(
    ("text", "more", "names", "classes"),
    [
        ("assert f(1) == 2", {}, ["f"], []),
        ("assert sum(10, 15) == 6", {}, ["sum"], []),
        ("assert set(f(1)) == {1}", {}, ["f"], []),
        ("assert set(max(1)) == {1}", {"entry_point": "max"}, ["max"], []),
        ("assert math.isclose(f(1), 1)", {}, ["f"], []),
        ("assert isclose(f(1), 1)", {}, ["f"], []),
        ("assert isclose(1, 1) is True", {}, ["isclose"], []),
        ("assert copy([1]) == [1]", {}, ["copy"], []),
        ("p = Pair(1, 2)\nassert f([p]) == 1", {}, ["Pair", "f"], ["Pair"]),
        ("assert Diff(1, 2) == 1", {}, ["Diff"], []),
        ("assert Solution().f(1) == 1", {}, ["Solution"], ["Solution"]),
        ("assert poly([1], f(1)) == 0", {"before": "def poly(a, b): return 0", "entry_point": "f"}, ["f"], []),
        ("def g(x):\n    return x\nassert f(g(1)) == 1", {}, ["f"], []),
    ],
)
def test_which_names_are_of_the_code(text: str, more: dict[str, str], names: list[str], classes: list[str]) -> None:
    read = read_tests(text, **more)
    assert (list(read.names), list(read.classes)) == (names, classes)


@pytest.mark.parametrize(
    "value",
    [
        {"test": "assert f(1) == 1"},
        {"tests": 3},
        {"tests": ["assert f(1) == 1", 3]},
        {"tests": "assert f(1) == 1", "entry_point": "a b"},
        {"tests": "assert f(1) == 1", "before": "def ("},
        {"tests": "assert f(1) == 1", "programs": []},
        {"programs": [{"stdin": "1"}]},
        {"programs": [{"stdin": 1, "stdout": "1"}]},
        {"programs": [{"stdout": "1", "args": "x"}]},
        {"programs": "no JSON"},
        {"programs": [{"stdout": ""}] * 101},
        {"tests": "{{ missing }}"},
    ],
)
def test_values_that_are_none(value: object) -> None:
    assert check("f = int", value).outcome == "error"


ECHO = "import sys\nprint(sys.stdin.read().upper(), end='')"


@isolated
@pytest.mark.parametrize(
    ("code", "programs", "outcome", "reason"),
    [
        (ECHO, [{"stdin": "ab\nc", "stdout": "AB\nC"}], "pass", "1 program"),
        (ECHO, [{"stdin": "ab  \nc\n\n", "stdout": "AB\nC"}], "pass", ""),
        (ECHO, [{"stdin": "a", "stdout": "A"}, {"stdin": "b", "stdout": "C"}], "fail", r"program 2 of 2"),
        (ECHO, [{"stdout": ""}], "pass", ""),
        (ECHO, [{"stdin": "  a", "stdout": "A"}], "fail", "wanted 'A'"),
        (ECHO + "\nraise SystemExit(1)", [{"stdin": "a", "stdout": "A"}], "fail", "failed"),
        ("print('A')\nimport os\nos._exit(0)", [{"stdout": "A"}], "fail", "the end"),
        ("import sys\nprint('A', file=sys.stderr)", [{"stdout": "A"}], "fail", "the end"),
        ("print('x' * 2**21)", [{"stdout": "x"}], "fail", "printed more"),
        ("if __name__ == '__main__':\n    print(input())", [{"stdin": "a", "stdout": "a"}], "pass", ""),
        ("while True: pass", [{"stdout": ""}], "fail", "longer|signal"),
    ],
)
def test_programs(code: str, programs: list[dict[str, str]], outcome: str, reason: str) -> None:
    # On a busy machine a start alone may take a second.
    found = check(code, {"programs": programs}, timeout=1 if "while" in code else 10)
    assert found.outcome == outcome, found.reason
    assert reason.split("|", maxsplit=1)[0] in found.reason or reason.rsplit("|", maxsplit=1)[-1] in found.reason


@isolated
def test_templates_stand_anywhere_in_the_value() -> None:
    row: dict[str, object] = {
        "t": ["assert f(1) == 2", "assert f(2) == 4"],
        "n": "f",
        "io": [{"stdin": "a", "stdout": "A"}],
    }
    assert check("f = lambda x: 2 * x", {"tests": ["{{ t | join('\\n') }}"]}, row).outcome == "pass"
    assert check("f = lambda x: x", {"tests": ["{{ t | join('\\n') }}"]}, row).outcome == "fail"
    value = {"tests": "def check(c):\n    assert c(1) == 2", "entry_point": "{{ n }}"}
    assert check("f = lambda x: 2 * x", value, row).outcome == "pass"
    assert check(ECHO, {"programs": "{{ io | dump }}"}, row).outcome == "pass"
    assert check(ECHO, {"programs": [{"stdin": "{{ n }}", "stdout": "F"}]}, row).outcome == "pass"


PROMPT = 'from typing import List\n\ndef poly(x):\n    return x\n\ndef half(xs: List[int]) -> int:\n    """Half."""\n'
CHECK = "def check(candidate):\n    assert candidate([4]) == poly(2)"


@isolated
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("    return xs[0] // 2", "pass"),
        ("return xs[0] // 2", "pass"),
        ("def half(xs: List[int]):\n    return poly(xs[0]) // 2", "pass"),
        ("from __future__ import annotations\ndef half(xs):\n    return xs[0] // 2", "pass"),
        ("    return xs[0]", "fail"),
        ("def poly(x): return 4\ndef half(xs): return xs[0]", "fail"),
        ("def other(xs): return 2", "fail"),
        ("    pass", "fail"),
    ],
)
def test_an_answer_may_be_the_body_or_the_function(code: str, outcome: str) -> None:
    found = check(code, {"tests": CHECK, "entry_point": "half", "before": PROMPT})
    assert found.outcome == outcome, found.reason
