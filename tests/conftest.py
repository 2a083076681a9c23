"""Settings of the whole test run."""

from __future__ import annotations

import importlib
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from parts import FOLDERS, ROOT, part_of
from support.adversary import PROPERTY, summary_lines
from support.conformance import count_lines, load_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from support.registry import Registry
    from support.signed_registry import SignedRegistry
    from support.verdicts import Keys

CPU_SECONDS = 60
"""Processor time that a test may use. Whatever is quadratic in a megabyte would use hours."""

# A property says what is true, not how fast: on a busy machine the default deadline fails at random.
settings.register_profile("ci", deadline=None, max_examples=50)
settings.register_profile("nightly", deadline=None)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--conformance-dir DIR` runs any folder of conformance rows instead of the one that comes with the tests."""
    parser.addoption(
        "--conformance-dir",
        metavar="DIR",
        default=str(Path(__file__).parent / "conformance" / "rows"),
        help="Folder with *.jsonl conformance rows. Default: the rows that come with the tests.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed of all properties here, so that it can be told and given again; workers get it from here too.

    What a CI service says of this job is no concern of the tests: in one for a fork's pull request nothing is signed.
    """
    for name in [*os.environ]:
        if name in {"GITHUB_ACTIONS", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH"} or name.startswith("CI_MERGE_REQUEST_"):
            del os.environ[name]
    if config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = str(secrets.randbits(32))


def pytest_report_header(config: pytest.Config) -> str:
    """What repeats the properties of this run; `--hypothesis-profile=nightly` draws twice as many examples."""
    profile = config.getoption("--hypothesis-profile") or "ci"
    return f"to repeat: --hypothesis-profile={profile} --hypothesis-seed={config.getoption('--hypothesis-seed')}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that its part of the whole run would not find."""
    for item in items:
        folders = FOLDERS[part_of({mark.name for mark in item.iter_markers()})]
        if not any(item.path.is_relative_to(ROOT / folder) for folder in folders):
            raise pytest.UsageError(f"{item.nodeid}: with its marks it has to lie in {' or '.join(folders)}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per conformance row."""
    if "row" not in metafunc.fixturenames or metafunc.module.__name__.rpartition(".")[2] != "test_conformance":
        return
    js_only = metafunc.definition.get_closest_marker("js_only") is not None
    folder = Path(metafunc.config.getoption("--conformance-dir"))
    rows = load_rows(folder)
    if not rows:
        raise pytest.UsageError(f"{folder} holds no conformance rows (*.jsonl), so nothing would be tested")
    chosen = [row for row in rows if (row.get("engine") == "js-only") is js_only]
    metafunc.parametrize("row", chosen, ids=[row["id"] for row in chosen])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many conformance rows agree, file by file, and what became of attempts to turn the gate green."""
    reports = [r for key in ("passed", "failed") for r in terminalreporter.stats.get(key, []) if r.when == "call"]
    lines = count_lines((r.nodeid, r.outcome == "passed") for r in reports if "test_conformance.py::" in r.nodeid)
    if lines:
        terminalreporter.section("conformance rows that agree, by type")
        for line in lines:
            terminalreporter.write_line(line)
    ended = [value for r in reports for name, value in r.user_properties if name == PROPERTY]
    if ended:
        terminalreporter.section("attempts to turn the gate green")
        for line in summary_lines((area, green) for area, green in ended):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite store whose default artifact folder lies beside it."""
    from llmgate.mlflow_quiet import quiet

    folder = tmp_path_factory.mktemp("mlflow-database")
    uri = f"sqlite:///{folder}/mlflow.db"
    with quiet():
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=uri).create_experiment("llmgate", artifact_location=(folder / "artifacts").as_uri())
    return uri


@pytest.fixture
def registry(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A model name of one's own in a live registry, in a SQLite file unless the parameter names another one."""
    from support.promotions import digest_of
    from support.registry import Registry

    from llmgate.mlflow_quiet import quiet

    # MLflow puts the artifacts of a new experiment in a SQLite store below the working directory.
    monkeypatch.chdir(tmp_path)
    uri: str = request.getfixturevalue(f"mlflow_{getattr(request, 'param', 'database')}")
    with quiet():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
    folder = tmp_path / "records"
    folder.mkdir()
    return Registry(uri=uri, name=f"bot-{digest_of(str(tmp_path))[:12]}", folder=folder, client=client)


@pytest.fixture(scope="session")
def bot_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A key per role, and the policy that trusts them and protects the models of the fixture `registry`."""
    from support.signed_registry import PROTECT_BOTS
    from support.verdicts import make_keys

    return make_keys(tmp_path_factory.mktemp("bot-keys"), protect=PROTECT_BOTS)


@pytest.fixture
def signed(registry: Registry, bot_keys: Keys) -> SignedRegistry:
    """A registry that is not gated, with signed verdicts in it."""
    from support.signed_registry import SignedRegistry

    return SignedRegistry(plain=registry, keys=bot_keys, client=registry.client)


@pytest.fixture
def gated(registry: Registry, bot_keys: Keys, monkeypatch: pytest.MonkeyPatch) -> SignedRegistry:
    """The same registry behind its gate, in this process: models are found by `MLFLOW_REGISTRY_URI`."""
    from support.signed_registry import SignedRegistry

    from llmgate.mlflow_quiet import quiet

    uri = f"llmgate:{registry.uri}"
    with quiet(), monkeypatch.context() as policy:
        # A store is built once for each URI, whatever policy is named later.
        policy.setenv("LLMGATE_REGISTRY_POLICY", str(bot_keys.path))
        from mlflow import MlflowClient

        from llmgate.mlflow_server.entry import build

        stores: Any = importlib.import_module("mlflow.tracking._model_registry.utils")
        stores._get_store_registry().register("llmgate", build)
        client = MlflowClient(tracking_uri=registry.uri, registry_uri=uri)
        client.search_registered_models(max_results=1)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    return SignedRegistry(plain=registry, keys=bot_keys, client=client)


@pytest.fixture
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are started one at a time on a machine; those of this test do not wait for those of others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """End a test that computes without end, however busy the machine is; `cpu_seconds` gives a limit of its own."""
    marker = item.get_closest_marker("cpu_seconds")
    limit = marker.args[0] if marker else CPU_SECONDS

    def end(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"it used {limit} s of processor time")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
