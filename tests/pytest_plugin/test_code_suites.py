"""Suites in code: tests with the official client that feed the gate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_server import FakeServer, Fault

from llmgate.record.run.loading import load_record
from llmgate.record.schema import CaseKey, Failure, Generation, Outcome
from llmgate.suite.data.dataset import write_lock

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.record.schema import CaseResult

pytest.importorskip("openai")

HEAD = """
import pytest, llmgate
suite = llmgate.suite("support", version="1.0.0", dataset="support.jsonl", {more})
"""
TEST = """
@suite.cases
async def test_support(case, llm):
    reply = await llm.chat.completions.create(model=case.model, messages=case.messages)
    case.check("accuracy", case["answer"] in reply.choices[0].message.content)
"""
GATE = 'gate={"accuracy": {"min": 0.5}}'


def project(folder: Path, body: str = TEST, *, more: str = GATE, rows: int = 10) -> Path:
    data = folder / "support.jsonl"
    data.write_text(
        "".join(
            json.dumps({"id": f"q{i}", "messages": [{"role": "user", "content": f"word {i}"}], "answer": f"word {i}"})
            + "\n"
            for i in range(rows)
        ),
        encoding="utf-8",
    )
    write_lock(data)
    path = folder / "test_support.py"
    path.write_text(HEAD.format(more=more) + body, encoding="utf-8")
    return path


def said(body: dict[str, Any]) -> str:
    return f"It is {body['messages'][-1]['content']}."


def run(pytester: pytest.Pytester, server: FakeServer, *args: str | Path, out: str = "run") -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        *args, f"--llmgate-endpoint={server.url}", f"--llmgate-out={out}", "-p", "no:cacheprovider", timeout=300
    )


def result_of(pytester: pytest.Pytester, case: str, out: str = "run") -> CaseResult:
    return load_record(pytester.path / out).results[CaseKey(suite="support", case=case)]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_two_hundred_tests_keep_the_server_full(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    project(pytester.path, rows=200)
    with FakeServer(answer=said, ttft_s=0.2) as server:
        result = run(pytester, server, *workers)
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes() == {"passed": 201}
    assert len(server.seen) == 200
    assert server.peak >= (32 if not workers else 24)
    result.stdout.fnmatch_lines(["PASS Ship: *"])
    record = load_record(pytester.path / "run")
    assert len(record.results) == 200
    answer = result_of(pytester, "q7").answer
    assert isinstance(answer, Generation)
    assert answer.text == "It is word 7."
    (exchange,) = result_of(pytester, "q7").exchanges
    assert (exchange.path, exchange.status) == ("chat/completions", 200)
    assert exchange.request["messages"][0]["content"] == "word 7"


def test_a_plain_assert_is_missed_and_any_other_exception_an_error(pytester: pytest.Pytester) -> None:
    body = """
@suite.cases
async def test_support(case, llm):
    reply = await llm.chat.completions.create(model=case.model, messages=case.messages)
    assert case.id != "q1", "q1 is never right"
    if case.id == "q2":
        raise ValueError("broken")
    if case.id == "q3":
        pytest.skip("not today")
"""
    project(pytester.path, body)
    with FakeServer(answer=said) as server:
        result = run(pytester, server)
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 7, "missed": 1, "failed": 2, "skipped": 1}
    (missed,) = result_of(pytester, "q1").checks
    assert (missed.type, missed.metric, missed.outcome) == ("assert", "accuracy", Outcome.FAIL)
    assert "q1 is never right" in missed.reason
    for case, what in (("q2", "ValueError: broken"), ("q3", "not today")):
        answer = result_of(pytester, case).answer
        assert isinstance(answer, Failure)
        assert what in answer.message
    result.stdout.fnmatch_lines(
        ["*ValueError: broken*", "INCONCLUSIVE Not decided: 2 of 10 cases could not be evaluated*"]
    )


def test_plain_functions_fixtures_parameters_and_selection(pytester: pytest.Pytester) -> None:
    body = """
@pytest.fixture
def store(tmp_path):
    yield tmp_path / "x"
    assert (tmp_path / "x").read_text()

@pytest.mark.parametrize("tone", ["kind", "curt"])
@suite.cases
def test_support(case, llm_sync, tone, store):
    reply = llm_sync.chat.completions.create(model=case.model, messages=[{"role": "user", "content": f"{tone} {case['answer']}"}])
    store.write_text(reply.choices[0].message.content)
    assert tone in store.read_text()
"""
    # Two cases of one row belong together, and fewer than five clusters decide nothing.
    project(pytester.path, body, rows=5)
    with FakeServer(answer=said) as server:
        whole = run(pytester, server)
        part = run(pytester, server, "-k", "q1 and curt", out="part")
    assert whole.parseoutcomes() == {"passed": 11}
    record = load_record(pytester.path / "run")
    assert {(case.case, case.cluster) for case in record.cases} == {
        (f"q{i}[{tone}]", f"q{i}") for i in range(5) for tone in ("kind", "curt")
    }
    assert part.parseoutcomes()["passed"] == 1
    part.stdout.fnmatch_lines(["*no gate item ran*"])
    assert len(load_record(pytester.path / "part").results) == 1


def test_a_coroutine_and_a_number_that_is_no_score_are_never_good(pytester: pytest.Pytester) -> None:
    body = """
async def judge(): return True

@suite.cases
async def test_support(case, llm):
    await llm.chat.completions.create(model=case.model, messages=case.messages)
    if case.id == "q0":
        case.check("accuracy", judge())
    elif case.id == "q1":
        case.check("accuracy", float("nan"))
    elif case.id == "q2":
        case.check("accuracy", 1.5)
    elif case.id == "q3":
        case.check("accuracy", "yes")
    elif case.id == "q4":
        case.check("else" + "where", True)
    else:
        case.check("accuracy", 0.75)
"""
    project(pytester.path, body, rows=6)
    with FakeServer(answer=said) as server:
        result = run(pytester, server, "-W", "ignore::RuntimeWarning")
    assert result.parseoutcomes() == {"passed": 1, "failed": 6}
    result.stdout.fnmatch_lines_random(
        [
            "*coroutine: await it*",
            "*the score is nan*",
            "*the score is 1.5*",
            "*, not 'yes'*",
            "*nothing said before the run*",
        ]
    )
    assert result_of(pytester, "q5").checks[0].score == 0.75


def test_a_metric_that_a_case_leaves_unchecked_is_an_error(pytester: pytest.Pytester) -> None:
    body = """
@suite.cases
async def test_support(case, llm):
    reply = await llm.chat.completions.create(model=case.model, messages=case.messages)
    case.check("accuracy", True)
    if case.id != "q4":
        case.check("manners", {"type": "not-icontains", "value": "damn"})
"""
    more = 'gate={"accuracy": {"min": 0.3}, "manners": {"role": "guardrail", "min": 0.3}}'
    project(pytester.path, body, more=more)
    with FakeServer(answer=said) as server:
        result = run(pytester, server)
    assert result.parseoutcomes() == {"passed": 10, "failed": 2}
    result.stdout.fnmatch_lines(["*the test ended without a check of it*"])


def test_a_test_that_asks_nothing_or_another_model_is_an_error(pytester: pytest.Pytester) -> None:
    body = """
@suite.cases
async def test_support(case, llm):
    if case.id == "q1":
        await llm.chat.completions.create(model="gpt-x", messages=case.messages)
    elif case.id == "q2":
        case.answer("word 2, says the app")
    case.check("accuracy", True)
"""
    project(pytester.path, body, rows=3)
    with FakeServer(answer=said) as server:
        result = run(pytester, server)
    assert result.parseoutcomes()["failed"] == 3
    assert server.seen == []
    result.stdout.fnmatch_lines_random(["*asked the model nothing*", "*gpt-x*"])
    answer = result_of(pytester, "q2").answer
    assert isinstance(answer, Generation)
    assert answer.text == "word 2, says the app"


def test_an_endpoint_that_refuses_is_an_error_of_the_case_and_resume_asks_only_that(pytester: pytest.Pytester) -> None:
    project(pytester.path)
    with FakeServer(answer=said, faults={3: Fault.HTTP_400}) as server:
        first = run(pytester, server)
        assert first.ret == 1
        assert first.parseoutcomes() == {"passed": 9, "failed": 2}
        again = run(pytester, server, "--llmgate-resume")
        assert again.ret == 0, again.stdout.str()
        assert again.parseoutcomes() == {"passed": 11}
    assert len(server.seen) == 11


def test_the_gate_compares_with_a_champion_whose_tests_were_the_same(pytester: pytest.Pytester) -> None:
    more = 'gate={"accuracy": {"margin": 0.1}}'
    path = project(pytester.path, more=more, rows=80)

    def worse(body: dict[str, Any]) -> str:
        return "I do not know." if int(body["messages"][-1]["content"].split()[-1]) % 2 else said(body)

    with FakeServer(answer=said) as good, FakeServer(answer=worse) as bad:
        assert run(pytester, good, "--llmgate-as-baseline", out="champion").ret == 0
        failed = run(pytester, bad, "--llmgate-baseline=champion", out="candidate")
        assert failed.ret == 1
        failed.stdout.fnmatch_lines(["FAIL Do not ship: *"])
        path.write_text(path.read_text().replace("in reply.choices", "not in reply.choices"), encoding="utf-8")
        other = run(pytester, good, "--llmgate-baseline=champion", out="other")
    assert other.ret != 0
    other.stdout.fnmatch_lines(["support: digest is *"])


@pytest.mark.parametrize(
    ("more", "body", "what"),
    [
        ('gate={"manners": {"min": 0.5}}', TEST, "no check feeds the metric 'manners'"),
        ('gates={"accuracy": {}}', TEST, "has no 'gates'"),
        (GATE, TEST.replace("case, llm", "llm"), "does not take its case"),
        (GATE + ', sampling={"temprature": 0}', TEST, "temprature"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    pytester: pytest.Pytester, more: str, body: str, what: str
) -> None:
    project(pytester.path, body, more=more)
    with FakeServer(answer=said) as server:
        result = run(pytester, server)
    assert result.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR}
    assert what in result.stdout.str() + result.stderr.str()
    assert server.seen == []


def test_a_judge_that_nothing_announced_is_refused(pytester: pytest.Pytester) -> None:
    body = """
@suite.cases
async def test_support(case, llm):
    await llm.chat.completions.create(model=case.model, messages=case.messages)
    case.check("accuracy", True)
    rubric = {"type": "llm-rubric", "value": "polite"}
    case.check("manners", rubric)
"""
    project(pytester.path, body, rows=2)
    with FakeServer(answer=said) as server:
        result = run(pytester, server)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*asks a model, and nothing said before the run that it would*"])


def test_a_literal_rubric_is_scored_by_the_judge(pytester: pytest.Pytester) -> None:
    body = """
@suite.cases
async def test_support(case, llm):
    await llm.chat.completions.create(model=case.model, messages=case.messages)
    case.check("accuracy", True)
    case.check("manners", {"type": "llm-rubric", "value": "polite"})
"""
    more = 'gate={"accuracy": {"min": 0.3}, "manners": {"role": "guardrail", "min": 0.3, "unadmitted": "allow"}}'
    project(pytester.path, body, more=more)
    verdict = json.dumps({"reason": "fine", "pass": True, "score": 1.0})
    with FakeServer(answer=said) as server, FakeServer(model="judge", answer=lambda _: verdict) as judge:
        result = run(pytester, server, f"--llmgate-judge-endpoint={judge.url}")
    assert result.ret == 0, result.stdout.str()
    checks = {check.metric: check for check in result_of(pytester, "q3").checks}
    assert (checks["manners"].type, checks["manners"].outcome) == ("llm-rubric", Outcome.PASS)
    assert len(checks["manners"].judgements) == 1


def test_other_libraries_find_the_model_by_the_environment(pytester: pytest.Pytester) -> None:
    body = """
import os, openai

@suite.cases
async def test_support(case, openai_env):
    client = openai.AsyncOpenAI()
    reply = await client.chat.completions.create(model=os.environ["OPENAI_MODEL"], messages=case.messages)
    case.answer(reply.choices[0].message.content)
    case.check("accuracy", {"type": "icontains", "value": "{{ answer }}"})
"""
    project(pytester.path, body, rows=4, more='gate={"accuracy": {"min": 0.2}}')
    with FakeServer(answer=said) as server:
        result = run(pytester, server)
    assert result.ret == 0, result.stdout.str()
    assert len(server.seen) == 4


def test_a_selected_gate_needs_all_its_cases(pytester: pytest.Pytester) -> None:
    project(pytester.path)
    with FakeServer(answer=said) as server:
        result = run(pytester, server, "-k", "gate or q1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*the gates of support were selected, and 9 of its 10 cases were not*"])


@pytest.mark.parametrize(
    "chosen", [("test_support.py::test_support[q1]",), ("-k", "q1"), ("--deselect", "test_support.py")]
)
def test_in_ci_a_session_without_its_gates_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CI", "true")
    project(pytester.path)
    with FakeServer(answer=said) as server:
        result = run(pytester, server, *chosen)
    assert result.ret not in {0, pytest.ExitCode.NO_TESTS_COLLECTED} or not server.seen


def test_a_worker_that_crashes_is_an_error_of_its_case(pytester: pytest.Pytester) -> None:
    body = (
        TEST
        + """
    if case.id == "q2":
        import os
        os._exit(3)
"""
    )
    project(pytester.path, body, rows=8, more='gate={"accuracy": {"min": 0.2}}')
    with FakeServer(answer=said) as server:
        result = run(pytester, server, "-n", "2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["INCONCLUSIVE Not decided: * of 8 cases could not be evaluated*"])


def test_unrelated_tests_pay_nothing_and_see_no_suite(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
import sys
def test_nothing():
    assert not [name for name in sys.modules if name.startswith(("llmgate.suite.code", "openai", "pydantic"))]
""")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=60)
    assert result.parseoutcomes() == {"passed": 1}


def test_gates_that_would_wait_for_later_tests_are_refused(pytester: pytest.Pytester) -> None:
    project(pytester.path)
    pytester.makeconftest(
        "import pytest\n"
        "class Shuffle:\n"
        "    @pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "    def pytest_collection_modifyitems(self, items):\n"
        "        yield\n"
        "        items.reverse()\n"
        "def pytest_configure(config):\n"
        "    config.pluginmanager.register(Shuffle())\n"
    )
    with FakeServer(answer=said) as server:
        result = run(pytester, server)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*put gates before tests that they wait for*"])


def test_one_name_for_two_suites_and_one_case_for_two_tests_are_refused(pytester: pytest.Pytester) -> None:
    path = project(pytester.path, rows=3)
    (pytester.path / "test_other.py").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    with FakeServer(answer=said) as server:
        twice = run(pytester, server, "test_support.py", "test_other.py")
        (pytester.path / "test_other.py").write_text("from test_support import suite\n" + TEST, encoding="utf-8")
        shared = run(pytester, server, "--import-mode=prepend", "test_support.py", "test_other.py", out="shared")
    assert twice.ret == pytest.ExitCode.USAGE_ERROR
    twice.stderr.fnmatch_lines(["*the suite name 'support' is used twice*"])
    assert shared.ret == pytest.ExitCode.USAGE_ERROR
    shared.stderr.fnmatch_lines(["*are both the case 'test_support:q0'*"])
    assert server.seen == []


def test_groups_of_xdist_keep_their_results(pytester: pytest.Pytester) -> None:
    body = '@pytest.mark.xdist_group("one")' + TEST
    project(pytester.path, body, rows=8)
    with FakeServer(answer=said) as server:
        result = run(pytester, server, "-n", "2", "--dist", "loadgroup")
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes() == {"passed": 9}


def test_ids_of_rows_may_have_any_letters(pytester: pytest.Pytester) -> None:
    project(pytester.path, rows=2)
    data = pytester.path / "support.jsonl"
    data.write_text(data.read_text(encoding="utf-8").replace('"q1"', '"größe 100 %"'), encoding="utf-8")
    data.with_name("support.lock.json").unlink()
    write_lock(data)
    with FakeServer(answer=said) as server:
        result = run(pytester, server, "--llmgate-as-baseline")
    assert result.parseoutcomes()["passed"] == 2, result.stdout.str()
    (exchange,) = result_of(pytester, "größe 100 %").exchanges
    assert exchange.status == 200
