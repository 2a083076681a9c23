"""What a run knows that must not be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmgate.errors import EndpointError
from llmgate.record.redaction import Redactor
from llmgate.session.reach.known_secrets import clean_logs, errors_redacted, redactor, short_keys
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from llmgate.session.settings.typed import Settings

SECRET = "hf_Zq8Lw3Vt7Rb2"


def settings(tmp_path: Path, **given: str) -> Settings:
    return settings_from(given, root=tmp_path)


@pytest.mark.parametrize(
    ("given", "environ"),
    [
        ({"api_key_env": "GATEWAY"}, {"GATEWAY": SECRET}),
        ({"judge_api_key_env": "GATEWAY"}, {"GATEWAY": SECRET}),
        ({"embed_api_key_env": "GATEWAY"}, {"GATEWAY": SECRET}),
        ({}, {"MLFLOW_TRACKING_TOKEN": SECRET}),
        ({}, {"HTTPS_PROXY": f"http://me:{SECRET}@proxy:3128"}),
    ],
)
def test_where_secrets_are_known_from(tmp_path: Path, given: dict[str, str], environ: dict[str, str]) -> None:
    assert redactor(settings(tmp_path, **given), environ).text(f"x{SECRET}y") == "x[redacted]y"


def test_ordinary_flags_are_no_secrets(tmp_path: Path) -> None:
    redact = redactor(settings(tmp_path, server_args="--tokenizer models/mine --max-num-batched-tokens 16384000"), {})
    assert redact.text("models/mine 16384000") == "models/mine 16384000"


def test_a_password_in_pyproject_is_known_and_not_shown(tmp_path: Path) -> None:
    text = f'[tool.llmgate]\nmlflow-uri = "https://me:{SECRET}@mlflow"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert redactor(settings(tmp_path), {}).text(f"x{SECRET}y") == "x[redacted]y"
    assert SECRET not in repr(settings(tmp_path))


def test_keys_that_are_too_short(tmp_path: Path) -> None:
    environ = {"LLMGATE_API_KEY": "dummy", "LLMGATE_JUDGE_API_KEY": SECRET, "OTHER_KEY": "x"}
    (line,) = short_keys(settings(tmp_path), environ)
    assert line.startswith("warning: the key in LLMGATE_API_KEY has fewer than 8 characters")


def test_errors_lose_their_secrets() -> None:
    with pytest.raises(EndpointError) as caught, errors_redacted(Redactor((SECRET,))):
        raise EndpointError(f"said {SECRET}", where=f"http://h/{SECRET}", fix=f"not {SECRET}")
    assert str(caught.value) == "http://h/[redacted]: said [redacted]. not [redacted]"
    assert SECRET not in repr(caught.value)


def test_logs_lose_their_secrets(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_bytes(f"args: {{'hf_token': '{SECRET}'}}\n".encode() + b"\xff\n")
    (tmp_path / "other.log").write_text(SECRET, encoding="utf-8")
    clean_logs(tmp_path, Redactor((SECRET,)))
    assert (tmp_path / "server.log").read_bytes() == b"args: {'hf_token': '[redacted]'}\n\xff\n"
    assert (tmp_path / "other.log").read_text(encoding="utf-8") == SECRET
