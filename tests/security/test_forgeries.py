"""Code that passes its tests by getting at them, and tests that test nothing: neither may ever be a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmgate import Evaluation, evaluate_assert
from llmgate.errors import CannotRunError
from llmgate.score.code.executes import OPT_IN
from llmgate.score.code.sandbox import run_python

if TYPE_CHECKING:
    from collections.abc import Mapping


def can_isolate() -> bool:
    try:
        return run_python([("a", "")]).finished
    except CannotRunError:
        return False


pytestmark = pytest.mark.skipif(not can_isolate(), reason="the kernel grants no namespaces")


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPT_IN, "1")


def check(code: str, value: object, variables: Mapping[str, object] | None = None, **config: Any) -> Evaluation:
    spec = {"type": "code-executes", "value": value, "config": {"timeout": 5, **config}}
    return evaluate_assert(spec, f"```python\n{code}\n```", vars=dict(variables or {}))


WRONG = "\ndef add(a, b):\n    return 99\n"
TESTS = "assert add(1, 2) == 3\nassert add(2, 2) == 4"
EVERYTHING_EQUAL = """
class Same:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return hash(3)
    def __bool__(self): return True
    def __getattr__(self, name): return lambda *a, **k: self
    def __sub__(self, other): return 0
    def __rsub__(self, other): return 0
    def __abs__(self): return 0
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
    def __iter__(self): return iter(())
    def __len__(self): return 0
    def __float__(self): return 3.0
    def __index__(self): return 3
"""
FRAMES = """
import sys
frame = sys._getframe()
while frame:
    for place in (frame.f_locals, frame.f_globals):
        for name, value in list(place.items()):
            {act}
    frame = frame.f_back
"""

FORGERIES: dict[str, str] = {
    # The issue's own.
    "takes the tests away": 'import sys\nsys._getframe(1).f_locals["job"]["parts"].pop()',
    "writes the token, by frame": (
        'import os, sys\njob = sys._getframe(1).f_locals["job"]\nos.write(job["done_fd"], job["token"].encode())\n'
        "os._exit(0)"
    ),
    "writes the token, by gc": (
        "import gc, os\nfor o in gc.get_objects():\n"
        '    if isinstance(o, dict) and "token" in o:\n'
        '        os.write(o["done_fd"], o["token"].encode())\n        os._exit(0)'
    ),
    "replaces exec": "import builtins\nbuiltins.exec = lambda *a, **k: None",
    "replaces compile": 'import builtins\nreal = compile\nbuiltins.compile = lambda *a, **k: real("", "", "exec")',
    "is equal to everything": EVERYTHING_EQUAL + "def add(a, b):\n    return Same()",
    # Its neighbours.
    "is a number that is equal to everything": (
        "class Same(int):\n    __eq__ = lambda *a: True\n    __hash__ = int.__hash__\ndef add(a, b):\n    return Same(5)"
    ),
    "is a text that is equal to everything": (
        "class Same(str):\n    __eq__ = lambda *a: True\n    __hash__ = str.__hash__\ndef add(a, b):\n    return Same('5')"
    ),
    "its class is equal to everything": (
        "class Meta(type):\n    __eq__ = lambda *a: True\n    __hash__ = type.__hash__\n"
        "class Same(metaclass=Meta):\n    pass\ndef add(a, b):\n    return Same"
    ),
    "ends at once": "import os\nos._exit(0)",
    "ends when it is called": "import os\ndef add(a, b):\n    os._exit(0)",
    "raises SystemExit when it is called": "def add(a, b):\n    raise SystemExit(0)",
    "raises StopIteration": "def add(a, b):\n    raise StopIteration",
    "raises a skip": "import unittest\ndef add(a, b):\n    raise unittest.SkipTest",
    "replaces AssertionError": "import builtins\nbuiltins.AssertionError = type('E', (Exception,), {})",
    "swallows exceptions": "import sys, os\nsys.excepthook = lambda *a: os._exit(0)",
    "ends well at exit": "import atexit, os\natexit.register(lambda: os._exit(0))",
    "traces every frame": (
        "import sys\ndef trace(frame, event, arg):\n    frame.f_trace_lines = False\n    return trace\nsys.settrace(trace)"
    ),
    "empties what it sees": FRAMES.format(act="value.clear() if isinstance(value, (list, dict)) else None"),
    "writes to every descriptor": (
        "import os\nfor fd in range(3, 64):\n"
        '    try:\n        os.write(fd, b\'{"outcome": "pass", "assertions": 2, "calls": 2}\\n\')\n'
        "    except OSError:\n        pass"
    ),
    "answers ahead": (
        "import os\nfor fd in range(3, 64):\n"
        '    for n in range(9):\n        try:\n            os.write(fd, b\'{"n": %d, "ok": 3}\\n\' % n)\n'
        "        except OSError:\n            pass"
    ),
    "reads what is to come": (
        "import os\nfor fd in range(3, 64):\n    try:\n        os.set_blocking(fd, False)\n        os.read(fd, 9999)\n"
        "    except OSError:\n        pass"
    ),
    "shuts everything": "import os\nos.closerange(0, 64)",
    "forks, and the child answers": "import os\nif os.fork():\n    os._exit(0)",
    "replaces json": "import json\njson.dumps = lambda *a, **k: '{}'\njson.loads = lambda *a, **k: {}",
    "replaces os.write": 'import os\nreal = os.write\nos.write = lambda fd, data: real(fd, b\'{"outcome": "pass"}\\n\')',
    "kills everybody": "import os, signal\ntry:\n    os.kill(-1, signal.SIGKILL)\nexcept OSError:\n    pass",
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES.keys())
def test_wrong_code_does_not_pass_by_getting_at_its_judge(code: str) -> None:
    wrong = code if "def add" in code else code + WRONG
    found = check(wrong, TESTS)
    assert found.outcome != "pass", found.reason


@pytest.mark.parametrize(
    "tests",
    [
        "assert abs(add(1, 2) - 3) < 1e-6",
        "assert add(1, 2) in (3, 4)",
        "assert 3 in add(1, 2)",
        "assert not add(1, 2) < 3",
        "assert add(1, 2) >= 3",
        "assert add(1, 2)",
        "assert not add(1, 2)",
        "assert add(1, 2).startswith('3')",
        "assert add(1, 2).issubset({3})",
        "assert int(add(1, 2)) == 3",
        "assert [add(1, 2)] == [3]",
        "assert {add(1, 2): 1} == {3: 1}",
        "assert all(x == 3 for x in [add(1, 2)])",
        "import math\nassert math.isclose(add(1, 2), 3)",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(1, 2), 3)",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertIn(add(1, 2), [3])",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertTrue(add(1, 2))",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertAlmostEqual(add(1, 2), 3)",
        ">>> add(1, 2)\n3",
        "try:\n    assert add(1, 2) == 3\nexcept BaseException:\n    pass",
        "import contextlib\nwith contextlib.suppress(BaseException):\n    assert add(1, 2) == 3\nassert add",
    ],
)
def test_an_object_that_says_yes_to_everything_passes_nothing(tests: str) -> None:
    found = check(EVERYTHING_EQUAL + "def add(a, b):\n    return Same()", tests)
    assert found.outcome != "pass", found.reason


def test_a_solution_does_not_lend_the_tests_what_they_compare_with() -> None:
    code = f"{WRONG}\nclass Counter:\n    __eq__ = lambda *a: True\ndef isclose(*a): return True\nmath = Counter()"
    for tests in ("assert isclose(add(1, 2), 3)", "assert Counter([add(1, 2)]) == Counter([3])"):
        assert check(code, tests).outcome == "fail"


@pytest.mark.parametrize("name", ["abs", "all", "len", "sorted", "set", "isinstance", "AssertionError", "check", "any"])
def test_a_solution_does_not_lend_the_tests_its_own_builtins(name: str) -> None:
    code = f"{WRONG}\ndef {name}(*a, **k):\n    return True"
    tests = "assert all([abs(add(1, 2) - 3) < 1])\nassert any([sorted([add(1, 2)]) == [3]])\nassert len({add(1, 2), 3}) == 1"
    for written in (tests, "from solution import *\n" + tests):
        assert check(code, written).outcome == "fail"


RIGHT = "def add(a, b):\n    return a + b"
EMPTY: dict[str, object] = {
    "never called": "def run_add():\n    assert add(1, 2) == 3",
    "check without an entry point": "def check(candidate):\n    assert candidate(1, 2) == 3",
    "a comment": "# assert add(1, 2) == 3",
    "pass": "pass",
    "an empty TestCase": "import unittest\nclass T(unittest.TestCase):\n    pass",
    "no test method": "import unittest\nclass T(unittest.TestCase):\n    def run_it(self):\n        assert add(1, 2) == 3",
    "a constant": "assert True",
    "constants": "assert 1 == 1\nassert 'a'",
    "nothing of the answer": "x = 3\nassert x == 3",
    "a TestCase with constants": (
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertTrue(True)"
    ),
    "no rounds": "for case in []:\n    assert add(*case) == 3",
    "a branch never taken": "if not add:\n    assert add(1, 2) == 3",
    "skipped": (
        "import unittest\nclass T(unittest.TestCase):\n    @unittest.skip('later')\n    def test(self):\n"
        "        self.assertEqual(add(1, 2), 3)"
    ),
    "an expected failure": (
        "import unittest\nclass T(unittest.TestCase):\n    @unittest.expectedFailure\n    def test(self):\n"
        "        self.assertEqual(add(1, 2), 4)"
    ),
    "a call alone": "add(1, 2)",
    "prints": "print(add(1, 2) == 3)",
    "a doctest without a result": ">>> x = add(1, 2)",
    "ends first": "import sys\nsys.exit(0)\nassert add(1, 2) == 3",
    "ends first, hard": "import os\nos._exit(0)\nassert add(1, 2) == 3",
    "an empty list": {"tests": []},
    "nothing but blanks": {"tests": ["", " "]},
    "no programs": {"programs": []},
}


@pytest.mark.parametrize("value", EMPTY.values(), ids=EMPTY.keys())
def test_tests_that_test_nothing_are_an_error(value: object) -> None:
    for code in (RIGHT, WRONG):
        found = check(code, value)
        assert found.outcome == "error", found.reason


FORMS: dict[str, object] = {
    "a test function": "def test_add():\n    assert add(1, 2) == 3",
    "a TestCase without main": (
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(1, 2), 3)"
    ),
    "a guard": "if __name__ == '__main__':\n    assert add(1, 2) == 3",
    "main without exit": (
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(1, 2), 3)\n"
        "unittest.main(exit=False)"
    ),
    "plain main": (
        "from unittest import TestCase, main\nclass T(TestCase):\n    def test(self):\n"
        "        self.assertEqual(add(1, 2), 3)\nif __name__ == '__main__':\n    main()"
    ),
    "check, called": "def check(candidate):\n    assert candidate(1, 2) == 3\ncheck(add)",
    "check with an entry point": {
        "tests": "def check(candidate):\n    assert candidate(1, 2) == 3",
        "entry_point": "add",
    },
    "a list": {"tests": ["assert add(1, 2) == 3", "assert add(2, 2) == 4"]},
    "a doctest": ">>> add(1, 2)\n3",
    "a doctest in a function": "def t():\n    '''\n    >>> add(1, 2)\n    3\n    '''",
    "an import": "from solution import add\nassert add(1, 2) == 3",
    "a module": "import solution\nassert solution.add(1, 2) == 3",
}


@pytest.mark.parametrize("value", FORMS.values(), ids=FORMS.keys())
def test_every_form_is_executed(value: object) -> None:
    right = check(RIGHT, value)
    assert right.outcome == "pass", right.reason
    wrong = check(WRONG, value)
    assert wrong.outcome == "fail", wrong.reason
