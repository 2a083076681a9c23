"""`llmgate power` and the word before a run, from suites and records."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer
from support.project import WRONG, answer_right, write_suite
from support.records import make_case, make_manifest, make_policy, make_result
from support.serving_runs import make_arms, noisy

from llmgate.cli import main
from llmgate.record.run.files import cases_digest
from llmgate.record.run.rundir import RunDir
from llmgate.record.serving.policy import ServingPolicy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def flaky(cases: int) -> Any:
    """Right, but for the first cases, which are wrong where the seed is odd."""

    def answer(body: dict[str, Any]) -> str:
        word = answer_right(body)
        return WRONG if int(word.removeprefix("word-")) < cases and body["seed"] % 2 else word

    return answer


def ran(server: FakeServer, out: str, *args: object) -> Result:
    return llmgate("run", "words.yaml", "--endpoint", server.url, "--deployment", out, "--out", out, *args)


def test_a_size_and_a_discordance_are_enough_to_ask() -> None:
    done = llmgate("power", "--n", 300, "--discordance", 0.1, "--margin", 0.03)
    assert done.exit_code == 0, done.output
    assert "an unchanged model passes 48 % of the time; a true loss of 5.5 points is found 80 %" in done.output
    assert "advice: add 410 cases or accept 5 points" in done.output
    assert "warning: this gate passes an unchanged model 48 % of the time, less than 80 %" in done.output


@pytest.mark.parametrize(("cases", "code"), [(300, 3), (1000, 0)])
def test_strict_refuses_what_decides_too_little(cases: int, code: int) -> None:
    done = llmgate("power", "--n", cases, "--discordance", 0.1, "--margin", 0.03, "--strict")
    assert (done.exit_code, "refused: " in done.output) == (code, code == 3)


def test_a_suite_says_what_is_gated(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=200, gate="margin: 0.05, min: 0.8")
    assumed = llmgate("power", "words.yaml")
    assert "words::accuracy: 200 cases, tolerance 5\n" in assumed.output
    assert "discordance 10.0 %, assumed; measure it with --aa or --history" in assumed.output
    assert "limit 80.0 %: a true rate of" in assumed.output
    found = json.loads(llmgate("power", tmp_path, "--discordance", 0.02, "--json").stdout)
    assert found["enough"]
    assert found["metrics"][0]["source"] == "given"
    what_if = json.loads(llmgate("power", tmp_path, "--n", 50, "--margin", 0.1, "--repeat", 3, "--json").stdout)
    (metric,) = what_if["metrics"]
    assert (metric["cases"], metric["margin"], metric["repeats"], metric["exact"]) == (50, 0.1, 3, False)
    policy = tmp_path / "policy.yaml"
    policy.write_text("llmgate-policy: 1\nmetrics:\n  words/accuracy: {margin: 0.2}\n", encoding="utf-8")
    assert "tolerance 20" in llmgate("power", "words.yaml", "--policy", policy).output


def test_records_tell_the_noise(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=60)
    with FakeServer(answer=flaky(0)) as server:
        ran(server, "one")
        server.answer = lambda body: WRONG if answer_right(body) in {"word-3", "word-5"} else answer_right(body)
        ran(server, "two")
        server.answer = flaky(12)
        champion = ran(server, "champion", "--repeat", 2)
        told = ran(server, "candidate", "--repeat", 2, "--baseline", "champion")
        refused = ran(server, "refused", "--repeat", 2, "--baseline", "champion", "--strict-power")
        server.answer = flaky(0)
        untold = ran(server, "untold", "--baseline", "one", "--strict-power")
        alone = ran(server, "alone", "--strict-power")
    assert "would pass" not in champion.output
    # Two runs of the same model.
    aa = llmgate("power", "--aa", "one", "two", "--margin", 0.05)
    assert "discordance 3.3 % (" in aa.output
    assert "from two runs of the same model, 60 cases" in aa.output
    assert "words: 2 of 60 answers differ in their text (3.3 %)" in aa.output
    assert "note: this is the server's own chance" in aa.output
    assert json.loads(llmgate("power", "words.yaml", "--aa", "one", "two", "--json").stdout)["texts"] == {
        "words": {"differ": 2, "compared": 60}
    }
    assert llmgate("power", "--aa", "one", "champion").exit_code == 4
    # Releases.
    history = llmgate("power", "--history", "one", "--history", "two")
    assert "discordance 3.3 % (" in history.output
    assert "from past releases, 60 cases" in history.output
    # Repeats: 12 of 60 cases flip half of the time.
    repeats = llmgate("power", "--repeats", "champion", "--json")
    assert json.loads(repeats.stdout)["metrics"][0]["flips"] == pytest.approx(0.2)
    assert "no case of this run was answered twice" in llmgate("power", "--repeats", "one").output
    # The word before a run.
    assert "words::accuracy: 60 cases, tolerance 10; an unchanged model would pass" in told.output
    assert refused.exit_code == 4
    assert "--strict-power: this gate passes an unchanged model" in refused.output
    assert "--strict-power: nothing tells how often an unchanged model would pass words::accuracy" in untold.output
    assert untold.exit_code == 4
    assert alone.exit_code == 0, "there is no comparison to plan"


def test_what_the_runs_do_not_tell_is_said(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=20)
    write_suite(tmp_path, "others", cases=20)
    with FakeServer(answer=answer_right) as server:
        for name in ("one", "two"):
            ran(server, name)
    done = llmgate("power", "words.yaml", "others.yaml", "--aa", "one", "two")
    assert "note: the runs do not tell of others::accuracy" in done.output
    assert "all 2 gating metrics together" in done.output


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "neither a suite nor a run says what is gated"),
        (("--discordance", 0.1), "neither a suite nor a run says what is gated"),
        (("--n", 0), "--n is 0. Give at least 1"),
        (("--n", 10, "--repeat", 0), "--repeat is 0"),
        (("--n", 10, "--discordance", 1.5), "--discordance is 1.5"),
        (("--n", 10, "--discordance", "nan"), "--discordance is nan"),
        (("--n", 10, "--margin", 1), "--margin is 1.0"),
        (("--n", 10, "--power", 0), "--power is 0.0"),
        (("--n", 10, "--aa", "a", "b", "--repeats", "c"), "--aa and --repeats both say"),
        (("absent.yaml",), "there is no such file or folder"),
    ],
)
def test_questions_that_cannot_be_answered(args: tuple[object, ...], says: str) -> None:
    done = llmgate("power", *args)
    assert done.exit_code == 2
    assert says in done.output


def test_a_run_that_is_not_there() -> None:
    assert llmgate("power", "--aa", "absent", "other").exit_code == 4


def test_a_suite_without_a_gate(tmp_path: Path) -> None:
    write_suite(tmp_path, gate="role: watch")
    done = llmgate("power", tmp_path)
    assert (done.exit_code, "no metric gates" in done.output) == (2, True)


SERVING = "serving:\n  gate:\n    output_throughput: {margin: 0.05}\n    median_ttft_ms: {role: watch}\n  pairs: 8\n"


def test_a_suite_says_how_serving_is_gated(tmp_path: Path) -> None:
    write_suite(tmp_path, cases=1000, gate="margin: 0.1", extra=SERVING)
    done = llmgate("power", "words.yaml", "--discordance", 0.02)
    assert "words::serving::output_throughput: 8 pairs of runs, tolerance 5.0 %" in done.output
    assert "runs vary by 5.0 %, assumed" in done.output
    assert "an unchanged model passes 58 % of the time; a slowdown of" in done.output
    assert "advice: set pairs: 14" in done.output
    assert "median_ttft_ms" not in done.output
    assert "warning: this gate passes an unchanged model 58 % of the time" in done.output
    more = llmgate(
        "power", "words.yaml", "--discordance", 0.02, "--serving-cv", 0.02, "--serving-slowdown", 0.1, "--json"
    )
    found = json.loads(more.stdout)
    assert found["enough"]
    (figure,) = found["serving"]
    assert (figure["pairs"], figure["source"], figure["comparison"]["slowdown"]) == (8, "given", 0.1)
    assert figure["run_cv"] == pytest.approx(0.02)
    again = json.loads(llmgate("power", "words.yaml", "--serving-pairs", 14, "--json").stdout)
    assert again["serving"][0]["comparison"]["pass_if_unchanged"] >= 0.8


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--serving-cv", 0, "--serving-cv is 0.0. Give a fraction between 0 and 1"),
        ("--serving-slowdown", 1, "--serving-slowdown is 1.0. Give a fraction between 0 and 1"),
        ("--serving-pairs", 5, "--serving-pairs is 5. Give at least 6"),
    ],
)
def test_what_serving_cannot_be_is_a_usage_error(tmp_path: Path, option: str, value: float, message: str) -> None:
    write_suite(tmp_path, extra=SERVING)
    done = llmgate("power", "words.yaml", option, value)
    assert done.exit_code == 2
    assert message in done.output


def test_earlier_runs_tell_how_much_serving_varies(tmp_path: Path) -> None:
    gate = ServingPolicy(suite="support", metric="output_throughput")
    policy = replace(make_policy(margin=0.05), serving=(gate,))
    cases = tuple(make_case(f"c{i}") for i in range(60))
    for seed, name in enumerate(("one", "two")):
        arms = make_arms(noisy(100.0, 8, cv=0.03, seed=2 * seed), noisy(98.0, 8, cv=0.03, seed=2 * seed + 1))
        with RunDir.create(
            tmp_path / name,
            make_manifest(run_id=name, version=seed + 7, policy=policy, cases_digest=cases_digest(cases)),
            cases,
        ) as run:
            for number, case in enumerate(cases):
                run.append(make_result(case.case, score=float(number > seed)))
            run.plan_arms(arms.plan)
            for made in arms.runs:
                run.add_arm_run(made)
            run.seal(sealed_at="2026-11-28T20:00:00+00:00")
    told = llmgate("power", "--history", "one", "--history", "two", "--json")
    assert told.exit_code == 0, told.output
    (figure,) = json.loads(told.stdout)["serving"]
    assert (figure["source"], figure["measured_on"], figure["pairs"]) == ("history", 16, 8)
    assert 0.015 < figure["run_cv"] < 0.05
