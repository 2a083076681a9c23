"""What the options of one run are, typed, and which key goes where."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from llmgate.errors import UsageError
from llmgate.generate.key_travel import KeyPlace, check_key, is_loopback, is_openai
from llmgate.generate.rate_limit import RateLimit
from llmgate.generate.sources.model import LocalModel
from llmgate.record.manifest import Shard

__all__ = ["CHAMPION_WORDS", "OPENAI_KEY", "STORED", "Settings", "own_key_name"]

OPENAI_KEY: Final = "OPENAI_API_KEY"
STORED: Final = "stored"
CHAMPION_WORDS: Final = ("auto", "fresh", STORED)
"""What `--champion` takes besides a place."""
FIXED: Final = 32
"""Requests in flight of what does not adapt, where the others do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run's options, typed. See `OPTIONS` for what each means."""

    model: str | None
    adapter: Mapping[str, str]
    champion_adapter: str | None
    champion: str
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
    stall_timeout: float
    tensor_parallel_size: int | None
    pipeline_parallel_size: int | None
    data_parallel_size: int | None
    gpu_memory_utilization: float | None
    max_model_len: int | None
    dtype: str | None
    quantization: str | None
    speculative_config: str | None
    speculative_tokens: int | None
    chat_template: str | None
    tool_call_parser: str | None
    reasoning_parser: str | None
    concurrency: int
    adaptive: bool
    judge_concurrency: int
    replicas: tuple[str, ...]
    deadline: float
    cache: str | None
    repeat: int | None
    shard: Shard | None
    on: str | None
    timeout: float
    retries: int
    rpm: int
    tpm: int
    baseline: str | None
    policy: str | None
    allow_inconclusive: bool
    as_baseline: bool
    round: str | None
    no_stopping: bool
    strict_power: bool
    judge_model: str | None
    judge_endpoint: str | None
    judge_replicas: tuple[str, ...]
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
    attempts: str | None
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
    fetched: Mapping[str, LocalModel] = field(default_factory=dict)
    """By their folders, the models that were not named by them; no option, but what became of some."""

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
    def asks_champion(self) -> bool:
        """Whether somebody wants the champion asked again, and not only if it is at hand."""
        return self.champion not in {"auto", STORED}

    @property
    def key_place(self) -> KeyPlace:
        """Where the endpoint's key comes from, or would."""
        openai = is_openai(self.endpoint or "") and not os.environ.get(self.api_key_env) and bool(key_in(OPENAI_KEY))
        return KeyPlace(variable=OPENAI_KEY if openai else self.api_key_env)

    @property
    def fixed_concurrency(self) -> int:
        """Requests in flight at once where the number does not adapt."""
        return min(self.concurrency, FIXED) if self.adaptive else self.concurrency

    @property
    def judge_in_flight(self) -> int:
        """Requests in flight at once at each endpoint of judges."""
        return self.judge_concurrency or self.fixed_concurrency

    def replica_key(self, url: str) -> str | None:
        """The key for a replica: that of the endpoint, where it may go there.

        Raises:
            UsageError: If it may not.
        """
        own = self.key_for(url, self.api_key_env)
        # The key of OpenAI goes nowhere else.
        return own or (self.api_key if is_openai(url) and is_openai(self.endpoint or "") else None)

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
