"""One run's options, typed and checked: command line over pyproject.toml over defaults."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from llmgate.errors import UsageError, did_you_mean
from llmgate.generate.base_url import normalise_url
from llmgate.generate.finish import NOT_COMPLETE
from llmgate.generate.key_travel import KeyPlace, check_key, is_loopback, is_openai
from llmgate.generate.rate_limit import RateLimit
from llmgate.generate.vllm.command import check_flags
from llmgate.record.redaction import TOKEN
from llmgate.session.command_line import refuse_secrets
from llmgate.session.options import OPTIONS, Option, file_options

__all__ = ["HOSTINGS", "OPENAI_KEY", "Settings", "own_key_name", "read_folders", "settings_from"]

OPENAI_KEY: Final = "OPENAI_API_KEY"
HOSTINGS: Final = ("auto", "together", "shared", "restarts")
"""How the servers of two arms are kept up."""
LEAST: Final = (
    *(("concurrency", 1), ("repeat", 1), ("port", 1)),
    *((name, 0) for name in ("retries", "show_missed", "rpm", "tpm", "judge_rpm", "judge_tpm")),
)
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run's options, typed. See `OPTIONS` for what each means."""

    model: str | None
    endpoint: str | None
    served_name: str | None
    reply_names: tuple[str, ...]
    deployment: str | None
    api_key_env: str
    allow_key_over_http: bool
    finish_reasons: frozenset[str]
    server_args: tuple[str, ...]
    server_python: str | None
    port: int | None
    startup_timeout: float
    concurrency: int
    repeat: int | None
    timeout: float
    retries: int
    rpm: int
    tpm: int
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
    judge_rpm: int
    judge_tpm: int
    judges: Mapping[str, tuple[str, str]]
    judge_anchors: str | None
    judge_admission: tuple[str, ...]
    embed_endpoint: str | None
    embed_name: str | None
    embed_api_key_env: str
    out: str | None
    resume: bool
    no_bench: bool
    serving_champion: str | None
    serving_hosting: str
    mlflow_uri: str | None = field(repr=False)
    mlflow_experiment: str
    mlflow_model: str | None
    registry_uri: str | None
    registry_id: str | None
    alias: str
    signing_key: str | None = field(repr=False)
    allow_outside: tuple[str, ...]
    trust_weights_cache: bool
    show_missed: int

    @property
    def api_key(self) -> str | None:
        """The endpoint's key, read when it is needed so that it is never stored with the settings.

        Raises:
            UsageError: If it may not go there.
        """
        url = self.endpoint or ""
        key = self.key_for(url, self.api_key_env)
        if key or not key_in(OPENAI_KEY):
            return key
        if is_openai(url):
            return key_in(OPENAI_KEY)
        if self.api_key_env in os.environ or is_loopback(url):
            return None
        raise UsageError(
            f"{OPENAI_KEY} goes to https://api.openai.com only, and {self.api_key_env} is not set",
            where=url,
            fix=f"Set {self.api_key_env} to the key of this endpoint, or to nothing if it needs none",
        )

    @property
    def key_place(self) -> KeyPlace:
        """Where the endpoint's key comes from, or would."""
        openai = is_openai(self.endpoint or "") and not os.environ.get(self.api_key_env) and bool(key_in(OPENAI_KEY))
        return KeyPlace(variable=OPENAI_KEY if openai else self.api_key_env)

    @property
    def limit(self) -> RateLimit:
        """What the model under test is asked at most."""
        return RateLimit(rpm=self.rpm, tpm=self.tpm)

    @property
    def judge_limit(self) -> RateLimit:
        """What each endpoint of judges is asked at most."""
        return RateLimit(rpm=self.judge_rpm, tpm=self.judge_tpm)

    def judge_key_place(self, judge: str = "") -> KeyPlace:
        """Where a judge's key comes from."""
        return KeyPlace(variable=self.judge_key_name(judge), option="--judge-api-key-env")

    @property
    def embed_key_place(self) -> KeyPlace:
        """Where the key of the embedding model comes from."""
        return KeyPlace(variable=self.embed_api_key_env, option="--embed-api-key-env")

    def judge_api_key(self, url: str, judge: str = "") -> str | None:
        """The key for a judge at a URL, by its name if it has one; UsageError if it may not go there."""
        return self.key_for(url, self.judge_key_name(judge))

    def judge_key_name(self, judge: str) -> str:
        """The variable with a judge's key: that of all judges, unless there is one for it alone."""
        own = own_key_name(self.judge_api_key_env, judge)
        return own if judge and own in os.environ else self.judge_api_key_env

    def embed_api_key(self, url: str) -> str | None:
        """The key for the embedding model at a URL; UsageError if it may not go there."""
        return self.key_for(url, self.embed_api_key_env)

    def key_for(self, url: str, name: str) -> str | None:
        """The key in a variable, if it may go to a URL.

        Raises:
            UsageError: If it may not, or cannot be sent.
        """
        key = key_in(name)
        if key:
            check_key(url, name, over_http=self.allow_key_over_http)
        return key


def own_key_name(shared: str, judge: str) -> str:
    """The variable that holds one judge's key."""
    return f"{shared}_{re.sub(r'[^A-Z0-9]', '_', judge.upper())}"


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
    refuse_secrets(given)
    for option in OPTIONS:
        value = given.get(option.field)
        if value is None or value is False:
            value = from_file.get(option.field, option.default)
        values[option.field] = read_value(option, value)
    values["server_args"] = tuple(shlex.split(values["server_args"] or ""))
    values["reply_names"] = tuple(shlex.split(values["reply_names"] or ""))
    values["judge_admission"] = tuple(shlex.split(values["judge_admission"] or ""))
    values["allow_outside"] = read_folders(values["allow_outside"])
    values["judges"] = read_judges(values["judges"] or "")
    for key in ("finish_reasons", "judge_finish_reasons"):
        values[key] = read_finish_reasons(key.replace("_", "-"), values[key] or "")
    settings = Settings(**{field.name: values[field.name] for field in fields(Settings)})
    check(settings)
    return settings


def read_folders(text: str | None) -> tuple[str, ...]:
    """The folders that an option names."""
    return tuple(shlex.split(text or ""))


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


def check_signing_key(path: str | None) -> None:
    """Refuse a signing key that is no file, without repeating it: somebody may have put the key itself there.

    Raises:
        UsageError: If it is none.
    """
    try:
        found = path is None or Path(path).is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        raise UsageError(
            "there is no such file",
            where="--signing-key",
            fix="Give the file of a private key, or put the key itself into LLMGATE_SIGNING_KEY",
        )


def check(settings: Settings) -> None:
    """Refuse contradictions before any work is done."""
    if settings.model and settings.endpoint:
        raise UsageError("both --model and --endpoint are given", fix="Give one of them")
    if settings.judge_model and settings.judge_endpoint:
        raise UsageError("both --judge-model and --judge-endpoint are given", fix="Give one of them")
    check_key_names(settings)
    check_signing_key(settings.signing_key)
    check_model("--model", settings.model)
    check_model("--judge-model", settings.judge_model)
    if settings.as_baseline and settings.baseline:
        raise UsageError("both --baseline and --as-baseline are given", fix="Give one of them")
    check_endpoints(settings)
    check_flags(settings.server_args)
    check_serving(settings)
    if settings.resume and not settings.out:
        raise UsageError("--resume needs to know which run", fix="Add --out with the folder of the unfinished run")
    for name, least in LEAST:
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} is {value}", fix=f"Give at least {least}")
    for name in ("timeout", "startup_timeout"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(settings, name)}", fix="Give seconds above 0")


def check_serving(settings: Settings) -> None:
    """Refuse a champion that is served and compared with nothing, and a hosting that does not exist."""
    if settings.serving_champion and not settings.baseline:
        raise UsageError(
            "the champion that is served is that of a run, and none is named",
            where="--serving-champion",
            fix="Add --baseline RUN",
        )
    if settings.serving_hosting not in HOSTINGS:
        raise UsageError(
            f"{settings.serving_hosting!r} is no way to host two arms",
            where="--serving-hosting",
            fix=did_you_mean(settings.serving_hosting, HOSTINGS),
        )


def check_endpoints(settings: Settings) -> None:
    """Refuse URLs and keys that cannot be used, before the first of them is shown or sent anywhere."""
    judges = {name: url for name, (_, url) in settings.judges.items()}
    if settings.judge_endpoint:
        judges[""] = settings.judge_endpoint
    for url in filter(None, [settings.endpoint, *judges.values(), settings.embed_endpoint]):
        normalise_url(url)
    if settings.endpoint:
        _ = settings.api_key
    sharing = {
        urlsplit(url).netloc.lower(): name
        for name, url in sorted(judges.items())
        if settings.judge_api_key(url, name)
        and settings.judge_key_name(name) == settings.judge_api_key_env
        and not is_loopback(url)
    }
    if len(sharing) > 1:
        shared, judge = settings.judge_api_key_env, max(sharing.values())
        raise UsageError(
            f"the key in {shared} would go to the judges of {len(sharing)} hosts ({', '.join(sorted(sharing))})",
            fix=f"Give judges keys of their own, e.g. in {own_key_name(shared, judge)}; or an empty one, for none",
        )
    if settings.embed_endpoint:
        settings.embed_api_key(settings.embed_endpoint)


def check_key_names(settings: Settings) -> None:
    """Refuse a key where the name of its variable should stand, without repeating it."""
    for option in ("api_key_env", "judge_api_key_env", "embed_api_key_env"):
        name = getattr(settings, option)
        random = TOKEN.fullmatch(name) and name != name.upper() and name not in os.environ
        if random or not VARIABLE.fullmatch(name):
            raise UsageError(
                f"--{option.replace('_', '-')} names an environment variable, and this is no name of one",
                fix="Put the key into a variable, and write its name here; if this was the key, make a new one",
            )
