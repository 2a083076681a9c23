"""What a promptfoo configuration says beside prompts and tests: read, or named as what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.imports import lost, planned, write_files

from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.promptfoo.config import import_promptfoo
from llmgate.suite.importers.result import NoteSort

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported

CHECK = {"type": "contains", "value": "x"}
TEST = {"vars": {"q": "a"}, "assert": [CHECK]}


def imported(folder: Path, **more: Any) -> Imported:
    whole = {"prompts": ["{{q}}"], "tests": [TEST], **more}
    return import_promptfoo(write_files(folder, {"promptfooconfig.yaml": yaml.safe_dump(whole)}), VOCABULARY)


def told(done: Imported, sort: NoteSort) -> list[str]:
    return [note.what for note in done.notes if note.sort is sort]


@pytest.mark.parametrize(
    ("key", "value", "sort", "words"),
    [
        ("redteam", {"plugins": ["x"]}, NoteSort.CHECK, "redteam generate"),
        ("derivedMetrics", [{"name": "f1", "value": "2 * p / (p + r)"}], NoteSort.CHECK, "'f1' = 2 * p / (p + r)"),
        ("extensions", ["file://hook.js"], NoteSort.SETTING, "`extensions`"),
        ("env", {"A": "b"}, NoteSort.SETTING, "`env`"),
        ("nunjucksFilters", {"f": "f.js"}, NoteSort.SETTING, "`nunjucksFilters`"),
        ("outputs", ["x"], NoteSort.REMARK, "passes over it too"),
        ("evaluateOptions", {"maxConcurrency": 2}, NoteSort.REMARK, "--concurrency 2"),
        ("commandLineOptions", {"delay": 500}, NoteSort.REMARK, "--rpm"),
        ("commandLineOptions", {"filterSample": 5}, NoteSort.REMARK, "all are carried over"),
    ],
)
def test_what_is_not_read_is_named_as_what_it_is(
    tmp_path: Path, key: str, value: object, sort: NoteSort, words: str
) -> None:
    done = imported(tmp_path, **{key: value})
    assert [words in what for what in told(done, sort)].count(True) == 1
    assert done.complete is (sort is not NoteSort.CHECK)


@pytest.mark.parametrize(
    "more",
    [
        {
            "tracing": {"enabled": True},
            "sharing": False,
            "outputPath": "x.json",
            "writeLatestResults": False,
            "tags": {},
        },
        {"evaluateOptions": {"cache": False, "showProgressBar": False}, "commandLineOptions": {"verbose": True}},
        {"extensions": [], "metadata": {"a": 1}},
    ],
)
def test_what_says_nothing_of_questions_and_checks_is_passed_over(tmp_path: Path, more: dict[str, Any]) -> None:
    assert imported(tmp_path, **more).notes == ()


@pytest.mark.parametrize(
    ("evaluate", "line", "repeat"),
    [({"repeat": 3}, {}, 3), ({"repeat": 3}, {"repeat": 2}, 2), ({"repeat": 0}, {}, 1), ({}, {"repeat": 5000}, 1000)],
)
def test_repeats(tmp_path: Path, evaluate: dict[str, int], line: dict[str, int], repeat: int) -> None:
    done = imported(tmp_path, evaluateOptions=evaluate, commandLineOptions=line)
    assert done.suites[0].repeat == repeat
    assert bool(told(done, NoteSort.SETTING)) is (repeat == 1000)


def test_a_file_of_tests_on_the_command_line_stands_for_the_tests(tmp_path: Path) -> None:
    write_files(tmp_path, {"t.csv": "q,__expected\nb,contains: x\n"})
    assert [row["q"] for row in imported(tmp_path, commandLineOptions={"vars": "t.csv"}).suites[0].rows] == ["b"]


def test_judges_are_named_once_and_are_no_lost_check(tmp_path: Path) -> None:
    rubric = {"type": "llm-rubric", "value": "kind", "provider": "openai:judge-a"}
    group = {"type": "assert-set", "assert": [{**rubric, "provider": {"id": "openai:judge-b"}}]}
    tests = [{"vars": {"q": str(i)}, "assert": [rubric, group]} for i in range(20)]
    default = {"options": {"provider": {"text": "openai:judge-c", "embedding": "openai:embed"}}}
    done = imported(tmp_path, tests=tests, defaultTest=default, commandLineOptions={"grader": "openai:judge-d"})
    assert done.complete
    (note,) = [what for what in told(done, NoteSort.REMARK) if "--judge-endpoint" in what]
    assert note.endswith("it was openai:judge-d, openai:judge-c, openai:judge-a, openai:judge-b")
    assert not any("--embed-endpoint" in what for what in told(done, NoteSort.REMARK))
    assert "provider" not in str(done.suites[0].asserts)


def test_embedding_models_are_named(tmp_path: Path) -> None:
    tests = [{"vars": {"q": "a"}, "assert": [{"type": "similar", "value": "x", "provider": "openai:embed"}]}]
    done = imported(tmp_path, tests=tests)
    assert [what for what in told(done, NoteSort.REMARK) if "--embed-endpoint" in what and "openai:embed" in what]


def test_a_question_to_the_judge_in_other_words_is_a_lost_check(tmp_path: Path) -> None:
    rubric = {"type": "llm-rubric", "value": "kind"}
    tests = [{"vars": {"q": "a"}, "assert": [rubric, {**rubric, "rubricPrompt": "x"}, CHECK]}]
    done = imported(tmp_path, tests=tests, defaultTest={"options": {"rubricPrompt": "file://p.json"}})
    assert done.suites[0].asserts == (CHECK,)
    assert len(lost(done)) == 2


def test_a_test_that_needs_the_answer_of_another_is_lost_and_no_other(tmp_path: Path) -> None:
    tests = [
        {**TEST, "options": {"storeOutputAs": "fruit"}},
        {"vars": {"q": "Why {{fruit}}?"}, "assert": [CHECK]},
        {"vars": {"q": "c"}, "assert": [CHECK]},
    ]
    done = imported(tmp_path, tests=tests)
    assert [row["q"] for row in done.suites[0].rows] == ["a", "c"]
    assert len(lost(done)) == 1
    assert "storeOutputAs: fruit" in lost(done)[0]


def test_a_verdict_made_by_code_leaves_its_asserts_out(tmp_path: Path) -> None:
    done = imported(tmp_path, tests=[{**TEST, "assertScoringFunction": "file://score.js"}, TEST])
    suite = planned(done, tmp_path / "out")
    assert [len(case.asserts) for case in suite.cases] == [0, 1]
    assert len(lost(done)) == 1


def test_a_test_for_another_provider_is_asked_like_all(tmp_path: Path) -> None:
    done = imported(tmp_path, tests=[{**TEST, "provider": "openai:x"}, {**TEST, "providerOutput": "x"}])
    assert done.complete
    assert len(told(done, NoteSort.SETTING)) == 2
    assert len(done.suites[0].rows) == 2
