"""promptfoo configurations, from files to suites that load and score."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.imports import lost, needs_row_asserts, outcomes, planned, prompts, write_files

from llmgate.errors import SuiteError, UsageError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.promptfoo.code import transform_of
from llmgate.suite.importers.promptfoo.config import import_promptfoo
from llmgate.suite.importers.write import suite_text, write_imported

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported


def imported(folder: Path, config: str, **files: str) -> Imported:
    renamed = {name.replace("__", "."): text for name, text in files.items()}
    return import_promptfoo(write_files(folder, {"promptfooconfig.yaml": config, **renamed}), VOCABULARY)


SHARED = """
description: Capitals
prompts: ['Answer: {{question}}']
providers:
  - id: openai:gpt-4o
    config: {temperature: 0.3, max_tokens: 50}
defaultTest:
  assert:
    - {type: icontains, value: '{{answer}}'}
    - {type: not-contains, value: sorry, weight: 2, metric: manners}
tests:
  - {description: France, vars: {question: 'Capital of France?', answer: Paris}}
  - {description: Italy, vars: {question: 'Capital of Italy?', answer: Rome}}
"""


def test_a_suite_with_shared_asserts_loads_and_scores(tmp_path: Path) -> None:
    done = imported(tmp_path, SHARED)
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert prompts(suite)["france"] == [("user", "Answer: Capital of France?")]
    answers = {"france": "It is paris.", "italy": "sorry, Milan"}
    assert outcomes(suite, answers) == {"france": ["pass", "pass"], "italy": ["fail", "fail"]}
    assert suite.suite.sampling["temperature"] == 0.3
    assert suite.suite.sampling["max_tokens"] == 50
    assert [(spec.weight, spec.metric) for spec in suite.suite.asserts] == [(1.0, "accuracy"), (2.0, "manners")]


MIXED = """
prompts: ['{{q}}']
tests:
  - vars: {q: a}
    assert: [{type: contains, value: x}]
  - vars: {q: b}
    threshold: 0.5
    assert: [{type: contains, value: y}, {type: starts-with, value: z}]
"""


def test_rows_bring_their_own_asserts_and_thresholds_where_tests_differ(tmp_path: Path) -> None:
    (suite,) = imported(tmp_path, MIXED).suites
    assert suite.asserts == ()
    assert suite.case == {"asserts": "asserts", "threshold": "threshold"}
    assert [row["asserts"] for row in suite.rows] == [
        [{"type": "contains", "value": "x"}],
        [{"type": "contains", "value": "y"}, {"type": "starts-with", "value": "z"}],
    ]
    assert [row["threshold"] for row in suite.rows] == [None, 0.5]


@needs_row_asserts
def test_asserts_of_rows_score(tmp_path: Path) -> None:
    suite = planned(imported(tmp_path, MIXED), tmp_path / "out")
    assert outcomes(suite, {"test-001": "x", "test-002": "y"}) == {"test-001": ["pass"], "test-002": ["pass", "fail"]}


LEFT_OUT = """
prompts: ['{{q}}', file://code.py]
redteam: {plugins: [x]}
extensions: [file://hook.js]
nunjucksFilters: {}
tests:
  - vars: {q: a}
    assert:
      - {type: contains, value: x}
      -
      - {type: javascript, value: fix(output)}
      - {type: not-python, value: file://check.py}
      - {type: is-json, value: file://schema.json}
      - {type: contains, value: y, transform: fix(output)}
      - {type: no-such-type, value: y}
      - {type: contains, value: ''}
      - {type: regex, value: '('}
      - {type: contains, value: z, colour: red}
      - nothing
"""


def test_nothing_vanishes_without_a_word(tmp_path: Path) -> None:
    done = imported(tmp_path, LEFT_OUT)
    assert not done.complete
    notes = lost(done)
    (suite,) = done.suites
    assert suite.asserts == ({"type": "contains", "value": "x"},)
    text = suite_text(suite, dataset="d.jsonl", source="x")
    config = str(tmp_path / "promptfooconfig.yaml")
    for line, words in {
        2: "code is not run",
        3: "`redteam`",
        10: "without a type",
        11: "javascript",
        12: "not-python",
        13: "comes from a file",
        14: "transformed output",
        15: "unknown assert type",
        16: "empty",
        17: "does not compile",
        18: "colour",
        19: "without a type",
    }.items():
        note = next(one for one in notes if one.startswith(f"{config}:{line}:"))
        assert words in note
        where, what = note.split(": ", 1)
        assert f"# - {what} [{where}" in text


def test_a_test_that_lost_all_its_checks_is_recorded_and_not_passed(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        """
prompts: ['{{q}}']
tests:
  - {vars: {q: a}, assert: [{type: contains, value: x}]}
  - {vars: {q: b}, assert: [{type: python, value: 'True'}]}
""",
    )
    assert [row["asserts"] for row in done.suites[0].rows] == [[{"type": "contains", "value": "x"}], []]
    assert any("'python' left out" in note for note in lost(done))
    suite = planned(done, tmp_path / "out")
    assert [case.planned.metrics for case in suite.cases] == [("accuracy",), ()]


def test_tests_without_asserts_are_recorded_and_nothing_of_the_original_is_missing(tmp_path: Path) -> None:
    done = imported(tmp_path, "prompts: ['{{q}}']\ntests: [{vars: {q: a}, threshold: 0.5}, {vars: {q: b}}]\n")
    assert done.complete
    assert [note.where for note in done.notes if "has no assert" in note.what] == [
        f"{tmp_path / 'promptfooconfig.yaml'}:2"
    ]
    suite = planned(done, tmp_path / "out")
    assert suite.suite.metrics == ()
    assert all(case.planned.unchecked for case in suite.cases)


def test_csv_tests(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        "prompts: ['{{q}}']\ntests: file://t.csv\n",
        t__csv='q,__expected,__description\n"a, b",icontains: x,first\nc,icontains: x,second\n',
    )
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert outcomes(suite, {"first": "X", "second": "y"}) == {"first": ["pass"], "second": ["fail"]}
    assert prompts(suite)["first"] == [("user", "a, b")]


def test_a_csv_cell_that_cannot_be_read_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        imported(tmp_path, "prompts: ['{{q}}']\ntests: t.csv\n", t__csv="q,__threshold\na,half\n")
    assert caught.value.where == f"{tmp_path / 't.csv'}:2"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.yaml", "- vars: {q: a}\n- vars: {q: b}\n"),
        ("t.json", json.dumps([{"vars": {"q": "a"}}, {"vars": {"q": "b"}}])),
        ("t.jsonl", '{"vars": {"q": "a"}}\n{"vars": {"q": "b"}}\n'),
        ("one/t.yaml", "- vars: {q: a}\n- vars: {q: b}\n"),
    ],
)
def test_files_of_tests(tmp_path: Path, name: str, text: str) -> None:
    write_files(tmp_path, {name: text})
    pattern = "file://one/*.yaml" if "/" in name else f"file://{name}"
    done = imported(
        tmp_path, f"prompts: ['{{{{q}}}}']\ntests: {pattern}\ndefaultTest: {{assert: [{{type: is-json}}]}}\n"
    )
    assert [row["q"] for row in done.suites[0].rows] == ["a", "b"]


def test_lists_of_texts_are_combined_and_other_lists_are_values(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        "prompts: ['{{a}} {{b}} {{n}}']\ntests: [{vars: {a: [x, y], b: [1st, 2nd], n: [1, 2]}, assert: [{type: is-json}]}]",
    )
    rows = done.suites[0].rows
    assert [(row["a"], row["b"]) for row in rows] == [("x", "1st"), ("x", "2nd"), ("y", "1st"), ("y", "2nd")]
    assert rows[0]["n"] == [1, 2]


def test_chat_prompts_variables_in_variables_prefixes_and_a_suite_per_prompt(tmp_path: Path) -> None:
    chat = [{"role": "developer", "content": "Be {{tone}}"}, {"role": "user", "content": "{{q}}"}]
    done = imported(
        tmp_path,
        """
description: Bot
prompts: [file://chat.json, file://two.txt]
tests:
  - {vars: {q: 'Hi {{name}}', name: Bo, tone: kind}, assert: [{type: is-json}]}
  - {vars: {q: Bye, name: Al, tone: curt}, assert: [{type: is-json}], prompts: [two 1]}
""",
        chat__json=json.dumps(chat),
        two__txt="One: {{q}}\n---\nTwo: {{q}}\n",
    )
    assert [suite.name for suite in done.suites] == ["bot-1-chat", "bot-2-two-1", "bot-3-two-2"]
    first = planned(done, tmp_path / "out")
    assert prompts(first) == {"test-001": [("system", "Be kind"), ("user", "Hi Bo")]}
    assert [len(suite.rows) for suite in done.suites] == [1, 2, 1]


def test_prefixes_and_suffixes_of_tests(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        """
prompts: ['{{q}}']
tests:
  - {vars: {q: a}, options: {prefix: 'Now {{q}}: '}, assert: [{type: is-json}]}
  - {vars: {q: b}, options: {suffix: '!'}, assert: [{type: is-json}]}
""",
    )
    asked = prompts(planned(done, tmp_path / "out"))
    assert [messages[0][1] for messages in asked.values()] == ["Now a: a", "b!"]


def test_anchors_merges_references_scenarios_and_repeats(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        """
prompts: ['{{q}} in {{lang}}']
evaluateOptions: {repeat: 3}
assertionTemplates:
  polite: &polite {type: not-contains, value: damn}
scenarios:
  - config: [{vars: {lang: fr}}, {vars: {lang: de}}]
    tests:
      - vars: {q: hi}
        assert: [{$ref: '#/assertionTemplates/polite'}]
      - vars: {q: ho}
        assert: [{<<: *polite, value: damn}]
""",
    )
    assert done.complete
    suite = planned(done, tmp_path / "out")
    assert suite.suite.repeat == 3
    assert sorted(m[0][1] for m in prompts(suite).values()) == ["hi in de", "hi in fr", "ho in de", "ho in fr"]


def test_an_id_variable_does_not_name_the_case(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        "prompts: ['{{id}}']\ntests: [{vars: {id: same}}, {vars: {id: same}}]\ndefaultTest: {assert: [{type: is-json}]}",
    )
    suite = planned(done, tmp_path / "out")
    assert suite.suite.id_column == "case_id"
    assert set(prompts(suite)) == {"test-001", "test-002"}


def test_assert_sets(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        """
prompts: ['{{q}}']
tests:
  - vars: {q: a}
    assert:
      - type: assert-set
        threshold: 0.5
        assert: [{type: contains, value: x}, {type: contains, value: y}]
      - type: assert-set
        threshold: 0.5
        assert: [{type: contains, value: x}, {type: javascript, value: y}]
      - type: assert-set
        assert: [{type: contains, value: x}, {type: javascript, value: y}]
""",
    )
    first, second = done.suites[0].asserts
    assert first["threshold"] == 0.5
    assert second == {"type": "assert-set", "assert": [{"type": "contains", "value": "x"}]}
    assert any("assert-set left out" in note for note in lost(done))


def test_variables_that_no_test_sets_become_empty_columns(tmp_path: Path) -> None:
    done = imported(tmp_path, "prompts: ['{{q}}{{w}}']\ntests: [{vars: {q: a}, assert: [{type: is-json}]}]")
    assert done.complete
    assert any("'w'" in str(note) for note in done.notes)
    assert prompts(planned(done, tmp_path / "out")) == {"test-001": [("user", "a")]}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("prompts: []", "no prompt"),
        ("prompts: [file://make.js]\ntests: [{vars: {a: b}}]", "no prompt"),
        ("prompts: [x]\ntests: huggingface://datasets/a", "no test"),
        ("prompts: [x]\ntests: file://make.py:tests", "no test"),
        ("prompts: [x]\ntests: [file://nowhere.csv]", "no test"),
        ("- a", "no promptfoo configuration"),
        ("prompts: ['{{a}}']\ntests: [{vars: {a: [" + "x, " * 400 + "x], b: [" + "y, " * 400 + "y]}}]", "160801 cases"),
        ("prompts: [a, b", "valid YAML"),
    ],
)
def test_a_configuration_of_which_nothing_is_left_is_an_error(tmp_path: Path, config: str, words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        imported(tmp_path, config)


def test_references_that_multiply_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="too large"):
        imported(tmp_path, "prompts: [x]\ntests: [{$ref: '#/tests'}, {$ref: '#/tests'}]")


def test_a_threshold_that_no_test_can_fail_is_named(tmp_path: Path) -> None:
    done = imported(tmp_path, "prompts: [x]\ntests: [{threshold: 0, assert: [{type: is-json}]}]")
    assert done.suites[0].threshold is None
    assert any("no test can fail" in note for note in lost(done))


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    done = imported(tmp_path, SHARED)
    write_imported(done, tmp_path / "out", source="x")
    with pytest.raises(UsageError, match="there already"):
        write_imported(done, tmp_path / "out", source="x")


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("output.trim()", ["trim"]),
        (" output.toLowerCase().trim(); ", ["lower", "trim"]),
        ("output.choices[0].text", ["javascript:output.choices[0].text"]),
        (
            "const x = JSON.parse(output);\nreturn x.answer;",
            ["javascript:const x = JSON.parse(output);\nreturn x.answer;"],
        ),
        ("JSON.parse(output", None),
        ("fix(output)", None),
        ("context.vars.name + output", None),
        ("output.fix()", None),
        ("file://t.js", None),
        ({"a": 1}, None),
    ],
)
def test_simple_transforms_have_names_and_other_code_has_none(code: object, names: list[str] | None) -> None:
    assert transform_of(code) == names


def test_variables_from_files(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        """
prompts: ['{{q}}']
defaultTest: {vars: vars.yaml, assert: [{type: is-json}]}
tests:
  - vars: {q: file://q.txt}
  - vars: {q: file://make.js}
  - {}
""",
        vars__yaml="q: from a file\n",
        q__txt="\n Why? \n",
    )
    assert [row["q"] for row in done.suites[0].rows] == ["Why?", "from a file"]
    assert any("make.js" in note for note in lost(done))


def test_asserts_that_ask_a_judge_leave_the_others_able_to_gate(tmp_path: Path) -> None:
    config = """\
prompts: ["Say {{x}}"]
tests:
  - vars: {x: hello}
    assert:
      - {type: contains, value: hello}
      - {type: llm-rubric, value: is kind}
      - {type: llm-rubric, value: is short, metric: style}
"""
    folder = write_files(tmp_path, {"promptfooconfig.yaml": config})
    suite = planned(import_promptfoo(folder / "promptfooconfig.yaml", VOCABULARY), tmp_path / "out").suite
    assert {metric.metric: metric.judged for metric in suite.metrics} == {
        "accuracy": False, "judged": True, "style": True,
    }  # fmt: skip
