"""Async tests of a group run together, and everything else about them is as pytest does it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from support.together import write_project

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import asyncio, logging, os, sys, warnings
from pathlib import Path
import pytest

HERE = Path(__file__).parent

def log(*words):
    with open(HERE / "log.txt", "a", encoding="utf-8") as file:
        print(*words, file=file)
"""


def run(pytester: pytest.Pytester, tests: str, *args: str, conftest: str = "") -> pytest.RunResult:
    write_project(pytester, HEAD + tests, conftest=conftest)
    return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", *args)


def logged(pytester: pytest.Pytester) -> list[str]:
    path = pytester.path / "log.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def peaks(pytester: pytest.Pytester) -> list[int]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(pytester.path.glob("peak-*.json"))]
    assert all(flying == 0 for _, flying in found), "a test was left running"
    return [peak for peak, _ in found]


MANY = """
@pytest.mark.parametrize("n", range(200))
async def test_n(n, tmp_path, request):
    # However slow the machine is: the first ones wait for the others.
    for _ in range(1000):
        if request.config.peak() >= MOST:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    (tmp_path / "only").touch()
    assert os.listdir(tmp_path) == ["only"]
"""


def test_two_hundred_items_run_thirty_two_at_a_time(pytester: pytest.Pytester) -> None:
    result = run(pytester, MANY.replace("MOST", "32"))
    result.assert_outcomes(passed=200)
    assert peaks(pytester) == [32]


def test_they_do_under_xdist_too(pytester: pytest.Pytester) -> None:
    write_project(pytester, HEAD + MANY.replace("MOST", "16"))
    result = pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=200)
    assert [16 <= peak <= 32 for peak in peaks(pytester) if peak] == [True, True]


def test_work_that_another_worker_takes_is_run_once_and_torn_down(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.fixture
def own(request):
    log("up", request.node.name)
    yield
    log("down", request.node.name)

@pytest.mark.parametrize("n", range(60))
async def test_n(n, own):
    await asyncio.sleep(0.3 if n < 20 else 0.01)
"""
    write_project(pytester, HEAD + tests)
    result = pytester.runpytest_subprocess("-n", "2", "--dist=worksteal", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=60)
    lines = logged(pytester)
    assert sorted(line[3:] for line in lines if line.startswith("up ")) == sorted(
        line[5:] for line in lines if line.startswith("down ")
    )


FIXTURES = """
import contextlib

@pytest.fixture(autouse=True)
def always(request):
    request.node.always = request.node.name
    yield request.node.name
    assert request.node.always == request.node.name

@pytest.fixture
def plain():
    return object()

@pytest.fixture
def with_end(request):
    log("up", request.node.name)
    yield request.node.name
    log("down", request.node.name)

@pytest.fixture
def finalized(request):
    box = [request.node.name]
    request.addfinalizer(lambda: log("final", *box))
    request.addfinalizer(lambda: log("before", *box))
    return box

@pytest.fixture(params=["a", "b"])
def lettered(request):
    return request.param + request.node.name

@pytest.fixture
def above(with_end, plain):
    return with_end, plain

@pytest.fixture
def top(above, finalized):
    yield above, finalized
    finalized.append("top")

@pytest.fixture
def maker(request):
    made = []
    def make():
        made.append(object())
        return made
    yield make
    log("made", request.node.name, len(made))

@pytest.fixture
def asked(request):
    return request.getfixturevalue("dynamic")

@pytest.fixture
def dynamic(request):
    log("dynamic up", request.node.name)
    yield request.node.name
    log("dynamic down", request.node.name)

@pytest.fixture
def indirect(request):
    return f"{request.param} of {request.node.name}"

@pytest.fixture
def used(request):
    log("used", request.node.name)

@pytest.fixture(name="renamed")
def hidden(request):
    return request.node.name

@pytest.fixture(scope="class")
def of_no_class(request):
    log("class up")
    yield object()
    log("class down")

@pytest.fixture(scope="module")
def of_module():
    log("module up")
    yield object()
    log("module down")

@pytest.fixture(scope="session")
def of_session():
    yield object()

@pytest.fixture(scope=lambda fixture_name, config: "function")
def by_call(request):
    return request.node.name

@pytest.fixture
def overridden(overridden):
    return overridden + " here"

@pytest.fixture
@contextlib.contextmanager
def managed(request):
    yield request.node.name

PLAIN, OF_MODULE, CLASSES = set(), set(), set()

@pytest.mark.usefixtures("used")
@pytest.mark.parametrize("indirect", ["x"], indirect=True)
@pytest.mark.parametrize("n", range(10))
async def test_own(
    n, indirect, lettered, request, always, plain, with_end, finalized, above, top, maker, asked, dynamic, renamed,
    of_no_class, of_module, of_session, by_call, overridden, managed, tmp_path, record_property, testlog, tmp_path_factory,
):
    name = request.node.name
    record_property("n", n)
    before = len(PLAIN)
    PLAIN.add(plain); OF_MODULE.update([of_module, of_session]); CLASSES.add(of_no_class)
    assert len(PLAIN) == before + 1
    testlog.append(n)
    maker()
    await asyncio.sleep(0.02)
    assert always == with_end == renamed == by_call == dynamic == asked == name
    assert lettered[1:] == name and indirect == f"x of {name}" and finalized == [name]
    assert above == (with_end, plain) and top[0] is above and top[1] is finalized
    assert overridden == "outer here" and testlog == [n] and len(maker()) == 2
    with managed as inside:
        assert inside == name
    assert request.getfixturevalue("plain") is plain
    assert request.getfixturevalue("late") == name
    assert not os.listdir(tmp_path) and len(OF_MODULE) == 2
    await asyncio.sleep(0.02)

@pytest.fixture
def late(request):
    log("late up", request.node.name)
    yield request.node.name
    log("late down", request.node.name)

def test_after():
    assert len(PLAIN) == 20 and len(CLASSES) == 20
"""
OUTER = """
@pytest.fixture
def overridden():
    return "outer"

@pytest.fixture
def testlog():
    return []
"""


def test_every_item_has_fixtures_of_its_own(pytester: pytest.Pytester) -> None:
    result = run(pytester, FIXTURES, "--junitxml=junit.xml", "-o", "junit_family=xunit1", conftest=OUTER)
    result.assert_outcomes(passed=21)
    assert peaks(pytester)[0] >= 6
    lines = logged(pytester)
    names = [line.removeprefix("up ") for line in lines if line.startswith("up ")]
    assert len(names) == 20
    for start, end in (("up", "down"), ("dynamic up", "dynamic down"), ("late up", "late down"), ("before", "final")):
        for name in names:
            last = f"{end} {name}" + (" top" if end == "final" else "")
            first = f"{start} {name}" + (" top" if start == "before" else "")
            assert lines.count(first) == lines.count(last) == 1, (start, name)
            assert lines.index(first) < lines.index(last)
    assert lines.count("module up") == lines.count("module down") == 1
    assert lines[-1] == "module down"
    assert lines.count("class up") == lines.count("class down") == 20
    assert sum(line.startswith("made ") and line.endswith(" 2") for line in lines) == 20
    cases = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    properties = [[p.get("value") for p in case.iter("property")] for case in cases]
    assert sorted(properties) == sorted([[str(n)] for n in range(10) for _ in "ab"] + [[]])


KINDS = """
@pytest.fixture
def breaks():
    raise ValueError("not to be set up")

@pytest.fixture
def ends_badly():
    yield
    raise ValueError("not to be torn down")

@pytest.fixture
def skips():
    pytest.skip("by a fixture")

class Box:
    def __init__(self, n): self.n = n
    def __repr__(self): return f"Box({self.n})"

async def deeper(n):
    await asyncio.sleep(0)
    raise KeyError(f"deep {n}")

MARKS = [
    pytest.param("pass"), pytest.param("assert"), pytest.param("deep"), pytest.param("skip"), pytest.param("xfail"),
    pytest.param("fail"), pytest.param("exit_code"), pytest.param("group"),
    pytest.param("pass", marks=pytest.mark.skip(reason="always")),
    pytest.param("pass", marks=pytest.mark.skipif(sys.version_info > (3,), reason="on 3")),
    pytest.param("assert", marks=pytest.mark.xfail(reason="known")),
    pytest.param("assert", marks=pytest.mark.xfail(run=False, reason="not run")),
    pytest.param("assert", marks=pytest.mark.xfail(raises=KeyError)),
    pytest.param("deep", marks=pytest.mark.xfail(raises=KeyError)),
    pytest.param("pass", marks=pytest.mark.xfail(strict=True, reason="must fail")),
    pytest.param("pass", marks=pytest.mark.xfail(reason="may fail")),
    pytest.param("pass breaks"),
    pytest.param("pass ends_badly"),
    pytest.param("assert ends_badly"),
    pytest.param("pass skips"),
    pytest.param("pass no_such_fixture"),
    pytest.param("import"), pytest.param("cancel"), pytest.param("unittest"), pytest.param("pass"),
]

@pytest.fixture
def kind(request):
    kind, _, fixture = request.param.partition(" ")
    if fixture:
        request.getfixturevalue(fixture)
    return kind

@pytest.mark.parametrize("kind", MARKS, indirect=True)
@pytest.mark.parametrize("n", range(2))
async def test_kind(kind, n, request):
    print("printed", kind, n)
    print("to stderr", kind, n, file=sys.stderr)
    logging.getLogger("mine").warning("logged %s %s", kind, n)
    await asyncio.sleep(0.02)
    if kind == "assert":
        assert {"box": n, "same": 1} == {"box": n + 1, "same": 1}, "told"
    elif kind == "deep":
        await deeper(n)
    elif kind == "skip":
        pytest.skip("in the body")
    elif kind == "xfail":
        pytest.xfail("in the body")
    elif kind == "fail":
        pytest.fail("said so", pytrace=False)
    elif kind == "exit_code":
        raise SystemExit(3)
    elif kind == "group":
        raise ExceptionGroup("several", [ValueError(n), TypeError(n)])
    elif kind == "import":
        pytest.importorskip("no_such_module")
    elif kind == "cancel":
        raise asyncio.CancelledError
    elif kind == "unittest":
        import unittest
        raise unittest.SkipTest("as unittest does")

def test_between(): pass

class TestOfClass:
    seen = []
    @classmethod
    def setup_class(cls): log("class up")
    @classmethod
    def teardown_class(cls): log("class down")
    def setup_method(self, method): self.mine = [method.__name__]; log("method up")
    def teardown_method(self): log("method down", len(self.mine))
    @pytest.fixture
    def of_self(self): self.extra = 1; return self
    @pytest.mark.parametrize("n", range(5))
    async def test_method(self, n, of_self):
        assert of_self is self and self.extra == 1
        self.mine.append(n)
        await asyncio.sleep(0.02)
        assert self.mine == ["test_method", n]
        assert n != 3
    async def test_other(self):
        await asyncio.sleep(0)

import unittest
class TestCase(unittest.TestCase):
    def test_sync(self): self.assertTrue(1)
class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_async(self): await asyncio.sleep(0)
"""


def told(path: Path) -> list[tuple[object, ...]]:
    """What a JUnit file says, but for times and addresses."""
    found: list[tuple[object, ...]] = []
    for case in ElementTree.parse(path).iter("testcase"):
        parts = [(part.tag, part.get("message"), frames(part.text or "")) for part in case]
        found.append((case.get("classname"), case.get("name"), *parts))
    return found


def frames(text: str) -> str:
    """A text without the frames of what calls the test, which differ; pytest 8 shows them for groups."""
    text = text[max(text.find("| ExceptionGroup:"), 0) :]
    return "\n".join(line for line in text.splitlines() if "0x" not in line and "isolated" not in line)


def test_all_is_reported_as_if_they_ran_one_after_another(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--junitxml=junit.xml", "-o", "junit_logging=all", "-o", "junit_log_passing_tests=true", "-rA")
    monkeypatch.setenv("WINDOW", "1")
    one = run(pytester, KINDS, *options)
    expected, lines = told(pytester.path / "junit.xml"), logged(pytester)
    (pytester.path / "log.txt").unlink()
    monkeypatch.setenv("WINDOW", "8")
    both = run(pytester, KINDS, *options)
    assert peaks(pytester) == [8]
    assert both.parseoutcomes() == one.parseoutcomes()
    assert both.ret == one.ret == 1
    assert sorted(logged(pytester)) == sorted(lines)
    for mine, theirs in zip(told(pytester.path / "junit.xml"), expected, strict=True):
        assert mine == theirs
    assert both.parseoutcomes()["passed"] > 10
    both.stdout.fnmatch_lines(["*Differing items*", "*'box': 0*"])


def test_an_end_by_ctrl_c_in_a_test_is_one(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.fixture
def own(request):
    log("up", request.node.name)
    yield
    log("down", request.node.name)

@pytest.mark.parametrize("n", range(10))
async def test_n(n, own):
    await asyncio.sleep(0.01)
    if n == 2:
        raise KeyboardInterrupt
    await asyncio.sleep(0.05)
"""
    write_project(pytester, HEAD + tests)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(passed=2)
    lines = logged(pytester)
    assert sum(line.startswith("up") for line in lines) == sum(line.startswith("down") for line in lines) == 10


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_tears_down_what_was_set_up(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.fixture(scope="module")
def wide():
    yield
    log("module down")

@pytest.fixture
def own(request, wide):
    log("up", request.node.name)
    yield
    log("down", request.node.name)

@pytest.mark.parametrize("n", range(100))
async def test_n(n, own):
    try:
        await asyncio.sleep(60)
    finally:
        log("ended", n)
"""
    write_project(pytester, HEAD + tests)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"]
    with subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.PIPE, text=True) as process:
        while sum(line.startswith("up") for line in logged(pytester)) < 32 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    lines = logged(pytester)
    names = {line[3:] for line in lines if line.startswith("up")}
    assert names == {line[5:] for line in lines if line.startswith("down")}
    assert lines[-1] == "module down"
    assert peaks(pytester) == [32]
    ended = max(place for place, line in enumerate(lines) if line.startswith("ended"))
    assert ended < min(place for place, line in enumerate(lines) if line.startswith("down"))


@pytest.mark.parametrize("option", ["-x", "--maxfail=1", "--stepwise"])
def test_the_first_failure_ends_it_if_that_is_wanted(pytester: pytest.Pytester, option: str) -> None:
    tests = """
@pytest.fixture(scope="module")
def wide():
    log("module up")
    yield
    log("module down")

@pytest.fixture
def own(request, wide):
    log("up", request.node.name)
    yield
    log("down", request.node.name)
    if request.node.name == "test_n[5]":
        raise ValueError("at the end")

@pytest.mark.parametrize("n", range(40))
async def test_n(n, own):
    await asyncio.sleep(0.01 if n < 4 else 30)
    assert n != 3
"""
    arguments = [option, *(["-p", "cacheprovider"] if option == "--stepwise" else [])]
    write_project(pytester, HEAD + tests)
    result = pytester.runpytest_inprocess("-p", "no:randomly", *arguments)
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (3, 1)
    assert "errors" not in outcomes
    lines = logged(pytester)
    assert sum(line.startswith("up") for line in lines) == sum(line.startswith("down") for line in lines) >= 32
    assert lines.count("module up") == lines.count("module down") == 1
    assert lines[-1] == "module down"
    result.stdout.fnmatch_lines(["*a fixture failed at its end, after the test was broken off*"])


GLOBAL = """
@pytest.mark.parametrize("n", range(6))
async def test_patched(n, monkeypatch):
    assert "LLMGATE_PATCHED" not in os.environ
    monkeypatch.setenv("LLMGATE_PATCHED", str(n))
    await asyncio.sleep(0.01)
    assert os.environ["LLMGATE_PATCHED"] == str(n)

@pytest.mark.parametrize("n", range(3))
async def test_captured(n, capsys, caplog):
    print("said", n)
    logging.getLogger("mine").error("logged %s", n)
    await asyncio.sleep(0.01)
    assert capsys.readouterr().out == f"said {n}\\n"
    assert caplog.messages == [f"logged {n}"]

@pytest.mark.parametrize("n", range(3))
async def test_warned(n, recwarn):
    warnings.warn(f"w{n}")
    await asyncio.sleep(0.01)
    assert len(recwarn) == 1

@pytest.fixture
def asks_late(request):
    return request.getfixturevalue("monkeypatch") if request.node.callspec.params["n"] % 3 == 1 else None

@pytest.mark.parametrize("n", range(9))
async def test_asked_for_late(n, asks_late, tmp_path):
    assert "LLMGATE_PATCHED" not in os.environ
    if asks_late:
        asks_late.setenv("LLMGATE_PATCHED", str(n))
    await asyncio.sleep(0.02)
    assert os.environ.get("LLMGATE_PATCHED") == (str(n) if asks_late else None)

@pytest.mark.parametrize("n", range(2))
async def test_asked_for_too_late(n, request):
    request.getfixturevalue("monkeypatch")

def test_after():
    assert "LLMGATE_PATCHED" not in os.environ
"""


def test_what_changes_the_process_is_had_by_one_at_a_time(pytester: pytest.Pytester) -> None:
    result = run(pytester, GLOBAL)
    result.assert_outcomes(passed=22, failed=2, warnings=3)
    result.stdout.fnmatch_lines(["*'monkeypatch' was asked for in a test that runs beside others: name it among *"])
    result.stdout.fnmatch_lines(["*the fixture monkeypatch run one after another*"])
    assert 1 < peaks(pytester)[0] < 4


WIDE = """
@pytest.fixture(scope="module", params=["a", "b"])
def wide(request):
    log("up", request.param)
    box = [request.param]
    yield box
    box.clear()
    log("down", request.param)

@pytest.fixture(scope="module")
def on_top(wide):
    yield ["on", wide[0]]
    log("top down", *wide)

@pytest.mark.parametrize("n", range(5))
async def test_wide(n, wide, on_top):
    await asyncio.sleep(0.01)
    assert on_top == ["on", wide[0]]

@pytest.fixture(scope="module")
def narrowed(request):
    return request.param

@pytest.fixture(scope="module")
def on_narrowed(narrowed):
    return narrowed

@pytest.mark.parametrize("narrowed, n", [(n, n) for n in range(5)], indirect=["narrowed"])
async def test_narrowed(n, narrowed, on_narrowed):
    await asyncio.sleep(0.01)
    assert n == narrowed == on_narrowed

@pytest.mark.parametrize("wider", [1, 2], scope="module")
@pytest.mark.parametrize("n", range(3))
async def test_wider(n, wider, request):
    await asyncio.sleep(0.01)
    assert request.getfixturevalue("wider") == wider
"""


def test_fixtures_of_wider_scopes_are_torn_down_when_pytest_would(pytester: pytest.Pytester) -> None:
    result = run(pytester, WIDE)
    result.assert_outcomes(passed=10 + 5 + 6, warnings=1)
    assert logged(pytester) == [
        *("up a", "top down a", "down a", "up b", "top down b", "down b"),
    ]
    assert peaks(pytester) == [5]


def test_modules_are_left_before_the_next_is_entered(pytester: pytest.Pytester) -> None:
    module = """
def setup_module(): log("NAME up")
def teardown_module(): log("NAME down")

@pytest.mark.parametrize("n", range(4))
async def test_same(n):
    await asyncio.sleep(0.01)
    log("NAME", n)
"""
    write_project(pytester, "")
    for name in ("one", "two"):
        pytester.makepyfile(**{f"test_{name}": HEAD + module.replace("NAME", name)})
    result = pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=8)
    lines = logged(pytester)
    assert lines[0] == "one up"
    assert lines.index("one down") < lines.index("two up")
    assert "two down" in lines


OTHERS = """
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.sections.append(("by another", f"{item.name} {call.when} {sorted(item.funcargs or ())}"))
    if call.when == "call":
        item.seen_s = call.duration
    return report

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    assert item.session._setupstate.is_node_active(item) if hasattr(item.session._setupstate, "is_node_active") else True
    item.addfinalizer(lambda: None)
    return (yield)

def pytest_runtest_teardown(item):
    if hasattr(item, "seen_s"):
        with open(Path(item.path).parent / "log.txt", "a") as file:
            print(item.name, item.seen_s, file=file)
"""


def test_other_plugins_see_what_they_always_see_and_the_time_is_that_of_the_test(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.mark.parametrize("n", range(8))
async def test_n(n, tmp_path):
    await asyncio.sleep(0.05 * (n % 2) + 0.3 * (n == 0))
    assert n != 7
"""
    result = run(pytester, tests, conftest=OTHERS)
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(["*by another*", "test_n?7? call *'n'*'tmp_path'*"])
    took = {line.split()[0]: float(line.split()[1]) for line in logged(pytester)}
    assert took["test_n[0]"] >= 0.29
    assert all(took[f"test_n[{n}]"] >= 0.049 for n in (1, 3, 5, 7))
    # They were done while pytest waited for the first one: their time is that of their own call.
    assert max(took[f"test_n[{n}]"] for n in (2, 4, 6)) < 0.29


def test_selecting_and_looking_are_as_ever(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.fixture
def own(): yield

@pytest.mark.parametrize("n", range(6))
async def test_n(n, own):
    log("ran", n)
    await asyncio.sleep(0)
    assert n != 4
"""
    write_project(pytester, HEAD + tests)

    def run_with(*args: str) -> pytest.RunResult:
        (pytester.path / "log.txt").unlink(missing_ok=True)
        return pytester.runpytest_inprocess("-p", "no:randomly", *args)

    run_with().assert_outcomes(passed=5, failed=1)
    run_with("--lf").assert_outcomes(failed=1)
    assert logged(pytester) == ["ran 4"]
    run_with("-k", "1 or 2").assert_outcomes(passed=2, deselected=4)
    assert run_with("--collect-only", "-q").ret == 0
    assert not logged(pytester)
    shown = run_with("--setup-show")
    shown.stdout.fnmatch_lines(
        ["*SETUP    F own", "*test_n?0? (fixtures used: *", "*TEARDOWN F own*", "*SETUP    F own"]
    )
    shown.assert_outcomes(passed=5, failed=1)
    run_with("--setup-only")
    assert not logged(pytester)
    quiet = run_with("-s", "-p", "no:logging")
    quiet.assert_outcomes(passed=5, failed=1)


def test_every_failing_assert_is_explained(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.mark.parametrize("n", range(150))
async def test_n(n):
    await asyncio.sleep(n % 7 / 1000)
    assert ["left", n] == ["right", n]
"""
    result = run(pytester, tests, "--tb=short")
    result.assert_outcomes(failed=150)
    assert "\n".join(result.outlines).count("At index 0 diff: 'left' != 'right'") == 150


BROKEN = """
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session, items):
    class Mine(type(session._setupstate)):
        pass
    session._setupstate = Mine()
"""


def test_an_unknown_pytest_runs_them_one_after_another_and_says_so(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.mark.parametrize("n", range(6))
async def test_n(n, tmp_path, capsys):
    print(n)
    await asyncio.sleep(0.01)
    assert capsys.readouterr().out == f"{n}\\n"
    assert n != 3

def test_after(): pass
"""
    result = run(pytester, tests, "-W", "error", "-W", "ignore:.*asyncio", conftest=BROKEN)
    result.assert_outcomes(passed=6, failed=1, warnings=1)
    result.stdout.fnmatch_lines(["*run one after another: this pytest (*its stack of what is set up*"])
    assert peaks(pytester) == [1]


def test_what_cannot_be_started_fails_as_a_test(pytester: pytest.Pytester) -> None:
    conftest = """
def broken(self, item):
    raise RuntimeError("no loop today")
Loop.start = broken
"""
    tests = """
@pytest.mark.parametrize("n", range(3))
async def test_n(n): pass
"""
    result = run(pytester, tests, conftest=conftest)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*RuntimeError: no loop today*"])


def test_a_slow_test_does_not_keep_the_others_waiting(pytester: pytest.Pytester) -> None:
    tests = """
DONE = []
@pytest.mark.parametrize("n", range(20))
async def test_n(n):
    if n == 0:
        while len(DONE) < 15:  # 15 others, although only 4 may run at once
            await asyncio.sleep(0.005)
    DONE.append(n)
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINDOW", "4")
        result = run(pytester, tests)
    result.assert_outcomes(passed=20)
    assert peaks(pytester)[0] <= 4
