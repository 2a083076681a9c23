"""What a run knows that must not be seen, and how it is kept out of files, logs and errors."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError
from llmgate.record.disk import read_regular, write_atomic
from llmgate.record.redaction import SHORTEST, Redactor, environment_secrets, url_secrets
from llmgate.session.settings.typed import OPENAI_KEY, own_key_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmgate.session.settings.typed import Settings

__all__ = ["clean_logs", "errors_redacted", "key_names", "redactor", "short_keys"]

SERVER_LOGS: Final = ("server.log", "server-candidate.log", "server-champion.log", "judge.log")


def redactor(settings: Settings, environ: Mapping[str, str] = os.environ) -> Redactor:
    """Knows every value that must not be written.

    These are the keys in use, whatever the environment calls a secret, and passwords in URLs.
    """
    values = environment_secrets(environ, names=key_names(settings)) | url_secrets((settings.mlflow_uri or "",))
    if settings.signing_key is not None:
        # What it holds is checked by who signs.
        with suppress(OSError, ValueError):
            values.add(read_regular(Path(settings.signing_key)).decode())
    return Redactor(tuple(sorted(values)))


def key_names(settings: Settings) -> tuple[str, ...]:
    """The environment variables that hold the keys of endpoints."""
    of_judges = (own_key_name(settings.judge_api_key_env, judge) for judge in settings.judges)
    return (settings.api_key_env, settings.judge_api_key_env, *of_judges, settings.embed_api_key_env, OPENAI_KEY)


def short_keys(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[str]:
    """A warning for each key in use that is too short to be told from ordinary text."""
    used = dict.fromkeys(name for name in key_names(settings) if 0 < len(environ.get(name, "").strip()) < SHORTEST)
    return [
        f"warning: the key in {name} has fewer than {SHORTEST} characters, so it is not redacted where a server repeats"
        " it; use a longer one"
        for name in used
    ]


@contextmanager
def errors_redacted(redact: Redactor) -> Iterator[None]:
    """Take secrets out of the words of llmgate's errors: they quote what servers and their logs said."""
    try:
        yield
    except LlmgateError as error:
        error.what = redact.text(error.what)
        error.where = error.where and redact.text(error.where)
        error.fix = error.fix and redact.text(error.fix)
        error.args = (error.what,)
        raise


def clean_logs(out: Path, redact: Redactor) -> None:
    """Take secrets out of the logs that servers wrote into a run's folder, once they have ended."""
    for path in (out / name for name in SERVER_LOGS):
        if path.is_file():
            text = read_regular(path).decode("utf-8", "surrogateescape")
            clean = redact.text(text)
            if clean != text:
                write_atomic(path, clean.encode("utf-8", "surrogateescape"))
