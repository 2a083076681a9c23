"""Checks written by users: what is refused, what they are given, and where they are found."""

from __future__ import annotations

import asyncio
import functools
import math
from typing import TYPE_CHECKING, Any

import numpy
import pytest
from click.testing import CliRunner
from support.fake_server import FakeServer
from support.project import answer_right, write_suite

import llmgate
import llmgate.pytest_plugin.items  # noqa: F401 - before pytester takes its snapshot
from llmgate.cli import main
from llmgate.errors import SuiteError
from llmgate.record.schema import Outcome
from llmgate.score.assertion.check import CheckContext, Finding
from llmgate.score.assertion.models import JudgeReply, JudgeRequest, Models
from llmgate.score.custom import check, find_checks
from llmgate.score.execute import run_check, run_consult
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.form.asserts import read_assert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmgate.record.schema import CheckResult


def outcome(function: Callable[..., Any], **written: Any) -> CheckResult:
    made = check("mine", version="1", settings=["least"])(function)
    vocabulary = VOCABULARY.also(find_checks([made, 3, "x"]))
    spec = read_assert({"type": "mine", **written}, vocabulary.names)
    return run_check(spec, CheckContext(output="abc", variables={"n": 2}, prompt="p"), vocabulary)


@pytest.mark.parametrize("name", ["", "Mine", "not-mine", "a b", "a--b", "-a", "assert-set", None, 3, "a\n"])
def test_names_that_no_suite_could_use_are_refused(name: Any) -> None:
    with pytest.raises(SuiteError, match="cannot be called"):
        check(name, version="1")


@pytest.mark.parametrize("version", ["", "  ", None, 1])
def test_a_version_is_required_because_it_enters_the_digest(version: Any) -> None:
    with pytest.raises(SuiteError, match="version"):
        check("mine", version=version)


def test_names_of_the_other_libraries_metrics_are_taken() -> None:
    with pytest.raises(SuiteError, match="ragas:mine"):
        VOCABULARY.also(find_checks([check("ragas:mine", version="1")(lambda _: True)]))


@pytest.mark.parametrize("timeout", [0, -1.0, math.inf, math.nan])
def test_a_time_limit_is_seconds_above_0(timeout: float) -> None:
    with pytest.raises(SuiteError, match="timeout"):
        check("mine", version="1", timeout=timeout)


@pytest.mark.parametrize("settings", ["least", [3], [""]])
def test_settings_are_a_list_of_names(settings: Any) -> None:
    with pytest.raises(SuiteError, match="setting"):
        check("mine", version="1", settings=settings)


def test_settings_of_panels_are_not_swallowed() -> None:
    async def asks(output: str, *, judge: Any, config: Any) -> bool:
        return bool(await judge(output))

    with pytest.raises(SuiteError, match="quorum"):
        check("mine", version="1", settings=["quorum"])(asks)
    assert check("mine", version="1", settings=["quorum"])(lambda _: True).settings == {"quorum"}


@pytest.mark.parametrize("thing", [3, None, functools.partial(max, 1, 2)])
def test_what_is_no_function_of_an_output_is_refused(thing: Any) -> None:
    with pytest.raises(SuiteError, match="mine"):
        check("mine", version="1")(thing)


def test_scalars_of_numpy_count_as_what_they_hold() -> None:
    assert outcome(lambda _: numpy.bool_(True)).outcome is Outcome.PASS
    assert outcome(lambda _: numpy.bool_(False)).outcome is Outcome.FAIL
    assert outcome(lambda _: numpy.float32(0.5), threshold=0.4).score == 0.5
    assert outcome(lambda _: numpy.float32("nan"), threshold=0.4).outcome is Outcome.ERROR
    assert outcome(lambda _: numpy.array([True]), threshold=0.4).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    "function",
    [
        lambda: True, lambda _, __: True, lambda _, *, _valeu: True, lambda *_: True, lambda _, **__: True,
        lambda _, *, judge: bool(judge),
    ],
)  # fmt: skip
def test_functions_that_could_not_be_called_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(SuiteError):
        check("mine", version="1")(function)


def test_taken_names_and_doubles_are_refused() -> None:
    equals = check("equals", version="1")(lambda _: True)
    with pytest.raises(SuiteError, match="'equals'"):
        VOCABULARY.also(find_checks([equals]))
    one, other = (check("mine", version="1")(f) for f in (lambda _: True, lambda _: False))
    with pytest.raises(SuiteError, match="two checks"):
        find_checks([one, other])
    assert find_checks([one, one]).keys() == {"mine"}


@pytest.mark.parametrize(
    "said",
    [None, "yes", math.nan, math.inf, 1.5, -0.1, [], Finding(True, 2.0, ""), Finding(1, 1.0, "")],  # type: ignore[arg-type]
)
def test_what_is_no_verdict_is_an_error_negated_or_not(said: object) -> None:
    assert outcome(lambda _: said, threshold=0.5).outcome is Outcome.ERROR
    assert run_check(
        read_assert({"type": "contains", "value": "a"}, VOCABULARY.names), CheckContext(output="a")
    ).outcome


def test_an_exception_is_an_error_and_not_a_fail() -> None:
    def fails(output: str) -> bool:
        raise KeyError("no such thing")

    got = outcome(fails)
    assert got.outcome is Outcome.ERROR
    assert "the check" in got.reason
    assert "raised KeyError" in got.reason
    assert "no such thing" in got.reason
    assert "internal" not in got.reason


def test_scores_need_a_threshold() -> None:
    assert outcome(lambda _: 0.7).outcome is Outcome.ERROR
    assert outcome(lambda _: 0.7, threshold=0.7).outcome is Outcome.PASS
    assert (outcome(lambda _: 0.6, threshold=0.7).outcome, outcome(lambda _: 0.6, threshold=0.7).score) == (
        Outcome.FAIL, 0.6,
    )  # fmt: skip


def test_a_check_is_given_what_it_names() -> None:
    def everything(
        output: str,
        *,
        value: str,
        vars: Any,  # noqa: A002
        prompt: str,
        threshold: Any,
        config: Any,
        context: Any,
    ) -> bool:
        return (output, value, vars["n"], prompt, threshold, config["least"], context.output) == (
            "abc", "v2", 2, "p", 0.5, 3, "abc",
        )  # fmt: skip

    got = outcome(everything, value="v{{ n }}", threshold=0.5, config={"least": 3})
    assert got.outcome is Outcome.PASS
    assert outcome(everything).outcome is Outcome.ERROR
    assert outcome(lambda _: True, config={"last": 3}).outcome is Outcome.ERROR


def test_a_check_may_ask_the_judge() -> None:
    asked: list[str] = []

    @check("kind", version="1")
    async def kind(output: str, *, judge: Any) -> bool:
        return bool(await judge(f"Is {output!r} kind?") == "yes")

    async def ask(request: JudgeRequest) -> JudgeReply:
        asked.append(request.prompt)
        return JudgeReply(content="yes")

    vocabulary = VOCABULARY.also(find_checks([kind]))
    spec, context = read_assert({"type": "kind"}, vocabulary.names), CheckContext(output="Hi")
    assert vocabulary.is_judge("kind")
    got = asyncio.run(run_consult(spec, context, Models(judges={"": ask}), vocabulary))
    assert (got.outcome, asked) == (Outcome.PASS, ["Is 'Hi' kind?"])
    assert got.judgements[0].reply == "yes"
    assert asyncio.run(run_consult(spec, context, Models(), vocabulary)).outcome is Outcome.ERROR


CONFTEST = """
import llmgate

@llmgate.check("says", version="{version}")
def says(output: str, *, value: str) -> bool:
    return value in output
"""

EXTRA = '  - {type: says, value: "{{ word }}", metric: own}\n'


def project(folder: Path, version: str = "1") -> Path:
    (folder / "conftest.py").write_text(CONFTEST.format(version=version), encoding="utf-8")
    return write_suite(folder, cases=6, extra=EXTRA)


def test_pytest_finds_checks_in_conftest(pytester: pytest.Pytester) -> None:
    suite = project(pytester.path)
    with FakeServer(answer=answer_right) as server:
        done = pytester.runpytest_inprocess(suite, f"--llmgate-endpoint={server.url}", "--llmgate-out=run")
    done.assert_outcomes(passed=7)
    record = llmgate.load_record(pytester.path / "run")
    assert {c.type for result in record.results.values() for c in result.checks} == {"icontains", "says"}


def test_the_command_line_finds_the_same_and_the_version_is_in_the_digest(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for version in ("1", "1", "2"):
        suite = project(pytester.path, version)
        out = f"run-{len(list(pytester.path.glob('run-*')))}"
        with FakeServer(answer=answer_right) as server:
            done = CliRunner().invoke(main, ["run", str(suite), "--endpoint", server.url, "--out", out])
        assert done.exit_code == 0, done.output
        digests.add(llmgate.load_record(pytester.path / out).manifest.suites[0].digest)
    assert len(digests) == 2


def test_a_conftest_that_fails_is_named(pytester: pytest.Pytester) -> None:
    suite = project(pytester.path)
    (pytester.path / "conftest.py").write_text("1 / 0\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["run", str(suite), "--endpoint", "http://127.0.0.1:9/v1", "--out", "run"])
    assert done.exit_code == 2
    assert "conftest.py" in done.output
    assert "ZeroDivisionError" in done.output


def test_without_the_conftest_the_type_is_unknown(pytester: pytest.Pytester) -> None:
    suite = project(pytester.path)
    (pytester.path / "conftest.py").unlink()
    done = CliRunner().invoke(main, ["run", str(suite), "--endpoint", "http://127.0.0.1:9/v1", "--out", "run"])
    assert done.exit_code == 2
    assert "unknown assert type 'says'" in done.output


def test_installed_packages_offer_checks_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "politeness.py").write_text(CONFTEST.format(version="1"), encoding="utf-8")
    info = tmp_path / "politeness-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: politeness\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[llmgate.checks]\nall = politeness\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    from llmgate.session.run.custom_checks import with_checks_of

    assert "says" in with_checks_of([]).names
    (info / "entry_points.txt").write_text("[llmgate.checks]\nall = no_such_module\n", encoding="utf-8")
    with pytest.raises(SuiteError, match="no_such_module"):
        with_checks_of([])
