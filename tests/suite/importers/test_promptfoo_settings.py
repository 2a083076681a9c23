"""promptfoo's providers: what of their settings reaches the request, what is named, and what is nobody's business."""

from __future__ import annotations

import json
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

WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
NAMED = {"type": "json_schema", "json_schema": {"name": "response", "schema": SCHEMA}}
CHECK = {"type": "contains", "value": "x"}


def imported(folder: Path, config: dict[str, Any], name: str = "openai:gpt-4o", **more: Any) -> Imported:
    whole = {
        "prompts": ["{{q}}"],
        "providers": [{"id": name, "config": config}],
        "tests": [{"vars": {"q": "a"}, "assert": [CHECK]}],
        **more,
    }
    return import_promptfoo(write_files(folder, {"promptfooconfig.yaml": yaml.safe_dump(whole)}), VOCABULARY)


def settings(done: Imported) -> list[str]:
    return [note.what for note in done.notes if note.sort is NoteSort.SETTING]


@pytest.mark.parametrize(
    ("config", "sampling"),
    [
        ({"max_output_tokens": 7}, {"max_tokens": 7}),
        ({"maxTokens": 7, "topP": 0.5}, {"max_tokens": 7, "top_p": 0.5}),
        (
            {"generationConfig": {"maxOutputTokens": 7, "temperature": 0.5, "stopSequences": ["x"]}},
            {"max_tokens": 7, "temperature": 0.5, "stop": ["x"]},
        ),
        (
            {"generationConfig": {"response_mime_type": "application/json"}},
            {"max_tokens": 1024, "response_format": {"type": "json_object"}},
        ),
        ({"responseSchema": SCHEMA}, {"max_tokens": 1024, "response_format": NAMED}),
        (
            {"generationConfig": {"responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}},
            {"max_tokens": 1024, "response_format": NAMED},
        ),
        (
            {"responseFormat": "json_schema", "responseSchema": {"name": "n", "schema": SCHEMA}},
            {
                "max_tokens": 1024,
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
            },
        ),
        (
            {"response_format": {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA}},
            {
                "max_tokens": 1024,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                },
            },
        ),
        ({"responseFormat": "text", "response_format": {"type": "text"}}, {"max_tokens": 1024}),
        ({"responseFormat": {"path": "json.text"}}, {"max_tokens": 1024}),
        ({"format": "json"}, {"max_tokens": 1024, "response_format": {"type": "json_object"}}),
        ({"reasoning_effort": "low"}, {"max_tokens": 1024, "extra": {"reasoning_effort": "low"}}),
        ({"reasoning": {"effort": "low"}}, {"max_tokens": 1024, "extra": {"reasoning_effort": "low"}}),
        (
            {"passthrough": {"top_k": 3, "verbosity": "low"}},
            {"max_tokens": 1024, "top_k": 3, "extra": {"verbosity": "low"}},
        ),
        ({"inferenceConfig": {"maxTokens": 9}}, {"max_tokens": 9}),
        ({"apiKey": "sk", "headers": {"a": "b"}, "region": "x", "cost": 1e-6, "maxRetries": 2}, {"max_tokens": 1024}),
    ],
)
def test_settings_reach_the_request_and_none_is_a_lost_check(
    tmp_path: Path, config: dict[str, Any], sampling: dict[str, Any]
) -> None:
    done = imported(tmp_path, config)
    assert done.suites[0].sampling == sampling
    assert settings(done) == []
    assert lost(done) == []
    assert "sk" not in str(done.notes)
    body = planned(done, tmp_path / "out").cases[0].body
    assert body["max_tokens"] == sampling["max_tokens"]


def test_a_setting_without_a_counterpart_is_named_and_no_lost_check(tmp_path: Path) -> None:
    done = imported(tmp_path, {"aspectRatio": "16:9", "temperature": "hot", "max_tokens": 0})
    assert done.complete
    assert settings(done) == [
        "openai:gpt-4o was asked with what has no counterpart: aspectRatio, max_tokens, temperature"
    ]


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "function": WEATHER}],
        [{"type": "function", **WEATHER}],
        [{"name": "weather", "input_schema": WEATHER["parameters"]}],
        [{"functionDeclarations": [WEATHER]}],
        [{"toolSpec": {"name": "weather", "inputSchema": {"json": WEATHER["parameters"]}}}],
        "file://tools.json",
        ["file://tools.json"],
    ],
)
def test_tools_of_every_form_are_offered_and_calls_are_checked_against_them(tmp_path: Path, tools: object) -> None:
    write_files(tmp_path, {"tools.json": json.dumps([{"type": "function", "function": WEATHER}])})
    check = {"type": "is-valid-openai-tools-call"}
    done = imported(tmp_path, {"tools": tools, "tool_choice": "any"}, tests=[{"vars": {"q": "a"}, "assert": [check]}])
    assert done.complete
    assert done.suites[0].asserts == (check,)
    body = planned(done, tmp_path / "out").cases[0].body
    assert body["tools"] == [{"type": "function", "function": WEATHER}]
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize("config", [{}, {"tools": "file://tools.js"}, {"tools": [{"type": "web_search_preview"}]}])
@pytest.mark.parametrize("kind", ["is-valid-openai-tools-call", "not-is-valid-function-call"])
def test_calls_are_not_checked_against_tools_that_are_lost(tmp_path: Path, config: dict[str, Any], kind: str) -> None:
    done = imported(
        tmp_path, {**config, "tool_choice": "auto"}, tests=[{"vars": {"q": "a"}, "assert": [{"type": kind}, CHECK]}]
    )
    assert done.suites[0].asserts == (CHECK,)
    assert len(lost(done)) == 1
    assert kind in lost(done)[0]
    assert "extra" not in done.suites[0].sampling  # a choice among no tools is refused by servers


def test_functions_that_became_tools_are_checked_as_tools(tmp_path: Path) -> None:
    tests = [{"vars": {"q": "a"}, "assert": [{"type": "not-is-valid-function-call", "metric": "m"}]}]
    done = imported(tmp_path, {"tools": [{"functionDeclarations": [WEATHER]}]}, "google:gemini-2.5-pro", tests=tests)
    assert done.suites[0].asserts == ({"type": "not-is-valid-openai-tools-call", "metric": "m"},)


def test_instructions_are_the_system_message(tmp_path: Path) -> None:
    done = imported(tmp_path, {"instructions": "Be {{brief}}."})
    messages = planned(done, tmp_path / "out").cases[0].messages
    assert [(m["role"], m["content"]) for m in messages] == [("system", "Be {{brief}}."), ("user", "a")]
    done = imported(tmp_path, {"systemInstruction": {"parts": [{"text": "Be {{q}}."}]}}, "google:gemini-2.5-pro")
    messages = planned(done, tmp_path / "more").cases[0].messages
    assert [(m["role"], m["content"]) for m in messages] == [("system", "Be a."), ("user", "a")]


def test_two_system_messages_become_one(tmp_path: Path) -> None:
    prompt = '[{"role": "system", "content": "B"}, {"role": "user", "content": "{{q}}"}]'
    done = imported(tmp_path, {"instructions": "A"}, prompts=[prompt])
    messages = planned(done, tmp_path / "out").cases[0].messages
    assert [(m["role"], m["content"]) for m in messages] == [("system", "A\n\nB"), ("user", "a")]
    assert "the provider's system message and the prompt's own are one" in settings(done)


def test_programs_are_named_and_their_settings_are_no_sampling(tmp_path: Path) -> None:
    done = imported(tmp_path, {"topK": 5, "reasoning_effort": "high"}, "file://rag.py")
    assert done.suites[0].sampling == {"max_tokens": 1024}
    assert settings(done) == ["file://rag.py is a program: ask an endpoint that answers as it does"]


def test_providers_in_files_are_read(tmp_path: Path) -> None:
    write_files(tmp_path, {"p.yaml": "id: openai:gpt-4o\nconfig: {max_tokens: 5}\n"})
    done = imported(tmp_path, {}, providers=["file://p.yaml"])
    assert done.suites[0].sampling == {"max_tokens": 5}


def test_providers_that_are_asked_differently_are_named_once(tmp_path: Path) -> None:
    providers = [{"id": "openai:a", "config": {"temperature": t}} for t in (0.1, 0.5, 0.9)]
    done = imported(tmp_path, {}, providers=providers)
    assert done.suites[0].sampling["temperature"] == 0.1
    assert settings(done) == ["providers are asked in different ways; the suite asks as openai:a is"]
    assert done.complete


@pytest.mark.parametrize(
    ("transform", "names"), [("output.trim()", ["trim"]), ("output.trim().toLowerCase()", ["trim", "lower"])]
)
@pytest.mark.parametrize("place", ["provider", "test"])
def test_simple_transforms_of_provider_and_test_come_before_an_asserts_own(
    tmp_path: Path, transform: str, names: list[str], place: str
) -> None:
    check = {**CHECK, "transform": "output.toUpperCase()"}
    provider: dict[str, Any] = {"id": "openai:a"}
    test: dict[str, Any] = {"vars": {"q": "a"}, "assert": [check, {"type": "assert-set", "assert": [CHECK]}]}
    if place == "provider":
        provider["transform"] = transform
    else:
        test["options"] = {"transform": transform}
    done = imported(tmp_path, {}, providers=[provider], tests=[test])
    first, group = done.suites[0].asserts
    assert first["transform"] == [*names, "upper"]
    assert group["assert"] == [{**CHECK, "transform": names}]
    assert "transform" not in group
    assert done.complete


@pytest.mark.parametrize("place", ["provider", "test", "callbacks"])
def test_behind_code_that_is_not_run_nothing_is_checked_but_what_needs_no_text(tmp_path: Path, place: str) -> None:
    provider: dict[str, Any] = {"id": "openai:a", "config": {}}
    test: dict[str, Any] = {"vars": {"q": "a"}, "assert": [CHECK, {"type": "latency", "threshold": 100}]}
    if place == "provider":
        provider["transform"] = "file://t.js"
    elif place == "test":
        test["options"] = {"postprocess": "fix(output)"}
    else:
        provider["config"] = {"functionToolCallbacks": {"weather": "file://c.js"}}
    done = imported(tmp_path, {}, providers=[provider], tests=[test])
    assert [written["type"] for written in done.suites[0].asserts] == ["latency"]
    assert len(lost(done)) == 1
    assert "code is not run" in lost(done)[0]


def test_costs_of_tokens_become_prices(tmp_path: Path) -> None:
    tests = [{"vars": {"q": "a"}, "assert": [{"type": "cost", "threshold": 0.01}]}]
    done = imported(tmp_path, {"inputCost": 0.00000015, "outputCost": 0.0000006}, tests=tests)
    suite = planned(done, tmp_path / "out").suite
    assert suite.prices is not None
    assert (suite.prices.prompt, suite.prices.completion) == (0.15, 0.6)


def test_a_cost_without_prices_is_said_with_what_to_fill_in(tmp_path: Path) -> None:
    tests = [{"vars": {"q": "a"}, "assert": [{"type": "cost", "threshold": 0.01}]}]
    done = imported(tmp_path, {}, tests=tests)
    assert done.complete
    assert any("add `prices:`" in note.what for note in done.notes)
    path = tmp_path / "out"
    with pytest.raises(Exception, match="what tokens cost"):
        planned(done, path)
    (file,) = path.glob("*.yaml")
    text = file.read_text(encoding="utf-8")
    assert "# prices: {prompt: 0.15, completion: 0.6}" in text
