"""The options on how endpoints are asked: what they may be, and which contradict each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmgate.errors import EndpointError, LlmgateError, UsageError
from llmgate.session.reach.replicas import judge_others
from llmgate.session.reach.target import judge_endpoint
from llmgate.session.settings.combined import settings_from
from llmgate.session.settings.readers import MOST, read_concurrency

A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"


def given(**options: Any) -> Any:
    return settings_from(options, root=Path("/nonexistent"))


@pytest.mark.parametrize("text", ["", "many", "auto:", "auto:x", "auto16", "1.5", "AUTO", "nan"])
def test_a_number_in_flight_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--concurrency"):
        given(concurrency=text)


@pytest.mark.parametrize("text", ["0", "-1", "auto:0"])
def test_no_request_in_flight_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Give at least 1"):
        given(concurrency=text)


@pytest.mark.parametrize(
    ("text", "number", "adapts"), [("8", 8, False), ("auto", MOST, True), ("auto:64", 64, True), ("auto:8", 8, True)]
)
def test_a_number_in_flight(text: str, number: int, adapts: bool) -> None:
    assert read_concurrency(text) == (number, adapts)
    settings = given(concurrency=text)
    assert (settings.concurrency, settings.adaptive) == (number, adapts)
    assert settings.fixed_concurrency == min(number, 32 if adapts else number)


def test_nothing_adapts_unless_asked_to_and_the_default_is_what_it_was() -> None:
    settings = given()
    assert (settings.concurrency, settings.adaptive, settings.judge_in_flight) == (32, False, 32)
    assert (settings.replicas, settings.deadline, settings.cache) == ((), 0.0, None)


def test_a_number_of_a_file_is_read_as_well(tmp_path: Path) -> None:
    for written, number in (("8", 8), ('"8"', 8), ('"auto:8"', 8)):
        (tmp_path / "pyproject.toml").write_text(f"[tool.llmgate]\nconcurrency = {written}\n", encoding="utf-8")
        assert settings_from({}, root=tmp_path).concurrency == number
    (tmp_path / "pyproject.toml").write_text("[tool.llmgate]\nconcurrency = true\n", encoding="utf-8")
    with pytest.raises(UsageError, match="--concurrency"):
        settings_from({}, root=tmp_path)


def test_judges_have_their_own_number() -> None:
    assert given(judge_concurrency="4").judge_in_flight == 4
    assert given(concurrency="8").judge_in_flight == 8
    assert given(concurrency="auto").judge_in_flight == 32
    with pytest.raises(UsageError, match="--judge-concurrency"):
        given(judge_concurrency="-1")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"replicas": B}, "none is named"),
        ({"endpoint": A, "replicas": A}, "named twice"),
        ({"endpoint": A, "replicas": f"{B} {B}/v1/"}, "named twice"),
        ({"endpoint": A, "replicas": f"{B} ftp://x"}, "not an http"),
        ({"endpoint": A, "replicas": "http://user:pass-of-mine@x"}, "a user, a password"),
        ({"endpoint": A, "judge_replicas": B}, "none is named"),
        ({"endpoint": A, "judge_model": ".", "judge_replicas": B}, "Name the first one with --judge-endpoint"),
        ({"endpoint": A, "judge_endpoint": A, "judge_replicas": f"{B} {A}"}, "named twice"),
        ({"endpoint": A, "judge_endpoint": A, "judge_replicas": "ftp://x"}, "not an http"),
        ({"endpoint": A, "replicas": B, "rpm": "1"}, "divided among 2"),
        ({"endpoint": A, "replicas": B, "tpm": "1"}, "divided among 2"),
        ({"endpoint": A, "cache": "kept"}, "--deployment"),
        ({"endpoint": A, "cache": "kept", "deployment": "v7", "as_baseline": True}, "out of a cache"),
        ({"deadline": "-1"}, "--deadline"),
        ({"deadline": "inf"}, "--deadline"),
        ({"deadline": "nan"}, "--deadline"),
        ({"deadline": "soon"}, "--deadline"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(LlmgateError, match=says) as refused:
        given(**options)
    assert isinstance(refused.value, UsageError | EndpointError)
    assert "pass-of-mine" not in str(refused.value)


def test_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-of-this-test")
    settings = given(endpoint=A, replicas=f"{B} https://c/v1")
    assert settings.replicas == (B, "https://c/v1")
    assert settings.replica_key("https://c/v1") == "sk-of-this-test"
    with pytest.raises(UsageError, match="over plain http"):
        given(endpoint=A, replicas="http://elsewhere.invalid")


def test_the_key_of_a_judge_goes_to_its_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_JUDGE_API_KEY", "sk-of-this-judge")
    settings = given(endpoint=A, judge_endpoint="https://b/v1", judge_replicas="https://c")
    first = judge_endpoint(settings, "https://b/v1", "m")
    (other,) = judge_others(settings, first)
    assert (other.url, other.model, other.api_key) == ("https://c/v1", "m", "sk-of-this-judge")
    assert judge_others(settings, judge_endpoint(settings, "https://d/v1", "m")) == ()
    with pytest.raises(UsageError, match="over plain http"):
        given(endpoint=A, judge_endpoint="https://b/v1", judge_replicas="http://elsewhere.invalid")


def test_the_key_of_openai_goes_to_no_replica_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMGATE_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai-alone")
    settings = given(endpoint="https://api.openai.com/v1", replicas="https://c/v1")
    assert settings.api_key == "sk-of-openai-alone"
    assert settings.replica_key("https://c/v1") is None
