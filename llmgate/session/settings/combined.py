"""Command line over pyproject.toml over defaults."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from llmgate.session.command_line import refuse_secrets
from llmgate.session.options.table import OPTIONS, file_options
from llmgate.session.settings.checks import check
from llmgate.session.settings.readers import (
    read_adapters,
    read_concurrency,
    read_finish_reasons,
    read_folders,
    read_judges,
    read_shard,
    read_value,
)
from llmgate.session.settings.typed import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["settings_from"]


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
    values["adapter"] = read_adapters(values["adapter"] or "")
    values["shard"] = read_shard(values["shard"])
    for key in ("replicas", "judge_replicas"):
        values[key] = tuple(shlex.split(values[key] or ""))
    values["concurrency"], values["adaptive"] = read_concurrency(values["concurrency"])
    values["judges"] = read_judges(values["judges"] or "")
    for key in ("finish_reasons", "judge_finish_reasons"):
        values[key] = read_finish_reasons(key.replace("_", "-"), values[key] or "")
    settings = Settings(**{field.name: values[field.name] for field in fields(Settings) if field.name in values})
    check(settings)
    return settings
