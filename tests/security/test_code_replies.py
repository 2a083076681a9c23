"""A process that holds a model's code says whatever it likes over the pipe: no reply makes a wrong answer right.

The stand-ins are asked in this process, without a sandbox, by tests that only the plain value 3 or the text "3" passes.
"""

from __future__ import annotations

import json
import math
import operator
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.score.code.client import Client, Refused
from llmgate.score.code.wire import Link

if TYPE_CHECKING:
    from collections.abc import Iterator

# A coroutine that a reply claims to be is made here, and not always awaited.
pytestmark = [pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning")]

TESTS = [
    "add(1, 2) == 3",
    "3 == add(1, 2)",
    "not add(1, 2) != 3",
    "add(1, 2) in (3, 5)",
    "add(1, 2) in {3: 1}",
    "{add(1, 2)} == {3}",
    "[add(1, 2)] == [3]",
    "(add(1, 2),) == (3,)",
    "{'a': add(1, 2)} == {'a': 3}",
    "abs(add(1, 2) - 3) < 1e-6",
    "abs(3 - add(1, 2)) < 1e-6",
    "-1e-6 < add(1, 2) - 3 < 1e-6",
    "not abs(add(1, 2) - 3) > 1e-6 and add(1, 2) > 2",
    "math.isclose(add(1, 2), 3)",
    "math.fabs(add(1, 2) - 3) < 1",
    "round(add(1, 2)) == 3",
    "int(add(1, 2)) == 3",
    "float(add(1, 2)) == 3.0",
    "complex(add(1, 2)) == 3",
    "divmod(add(1, 2), 2) == (1, 1)",
    "max(add(1, 2), 3) == min(add(1, 2), 3)",
    "sorted([add(1, 2)]) == [3]",
    "operator.eq(add(1, 2), 3)",
    "operator.index(add(1, 2)) == 3",
    "hash(add(1, 2)) == hash(3)",
    "(x := add(1, 2)) >= 3 and x <= 3",
    "add(1, 2) + 1 == 4",
    "2 * add(1, 2) == 6",
    "add(1, 2) ** 2 == 9",
    "add(1, 2) ^ 3 == 0",
    "-add(1, 2) == -3",
    "add(1, 2).real == 3",
    "add(1, 2).bit_length() == 2 and add(1, 2) % 4 == 3",
    "str(add(1, 2)) == '3'",
    "repr(add(1, 2)) == '3'",
    "f'{add(1, 2)}' == '3'",
    "f'{add(1, 2):d}' == '3'",
    "'%s' % add(1, 2) == '3'",
    "format(add(1, 2)) == '3'",
    "add(1, 2).startswith('3')",
    "add(1, 2).endswith('3') and add(1, 2).isdigit()",
    "add(1, 2).issubset({3}) and len(add(1, 2)) == 1",
    "add(1, 2).strip() == '3'",
    "add(1, 2).count(3) == 1",
    "add(1, 2).index(3) == 0",
    "add(1, 2).get('x', 3) == 3 and add(1, 2)['y'] == 3",
    "list(add(1, 2)) == [3]",
    "tuple(add(1, 2)) == (3,)",
    "set(add(1, 2)) == {3}",
    "dict(add(1, 2)) == {3: 3}",
    "''.join(add(1, 2)) == '3'",
    "sum(add(1, 2)) == 3",
    "3 in add(1, 2)",
    "add(1, 2)[0] == 3",
    "add(1, 2)[-1:] == [3]",
    "len(add(1, 2)) == 3 and add(1, 2)[2] == 3",
    "[*add(1, 2)] == [3]",
    "any(x == 3 for x in add(1, 2))",
    "add(1, 2) is not None and [x for x in add(1, 2)] == [3]",
    "isinstance(add(1, 2), int) and add(1, 2) == 3",
    "type(add(1, 2)) is int and add(1, 2) == 3",
    "add(1, 2)() == 3",
    "add(1, 2).value == 3",
    "add(1, 2).check(3) is not None and add(1, 2) == 3",
]
"""Passed by 3, by "3", or by a thing that holds it, and by nothing that was made without knowing the number."""

NAMES = [
    "startswith",
    "endswith",
    "isdigit",
    "issubset",
    "strip",
    "count",
    "index",
    "get",
    "real",
    "bit_length",
    "value",
    "keys",
]
KINDS = ["function", "class", "object", "generator", "iterator", "module", "coroutine", "int"]
HANDLES = [*({"h": [0, kind, "int"]} for kind in KINDS), {"h": [-1, "", "__eq__"]}]
NAMED = [
    *({"named": [name, [name], [{"h": [1, "function", name]}]]} for name in NAMES),
    *({"named": [name, [name], [{"type": "bool"}]]} for name in NAMES),
]
VALUES: list[Any] = [
    *HANDLES,
    *NAMED,
    {"named": ["int", NAMES, [{"h": [1, "function", "f"]}] * len(NAMES)]},
    {"named": ["N", ["__eq__"], [{"h": [1, "function", "f"]}]]},
    {"named": ["N", ["_x"], [1]]},
    {"named": ["N", ["mro"], [1]]},
    {"named": ["N", [""], [1]]},
    {"named": ["\ud800", ["a"], [1]]},
    {"named": [1, 2]},
    *({"type": name} for name in ("bool", "int", "object", "list", "str", "dict", "NoneType", "type", "eval")),
    *({"raises": name} for name in ("ValueError", "SystemExit", "AssertionError", "BaseException", "exit", "int", 1)),
    {"raises": ["Mine", ["ValueError"]]},
    {"raises": ["Mine", [["Mine", ["ValueError"]]]]},
    {"r": 0},
    {"r": -1},
    {"r": True},
    {"r": 10**30},
    *({"float": name} for name in ("nan", "inf", "-inf", "3")),
    *({"exact": [kind, parts]} for kind, parts in [
        ("Decimal", ["NaN"]), ("Decimal", ["sNaN"]), ("Decimal", ["Infinity"]), ("Decimal", [4]), ("Fraction", [1, 0]),
        ("Fraction", ["x"]), ("timedelta", [10**12, 0, 0]), ("date", ["x"]), ("datetime", ["2020-01-01"]), ("eval", ["3"]),
    ]),
    *({kind: [[0, 1]]} for kind in ("dict", "Counter", "OrderedDict", "set", "frozenset", "tuple", "deque", "range", "complex")),
    *({kind: [{"h": [1, "object", "X"]}]} for kind in ("set", "frozenset", "tuple", "deque", "list")),
    {"dict": [[{"h": [1, "object", "X"]}, 3]]},
    {"dict": [[[], 1]]},
    {"range": [0, 10**30, 10**30]},
    {"range": [0, 1, 0]},
    {"complex": [1, 2, 3]},
    {"int": "zz"},
    {"int": "0x" + "f" * 9000},
    {"bytes": "0"},
    {"bytes": 5},
    {"k": 0},
    {"call": 0},
    {"iterator": [1]},
    {"builtin": "eval"},
    {},
    {"dict": [], "set": []},
    [],
    [[]],
    "\ud800",
    "",
    "x" * 100,
    True,
    False,
    None,
    0,
    -1,
    4,
    1e308,
    10**40,
]  # fmt: skip


class Other:
    """The other process, whose replies are what is given: the first to a call, the others to all that is asked later."""

    MOST = 50
    """An endless generator ends by the time limit of the trial, and here by an error of the test's own."""

    def __init__(self, first: dict[str, Any], later: dict[str, Any]) -> None:
        self._first, self._later = first, later
        self._calls = 0
        self._asked: dict[str, Any] = {}

    def send(self, message: dict[str, Any]) -> None:
        self._asked = message
        self._calls += message.get("op") != "name"
        if self._calls > self.MOST:
            raise EOFError

    def receive(self) -> dict[str, Any]:
        said: dict[str, Any] = {"n": self._asked.get("n"), "out": "", "back": []}
        if self._asked.get("op") == "name":
            return said | {"found": True, "value": {"h": [0, "function", "add"]}}
        self._calls += 1
        if self._calls > self.MOST:
            raise EOFError
        return said | (self._first if self._calls <= 2 else self._later)


def passes(client: Client, test: str) -> bool:
    """Whether a trial with this one assertion would end as passed."""
    try:
        names = {**client.stand_ins(["add"]), "math": math, "operator": operator}
        held = bool(eval(test, names))
    except Refused:
        assert client.fault
        return False
    except BaseException:  # noqa: BLE001 - what a test may raise is a test that failed
        held = False
    return held and client.fault is None


def client_of(link: Any) -> Client:
    return Client(link, [], [])


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "solution", None)


@pytest.mark.parametrize("test", TESTS)
def test_no_reply_passes_a_test(test: str) -> None:
    later: list[dict[str, Any]] = [{"value": value} for value in (True, 0, "", HANDLES[0])]
    later.append({"raise": {"class": "StopIteration", "args": [], "text": ""}})
    for first in VALUES:
        ways = later if "h" in json.dumps(first) else later[:1]
        for other in ways:
            assert not passes(client_of(Other({"value": first}, other)), test), (first, other)


PAIRS: list[tuple[Any, Any]] = [
    ("SkipTest", ["Exception"]), ("Refused", ["BaseException"]), ("X", ["KeyboardInterrupt"]), ("X", ["int"]),
    ("X", []), ("X", ["SystemExit", "ValueError"]), ("X", ["Exception", "BaseException"]), ("", ["Exception"]),
    ("X", "Exception"), ("\ud800", ["Exception"]), ("X", [["X", [["X", ["Exception"]]]]]), (1, 2),
]  # fmt: skip
CLASSES: list[Any] = [
    "AssertionError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "StopIteration", "StopAsyncIteration",
    "BaseException", "EOFError", "MemoryError", "RecursionError", "UnicodeDecodeError", "BaseExceptionGroup",
    "ExceptionGroup", "OSError", "ImportError", "int", "exit", "", None, 1, [], {},
]  # fmt: skip
RAISED: list[Any] = [
    *({"class": kind, "args": [], "text": ""} for kind in CLASSES),
    *({"class": [name, bases], "args": [], "text": ""} for name, bases in PAIRS),
    {"class": "ValueError", "args": [{"h": [0, "object", "x"]}], "text": "x"},
    {"class": "ValueError", "args": [{"r": 0}], "text": None},
    {"class": "ValueError", "args": "abc", "text": None},
    {"class": "ValueError"},
    "ValueError",
    None,
]  # fmt: skip


@pytest.mark.parametrize("raised", RAISED, ids=json.dumps)
def test_no_exception_passes_a_test_or_ends_a_loop_over_tests(raised: Any) -> None:
    for test in (
        "add(1, 2) == 3",
        "all(add(1, n) == 3 for n in (2, 2))",
        "list(add(1, n) for n in ()) or [*map(add, (1,))] == [3]",
    ):
        assert not passes(client_of(Other({"raise": raised}, {"raise": raised})), test)


REPLIES = [
    {},
    {"n": 0},
    {"n": 99},
    {"n": True},
    {"n": None},
    {"n": 2.0},
    {"out": None},
    {"out": "\ud800"},
    {"out": 3},
    {"back": None},
    {"back": [[3]]},
    {"back": {}},
    {"value": 4, "raise": {"class": "StopIteration", "args": [], "text": ""}},
    {"refused": "what"},
    {"refused": None},
    {"call": 0, "a": [], "k": {}},
    {"call": -1},
    {"call": True, "a": [3], "k": {}},
    {"outcome": "pass", "assertions": 9, "reason": ""},
]


@pytest.mark.parametrize("reply", REPLIES, ids=json.dumps)
def test_no_message_that_was_not_asked_for_passes_a_test(reply: dict[str, Any]) -> None:
    for test in TESTS[:3]:
        assert not passes(client_of(Other(reply, {"value": True})), test)


LINES = [
    b"",
    b"\n",
    b"{}\n",
    b"null\n",
    b"[]\n",
    b"3\n",
    b'"3"\n',
    b"NaN\n",
    b'{"n": 2, "out": "", "back": [], "value": NaN}\n',
    b'{"n": 2, "out": "", "back": [], "value": Infinity}\n',
    b'{"n": 2, "out": "", "back": [], "value": 1e999}\n',
    b'{"n": 2, "out": "", "back": [], "value": ' + b"9" * 9999 + b"}\n",
    b'{"n": 2, "out": "", "back": [], "value": ' + b"[" * 99999 + b"\n",
    b'{"n": 2, "out": "", "back": [], "value": ' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    b'{"n": 2, "out": "", "back": [], "value": 4',
    b'{"n": 2, "n": 1, "out": "", "back": [], "value": 4}\n',
    b"\xff\xfe\n",
    b"\x00\n",
    b'\xef\xbb\xbf{"n": 2}\n',
    b"+ok\n",
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: repr(line[:60]))
def test_no_line_passes_a_test(line: bytes, pipes: tuple[Link, int]) -> None:
    link, replies = pipes
    known = b'{"n": 1, "out": "", "back": [], "found": true, "value": {"h": [0, "function", "add"]}}\n'
    os.write(replies, known + line[:60_000])
    os.close(replies)
    assert not passes(client_of(link), "add(1, 2) == 3")


@pytest.fixture
def pipes() -> Iterator[tuple[Link, int]]:
    """A link, and where to write replies; what is asked goes nowhere."""
    out, replies = os.pipe()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    yield Link(out, nowhere), replies
    os.close(out)
    os.close(nowhere)


tags = st.sampled_from(
    [
        "h",
        "r",
        "k",
        "named",
        "tuple",
        "dict",
        "set",
        "frozenset",
        "type",
        "raises",
        "exact",
        "float",
        "int",
        "range",
        "bytes",
        "deque",
    ]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2)
    | st.sampled_from([0.0, "", "function", "object", "generator", *NAMES])
)
wire = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tags, inner, min_size=1, max_size=1)
)


@given(first=wire, later=wire, test=st.sampled_from(TESTS))
def test_nothing_that_can_be_sent_passes_a_test(first: Any, later: Any, test: str) -> None:
    assert not passes(client_of(Other({"value": first}, {"value": later})), test)
