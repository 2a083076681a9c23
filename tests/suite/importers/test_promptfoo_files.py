"""Files that promptfoo's configurations name: what is no file of data is left out by name, and the rest goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.imports import lost, planned, prompts, write_files

from llmgate.errors import LlmgateError, SuiteError
from llmgate.score.vocabulary import VOCABULARY
from llmgate.suite.importers.files import read_source
from llmgate.suite.importers.promptfoo.config import import_promptfoo
from llmgate.suite.importers.promptfoo.hub import parse_hub
from llmgate.suite.importers.result import NoteSort
from llmgate.suite.importers.write import write_imported

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.suite.importers.result import Imported

CHECK = "defaultTest: {assert: [{type: is-json}]}\n"


def imported(folder: Path, config: str, **files: str) -> Imported:
    named = {name.replace("__", "."): text for name, text in files.items()}
    return import_promptfoo(write_files(folder, {"promptfooconfig.yaml": CHECK + config, **named}), VOCABULARY)


def settings(done: Imported) -> list[str]:
    return [str(note) for note in done.notes if note.sort is NoteSort.SETTING]


def asked(done: Imported, folder: Path, index: int = 0) -> list[object]:
    suite = planned(done, folder / "out", index)
    return [messages[-1][1] for messages in prompts(suite).values()]


@pytest.mark.parametrize(
    "name",
    [
        "file://make.py",
        "file://make.py:build",
        "make.js",
        "file://src/make.ts:default",
        "file://make.rb",
        "exec:make.sh",
    ],
)
def test_a_prompt_that_is_code_is_left_out_by_name(name: str, tmp_path: Path) -> None:
    done = imported(tmp_path, f"prompts: ['{{{{q}}}}', '{name}']\ntests: [{{vars: {{q: a}}}}]\n", make__py="x = 1\n")
    (note,) = lost(done)
    assert "make." in note
    assert asked(done, tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["file://make.py", "file://make.py:tests", "make.mjs", "file://make.js:default"])
def test_tests_that_code_makes_are_left_out_by_name(name: str, tmp_path: Path) -> None:
    done = imported(tmp_path, f"prompts: ['{{{{q}}}}']\ntests: ['{name}', {{vars: {{q: a}}}}]\n", make__py="x = 1\n")
    (note,) = lost(done)
    assert "code is not run" in note
    assert asked(done, tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("file://load.py", "code is not run"),
        ("file://load.py:get_var", "code is not run"),
        ("file://load.js", "code is not run"),
        ("package:x:load", "code is not run"),
        ("file://paper.pdf", "PDF"),
        ("file://cat.png", "pictures"),
        ("file://cat.MP3", "sounds"),
        ("file://nowhere.txt", "cannot be read"),
        ("file://nowhere-*.txt", "no file matches"),
        ("file://bad.yaml", "not valid YAML"),
        ("file://latin.txt", "not UTF-8"),
    ],
)
def test_a_variable_that_cannot_be_had_costs_its_case_and_no_other(value: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    config = f"prompts: ['{{{{q}}}}']\ntests: [{{vars: {{q: '{value}'}}}}, {{vars: {{q: ['{value}', a]}}}}]\n"
    done = imported(tmp_path, config, bad__yaml="a: [", paper__pdf="%PDF", cat__png="PNG")
    assert asked(done, tmp_path) == ["a"]
    notes = lost(done)
    assert len(notes) in {1, 2}  # the two tests may stand on one line
    assert all(why in note and value in note and "'q'" in note for note in notes)


def test_a_file_out_of_reach_ends_the_import(tmp_path: Path) -> None:
    inner = tmp_path / "project"
    write_files(tmp_path, {"secret.txt": "s", "project/pyproject.toml": ""})
    for value in ("file://../secret.txt", "file://../*.txt"):
        with pytest.raises(SuiteError, match="secret.txt|outside|allow"):
            imported(inner, f"prompts: ['{{{{q}}}}']\ntests: [{{vars: {{q: '{value}'}}}}]\n")


def test_files_of_prompts_and_tests_that_are_not_there_are_named(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        "prompts: ['{{q}}', file://gone.txt, 'gone/*.md', 'file://gone/*.md']\ntests: [gone.csv, 'gone/*.yaml', {vars: {q: a}}]\n",
    )
    assert len(lost(done)) == 4
    assert all("gone" in note for note in lost(done))
    assert len(done.suites) == 2  # a pattern without file:// that finds nothing is a prompt, as it is for promptfoo


def test_variables_of_files_named_with_a_scheme_are_read_and_said_to_be(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        "prompts: ['{{a}}{{b}}']\ntests: [{vars: 'file://v/*.yaml'}, {vars: gone.yaml}, {vars: [bad.yaml]}, {vars: far.yaml}]\n",
        **{"v/1__yaml": "a: x\n", "v/2__yaml": "b: y\n", "bad__yaml": "a: [", "far__yaml": "a: file://gone.json\n"},
    )
    assert any("bad.yaml" in note for note in lost(done))
    assert any("far.yaml" in note for note in lost(done))
    assert asked(done, tmp_path)[0] == "xy"
    assert any("though promptfoo finds no file" in note for note in settings(done))
    assert any("gone.yaml" in note for note in lost(done))


def test_patterns_take_choices_and_leave_hidden_files_and_folders_out(tmp_path: Path) -> None:
    files = {"t/a__txt": "A", "t/b__txt": "B", "t/c__txt": "C", "t/.d__txt": "D", "t/e__txt/f": "F"}
    done = imported(
        tmp_path,
        "prompts: ['{{q}}']\ntests: [{vars: {q: 'file://t/{a,c}.txt'}}, {vars: {q: 'file://t/*.txt'}}]\n",
        **files,
    )
    assert asked(done, tmp_path) == ["A", "C", "A", "B", "C"]


def test_choices_in_patterns_that_multiply_are_refused(tmp_path: Path) -> None:
    name = "file://" + "{a,b,c,d}" * 12
    with pytest.raises(SuiteError, match="stands for 16777216 others"):
        imported(tmp_path, f"prompts: ['{name}']\ntests: [{{vars: {{q: a}}}}]\n")


def test_a_date_without_quotes_is_named(tmp_path: Path) -> None:
    done = imported(
        tmp_path, "prompts: ['{{d}} {{e}}']\ntests:\n  - vars:\n      d: 2024-01-31\n      e: '2024-01-31'\n"
    )
    assert asked(done, tmp_path) == ["2024-01-31 2024-01-31"]
    (note,) = settings(done)
    assert "'d' is a date" in note


def test_settings_of_a_prompt_are_those_of_its_suite(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        """\
providers: [{id: openai:x, config: {temperature: 0.7, max_tokens: 9}}]
prompts:
  - {raw: 'A {{q}}', label: hot, config: {temperature: 1.5}}
  - {raw: 'B {{q}}', label: cold}
tests: [{vars: {q: a}}]
""",
    )
    assert [suite.sampling["temperature"] for suite in done.suites] == [1.5, 0.7]
    assert [suite.sampling["max_tokens"] for suite in done.suites] == [9, 9]


def test_tests_for_prompts_that_are_left_out_are_named(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        "prompts: [{raw: '{{q}}', label: one}, {id: 'file://two.py', label: two}]\n"
        "tests: [{vars: {q: a}}, {vars: {q: b}, prompts: [two]}]\n",
    )
    assert asked(done, tmp_path) == ["a"]
    assert any("two" in note and "not here" in note for note in lost(done))


def test_pictures_in_chats(tmp_path: Path) -> None:
    chat = """[{"role": "user", "content": [{"type": "text", "text": "What is {{q}}?"},
      {"type": "image_url", "image_url": {"url": "{{u}}", "detail": "low"}}]}]"""
    done = imported(
        tmp_path,
        "prompts: [file://p.json]\ntests: [{vars: {q: it, u: 'https://a.example/b.png'}}, {vars: {q: c, u: b.png}}]\n",
        p__json=chat,
    )
    (suite,) = done.suites
    parts = [{"text": "What is {{q}}?"}, {"image": "{{u}}", "detail": "low"}]
    assert suite.prompt == ({"role": "user", "content": parts},)
    assert [row["q"] for row in suite.rows] == ["it"]
    assert any("no address of a picture" in note for note in lost(done))


def test_tool_calls_in_chats_go_into_a_column(tmp_path: Path) -> None:
    chat = """[{"role": "user", "content": "{{q}}"},
      {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "1", "content": "{{r}}"}]"""
    done = imported(tmp_path, "prompts: [file://p.json]\ntests: [{vars: {q: a, r: b}}]\n", p__json=chat)
    assert done.suites[0].prompt == ({"messages": "prompt"},)
    assert [messages[-1] for messages in prompts(planned(done, tmp_path / "out")).values()] == [("tool", "b")]


def test_a_chat_that_cannot_be_sent_costs_its_case(tmp_path: Path) -> None:
    chat = '[{"role": "{{role}}", "content": {{ q | dump }}}]'
    done = imported(
        tmp_path,
        "prompts: [file://p.json]\ntests: [{vars: {role: user, q: a}}, {vars: {role: king, q: b}},"
        " {vars: {role: assistant, q: c}}, {vars: {role: user, q: d}}]\n",
        p__json=chat,
    )
    assert asked(done, tmp_path) == ["a", "d"]
    assert {"king", "last word"} <= {word for note in lost(done) for word in ("king", "last word") if word in note}


def test_environment_variables_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    done = imported(tmp_path, "prompts: ['a{{env.SECRET}}b {{q}}']\ntests: [{vars: {q: '{{env.SECRET}}'}}]\n")
    assert asked(done, tmp_path) == ["ab "]
    assert any("environment" in note for note in settings(done))


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("", ("default", "test", None)),
        ("?split=train&limit=5", ("default", "train", "5")),
        ("?config=main&subset=x&split=validation", ("main", "validation", None)),
    ],
)
def test_datasets_on_the_hub(query: str, parts: tuple[str, str, str | None]) -> None:
    found = parse_hub(f"huggingface://datasets/some/set{query}", "x")
    assert found is not None
    assert (found.config, found.split, found.limit) == parts
    assert found.uri == f"hf://datasets/some/set/{parts[0]}/{parts[1]}/0000.parquet@COMMIT"


@pytest.mark.parametrize("name", ["a", "a/b/../c?split=..", "a/b?split=x/y", "a/b?config=/etc", "../b", "a/{b}"])
def test_what_is_no_dataset_on_the_hub(name: str) -> None:
    assert parse_hub(f"huggingface://datasets/{name}", "x") is None


def test_tests_on_the_hub_become_a_suite_that_names_them(tmp_path: Path) -> None:
    config = """\
description: Sums
prompts: ['Solve {{question}}', '{{extra}} {{question}}']
tests:
  - huggingface://datasets/some/set?split=train&config=main&limit=3
  - {vars: {question: 1+1, answer: '2'}}
"""
    text = config + "defaultTest: {vars: {extra: now}, assert: [{type: contains, value: '{{answer}}'}]}\n"
    done = import_promptfoo(write_files(tmp_path, {"promptfooconfig.yaml": text}), VOCABULARY)
    assert [len(suite.rows) for suite in done.suites] == [1, 1, 0]
    suite = done.suites[2]
    assert suite.dataset == "hf://datasets/some/set/main/train/0000.parquet@COMMIT"
    assert suite.prompt == ({"role": "user", "content": "Solve {{question}}"},)
    assert suite.asserts == ({"type": "contains", "value": "{{answer}}"},)
    assert any("extra" in note and "rows elsewhere" in note for note in lost(done))
    assert any("not the first 3" in note for note in settings(done))
    path = write_imported(done, tmp_path / "out", source="x")[2]
    written = path.read_text(encoding="utf-8")
    assert "git ls-remote https://huggingface.co/datasets/some/set refs/convert/parquet" in " ".join(
        written.replace("#", " ").split()
    )
    assert sorted(file.name for file in (tmp_path / "out" / "datasets").iterdir() if "set" in file.name) == []
    from llmgate.suite.spec import load_suite

    with pytest.raises(LlmgateError, match="no full commit"):
        load_suite(path, VOCABULARY)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("yes", "yes"), ("no", "no"), ("on", "on"), ("True", True), ("NULL", None), ("~", None), ("", None)),
        *(("010", 10), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"), ("12:30:00", "12:30:00"), ("1e3", 1000.0)),
        *((".5", 0.5), ("+3", 3), ("1.", 1.0), ("0b11", "0b11"), ("2024-01-31", "2024-01-31"), ("'1'", "1")),
        *(("12345678901234567890", 12345678901234567000.0), ("=", "="), ("!!str 12", "12")),
    ],
)
def test_yaml_is_read_as_in_javascript(text: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"a: {text}\n", encoding="utf-8")
    read = read_source(path, web=True).data["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("{ ...vars, q: vars.q.trim().toUpperCase() }", "A B|c"),
        ("return {...vars, 'r': vars.q + '!' + vars.n};", " a b |c a b !2"),
        ("({ ...vars, q: vars.items[0].join('-'), r: \"x, }\" })", "1-2|cx, }"),
        ("{ ...vars, sessionId: context.uuid }", " a b |c"),
        ("{ r: vars.nothing }", " a b |c"),
    ],
)
def test_simple_changes_of_variables_are_made(code: str, said: str, tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        "prompts: ['{{q}}|c{{r}}']\ntests:\n  - vars: {q: ' a b ', n: 2, items: [[1, 2]]}\n"
        f"    options:\n      transformVars: {json.dumps(code)}\n",
    )
    assert done.complete
    assert asked(done, tmp_path) == [said]


@pytest.mark.parametrize(
    "code",
    [
        *("file://change.js", "vars", "{ ...vars, q: process.env.HOME }", "{ ...vars, q: vars.q ? 1 : 2 }"),
        *("{ ...vars, q: `${vars.q}` }", "{ ...vars, [vars.q]: 1 }", "{ ...vars, q: vars.q.at(0) }", "{ ...vars, q: '"),
        *("{ ...vars, q: vars.f.trim() }", "const x = 1; return { ...vars };", "{ ...vars, q: vars.q.constructor() }"),
    ],
)
def test_a_test_whose_variables_go_through_other_code_is_left_out(code: str, tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        "prompts: ['{{q}}']\ntests:\n  - vars: {q: a}\n  - vars: {q: b, f: 'file://f.txt'}\n"
        f"    options: {{transformVars: {json.dumps(code)}}}\n",
        f__txt="x",
    )
    assert asked(done, tmp_path) == ["a"]
    assert any("transformVars" in note for note in lost(done))


def test_asserts_of_scenarios_stay_where_those_of_all_tests_go(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        """\
prompts: ['{{q}}']
scenarios:
  - config: [{vars: {q: a}, assert: [{type: contains, value: x}]}]
    tests: [{assert: [{type: contains, value: y}], options: {disableDefaultAsserts: true}}]
""",
    )
    assert [written["value"] for written in done.suites[0].asserts] == ["x", "y"]
