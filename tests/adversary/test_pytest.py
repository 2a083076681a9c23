"""Selections, marks, hooks and exit codes by which a pytest session could be green without a decision."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from support.adversary import Ending, verdict_in
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, let_stop, write_suite

# Loaded before pytester takes its snapshots: C extensions cannot be imported twice in one process.
import llmgate.pytest_plugin.items  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUIRE = "--llmgate-require-verdict"
GATE = "words.yaml::gate::accuracy"


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.chdir(pytester.path)
    write_suite(pytester.path, cases=3, gate="min: 0.2")
    return pytester


@pytest.fixture(scope="module")
def wrong() -> Iterator[str]:
    with FakeServer(answer=lambda _: WRONG) as server:
        yield server.url


@pytest.fixture(scope="module")
def right() -> Iterator[str]:
    with FakeServer(answer=answer_right) as server:
        yield server.url


def run(pytester: pytest.Pytester, url: str, *args: str, workers: bool = False) -> Ending:
    words = [f"--llmgate-endpoint={url}", "--llmgate-out=run", "-p", "no:cacheprovider", "-p", "no:randomly", *args]
    done = (pytester.runpytest_subprocess if workers else pytester.runpytest_inprocess)(*words)
    output = done.stdout.str() + done.stderr.str()
    return Ending(exit_code=int(done.ret), verdict=verdict_in(pytester.path / "run"), output=output)


def last_line(ending: Ending) -> str:
    return ending.output.strip().splitlines()[-1]


SELECTIONS = [
    [f"--deselect={GATE}"],
    ["--deselect=words.yaml::gate"],
    ["--deselect=words.yaml"],
    ["-k", "r1 or word-1"],
    ["-k", "not gate"],
    ["-k", "word and not gate", "--no-summary"],
    ["-k", "not gate", "-p", "no:terminal"],
    ["-k", "not gate", "-qq"],
    ["-k", "not gate", "-o", "addopts="],
    ["-k", "not gate", "--no-header", "--tb=no"],
    ["-m", "not gate", "-k", "word-0 or word-2"],
    ["--collect-only"],
    ["--co", "-q"],
    ["--fixtures"],
    ["--setup-plan"],
    ["--setup-only"],
    ["--ignore=words.yaml"],
    ["--ignore-glob=*.yaml"],
]
"""Options that leave the gate out."""


@pytest.mark.parametrize("selection", SELECTIONS, ids=" ".join)
def test_a_selection_without_gates_in_ci(
    project: pytest.Pytester,
    wrong: str,
    attempt: Callable[[Ending], None],
    monkeypatch: pytest.MonkeyPatch,
    selection: list[str],
) -> None:
    monkeypatch.setenv("CI", "true")
    attempt(run(project, wrong, "words.yaml", *selection))


@pytest.mark.parametrize("selection", [*SELECTIONS[:5], ["--help"], ["--collect-only"]], ids=" ".join)
def test_the_environment_leaves_gates_out_in_ci(
    project: pytest.Pytester,
    wrong: str,
    attempt: Callable[[Ending], None],
    monkeypatch: pytest.MonkeyPatch,
    selection: list[str],
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTEST_ADDOPTS", shlex.join(selection))
    attempt(run(project, wrong, "words.yaml"))


NOTHING = [
    ["words.yaml", "-k", "not gate"],
    ["words.yaml::word-1"],
    ["words.yaml", "--collect-only"],
    ["test_other.py"],
    [".", "--ignore=words.yaml"],
    ["words.yaml", "--help"],
    ["words.yaml", "--markers"],
    ["words.yaml", "--version", "--version"],
    ["test_other.py", "-p", "no:llmgate-door"],
    ["test_other.py", "-p", "no:llmgate"],
]
"""What a session does that decides nothing."""


@pytest.mark.parametrize("words", NOTHING, ids=" ".join)
def test_nothing_is_decided_where_a_verdict_is_required(
    project: pytest.Pytester, wrong: str, attempt: Callable[[Ending], None], words: list[str]
) -> None:
    project.makepyfile(test_other="def test_other(): pass")
    attempt(run(project, wrong, *words, REQUIRE))


@pytest.mark.parametrize("words", [["words.yaml", "-k", "word-1"], ["words.yaml::word-1"], [".", "-k", "not gate"]])
def test_honest_selections_say_that_nothing_was_decided(project: pytest.Pytester, right: str, words: list[str]) -> None:
    ending = run(project, right, *words)
    assert ending.exit_code == 0
    assert last_line(ending) == "llmgate: NO VERDICT: nothing was decided, because no gate was selected"


@pytest.mark.parametrize("more", [[], [REQUIRE], ["-k", "gate"], ["--no-summary"], ["-p", "no:terminal"]])
def test_honest_sessions_pass_in_ci(
    project: pytest.Pytester, right: str, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    ending = run(project, right, "words.yaml", *more)
    assert (ending.exit_code, ending.verdict) == (0, "PASS"), ending.output


def test_a_bad_suite_beside_a_good_one_is_deselected(
    project: pytest.Pytester, attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    write_suite(project.path, "other", cases=3, gate="min: 0.2")
    with FakeServer(answer=answer_right) as server:
        ending = run(project, server.url, ".", "--deselect=other.yaml::gate::accuracy")
    # What was decided is honest; what the session came to is what counts.
    attempt(Ending(exit_code=ending.exit_code, output=ending.output))
    assert last_line(ending).startswith("llmgate: NO VERDICT for all: other.yaml was left without its gates")


HOOKS = {
    "drops gates": "def pytest_collection_modifyitems(items): items[:] = [i for i in items if 'gate' not in i.nodeid]",
    "drops all": "def pytest_collection_modifyitems(items): items.clear()",
    "drops late": "def pytest_collection_finish(session): session.items[:] = session.items[:-1]",
    "skips gates": "def pytest_collection_modifyitems(items): [i.add_marker(pytest.mark.skip) for i in items]",
    "skips with words": "def pytest_collection_modifyitems(items): items[-1].add_marker(pytest.mark.skip(reason='no'))",
    "skips if": "def pytest_collection_modifyitems(items): items[-1].add_marker(pytest.mark.skipif(True, reason='no'))",
    "expects failures": "def pytest_collection_modifyitems(items): [i.add_marker(pytest.mark.xfail) for i in items]",
    "runs none": (
        "def pytest_collection_modifyitems(items): [i.add_marker(pytest.mark.xfail(run=False)) for i in items]"
    ),
    "skips in setup": "def pytest_runtest_setup(item): pytest.skip('not today')",
    "skips in call": "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_call(item): pytest.skip('not today')",
    "xfails in call": "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_call(item): pytest.xfail('not today')",
    "exits in setup": "def pytest_runtest_setup(item): sys.exit(0)",
    "stops in setup": "def pytest_runtest_setup(item): pytest.exit('done', returncode=0)",
    "exits in modify": "def pytest_collection_modifyitems(items): sys.exit(0)",
    "stops in modify": "def pytest_collection_modifyitems(items): pytest.exit('done', returncode=0)",
    "stops in finish": "def pytest_sessionfinish(session): pytest.exit('done', returncode=0)",
    "stops first in finish": (
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(session): pytest.exit('done', returncode=0)"
    ),
    "exits in finish": "@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(session): sys.exit(0)",
    "exits in unconfigure": "def pytest_unconfigure(config): sys.exit(0)",
    "exits in summary": "def pytest_terminal_summary(): sys.exit(0)",
    "sets the status": "@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session): session.exitstatus = 0",
    "sets it around": (
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_sessionfinish(session):\n"
        "    yield\n    session.exitstatus = 0"
    ),
    "sets it in unconfigure": (
        "def pytest_sessionstart(session): session.config.s = session\n"
        "def pytest_unconfigure(config): config.s.exitstatus = 0"
    ),
    "sets it around main": (
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_cmdline_main(config):\n    yield\n    return 0"
    ),
    "reports pass": (
        "@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
        "    report = yield\n    report.outcome = 'passed'\n    return report"
    ),
    "runs nothing": "def pytest_runtestloop(session): return True",
    "runs no gate": "def pytest_runtest_protocol(item): return True if 'gate' in item.nodeid else None",
    "replaces runtest": "def pytest_itemcollected(item): item.runtest = lambda: None",
    "collects nothing": "def pytest_collection(session): session.items = []; session.testscollected = 1; return True",
    "clears CI": "import os\nos.environ.pop('CI')\ndef pytest_collection_modifyitems(items): items.pop()",
    "clears the option": (
        "def pytest_configure(config): config.option.llmgate_require_verdict = False\n"
        "def pytest_collection_modifyitems(items): items.pop()"
    ),
    "unregisters the plugin": (
        "def pytest_collection_finish(session):\n"
        "    m = session.config.pluginmanager; m.unregister(m.get_plugin('llmgate'))"
    ),
    "exits at the top": "sys.exit(0)",
    "stops at the top": "pytest.exit('done', returncode=0)",
    "is interrupted at the top": "raise KeyboardInterrupt",
    "is another's at the top": "raise BaseException('no')",
}
"""What a conftest.py could do, all answers being wrong."""


@pytest.mark.parametrize("hook", HOOKS)
def test_a_conftest_that_wants_green(
    project: pytest.Pytester,
    wrong: str,
    attempt: Callable[[Ending], None],
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
) -> None:
    monkeypatch.setenv("CI", "true")
    project.makeconftest(f"import sys, pytest\n{HOOKS[hook]}\n")
    try:
        ending = run(project, wrong, "words.yaml", *([REQUIRE] if hook == "clears the option" else []))
    except BaseException as error:  # noqa: BLE001 - pytest lets it out, and the process ends with what it says
        code = error.code if isinstance(error, SystemExit) else 1
        ending = Ending(exit_code=code if isinstance(code, int) else 0)
    attempt(ending)
    assert ending.exit_code != 3, ending.output  # which is INCONCLUSIVE


@pytest.mark.parametrize("hook", ["skips gates", "skips in setup", "runs none", "runs no gate"])
def test_a_skipped_gate_is_no_pass_even_if_it_would_be_one(
    project: pytest.Pytester, right: str, attempt: Callable[[Ending], None], hook: str
) -> None:
    project.makeconftest(f"import sys, pytest\n{HOOKS[hook]}\n")
    ending = run(project, right, "words.yaml")
    attempt(Ending(exit_code=ending.exit_code, output=ending.output))
    assert ending.exit_code == 1
    assert "INTERNALERROR" not in ending.output
    assert GATE in last_line(ending)


@pytest.mark.parametrize("words", [["-k", "not gate"], ["--deselect=words.yaml"]])
def test_workers_without_gates(
    project: pytest.Pytester,
    wrong: str,
    attempt: Callable[[Ending], None],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    monkeypatch.setenv("CI", "true")
    attempt(run(project, wrong, "words.yaml", "-n", "1", *words, workers=True))


@pytest.mark.parametrize("hook", ["skips gates", "sets the status"])
def test_workers_with_a_conftest_that_wants_green(
    project: pytest.Pytester, wrong: str, attempt: Callable[[Ending], None], hook: str
) -> None:
    project.makeconftest(f"import sys, pytest\n{HOOKS[hook]}\n")
    attempt(run(project, wrong, "words.yaml", "-n", "1", workers=True))


def test_a_run_that_stops_early_with_its_gate_left_out(
    project: pytest.Pytester, wrong: str, attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "1")
    let_stop(project.path / "words.yaml", "looks: 2")
    attempt(run(project, wrong, "words.yaml", "-k", "not gate"))


@pytest.mark.parametrize("body", ["sys.exit(0)", "raise KeyboardInterrupt", "pytest.exit('x', returncode=0)"])
def test_a_check_ends_the_process(
    project: pytest.Pytester, right: str, attempt: Callable[[Ending], None], body: str
) -> None:
    write_suite(project.path, "own", cases=3, gate="min: 0.2", extra="  - {type: own}\n")
    project.makeconftest(
        f"import sys, llmgate, pytest\n@llmgate.check('own', version='1')\ndef own(output):\n    {body}\n"
    )
    attempt(run(project, right, "own.yaml"))


def test_a_resumed_run_that_decides_nothing_leaves_no_verdict(
    project: pytest.Pytester, right: str, attempt: Callable[[Ending], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(project, right, "words.yaml").green
    monkeypatch.setenv("CI", "true")
    attempt(run(project, right, "words.yaml", "--llmgate-resume", "-k", "not gate"))
