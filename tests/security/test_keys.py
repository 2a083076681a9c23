"""Where a key travels: to the endpoint that it was given for, encrypted or on this machine, and nowhere else."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.adversary import Ending, llmgate
from support.project import write_suite
from support.wire import listener

from llmgate.errors import EndpointError, UsageError
from llmgate.session.reach.known_secrets import key_names, redactor
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from llmgate.session.settings.typed import Settings

KEY = "sk-Zq8Lw3Vt7Rb2Ny5Kd9Hx4Mc6Pf1Gj0Ts"
OPENAI = "https://api.openai.com/v1"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LLMGATE_API_KEY", "LLMGATE_JUDGE_API_KEY", "LLMGATE_EMBED_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    write_suite(tmp_path, cases=1, gate="min: 0.1")
    return tmp_path


def settings(**given: object) -> Settings:
    return settings_from(given, root=Path.cwd())


def run(url: str, *options: str) -> Ending:
    return llmgate("run", "words.yaml", "--endpoint", url, "--retries", "0", *options)


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has loopback only")
        return str(probe.getsockname()[0])


# The key of OpenAI.


@pytest.mark.parametrize(
    "url", [OPENAI, "https://api.openai.com", "https://API.OpenAI.com/v1/", "https://api.openai.com:443/v1"]
)
def test_the_key_of_openai_goes_to_openai(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert settings(endpoint=url).api_key == KEY


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "https://api.openai.com.evil.example/v1",
        "https://api.openai.com./v1",
        "https://api.openai.com:8443/v1",
        "https://evil.example/api.openai.com/v1",
        "https://evil-api.openai.com/v1",
        "https://api-openai.com/v1",
        "https://openai.com/v1",
        "https://[::ffff:7f00:1]/v1",
        "https://gateway.example/v1",
        "http://vllm:8000/v1",
    ],
)
def test_the_key_of_openai_goes_nowhere_else(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(UsageError, match=r"OPENAI_API_KEY.*api\.openai\.com only.*Set LLMGATE_API_KEY") as error:
        settings(endpoint=url)
    assert KEY not in str(error.value)
    assert settings(endpoint=OPENAI).api_key == KEY


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com@evil.example/v1",
        "https://api.openai.com:443@evil.example/v1",
        "https://me:api.openai.com@evil.example/v1",
        "https://api.openai.com\\@evil.example/v1",
        "https://evil.example?https://api.openai.com/v1",
        "https://evil.example#api.openai.com/v1",
        "https://api.openaı.com/v1",
        "https://аpi.openai.com/v1",
        "https://api。openai.com/v1",
        "https://api.openai.com\t.evil.example/v1",
        "https://api.openai.com\n.evil.example/v1",
        "https://api.openai.com .evil.example/v1",
        "https:api.openai.com/v1",
        "ftp://api.openai.com/v1",
        "https://api.openai.com:bad/v1",
        "https://api.openai.com\\.evil.example/v1",
        "https://api.openai.com%2eevil.example/v1",
        "https://api.openai.com%00.evil.example/v1",
        "https://api.openai.com;evil.example/v1",
        "https://api.openai.com,evil.example/v1",
        "https://api.openai.com&.evil.example/v1",
        "https://[api.openai.com].evil.example/v1",
        "http://[::1].evil.example/v1",
        "http://[::1]evil.example/v1",
        "http://evil.example[::1]/v1",
        "http://[::1%25evil.example]/v1",
        "http://127.0.0.1%2eevil.example/v1",
        "http://127.0.0.1;.evil.example/v1",
    ],
)
@pytest.mark.parametrize("option", ["endpoint", "judge_endpoint", "embed_endpoint"])
def test_urls_that_only_look_like_it_are_refused(url: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(EndpointError):
        settings(**{option: url})


def test_elsewhere_the_endpoints_own_key_is_what_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("LLMGATE_API_KEY", "the-gateways-own")
    assert settings(endpoint="https://gateway.example").api_key == "the-gateways-own"
    # Whoever names it for this endpoint has said where it may go.
    assert settings(endpoint="https://gateway.example", api_key_env="OPENAI_API_KEY").api_key == KEY
    monkeypatch.setenv("LLMGATE_API_KEY", "")
    assert settings(endpoint="https://gateway.example").api_key is None


def test_judges_and_embeddings_never_get_the_key_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    named = settings(judge_endpoint=OPENAI, embed_endpoint=OPENAI, judges=f"strict=m@{OPENAI}")
    assert (named.judge_api_key(OPENAI), named.embed_api_key(OPENAI)) == (None, None)


def test_a_server_on_this_machine_is_asked_without_the_key_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with listener() as heard:
        assert run(heard.url).verdict == "INCONCLUSIVE"  # one case decides nothing, and it was asked
    assert len(heard.keys) > 2
    assert not any(heard.keys)


def test_a_server_on_this_machine_that_wants_a_key_is_told_from_which_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with listener(denies=True) as heard:
        ending = run(heard.url)
    assert ending.exit_code == 4
    assert "LLMGATE_API_KEY" in ending.output
    assert not any(heard.keys)


@pytest.mark.parametrize("name", ["LLMGATE_API_KEY", "OPENAI_API_KEY"])
def test_no_key_leaves_this_machine_in_the_open(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, KEY)
    with listener(host=own_address()) as heard:
        ending = run(heard.url)
    assert ending.exit_code == 2
    assert name in ending.output
    assert not heard.lines


# Any key, over plain http.

KEYS = {
    "endpoint": "LLMGATE_API_KEY",
    "judge_endpoint": "LLMGATE_JUDGE_API_KEY",
    "judges": "LLMGATE_JUDGE_API_KEY",
    "embed_endpoint": "LLMGATE_EMBED_API_KEY",
}
OTHERS = [
    "http://vllm:8000",
    "http://gateway.example/v1",
    "http://10.0.0.7:8000",
    "http://192.168.1.2",
    "http://169.254.1.1",
    "http://0.0.0.0:8000",
    "http://[::]:8000",
    "http://[fd00::1]:8000",
    "http://[::ffff:7f00:1]:8000",
    "http://128.0.0.1",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "http://localhost.",
    "http://mylocalhost",
    "http://2130706433",
    "http://0x7f.1",
    "http://127.1",
    "http://0177.0.0.1",
    "HTTP://gateway.example",
]


@pytest.mark.parametrize("url", OTHERS)
@pytest.mark.parametrize("option", KEYS)
def test_a_key_over_plain_http_to_another_host_is_refused(
    option: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS[option], KEY)
    given = {option: f"'strict=m@{url}'" if option == "judges" else url}
    with pytest.raises(UsageError, match=f"{KEYS[option]} .*plain http.*--allow-key-over-http") as error:
        settings(**given)
    assert KEY not in str(error.value)
    settings(**given, allow_key_over_http=True)
    monkeypatch.delenv(KEYS[option])
    settings(**given)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://127.8.9.10",
        "http://[::1]:8000/v1",
        "http://localhost:8000",
        "http://LocalHost",
        "https://gateway.example",
        "HTTPS://gateway.example",
    ],
)
@pytest.mark.parametrize("option", KEYS)
def test_a_key_on_this_machine_or_encrypted_is_sent(option: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS[option], KEY)
    named = settings(**{option: f"strict=m@{url}" if option == "judges" else url})
    sent = {"endpoint": lambda: named.api_key, "embed_endpoint": lambda: named.embed_api_key(url)}
    assert sent.get(option, lambda: named.judge_api_key(url))() == KEY


def test_localhost_that_means_another_machine_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: elsewhere)
    monkeypatch.setenv("LLMGATE_API_KEY", KEY)
    with pytest.raises(UsageError, match="plain http"):
        settings(endpoint="http://localhost:8000")


def test_the_flag_stands_in_pyproject_as_well(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_API_KEY", KEY)
    (project / "pyproject.toml").write_text("[tool.llmgate]\nallow-key-over-http = true\n", encoding="utf-8")
    with listener(host=own_address()) as heard:
        assert run(heard.url).verdict == "INCONCLUSIVE"
    assert {*heard.keys} == {f"Bearer {KEY}"}


# Several judges.

A, B = "https://a.example", "https://b.example"


@pytest.mark.parametrize(
    "given",
    [
        {"judges": f"strict={A} kind={B}"},
        {"judges": f"strict={A} kind=m@{B}"},
        {"judges": f"strict={B}", "judge_endpoint": A},
        {"judges": f"strict={A}:8443", "judge_endpoint": A},
        {"judges": f"strict={A}.evil.example", "judge_endpoint": A},
    ],
)
def test_one_key_does_not_go_to_judges_of_several_hosts(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    settings(**given)
    monkeypatch.setenv("LLMGATE_JUDGE_API_KEY", KEY)
    with pytest.raises(UsageError, match=r"LLMGATE_JUDGE_API_KEY.*2 hosts.*LLMGATE_JUDGE_API_KEY_STRICT") as error:
        settings(**given)
    assert KEY not in str(error.value)
    monkeypatch.setenv("LLMGATE_JUDGE_API_KEY_STRICT", "the-one-of-strict")
    named = settings(**given)
    assert named.judge_api_key(A, "strict") == "the-one-of-strict"
    assert named.judge_api_key(B, "kind") == KEY


@pytest.mark.parametrize(
    "given",
    [
        {"judges": f"strict={A} kind={A}/v1/ third={A.upper()}"},
        {"judges": f"strict={A} kind=http://127.0.0.1:8001 third=http://localhost:8002"},
        {"judges": f"strict={A}", "judge_endpoint": f"{A}/v1"},
    ],
)
def test_judges_behind_one_host_share_their_key(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_JUDGE_API_KEY", KEY)
    given = {name: value.replace("HTTPS", "https") for name, value in given.items()}
    assert settings(**given).judge_api_key(A, "strict") == KEY


def test_a_judge_may_have_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_JUDGE_API_KEY", KEY)
    monkeypatch.setenv("LLMGATE_JUDGE_API_KEY_IN_HOUSE_2", "")
    named = settings(judges=f"strict={A} in-house.2=http://vllm:8000")
    assert named.judge_api_key("http://vllm:8000", "in-house.2") is None


def test_the_key_of_a_judge_is_known_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_STRICT", KEY)
    named = settings(judges=f"strict={A}", judge_api_key_env="GATEWAY")
    assert redactor(named).text(f"x {KEY} y") == "x [redacted] y"
    assert "GATEWAY_STRICT" in key_names(named)


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_key_to_another_host(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMGATE_API_KEY", KEY)
    with listener() as other, listener(redirect=(status, other.url)) as heard:
        assert not run(heard.url).green
    assert f"Bearer {KEY}" in heard.keys
    assert not other.lines


# Keys where others can read them.

HOLDS = "on the command line"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"server_args": f"--hf-overrides {KEY}"}, "SOME_TOKEN"),
        ({"server_args": f"--x={KEY}"}, "SOME_TOKEN"),
        ({"api_key_env": KEY}, "SOME_TOKEN"),
        ({"deployment": KEY}, "SOME_TOKEN"),
        ({"mlflow_uri": f"https://me:{KEY}@mlflow"}, "MLFLOW_TRACKING_PASSWORD"),
        ({"mlflow_uri": "postgresql://me:a-password@db/mlflow"}, "MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_a_secret_on_the_command_line_is_refused(
    given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", KEY)
    with pytest.raises(UsageError, match=rf"{HOLDS}.*{named}") as error:
        settings(**given)
    assert KEY not in str(error.value)
    assert "a-password" not in str(error.value)


def test_a_key_in_place_of_a_variables_name_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in ("api_key_env", "judge_api_key_env", "embed_api_key_env"):
        for key in (KEY, "hf_abcdEFGH12345678", "two words"):
            with pytest.raises(UsageError, match="names an environment variable") as error:
                settings(**{option: key})
            assert key not in str(error.value)
        monkeypatch.setenv("mein_Schluessel_2_hier", KEY)
        settings(**{option: "mein_Schluessel_2_hier"})


def test_promoting_takes_no_password_on_the_command_line() -> None:
    ending = llmgate("promote", "models:/bot/1", "--mlflow-uri", "https://me:a-password@mlflow")
    assert ending.exit_code == 2
    assert "MLFLOW_TRACKING_PASSWORD" in ending.output
    assert "a-password" not in ending.output
