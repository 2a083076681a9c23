"""The pytest plugin: hooks that forward, and nothing else.

Only pytest and the option table are imported here: an environment that has llmgate installed must not pay for it
in test runs that have nothing to do with models.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from llmgate.pytest_plugin.door import DOOR, GATES, Door
from llmgate.pytest_plugin.keys import FATAL, LEFT_OUT, RUN
from llmgate.pytest_plugin.plain_imports import import_plainly
from llmgate.session.options.table import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from openai import AsyncOpenAI, OpenAI

    from llmgate.pytest_plugin.tested_case import CaseUnderTest

MARK = "__llmgate_test__"
"""The attribute of a test of a suite in code, as `llmgate.suite.code` sets it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options of `llmgate run`, each as `--llmgate-NAME`."""
    group = parser.getgroup("llmgate", "llmgate: a release gate for language models (keys of [tool.llmgate], too)")
    group.addoption(
        "--llmgate-require-verdict",
        action="store_true",
        help="Fail unless the gates of all suites that were collected are decided; so it is wherever CI is set.",
    )
    for option in OPTIONS:
        if option.kind == "flag":
            group.addoption(
                f"--llmgate-{option.name}", dest=f"llmgate_{option.field}", action="store_true", help=option.help
            )
        else:
            group.addoption(
                f"--llmgate-{option.name}",
                dest=f"llmgate_{option.field}",
                metavar=option.metavar,
                default=None,
                help=f"{option.help} (default: {option.default})" if option.default else option.help,
            )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Let no conftest end a gate's run before it begins, nor have the last word."""
    early_config.add_cleanup(import_plainly())
    door = Door(early_config)
    try:
        yield
    except SystemExit as error:
        if not door.concerns(early_config):
            raise
        raise pytest.UsageError(
            f"llmgate: a conftest.py called sys.exit({error.code!r}), so nothing was decided"
        ) from error
    early_config.stash[DOOR] = door
    # Without a name, which `-p no:NAME` could block.
    early_config.pluginmanager.register(door)
    early_config.pluginmanager.register(GateAdder())


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect YAML and JSON files that call themselves a suite."""
    from llmgate.record.disk import read_regular
    from llmgate.suite.form.signs import MAX_BYTES, SUFFIXES, may_be_marked

    if not file_path.name.lower().endswith(SUFFIXES):
        return None
    try:
        if not may_be_marked(read_regular(file_path, at_most=MAX_BYTES)):
            return None
    except OSError:
        return None  # if there are suites to be run, `note_left_out` refuses it
    from llmgate.session.garbage import uncollected
    from llmgate.suite.folder import Sort, look_at

    found = look_at(file_path)
    if found.sort not in {Sort.RUN, Sort.REFUSED}:
        return None
    with uncollected():
        from llmgate.pytest_plugin.items import suite_file

    return suite_file(found, parent)


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> None:  # noqa: ARG001 - pytest's
    """Keep the tests of suites in code from plugins that would run them in loops of their own."""
    if hasattr(obj, MARK):
        from llmgate.pytest_plugin.concurrent import leave_to_us

        leave_to_us(obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Call the tests of suites in code once for each row."""
    if hasattr(metafunc.function, MARK):
        from llmgate.pytest_plugin.code.collect import make_cases

        make_cases(metafunc)


class GateAdder:
    """Adds the gates of suites in code before anything is deselected."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Plan them, now that all is collected."""
        if any(hasattr(getattr(item, "function", None), MARK) for item in items):
            from llmgate.errors import LlmgateError
            from llmgate.pytest_plugin.code.collect import add_gates

            try:
                add_gates(config, items)
            except LlmgateError as error:
                config.stash[FATAL] = str(error)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> CaseUnderTest:
    """The case of a suite in code (llmgate): its row by `case["COLUMN"]`, and `case.check(METRIC, VALUE)`."""
    run = request.config.stash.get(RUN, None)
    if run is None or request.node.nodeid not in run.tests:
        pytest.fail("the fixture `case` is for tests of a suite: decorate the test with @suite.cases", pytrace=False)
    return run.tests.hold(request.node.nodeid)


@pytest.fixture
def llm(case: CaseUnderTest) -> AsyncOpenAI:
    """The official client, `openai.AsyncOpenAI`, at the model under test (llmgate); its requests are recorded."""
    client: AsyncOpenAI = case.client
    return client


@pytest.fixture
def llm_sync(case: CaseUnderTest) -> OpenAI:
    """The official client for plain functions, `openai.OpenAI`, at the model under test (llmgate)."""
    client: OpenAI = case.client_sync
    return client


@pytest.fixture(scope="session")
def openai_env(request: pytest.FixtureRequest) -> Generator[dict[str, str], None, None]:
    """OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL of the model under test (llmgate), until the session ends."""
    # A name like a hook's, at the top of a plugin, would be taken for one.
    from llmgate.pytest_plugin.keys import pytest_run
    from llmgate.pytest_plugin.official import environment

    run = pytest_run(request.config)
    yield from environment(run.settings, run.tests.model())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let gate items report last: they wait for all cases."""
    if FATAL in config.stash:
        raise pytest.UsageError(f"llmgate: {config.stash[FATAL]}")
    if run := config.stash.get(RUN, None):
        if run.settings.shard is not None:
            from llmgate.pytest_plugin.parts import keep_part

            keep_part(config, items, run.settings.shard, run.planned, run.case_of)
        items.sort(key=lambda item: "::gate::" in item.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Start asking for what was selected; a worker of xdist leaves its plans before it tells the controller."""
    run = session.config.stash.get(RUN, None)
    if run and FATAL not in session.config.stash:
        if run.tests.plans:
            from llmgate.pytest_plugin.code.conduct import conduct

            conduct(session, run)
        from llmgate.pytest_plugin.left_out import note_left_out

        if not run.is_worker and not session.testsfailed:
            note_left_out(session.config, run.paths)
        run.start(session.items)
        # Nothing of what is there by now is garbage before pytest ends, and it looks twice then, through all of it.
        gc.freeze()


def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Give statuses of their own to a case below par and to one that was never asked, and few letters to thousands."""
    if report.when != "call":
        return None
    properties = set(map(tuple, getattr(report, "user_properties", ())))
    run = config.stash.get(RUN, None)
    if ("llmgate", "missed") in properties:
        status = "missed", "m", ("MISSED", {"yellow": True})
    elif ("llmgate", "recorded") in properties:
        status = "recorded", "r", ("RECORDED", {"cyan": True})
    elif ("llmgate", "not asked") in properties:
        status = "unasked", "u", ("NOT ASKED (stopped early)", {"cyan": True})
    elif report.passed and run is not None and run.is_case(report.nodeid):
        status = "passed", ".", ("PASSED", {"green": True})
    else:
        return None
    return status if run is None else (status[0], run.letter(status[1]), status[2])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say the verdict."""
    if run := terminalreporter.config.stash.get(RUN, None):
        run.summarise(terminalreporter)
        for line in terminalreporter.config.stash.get(LEFT_OUT, ()):
            terminalreporter.write_line(line, yellow=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """Publish a complete run, end an incomplete one; the exit code is the decision's."""
    config = session.config
    if run := config.stash.get(RUN, None):
        run.finish(exitstatus)
    if hasattr(config, "workeroutput"):
        config.workeroutput["llmgate-gates"] = sorted(config.stash.get(GATES, ()))
    elif door := config.stash.get(DOOR, None):
        session.exitstatus = door.code(config, int(exitstatus))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing running."""
    if run := config.stash.get(RUN, None):
        run.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell an xdist worker where to find the answers."""
    from llmgate.pytest_plugin.payload import send_payload

    send_payload(node)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Learn from an xdist worker which gates it collected."""
    if getattr(node, "workeroutput", {}).get("llmgate-gates"):
        from llmgate.pytest_plugin.workers import node_ended

        node_ended(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: object, ids: Sequence[str]) -> None:
    """Start asking for what the xdist workers selected."""
    from llmgate.pytest_plugin.workers import node_collected

    node_collected(node, ids)
