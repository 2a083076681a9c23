"""`llmgate judge admit`: from labels to a record that lets a judge gate, or does not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.fake_server import FakeServer, Fault
from support.project import answer_right, write_suite
from support.shared_data import shared_rows

from llmgate.cli import main
from llmgate.record.judges.admission_file import load_admission
from llmgate.score.judge_canaries import CANARIES
from llmgate.session.admission.trial import CANARY_ITEMS, REPEATS

if TYPE_CHECKING:
    from collections.abc import Callable

CAPITALS = Path(__file__).parent.with_name("labels") / "capitals.jsonl"
ROWS = [json.loads(line) for line in CAPITALS.read_text(encoding="utf-8").splitlines()]
RIGHT = {(row["prompt"], row["output"]): row["human"][0] for row in ROWS}
RUBRIC = "The answer names the capital of the country."
MARGIN = ("--margin", "0.1")
"""40 questions with four answers each say that a difference is off by nine points at most, if no judge errs."""
QUESTIONS = 160 + REPEATS + CANARY_ITEMS * len(CANARIES)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def llmgate(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def parts(body: dict[str, Any]) -> dict[str, str]:
    """The fenced parts of the last question."""
    asked = str(body["messages"][1]["content"])
    return {name: text for name, _, text in re.findall(r"<([a-z-]+)-([0-9a-f]{16})>\n(.*?)\n</\1-\2>", asked, re.S)}


def verdict(*, good: bool) -> str:
    return json.dumps({"reason": "so", "pass": good, "score": float(good)})


def people(body: dict[str, Any]) -> str:
    """A judge that says what people say."""
    found = parts(body)
    return verdict(good=RIGHT.get((found["question"], found.get("answer", "")), False))


def admit(server: FakeServer, *more: object, out: str = "judge.json") -> Result:
    return llmgate(
        "judge", "admit", CAPITALS, "--rubric", RUBRIC, "--judge-endpoint", server.url, "--out", out, *MARGIN, *more
    )


def test_a_judge_that_equals_the_labels_is_admitted() -> None:
    with FakeServer(answer=people) as server:
        done = admit(server)
        assert len(server.seen) == QUESTIONS
    assert done.exit_code == 0, done.output
    assert "admitted: judge.json" in done.output
    assert "labels        160 of 160 items in capitals.jsonl: 80 pass, 80 fail" in done.output
    record = load_admission(Path("judge.json"))
    assert record.admitted
    assert record.instrument.criterion == RUBRIC
    assert record.results.agreement.estimate == 1.0
    assert [one.tried for one in record.results.canaries] == [CANARY_ITEMS] * len(CANARIES)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (lambda _: verdict(good=True), "κ between judge and people is only known to be at least"),
        (lambda _: verdict(good=True), "let 15 of 15 canaries pass"),
        (lambda _: "I like it.", "no verdict on 160 of 160 items"),
        (lambda body: verdict(good=len(str(body)) % 2 == 0), "κ between judge and people is only known to be at least"),
    ],
    ids=["all pass", "canaries", "no json", "by length"],
)
def test_these_judges_are_refused(said: Callable[[dict[str, Any]], str], reason: str) -> None:
    with FakeServer(answer=said) as server:
        done = admit(server)
    assert done.exit_code == 1, done.output
    assert reason in done.output
    assert "refused: judge.json" in done.output
    assert not load_admission(Path("judge.json")).admitted


def test_recorded_verdicts_give_the_same_without_a_model() -> None:
    with FakeServer(answer=people) as server:
        assert admit(server).exit_code == 0
    recorded = ("judge", "admit", CAPITALS, "--rubric", RUBRIC, "--recorded", "judge.verdicts.jsonl", *MARGIN)
    assert llmgate(*recorded, "--out", "again.json").exit_code == 0
    first, second = load_admission(Path("judge.json")), load_admission(Path("again.json"))
    assert second.results == first.results
    assert second.verdicts_digest == first.verdicts_digest
    assert second.instrument == first.instrument

    lines = Path("judge.verdicts.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("judge.verdicts.jsonl").write_text("".join(lines[:-40]), encoding="utf-8")
    fewer = llmgate(*recorded, "--out", "fewer.json")
    assert fewer.exit_code == 1
    assert "no verdict on" in fewer.output
    other = llmgate(*(*recorded[:4], "Is polite.", *recorded[5:]), "--out", "other.json")
    assert other.exit_code == 2
    assert "the verdicts are about llm-rubric" in other.output


def test_verdicts_of_nobody_show_figures_and_admit_no_judge() -> None:
    lines = [{"item": row["id"], "said": "pass" if row["human"][0] else "fail"} for row in ROWS]
    Path("said.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = llmgate("judge", "admit", CAPITALS, "--rubric", RUBRIC, "--recorded", "said.jsonl", "--out", "judge.json")
    assert done.exit_code == 1
    assert "not named: these figures admit no judge of a run" in done.output
    assert "κ             1.00" in done.output
    assert "repeated questions answered alike is only known to be at least 0.00" in done.output
    assert "gave no verdict on 15 of 15 canaries" in done.output


def test_a_trial_goes_on_where_it_ended() -> None:
    with FakeServer(answer=people, die_after=100) as server:
        broken = admit(server, "--retries", "0", "--concurrency", "4")
        assert broken.exit_code == 4, broken.output
        assert "the judge stopped accepting connections" in broken.output
        assert not Path("judge.json").exists()
        url = server.url
    with FakeServer(answer=people, port=int(url.rpartition(":")[2])) as server:
        there = admit(server)
        assert there.exit_code == 4
        assert "verdicts are there already" in there.output
        done = admit(server, "--resume")
        assert done.exit_code == 0, done.output
        # The four that were in flight when it died may have been counted and not have arrived.
        assert QUESTIONS - 100 <= len(server.seen) <= QUESTIONS - 96
    changed = Path("capitals.jsonl")
    changed.write_text(CAPITALS.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with FakeServer(answer=people, port=int(url.rpartition(":")[2])) as server:
        other = llmgate(
            "judge", "admit", changed, "--rubric", RUBRIC, "--judge-endpoint", server.url, "--out", "judge.json",
            "--resume",
        )  # fmt: skip
    assert "the trial cannot be resumed: labels, criterion or judge are not the same any more" in other.output


def test_a_reply_that_cannot_be_read_is_not_asked_for_until_it_suits() -> None:
    with FakeServer(answer=lambda _: "no") as server:
        assert admit(server).exit_code == 1
        asked = len(server.seen)
        server.answer = people
        assert admit(server, "--resume").exit_code == 1
        assert len(server.seen) == asked


def test_a_request_that_failed_is_asked_again() -> None:
    with FakeServer(answer=people, faults={5: Fault.HTTP_500}) as server:
        first = admit(server, "--retries", "0")
        assert "on 1 of 160 items" in first.output
        assert admit(server, "--resume").exit_code == 0
        assert len(server.seen) == QUESTIONS + 1


def test_the_judge_of_a_suite_is_admitted_and_then_gates(tmp_path: Path) -> None:
    rubric = '  - {type: llm-rubric, value: "Names the capital of {{ country }}.", metric: facts}\n'
    suite = write_suite(tmp_path, extra=rubric.replace("country", "word"))
    suite.write_text(suite.read_text(encoding="utf-8") + "  facts: {min: 0.5}\n", encoding="utf-8")
    text = CAPITALS.read_text(encoding="utf-8").replace('"country":', '"word":')
    Path("labels.jsonl").write_text(text, encoding="utf-8")

    def answer(body: dict[str, Any]) -> str:
        if "response_format" not in body:
            return answer_right(body)
        return verdict(good=True) if "Say word-" in parts(body)["question"] else people(body)

    with FakeServer(answer=answer) as server:
        done = llmgate(
            "judge",
            "admit",
            "labels.jsonl",
            "--suite",
            suite,
            "--judge-endpoint",
            server.url,
            "--out",
            "judge.json",
            *MARGIN,
        )
        assert done.exit_code == 0, done.output
        run = ("run", suite, "--endpoint", server.url, "--judge-endpoint", server.url)
        assert llmgate(*run, "--out", "without").exit_code == 2
        gated = llmgate(*run, "--judge-admission", "judge.json", "--out", "with")
    assert gated.exit_code == 0, gated.output
    assert re.search(r"^PASS +words::facts ", gated.output, re.MULTILINE)


def pandalm() -> dict[str, int]:
    """Real pairs with people's votes, written as labels; the better answer by question, answer 1 and answer 2."""
    rows = [
        row
        for row in shared_rows("judge/pandalm.jsonl")
        # A few answers came as other JSON values, and equal ones cannot be told apart.
        if row["response_1"] != row["response_2"]
        and isinstance(row["response_1"], str)
        and isinstance(row["response_2"], str)
    ][:200]
    lines = [
        {
            "id": row["item_id"], "prompt": f"{row['instruction']}\n{row['input']}", "output_1": row["response_1"],
            "output_2": row["response_2"], "human": row["human"], "cluster": row["cluster"],
            "system_1": row["system_1"], "system_2": row["system_2"],
        }
        for row in rows
    ]  # fmt: skip
    Path("pandalm.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return {
        f"{line['prompt']}\0{line['output_1']}\0{line['output_2']}": row["majority"]
        for line, row in zip(lines, rows, strict=True)
    }


def test_a_judge_that_equals_the_people_of_pandalm_is_admitted_and_one_that_reads_the_order_is_not() -> None:
    majority = pandalm()

    def equal(body: dict[str, Any]) -> str:
        found = parts(body)
        question, one, other = (found[name] for name in ("question", "first-answer", "second-answer"))
        if one in CANARIES.values() or other in CANARIES.values():
            better = "second" if one in CANARIES.values() else "first"
        else:
            straight = majority.get(f"{question}\0{one}\0{other}")
            turned = majority.get(f"{question}\0{other}\0{one}")
            vote = straight if straight is not None else {1: 2, 2: 1, 0: 0}[turned if turned is not None else 0]
            better = ("tie", "first", "second")[vote]
        return json.dumps({"reason": "so", "better": better})

    args = ("judge", "admit", "pandalm.jsonl", "--out", "judge.json", "--margin", "0.95")
    with FakeServer(answer=equal) as server:
        done = llmgate(*args, "--judge-endpoint", server.url)
    assert done.exit_code == 0, done.output
    record = load_admission(Path("judge.json"))
    assert record.results.kind == "pairs"
    assert record.instrument.type == "prefer"
    assert record.results.people is not None
    Path("judge.verdicts.jsonl").unlink()
    with FakeServer(answer=lambda _: '{"reason": "so", "better": "first"}') as server:
        done = llmgate(*args, "--judge-endpoint", server.url)
    assert done.exit_code == 1
    assert "both orders agree is only known to be at least 0.00" in done.output
    assert "names the first one in 100% of calls" in done.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--judge-endpoint", "http://127.0.0.1:9"), "no criterion is named"),
        (("--rubric", RUBRIC), "no judge is named"),
        (("--rubric", RUBRIC, "--suite", "words.yaml"), "both --suite and --rubric are given"),
        (("--suite", "words.yaml"), "no judged assert is meant"),
        (("--rubric", "Names {{ town }}.", "--judge-endpoint", "http://127.0.0.1:9"), "'town', which is no column"),
        (("--rubric", RUBRIC, "--recorded", "x", "--resume"), "nothing that could be resumed"),
        (("--rubric", RUBRIC, "--recorded", "x"), "x: cannot be read"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    write_suite(tmp_path)
    done = llmgate("judge", "admit", CAPITALS, "--out", "judge.json", *options)
    assert done.exit_code in {2, 4}
    assert words in done.output


def test_each_of_several_criteria_is_named(tmp_path: Path) -> None:
    write_suite(
        tmp_path,
        extra="  - {type: llm-rubric, value: Is polite., metric: tone}\n"
        "  - {type: prefer, value: other, metric: better}\n",
    )
    args = ("judge", "admit", CAPITALS, "--out", "judge.json", "--suite", "words.yaml")
    both = llmgate(*args)
    assert both.exit_code == 2
    assert "2 asserts ask a judge (tone: llm-rubric 'Is polite.'; better: prefer ''). Choose one" in both.output
    unfit = llmgate(*args, "--metric", "better")
    assert "prefer compares two answers, and people labelled single ones" in unfit.output
    Path("pairs.jsonl").write_text('{"id": "p", "output_1": "a", "output_2": "b", "human": 1}\n', encoding="utf-8")
    unfit = llmgate("judge", "admit", "pairs.jsonl", "--out", "j.json", "--suite", "words.yaml", "--metric", "tone")
    assert "llm-rubric looks at one answer, and people labelled pairs" in unfit.output
