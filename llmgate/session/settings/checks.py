"""Contradictions and impossible values, refused before any work is done."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from llmgate.errors import UsageError, did_you_mean
from llmgate.generate.base_url import normalise_url
from llmgate.generate.key_travel import is_loopback
from llmgate.generate.sources.place import Folder, read_place
from llmgate.generate.vllm.adapters import check_lora_flags
from llmgate.generate.vllm.command import check_flags
from llmgate.record.redaction import TOKEN
from llmgate.session.options.model import ENGINE
from llmgate.session.settings.typed import CHAMPION_WORDS, STORED, Settings, own_key_name

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HOSTINGS", "check"]

HOSTINGS: Final = ("auto", "together", "shared", "restarts")
"""How the servers of two arms are kept up."""
LEAST: Final = (
    *(("concurrency", 1), ("repeat", 1), ("port", 1)),
    *((name, 1) for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")),
    *((name, 1) for name in ("max_model_len", "speculative_tokens")),
    *((name, 0) for name in ("retries", "show_missed", "rpm", "tpm", "judge_rpm", "judge_tpm")),
    ("judge_concurrency", 0),
)
RAY: Final = re.compile(r"ray://(?:[\w.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}", re.ASCII)
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
    check_parts(settings)
    check_endpoints(settings)
    check_flags(settings.server_args)
    if any(getattr(settings, option.field) is not None for option in ENGINE):
        # Reading flags and templates is for whoever gives some.
        from llmgate.session.settings.engine import check_engine  # noqa: PLC0415

        check_engine(settings)
    check_adapters(settings)
    check_champion(settings)
    check_serving(settings)
    check_replicas(settings)
    check_cache(settings)
    if settings.resume and not settings.out:
        raise UsageError("--resume needs to know which run", fix="Add --out with the folder of the unfinished run")
    for name, least in LEAST:
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} is {value}", fix=f"Give at least {least}")
    check_times(settings)


def check_times(settings: Settings) -> None:
    """Refuse times that are none."""
    if not 0 <= settings.deadline < float("inf"):
        raise UsageError(f"--deadline is {settings.deadline}", fix="Give seconds, or 0 for no end")
    for name in ("timeout", "startup_timeout"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(settings, name)}", fix="Give seconds above 0")
    if not 0 <= settings.stall_timeout < float("inf"):
        raise UsageError(f"--stall-timeout is {settings.stall_timeout}", fix="Give seconds, or 0 to wait for ever")


def check_adapters(settings: Settings) -> None:
    """Refuse adapters that nothing would serve, and a champion that is not among them."""
    check_lora_flags(settings.server_args, adapters=bool(settings.adapter))
    for place in settings.adapter.values():
        read_place(place, where="--adapter")
    if settings.adapter and settings.endpoint and not settings.serving_champion:
        raise UsageError(
            "adapters are for a server that llmgate starts, and --endpoint names one that runs",
            where="--adapter",
            fix="Name the one that is asked with --served-name, or give --model in place of --endpoint",
        )
    champion = settings.champion_adapter
    if champion is None:
        return
    if champion not in settings.adapter:
        raise UsageError(
            f"the adapter {champion!r} is not named",
            where="--champion-adapter",
            fix=did_you_mean(champion, settings.adapter) if settings.adapter else f'Add --adapter "{champion}=DIR ..."',
        )
    if settings.served_name == champion:
        raise UsageError(
            f"{champion!r} is both under test and the champion",
            where="--champion-adapter",
            fix="Name another one with --served-name",
        )
    for option in ("baseline", "as_baseline", "serving_champion"):
        if getattr(settings, option):
            raise UsageError(
                f"both --champion-adapter and --{option.replace('_', '-')} are given", fix="Give one of them"
            )


def check_champion(settings: Settings) -> None:
    """Refuse a champion that would be asked again and cannot be, or that nothing names."""
    champion = settings.champion
    if not champion:
        raise UsageError("it is empty", where="--champion", fix=f"Give {', '.join(CHAMPION_WORDS)}, a folder or a URL")
    if settings.baseline in CHAMPION_WORDS and not Path(settings.baseline).exists():
        raise UsageError(
            f"{settings.baseline!r} names no run",
            where="--baseline",
            fix=f"Name the champion's run, and add --champion {settings.baseline}, or its model: --champion DIR|URL",
        )
    if champion == STORED and settings.champion_adapter:
        raise UsageError("--champion-adapter asks it again, and --champion keeps what it said", fix="Leave one out")
    if not settings.asks_champion:
        return
    if champion == "fresh" and not settings.baseline and not settings.champion_adapter:
        raise UsageError(
            "nothing says who the champion is",
            where="--champion fresh",
            fix="Add --baseline RUN, or name the champion's model folder or URL: --champion DIR|URL",
        )
    reasons = {
        "as_baseline": "a run that others are compared with has no champion",
        "shard": "a part of a run has no champion of its own: shard its run as well, and merge each",
        "on": "--on asks one model from several nodes",
        "cache": "its answers would be newer than what the cache holds",
    }
    for option, why in reasons.items():
        if getattr(settings, option):
            name = f"--{option.replace('_', '-')}"
            raise UsageError(
                f"the champion cannot be asked again with {name}: {why}", fix=f"Leave {name} or --champion out"
            )
    if settings.champion_adapter and champion != "fresh":
        raise UsageError("both --champion-adapter and a place in --champion are given", fix="Give one of them")


def check_replicas(settings: Settings) -> None:
    """Refuse replicas of nothing, the same one twice, and limits that cannot be divided among them.

    Raises:
        UsageError: With the option.
        EndpointError: If one is no URL.
    """
    judges = several("judge-replicas", settings.judge_replicas, beside=settings.judge_endpoint)
    for url in judges[1:]:
        settings.judge_api_key(url)
    urls = several("replicas", settings.replicas, beside=settings.endpoint)
    for url in urls[1:]:
        settings.replica_key(url)
    for name in ("rpm", "tpm"):
        if 0 < getattr(settings, name) < len(urls):
            raise UsageError(
                f"--{name} is {getattr(settings, name)}, and is divided among {len(urls)} endpoints",
                fix="Give at least one for each, or ask fewer endpoints",
            )


def several(option: str, further: Sequence[str], *, beside: str | None) -> list[str]:
    """The URLs of the servers of one model, the first one first; none where there are no others.

    Raises:
        UsageError: If there is no first one, or one is named twice.
    """
    if not further:
        return []
    first = option.replace("replicas", "endpoint")
    if not beside:
        raise UsageError(
            "replicas stand beside an endpoint, and none is named",
            where=f"--{option}",
            fix=f"Name the first one with --{first}; a server that llmgate starts has --data-parallel-size instead",
        )
    urls = [normalise_url(url) for url in (beside, *further)]
    twice = next((url for place, url in enumerate(urls) if url in urls[:place]), None)
    if twice is not None:
        raise UsageError(f"{twice} is named twice", where=f"--{option}", fix="Name each server once")
    return urls


def check_cache(settings: Settings) -> None:
    """Refuse a cache where what comes out of it would be taken for fresh, or where nothing tells models apart.

    Raises:
        UsageError: With what to leave out or to add.
    """
    if not settings.cache:
        return
    if settings.as_baseline:
        raise UsageError(
            "later runs would be compared with answers out of a cache",
            where="--cache",
            fix="Leave it out of the run that is recorded with --as-baseline",
        )
    if settings.endpoint and not settings.deployment:
        raise UsageError(
            "an address does not say which model answers there, so its answers cannot be kept apart",
            where="--cache",
            fix="Say what --endpoint serves now with --deployment LABEL, and change the label when it changes",
        )


def check_model(option: str, model: str | None) -> None:
    """Refuse a folder that is not there before anything starts; only OWNER/NAME can be meant for the hub.

    Of other places only how they are written is looked at.

    Raises:
        UsageError: If there is no such folder, or the text names no place that models come from.
    """
    if not model:
        return
    place = read_place(model, where=option)
    if not isinstance(place, Folder):
        return
    folder = Path(place.path).expanduser()
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


def check_parts(settings: Settings) -> None:
    """Refuse what only a whole run can be, and what a Ray cluster cannot be asked for."""
    if settings.shard and settings.as_baseline:
        raise UsageError(
            "both --shard and --as-baseline are given, and a part of a run is compared with nothing",
            fix="Give --as-baseline to `llmgate merge`",
        )
    if settings.shard and settings.champion_adapter:
        raise UsageError(
            "both --shard and --champion-adapter are given, and a part of a run has no champion of its own",
            fix="Ask both adapters whole, or shard two runs and merge each",
        )
    on = settings.on
    if on is None:
        return
    if on != "ray" and not RAY.fullmatch(on):
        raise UsageError(
            f"{on[:80]!r} is no place to ask from",
            where="--on",
            fix="Write ray for the cluster that this machine is part of, or ray://HOST:PORT",
        )
    for name in ("rpm", "tpm", "deadline", "adaptive", "cache"):
        if getattr(settings, name):
            shown = "concurrency auto" if name == "adaptive" else name
            raise UsageError(
                f"--{shown} holds for one client, and --on asks from several nodes at once",
                fix=f"Leave --{shown} or --on out",
            )
    if settings.adapter:
        raise UsageError(
            "adapters are kept apart on one server, and --on starts several",
            fix="Leave --adapter or --on out, or serve them yourself and give --endpoint",
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
