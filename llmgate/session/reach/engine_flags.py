"""With which flags a server of ours is started, for whom, and how a champion's are had again from its record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmgate.errors import CannotRunError, UsageError
from llmgate.generate.vllm.flags import meant, read_flags
from llmgate.generate.vllm.shaping import DIGEST, FILE_FLAGS, content_digest
from llmgate.session.settings.engine import ENGINE_FIELDS, MACHINE_FIELDS, option_flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmgate.session.settings.typed import Settings

__all__ = ["engine_flags", "for_judge", "restored", "without_engine"]


def engine_flags(settings: Settings) -> tuple[str, ...]:
    """VLLM's flags: those of the options, then `--server-args` as they are.

    Args:
        settings: The options.

    Raises:
        UsageError: If the two contradict each other; both places are named.
    """
    return (*(entry for flag in option_flags(settings) for entry in flag.argv), *settings.server_args)


def for_judge(settings: Settings) -> Settings:
    """The settings by which a judge's server is started: what is said of the model under test is not said of it."""
    unsaid: dict[str, Any] = {field: None for field in ENGINE_FIELDS if field not in MACHINE_FIELDS}
    return replace(settings, **unsaid)


def without_engine(settings: Settings) -> Settings:
    """The settings without any option on how vLLM runs a model, for flags that say all of it."""
    unsaid: dict[str, Any] = dict.fromkeys(ENGINE_FIELDS)
    return replace(settings, **unsaid)


def restored(recorded: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """The flags of a record, with files in place of the digests of their content.

    A record has no paths of files that shaped answers, and what lies at a path today need not be what was there. So a
    file of this run is taken, if its content is the same.

    Args:
        recorded: Of a server of ours.
        settings: Name this run's files.

    Raises:
        CannotRunError: If a content is known by its digest alone.
    """
    ours = dict(_files(engine_flags(settings)))
    flags: list[str] = []
    for flag in read_flags(recorded):
        if DIGEST not in flag.value:
            flags += flag.text
            continue
        found = _replaced(flag.value, ours)
        if found is None:
            raise CannotRunError(
                f"the champion was served with a --{flag.name} of which only the digest is known, {flag.value[:80]}",
                where="serving of the champion",
                fix=f"Give the same one with --{flag.name}, or start its server yourself: --serving-champion URL",
            )
        flags += [flag.text[0].partition("=")[0], found]
    return tuple(flags)


def _files(flags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Digests, and the paths of what this run names."""
    for flag in read_flags(flags):
        name, value = meant(flag.name, FILE_FLAGS), flag.value
        if name == "speculative-config":
            name, value = "spec-model", flag.value if flag.key else _model(flag.value)
        if name not in FILE_FLAGS or name == "config" or not value:
            continue
        path = Path(value).expanduser()
        try:
            if path.exists():
                yield content_digest(name, path), value
        except (OSError, UsageError):
            continue  # whoever starts a server with it says what is wrong with it


def _model(text: str) -> str:
    content = _json(text)
    return str(content.get("model") or "") if isinstance(content, dict) else ""


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _replaced(value: str, ours: dict[str, str]) -> str | None:
    content = _json(value)
    if not isinstance(content, dict):
        return ours.get(value)
    model = ours.get(str(content.get("model")))
    return None if model is None else json.dumps({**content, "model": model}, sort_keys=True)
