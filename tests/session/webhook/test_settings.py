"""What an operator may say."""

from __future__ import annotations

import sys

import pytest

from llmgate.errors import UsageError
from llmgate.session.webhook.settings import checked_url, child_environment, found_command, secrets_of, workspace_of

GOOD = "a-secret-that-is-long-enough"


@pytest.mark.parametrize("held", [None, "", " " * 40, "guessable"])
def test_without_a_secret_nothing_starts(held: str | None) -> None:
    with pytest.raises(UsageError, match="environment variable B is not set, or has fewer") as caught:
        secrets_of(("A", "B"), {"A": GOOD} if held is None else {"A": GOOD, "B": held})
    assert "guessable" not in str(caught.value)


def test_secrets_have_to_be_named() -> None:
    with pytest.raises(UsageError, match="no secret is named"):
        secrets_of((), {"A": GOOD})
    assert secrets_of(("A", "B"), {"A": GOOD, "B": GOOD[::-1]}) == (GOOD, GOOD[::-1])


def test_a_run_gets_what_is_named_and_path() -> None:
    environ = {"PATH": "/bin", "HOME": "/root", "TOKEN": "t", "SECRET": GOOD}
    assert child_environment((), ("SECRET",), environ) == {"PATH": "/bin"}
    assert child_environment(("TOKEN",), ("SECRET",), environ) == {"PATH": "/bin", "TOKEN": "t"}
    assert child_environment((), (), {}) == {}


def test_a_run_does_not_get_the_webhooks_secret_under_any_name() -> None:
    environ = {"SECRET": GOOD, "COPY": GOOD}
    for name in environ:
        with pytest.raises(UsageError, match="holds the webhook's secret"):
            child_environment((name,), ("SECRET",), environ)


def test_a_variable_that_is_not_set_is_refused() -> None:
    with pytest.raises(UsageError, match="TOKNE is not set"):
        child_environment(("TOKNE",), (), {"TOKEN": "t"})


def test_a_program_is_looked_for_at_the_start() -> None:
    template = found_command(None, ["sh", "{version_uri}"], {"PATH": "/bin:/usr/bin"})
    assert template is not None
    assert template.arguments[0] in {"/bin/sh", "/usr/bin/sh"}
    assert found_command(None, [sys.executable, "{version_uri}"], {}) is not None
    assert found_command(None, [], {}) is None
    with pytest.raises(UsageError, match="there is no program"):
        found_command("no-such-program {version_uri}", [], {"PATH": "/bin"})


@pytest.mark.parametrize(
    "url", ["", "ftp://h/x", "file:///etc/passwd", "http://", "https://h:0/", "http://h:99999/", "h/secret", "//h"]
)
def test_a_url_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_url(url)
    assert not url or url not in str(caught.value)


def test_urls_that_are_taken() -> None:
    assert checked_url(None) is None
    assert checked_url("http://alerts.internal:9093/x") == "http://alerts.internal:9093/x"


def test_the_workspace() -> None:
    assert workspace_of({}) == "default"
    assert workspace_of({"MLFLOW_WORKSPACE": "team"}) == "team"
    with pytest.raises(UsageError):
        workspace_of({"MLFLOW_WORKSPACE": "a b"})
