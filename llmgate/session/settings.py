"""One run's options, typed and checked: command line over pyproject.toml over defaults."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from llmgate.errors import UsageError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.finish import NOT_COMPLETE
from llmgate.session.options import OPTIONS, Option, file_options

__all__ = ["Settings", "settings_from"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run's options, typed. See `OPTIONS` for what each means."""

    model: str | None
    endpoint: str | None
    served_name: str | None
    reply_names: tuple[str, ...]
    deployment: str | None
    api_key_env: str
    finish_reasons: frozenset[str]
    server_args: tuple[str, ...]
    server_python: str | None
    port: int | None
    startup_timeout: float
    concurrency: int
    repeat: int | None
    timeout: float
    retries: int
    baseline: str | None
    policy: str | None
    allow_inconclusive: bool
    as_baseline: bool
    no_stopping: bool
    strict_power: bool
    judge_model: str | None
    judge_endpoint: str | None
    judge_name: str | None
    judge_api_key_env: str
    judge_finish_reasons: frozenset[str]
    judges: Mapping[str, tuple[str, str]]
    judge_anchors: str | None
    judge_admission: tuple[str, ...]
    embed_endpoint: str | None
    embed_name: str | None
    embed_api_key_env: str
    out: str | None
    resume: bool
    no_bench: bool
    mlflow_uri: str | None = field(repr=False)
    mlflow_experiment: str
    mlflow_model: str | None
    registry_uri: str | None
    show_missed: int

    @property
    def api_key(self) -> str | None:
        """The endpoint's key, read when it is needed so that it is never stored with the settings."""
        return key_in(self.api_key_env) or key_in("OPENAI_API_KEY")

    @property
    def judge_api_key(self) -> str | None:
        """The judge endpoint's key."""
        return key_in(self.judge_api_key_env)

    @property
    def embed_api_key(self) -> str | None:
        """The embedding endpoint's key."""
        return key_in(self.embed_api_key_env)


def key_in(name: str) -> str | None:
    """The key that an environment variable holds, None if it is not set or empty.

    Raises:
        UsageError: If it cannot be sent.
    """
    key = os.environ.get(name)
    if key and not (key.isascii() and key.isprintable() and key.strip() == key):
        raise UsageError(
            f"the key in {name} has a character that no HTTP header can carry",
            fix="Look for a line break or a space at its end, and for characters that are not ASCII",
        )
    return key or None


def settings_from(given: Mapping[str, Any], *, root: Path) -> Settings:
    """Combine the command line, pyproject.toml and the defaults.

    Args:
        given: Option fields from the command line; None means not given, as does False for a flag.
        root: Folder with pyproject.toml.

    Raises:
        UsageError: If a value is impossible or options contradict each other.
    """
    from_file = file_options(root)
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value = given.get(option.field)
        if value is None or value is False:
            value = from_file.get(option.field, option.default)
        values[option.field] = read_value(option, value)
    values["server_args"] = tuple(shlex.split(values["server_args"] or ""))
    values["reply_names"] = tuple(shlex.split(values["reply_names"] or ""))
    values["judge_admission"] = tuple(shlex.split(values["judge_admission"] or ""))
    values["judges"] = read_judges(values["judges"] or "")
    for key in ("finish_reasons", "judge_finish_reasons"):
        values[key] = read_finish_reasons(key.replace("_", "-"), values[key] or "")
    settings = Settings(**{field.name: values[field.name] for field in fields(Settings)})
    check(settings)
    return settings


def read_judges(text: str) -> dict[str, tuple[str, str]]:
    """Read `NAME=URL` and `NAME=MODEL@URL` pairs.

    Returns:
        Name to model (empty for the one that the endpoint lists) and URL.

    Raises:
        UsageError: If an entry is neither, or a name is given twice.
    """
    judges: dict[str, tuple[str, str]] = {}
    for entry in shlex.split(text):
        name, equals, place = entry.partition("=")
        model, at, url = place.partition("@")
        if not name or not equals or name in judges or "://" in name:
            # The entry itself is not repeated: it may hold credentials.
            raise UsageError(
                f"entry {len(judges) + 1} of --judges names no judge, or one that was named before",
                fix="Write NAME=URL or NAME=MODEL@URL, each name once",
            )
        judges[name] = (model, url) if at and "://" not in model else ("", place)
    return judges


def read_finish_reasons(name: str, text: str) -> frozenset[str]:
    """Read finish reasons, in lower case.

    Raises:
        UsageError: If one says that an answer is not complete.
    """
    reasons = frozenset(reason.lower() for reason in shlex.split(text))
    for reason in sorted(reasons & NOT_COMPLETE):
        raise UsageError(
            f"--{name} holds {reason!r}, by which no endpoint says that an answer is complete",
            fix="Leave it out, and give the cases that should end so an assert `finish-reason` that names it",
        )
    return reasons


def read_value(option: Option, value: object) -> object:
    """Check the type of one value."""
    if value is None:
        return None
    if option.kind == "flag":
        good = isinstance(value, bool)
    elif option.kind == "text":
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = shlex.join(str(part) for part in value)
        good = isinstance(value, str)
    else:
        try:
            value = int(str(value)) if option.kind == "int" else float(str(value))
        except ValueError:
            good = False
        else:
            good = True
    if not good:
        raise UsageError(f"--{option.name} is {value!r}, which is not {option.kind}", fix=option.help)
    return value


def check_model(option: str, model: str | None) -> None:
    """Refuse a folder that is not there before anything starts; only OWNER/NAME can be meant for the hub.

    Raises:
        UsageError: If there is no such folder.
    """
    if model is None:
        return
    folder = Path(model).expanduser()
    if folder.exists():
        return
    owner, slash, name = model.partition("/")
    if not (slash and owner.strip(".~") and name and "/" not in name) or folder.parent.is_dir():
        raise UsageError(f"there is no folder {model}", where=option, fix="Give one with config.json and weights")


def check(settings: Settings) -> None:
    """Refuse contradictions before any work is done."""
    if settings.model and settings.endpoint:
        raise UsageError("both --model and --endpoint are given", fix="Give one of them")
    if settings.judge_model and settings.judge_endpoint:
        raise UsageError("both --judge-model and --judge-endpoint are given", fix="Give one of them")
    check_model("--model", settings.model)
    check_model("--judge-model", settings.judge_model)
    if settings.as_baseline and settings.baseline:
        raise UsageError("both --baseline and --as-baseline are given", fix="Give one of them")
    check_endpoints(settings)
    if settings.resume and not settings.out:
        raise UsageError("--resume needs to know which run", fix="Add --out with the folder of the unfinished run")
    for name, least in (("concurrency", 1), ("repeat", 1), ("retries", 0), ("port", 1), ("show_missed", 0)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} is {value}", fix=f"Give at least {least}")
    for name in ("timeout", "startup_timeout"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(settings, name)}", fix="Give seconds above 0")


def check_endpoints(settings: Settings) -> None:
    """Refuse URLs and keys that cannot be used, before the first of them is shown or sent anywhere."""
    for urls, key_name in (
        ([settings.endpoint], settings.api_key_env),
        ([settings.judge_endpoint, *(url for _, url in settings.judges.values())], settings.judge_api_key_env),
        ([settings.embed_endpoint], settings.embed_api_key_env),
    ):
        for url in filter(None, urls):
            normalise_url(url)
            key_in(key_name)
