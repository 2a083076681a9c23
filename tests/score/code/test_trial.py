"""Tests of a suite on code that runs elsewhere: what stand-ins carry, and what they refuse."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llmgate.errors import CannotRunError
from llmgate.score.code.sandbox import Isolation, SandboxLimits, run_python
from llmgate.score.code.tests_text import read_tests
from llmgate.score.code.trial import CodeTrial, try_code


def can_isolate() -> bool:
    try:
        return run_python([("a", "")]).finished
    except CannotRunError:
        return False


isolated = pytest.mark.skipif(not can_isolate(), reason="the kernel grants no namespaces")


def tried(code: str, tests: str, **more: Any) -> CodeTrial:
    inside = more.pop("inside", False)
    read = read_tests(tests, inside=inside, **more)
    return try_code(code, read, limits=SandboxLimits(wall_s=5.0), isolation=Isolation.REQUIRED, inside=inside)


CODE = """
import collections, contextlib, math
from decimal import Decimal
LIMIT = 12
TABLE = {"a": [1, 2]}
class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
    def total(self): return self.a + self.b
    def __add__(self, other): return Pair(self.a + other.a, self.b + other.b)
    def __len__(self): return 2
    def __getitem__(self, place): return (self.a, self.b)[place]
    def __repr__(self): return f"Pair({self.a}, {self.b})"
class Mine(ValueError): pass
class Both(KeyError, ArithmeticError):
    def __str__(self): return "both"
def longest(pairs): return max(p.b - p.a for p in pairs)
def same(value): return value
def fail(kind, *args): raise kind(*args)
def mine(text="no"): raise Mine(text)
def both(): raise Both("x")
def sort(items): items.sort()
def fill(table): table["b"] = [1]; table["a"].append(2)
def drop(items): items.discard(1)
def lazy(n):
    for i in range(n): yield i
def apply(f, *values, **named): return f(*values, **named)
def adder(n): return lambda m: n + m
def say(text): print("said", text)
def node(): return Pair(1, Pair(2, None))
def counted(text): return collections.Counter(text)
Point = collections.namedtuple("Point", "x y")
def point(): return Point(1, 2)
async def later(n): return n + 1
class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x); return self
    def pop(self): return self.items.pop()
    def is_empty(self): return not self.items
class Solution:
    def two(self, nums): return [0, 1]
@contextlib.contextmanager
def opened(): yield 5
def Diff(a, b): return [x for x in a if x not in b]
"""

CARRIED = [
    "root = Pair(1, 2)\nroot.a = Pair(3, 4)\nassert root.a.b == 4\nassert longest([root.a]) == 1",
    "assert LIMIT == 12",
    "assert TABLE['a'] == [1, 2]",
    "assert longest([Pair(5, 24), Pair(1, 3)]) == 19",
    "assert Pair(1, 2).total() == 3",
    "p = Pair(1, 2)\np.a = 5\nassert p.a == 5 and p.total() == 7",
    "p = Pair(1, 2) + Pair(3, 4)\nassert p.a == 4",
    "assert len(Pair(1, 2)) == 2\nassert Pair(1, 2)[1] == 2",
    "assert str(Pair(1, 2)) == 'Pair(1, 2)'",
    "assert node().b.a == 2\nassert node().b.b is None",
    "s = Stack()\nassert s.is_empty()\ns.push(1).push(2)\nassert s.pop() == 2 and s.items == [1]",
    "assert Solution().two([2, 7]) == [0, 1]",
    "assert Diff([1, 2], [2]) == [1]",
    "x = [3, 1, 2]\nassert sort(x) is None\nassert x == [1, 2, 3]",
    "t = {'a': []}\nfill(t)\nassert t == {'a': [2], 'b': [1]}",
    "x = {1, 2}\ndrop(x)\nassert x == {2}",
    "x = [1]\nassert same(x) is x\nassert same((x, x))[0] is x",
    "x = []\nx.append(x)\nassert same(x) is x",
    "assert list(lazy(3)) == [0, 1, 2]\nassert next(lazy(1)) == 0\nassert sum(x for x in lazy(4)) == 6",
    "assert 2 in lazy(3)\nassert dict(zip('ab', lazy(2))) == {'a': 0, 'b': 1}",
    "import types\nassert isinstance(lazy(1), types.GeneratorType)",
    "g = lazy(1)\nnext(g)\ntry:\n    next(g)\n    assert lazy is None\nexcept StopIteration:\n    assert LIMIT",
    "assert apply(lambda a, b=1: a + b, 2, b=3) == 5",
    "assert apply(len, [1, 2]) == 2\nassert apply(sorted, [2, 1]) == [1, 2]\nassert apply(int, '3') == 3",
    "assert apply(adder(1), 2) == 3\nassert adder(2)(3) == 5",
    "assert list(apply(map, lambda x: x * 2, [1, 2])) == [2, 4]",
    "try:\n    apply(lambda: 1 / 0)\n    assert not LIMIT\nexcept ZeroDivisionError as e:\n    assert 'division' in str(e)",
    "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        with self.assertRaises(Mine):\n            mine()\n"
    "        self.assertRaises(ValueError, mine)\n        with self.assertRaisesRegex(Mine, 'why'):\n            mine('why')",
    "try:\n    both()\n    assert not LIMIT\nexcept ArithmeticError as e:\n    assert str(e) == 'both' and isinstance(e, KeyError)",
    "for kind in (ValueError, EOFError, OSError, SystemExit, MemoryError, RecursionError, AssertionError):\n"
    "    try:\n        fail(kind, 'x')\n        assert not LIMIT\n    except kind as e:\n        assert e.args == ('x',)",
    "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as out:\n    say(1)\nassert out.getvalue() == 'said 1\\n'",
    ">>> say(2)\nsaid 2\n>>> fail(ValueError, 'x')\nTraceback (most recent call last):\nValueError: x\n>>> Pair(1, 2)\nPair(1, 2)",
    "assert counted('aab')['a'] == 2 and counted('a')['z'] == 0 and counted('a') == {'a': 1}",
    "assert point() == (1, 2) and point().x == 1",
    "import asyncio\nassert asyncio.run(later(1)) == 2",
    "async def test_later():\n    assert await later(1) == 2",
    "with opened() as five:\n    assert five == 5",
    "assert math.isclose(LIMIT, 12.0)",
    "import solution\nfrom solution import LIMIT as most\nassert solution.longest([solution.Pair(1, 2)]) == 1 and most == 12",
    "import threading\nfound = []\nts = [threading.Thread(target=lambda: found.append(same(1))) for _ in range(4)]\n"
    "[t.start() for t in ts]\n[t.join() for t in ts]\nassert found == [1] * len(found) and same(4) == 4",
]


@isolated
@pytest.mark.parametrize("tests", CARRIED)
def test_what_tests_can_do_with_code(tests: str) -> None:
    trial = tried(CODE, tests)
    assert (trial.outcome, trial.assertions > 0) == ("pass", True), trial.reason


VALUES = """
import math
from decimal import Decimal
from fractions import Fraction
import datetime, collections
VALUES = [
    None, True, 0, -1, 2**64, -3**200, 10**5000, 0.0, -0.0, 1e308, 1j, complex(1, math.inf), "", "\\ud800ä\\0", b"\\x00a",
    bytearray(b"a"), [], [[]], (), (1, (2,)), {}, {(1, 2): [3]}, {1: {"a": set()}}, {1, "a"}, {frozenset({1})}, range(3),
    range(0, 10**30, 7), int, str, type(None), collections.deque([1]), collections.OrderedDict(a=1), Decimal("1.10"),
    Fraction(1, 3), datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1), datetime.timedelta(1, 2, 3),
    ValueError, len,
]
for value in VALUES:
    got = same(value)
    assert type(got) is type(value)
    assert got == value, value
    assert repr(got) == repr(value) if value != 10**5000 else True
assert math.isnan(same(math.nan)) and same(-math.inf) == -math.inf
assert math.copysign(1, same(-0.0)) == -1
"""


@isolated
def test_plain_values_arrive_as_they_were() -> None:
    trial = tried("def same(x): return x", VALUES.replace("    ValueError, len,\n", "    ValueError,\n"))
    assert trial.outcome == "pass", trial.reason


REFUSED = [
    ("assert Pair(1, 2) == Pair(1, 2)", "compare it"),
    ("p = Pair(1, 2)\nassert p", "true"),
    ("p = Pair(1, 2)\nv = p + 3\nassert v.a == 4", "use `add`"),
    ("p = Pair(1, 2)\nv = 3 + p\nassert v.a == 4", "reckon"),
    ("x = {Pair(1, 2)}\nassert len(x) == 1", "set"),
    ("assert LIMIT == 12\nsame(object())", "hand a object"),
    ("class A:\n    pass\nassert same(A()) == 1", "hand a A"),
    ("assert same.__code__ is not None", "__code__"),
    ("import solution\nsolution.LIMIT = 3\nassert same(3) == 3", "set LIMIT"),
    ("same.cache = 3\nassert same(3) == 3", "set cache"),
    ("k = Pair\nassert isinstance(same(1), k)", "what belongs to it"),
    ("k = Pair\nclass B(k):\n    pass\nassert B", "make a class"),
    ("import nonsense\nassert same(1) == 1", "No module named"),
    ("import pytest\nassert same(1) == 1", "No module named"),
    ("for x in same([]):\n    assert x == 1", "no assertion"),
    ("def test_a(x=1):\n    if x > 1:\n        assert same(x) == 2", "no assertion"),
]


@isolated
@pytest.mark.parametrize(("tests", "reason"), REFUSED)
def test_what_cannot_be_judged_is_an_error(tests: str, reason: str) -> None:
    with pytest.raises(CannotRunError, match=reason):
        tried(CODE, tests)


FAILS = [
    ("def f(): return object()", "assert f() == 1", "no plain value"),
    ("class A:\n    x = 1\ndef f(): return A()", "assert f().startswith('a')", "class A"),
    ("f = 3", "assert f() == 1", "not callable"),
    ("def f(): raise KeyError('k')", "assert f() == 1", r"KeyError: 'k' \(tests, line 1: assert f\(\) == 1\)"),
    ("def f(): return 2", "x = 1\nassert f() == x", "line 2"),
    ("def f(): return [f]", "assert f() == [1]", "a function"),
    ("def f():\n    x = []\n    for _ in range(500): x = [x]\n    return x", "assert f() == []", "nested too deeply"),
    ("def f(): return 'x' * 9**8", "assert f() == ''", "MemoryError|8 MiB"),
    ("def f(): return [0] * 2**21", "assert f() == []", "too large|8 MiB"),
    (
        "class Diff:\n    __init__ = lambda *a: None\n    __sub__ = lambda *a: 0",
        "assert abs(Diff(1) - 3) < 1",
        "use `sub`",
    ),
    ("class Diff:\n    __init__ = lambda *a: None\n    __eq__ = lambda *a: True", "assert Diff(1) == 3", "compare it"),
    ("class Diff:\n    __init__ = lambda *a: None", "assert Diff(1)", "is true"),
    ("class f(Exception): pass", "assert f()", "is an exception"),
    ("class PI:\n    __sub__ = lambda *a: 0\nPI = PI()", "assert abs(PI - 3.14) < 1", "use `sub`|PI"),
    (
        "import collections\nf = lambda: collections.namedtuple('N', 'startswith')(lambda s: True)",
        "assert f().startswith('3')",
        "startswith",
    ),
    ("def f(): raise BaseExceptionGroup('x', [OSError()])", "assert f() == 1", "answered with"),
    ("def f(): print('\\ud800'); return 1", "assert f() == 2", "fail|Assertion|written"),
    ("import os\nf = lambda: os._exit(0)", "assert f() == 1", "ended before"),
    ("raise SystemExit", "assert f() == 1", "ended before"),
    ("def f(): return 1", "try:\n    assert f() == 2\nexcept AssertionError:\n    raise SystemExit(1)", "SystemExit"),
]


@isolated
@pytest.mark.parametrize(("code", "tests", "reason"), FAILS)
def test_wrong_code_fails_and_says_why(code: str, tests: str, reason: str) -> None:
    try:
        trial = tried(code, tests)
    except CannotRunError as error:
        assert "PI" in code, error  # noqa: PT017 - the suite's own use of an object
        return
    assert trial.outcome in {"fail", "ended"}
    assert re.search(reason, trial.reason), trial.reason
