"""The doors: which commands count what, and what they say of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer, Fault, every
from support.project import WRONG, answer_right, let_stop, write_suite

from llmgate.cli import main
from llmgate.record.run.files import ATTEMPTS_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    write_suite(tmp_path, cases=60, gate="margin: 0.1")


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def wrong_from(first: int, to: int) -> Callable[[dict[str, Any]], str]:
    """Answers wrongly to a range of cases."""
    words = {f"word-{i}" for i in range(first, to)}
    return lambda body: WRONG if answer_right(body) in words else answer_right(body)


class Endpoints:
    """The champion and the candidate, each at its own URL, with answers that a test chooses."""

    def __init__(self) -> None:
        self.wrong = (0, 0)
        self.champion = FakeServer(answer=wrong_from(0, 5))
        self.candidate = FakeServer(answer=self.answer)

    def answer(self, body: dict[str, Any]) -> str:
        """The candidate's answer, as a test wants it now."""
        return wrong_from(*self.wrong)(body)

    def run(self, out: str, *more: object, wrong: tuple[int, int]) -> Result:
        """A run of the candidate."""
        self.wrong = wrong
        return llmgate(
            *("run", "words.yaml", "--endpoint", self.candidate.url, "--baseline", "champion", "--out", out), *more
        )


@pytest.fixture
def endpoints() -> Any:
    """Both, with a champion that was recorded."""
    both = Endpoints()
    with both.champion, both.candidate:
        done = llmgate("run", "words.yaml", "--endpoint", both.champion.url, "--as-baseline", "--out", "champion")
        assert done.exit_code == 0, done.output
        yield both


def decision(out: str) -> dict[str, Any]:
    return json.loads(Path(out, "decision.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def attempt(out: str) -> tuple[int, list[str]]:
    told = decision(out).get("attempt") or {"number": 1, "earlier": []}
    return told["number"], told["earlier"]


def test_runs_are_counted_and_said_everywhere(endpoints: Endpoints) -> None:
    assert not Path("champion", ATTEMPTS_NAME).exists()  # nothing to compare with is no attempt
    first = endpoints.run("one", wrong=(0, 30))
    assert first.exit_code == 1, first.output
    second = endpoints.run("two", wrong=(5, 12))
    assert "attempt 2 at this candidate; earlier: FAIL. All answers count together" in second.output
    assert attempt("two") == (2, ["FAIL"])
    third = endpoints.run("three", wrong=(3, 7))
    number, earlier = attempt("three")
    assert (number, earlier) == (3, ["FAIL", decision("two")["verdict"]])
    for text in (
        third.output,
        Path("three", "summary.md").read_text(encoding="utf-8"),
        Path("three", "report.html").read_text(encoding="utf-8"),
    ):
        assert f"ttempt 3; earlier: {', '.join(earlier)}" in " ".join(text.split())
    statement = json.loads(Path("three", "verdict.json").read_text(encoding="utf-8"))["predicate"]
    assert statement["attempt"]["number"] == 3
    assert statement["attempt"]["earlier"] == earlier
    assert len(set(statement["attempt"]["ids"])) == 2


def test_deciding_again_gives_the_same_bytes(endpoints: Endpoints) -> None:
    endpoints.run("one", wrong=(0, 30))
    endpoints.run("two", wrong=(5, 12))
    endpoints.run("three", wrong=(3, 7))
    before = {out: Path(out, "decision.json").read_bytes() for out in ("one", "two", "three")}
    for out, held in before.items():
        assert llmgate("decide", out, "champion", "--json").output.encode() == held
        assert llmgate("report", out, "champion").exit_code == 0
        assert Path(out, "decision.json").read_bytes() == held
    # Elsewhere, without the ledger and without the other runs.
    shutil.copytree("two", "elsewhere/two")
    for gone in ("one", "two", "three", ".llmgate"):
        shutil.rmtree(gone)
    again = llmgate("decide", "elsewhere/two", "champion", "--json", "--attempts", "another")
    assert again.output.encode() == before["two"]


def test_other_policies_and_thresholds_alone_are_other_gates(endpoints: Endpoints) -> None:
    endpoints.run("one", wrong=(0, 30))
    Path("wider.yaml").write_text("llmgate-policy: 1\nmetrics:\n  words/accuracy: {margin: 0.2}\n", encoding="utf-8")
    again = llmgate("decide", "one", "champion", "--policy", "wider.yaml")
    assert again.exit_code in {0, 1, 3}, again.output
    tried = json.loads(llmgate("attempts", "--json").output)
    assert sorted(len(one["attempts"]) for one in tried) == [1, 1]
    assert attempt("one") == (1, [])


def test_what_is_resumed_is_one_attempt(endpoints: Endpoints) -> None:
    endpoints.candidate.faults = every(7, Fault.HTTP_500)
    endpoints.run("one", "--retries", "0", wrong=(5, 12))
    endpoints.candidate.faults = {}
    before = attempt("one")
    done = endpoints.run("one", "--resume", wrong=(5, 12))
    assert before == attempt("one") == (1, []), done.output
    assert len(json.loads(llmgate("attempts", "--json").output)[0]["attempts"]) == 1


def test_what_rests_on_a_cache_cannot_pass_and_is_no_attempt(endpoints: Endpoints) -> None:
    cached = ("--cache", "cache", "--deployment", "new")
    endpoints.run("one", *cached, wrong=(5, 12))
    done = endpoints.run("two", *cached, wrong=(3, 7))
    assert "came out of the cache" in done.output
    assert not Path("two", ATTEMPTS_NAME).exists()
    endpoints.run("three", "--deployment", "new", wrong=(3, 7))
    assert attempt("three")[0] == 2


def test_shards_are_no_attempt_and_their_merge_is_one(endpoints: Endpoints) -> None:
    for out, wrong in (("a", (5, 12)), ("b", (3, 7))):
        endpoints.wrong = wrong
        for index in (1, 2):
            llmgate(
                *("run", "words.yaml", "--endpoint", endpoints.candidate.url),
                *("--shard", f"{index}/2", "--out", f"{out}{index}"),
            )
            assert not Path(f"{out}{index}", ATTEMPTS_NAME).exists()
        merged = llmgate("merge", f"{out}1", f"{out}2", "--baseline", "champion", "--out", out)
        assert merged.exit_code in {0, 1, 3}, merged.output
    assert attempt("a") == (1, [])
    assert attempt("b")[0] == 2


def test_a_candidate_that_was_tried_before_is_asked_everything(endpoints: Endpoints) -> None:
    let_stop(Path("words.yaml"))
    llmgate("run", "words.yaml", "--endpoint", endpoints.champion.url, "--as-baseline", "--out", "champion-2")
    asked = (
        "run",
        "words.yaml",
        "--endpoint",
        endpoints.candidate.url,
        "--baseline",
        "champion-2",
        "--concurrency",
        "2",
    )
    endpoints.wrong = (0, 60)
    first = llmgate(*asked, "--out", "one")
    assert "stopped at look" in first.output
    endpoints.wrong = (0, 59)
    second = llmgate(*asked, "--out", "two")
    assert "all cases are asked, because this candidate was tried before" in second.output
    assert attempt("two") == (2, ["FAIL"])


def test_a_broken_ledger_is_no_pass_and_says_what_to_do(endpoints: Endpoints) -> None:
    endpoints.run("one", wrong=(0, 30))
    shutil.rmtree("one")
    chain = next(Path(".llmgate/attempts").glob("*/ledger.jsonl"))
    chain.write_text(chain.read_text().replace("FAIL", "PASS"))
    done = endpoints.run("two", wrong=(0, 5))
    assert done.exit_code == 3
    assert "Restore it from a copy" in " ".join(done.output.split())
    assert decision("two")["verdict"] == "INCONCLUSIVE"
    listed = llmgate("attempts")
    assert "cannot be believed" in listed.output


def test_a_ledger_that_cannot_be_kept_is_no_pass(endpoints: Endpoints) -> None:
    Path(".llmgate").mkdir(exist_ok=True)
    Path("file").write_text("", encoding="utf-8")
    done = endpoints.run("one", "--attempts", "file/below", wrong=(0, 5))
    assert done.exit_code == 3, done.output
    assert "--attempts DIR" in done.output


def test_the_ledger_is_where_it_is_said_to_be(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints.run("one", wrong=(5, 12))
    assert list(Path(".llmgate/attempts").glob("*/ledger.jsonl"))
    monkeypatch.setenv("LLMGATE_ATTEMPTS", "by-environment")
    endpoints.run("x/two", wrong=(3, 7))
    assert list(Path("by-environment").glob("*/ledger.jsonl"))
    endpoints.run("y/three", "--attempts", "by-option", wrong=(2, 7))
    assert list(Path("by-option").glob("*/ledger.jsonl"))


def test_in_ci_it_is_said_that_nothing_is_counted_across_machines(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    said = "attempts are not counted across machines: name --mlflow-uri, or keep the folder .llmgate/attempts"
    assert endpoints.run("one", wrong=(5, 12)).output.count(said) == 1
    assert said not in endpoints.run("two", wrong=(3, 7)).output


def test_the_list(endpoints: Endpoints) -> None:
    assert llmgate("attempts").output == "no attempt was made yet\n"
    endpoints.run("one", wrong=(0, 30))
    endpoints.run("two", wrong=(5, 12))
    listed = llmgate("attempts").output
    assert "words 1.0.0: FAIL, " in listed
    key = listed[:12]
    for named in ("two", key, json.loads(Path("two", "manifest.json").read_text(encoding="utf-8"))["run_id"]):
        whole = llmgate("attempts", named).output.splitlines()
        assert [line.split()[1] for line in whole[1:]] == ["FAIL", decision("two")["verdict"]]
    unknown = llmgate("attempts", "nothing")
    assert unknown.exit_code == 2
    assert "See `llmgate attempts` for all" in unknown.output


def test_two_processes_at_once_are_two_attempts(endpoints: Endpoints) -> None:
    # Whoever asks a word first gets another answer than whoever asks it next.
    asked: Counter[str] = Counter()

    def answer(body: dict[str, Any]) -> str:
        word = answer_right(body)
        asked[word] += 1
        return WRONG if word in {"word-7", "word-8"} and asked[word] == 1 else word

    endpoints.candidate.answer = answer
    command = [sys.executable, "-c", "from llmgate.cli import main; main()", "run", "words.yaml"]
    options = ["--endpoint", endpoints.candidate.url, "--baseline", "champion"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen([*command, *options, "--out", out], stdout=subprocess.DEVNULL, env=environ)
        for out in ("one", "two")
    ]
    assert {process.wait(timeout=120) for process in started} <= {0, 1, 3}
    assert sorted(attempt(out)[0] for out in ("one", "two")) == [1, 2]
