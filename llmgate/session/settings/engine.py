"""The options on how vLLM runs a model, as vLLM's flags; and what contradicts what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import UsageError
from llmgate.generate.vllm.chat_template import check_template
from llmgate.generate.vllm.checks import config_file, config_file_values
from llmgate.generate.vllm.flags import Flag, meant, read_flags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.session.settings.typed import Settings

__all__ = ["ENGINE_FIELDS", "MACHINE_FIELDS", "EngineFlag", "check_engine", "option_flags"]

MACHINE_FIELDS: Final = (
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "gpu_memory_utilization",
)
"""What is said of the machine, and so of every server on it."""
MODEL_FIELDS: Final = (
    "max_model_len",
    "dtype",
    "quantization",
    "speculative_config",
    "chat_template",
    "tool_call_parser",
    "reasoning_parser",
)
"""What is said of the model under test."""
ENGINE_FIELDS: Final = (*MACHINE_FIELDS, *MODEL_FIELDS, "speculative_tokens")
SWITCH: Final = "enable-auto-tool-choice"
SPECULATIVE: Final = frozenset({"spec-method", "spec-model", "spec-tokens"})
"""Flags that say parts of what `--speculative-config` says."""
ARGS: Final = "--server-args"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFlag:
    """A flag that an option stands for.

    Attributes:
        option: As it is written.
        name: Of vLLM's flag.
        value: Of it, None for a switch.
    """

    option: str
    name: str
    value: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """As vLLM gets it."""
        return (f"--{self.name}",) if self.value is None else (f"--{self.name}", self.value)


def option_flags(settings: Settings) -> tuple[EngineFlag, ...]:
    """What the options say, without what `--server-args` says as well.

    Args:
        settings: The options.

    Raises:
        UsageError: If `--server-args`, or a `--config` file that it names, says something else.
        ServerError: If that file cannot be read.
    """
    free = read_flags(settings.server_args)
    in_file = config_file_values(settings.server_args) if config_file(settings.server_args) else {}
    kept = []
    for own in _own_flags(settings):
        said = [flag for flag in free if meant(flag.name, {own.name}) == own.name]
        said += [flag for flag in free if own.name == "speculative-config" and flag.name in SPECULATIVE]
        for flag in said:
            if not _same(own, flag):
                raise _contradiction(own, " ".join(flag.text), ARGS)
        if own.name in in_file and not _same_value(own, in_file[own.name]):
            raise _contradiction(own, f"{own.name}: {in_file[own.name]}", str(config_file(settings.server_args)))
        if not said:
            kept.append(own)
    return tuple(kept)


def _own_flags(settings: Settings) -> Iterator[EngineFlag]:
    for field in (*MACHINE_FIELDS, *MODEL_FIELDS):
        value = getattr(settings, field)
        if value is None:
            continue
        name = field.replace("_", "-")
        if field == "speculative_config":
            value = json.dumps(_speculative(settings), sort_keys=True)
        elif field == "chat_template":
            value = str(Path(value).expanduser())
        yield EngineFlag(option=f"--{name}", name=name, value=f"{value}")
        if field == "tool_call_parser":
            yield EngineFlag(option=f"--{name}", name=SWITCH)


def _same(own: EngineFlag, flag: Flag) -> bool:
    if own.value is None:
        return not flag.negated
    return not (flag.key or flag.negated or flag.name in SPECULATIVE) and _same_value(own, flag.value)


def _same_value(own: EngineFlag, value: object) -> bool:
    if own.value is None:
        return value is None or value is True or value == ""
    read: Callable[[str], Any] = READERS.get(own.name, str)
    text = json.dumps(value) if isinstance(value, Mapping) else str(value)
    try:
        return bool(read(own.value) == read(text))
    except ValueError:
        return False


READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    **{field.replace("_", "-"): float for field in (*MACHINE_FIELDS, "max_model_len")},
    "speculative-config": json.loads,
    "chat-template": lambda text: Path(text).expanduser().resolve(),
}


def _contradiction(own: EngineFlag, other: str, place: str) -> UsageError:
    said = own.option if own.value is None or own.name == "speculative-config" else f"{own.option} {own.value}"
    return UsageError(
        f"{said} contradicts {other!r} in {place}",
        where=f"{own.option} and {place}",
        fix="Leave one of them out",
    )


def check_engine(settings: Settings) -> None:
    """Refuse what vLLM would refuse half a minute later, and contradictions.

    Raises:
        UsageError: With the option.
        ServerError: If a `--config` file cannot be read.
    """
    share = settings.gpu_memory_utilization
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"--gpu-memory-utilization is {share}", fix="Give a share above 0 and at most 1, e.g. 0.9")
    for field in ("dtype", "quantization", "tool_call_parser", "reasoning_parser"):
        name = getattr(settings, field)
        if name is not None and (not name or name.startswith("-") or name.split() != [name]):
            raise UsageError(f"{name!r} is no name", where=f"--{field.replace('_', '-')}", fix="Give it as vLLM has it")
    if settings.chat_template is not None:
        check_template(Path(settings.chat_template).expanduser(), where="--chat-template")
    if settings.speculative_tokens is not None and settings.speculative_config is None:
        raise UsageError(
            "it says how many tokens a draft model proposes, and none is named",
            where="--speculative-tokens",
            fix="Add --speculative-config DIR",
        )
    _refuse_unserved(settings)
    option_flags(settings)


def _refuse_unserved(settings: Settings) -> None:
    """What shapes answers cannot be told to an endpoint of others, and ignored it would be missing from the record."""
    given = [field for field in (*MODEL_FIELDS, "speculative_tokens") if getattr(settings, field) is not None]
    if given and settings.endpoint and not settings.serving_champion:
        raise UsageError(
            f"--{given[0].replace('_', '-')} is for a server that llmgate starts, and --endpoint names one that runs",
            where=f"--{given[0].replace('_', '-')}",
            fix="Start that server with it, or give --model in place of --endpoint",
        )


def _speculative(settings: Settings) -> dict[str, Any]:
    """vLLM's configuration of speculative decoding.

    Raises:
        UsageError: If it is none.
    """
    where = "--speculative-config"
    text = (settings.speculative_config or "").strip()
    tokens = settings.speculative_tokens
    if not text.startswith("{"):
        if tokens is None:
            raise UsageError(
                "how many tokens the draft model proposes is not said", where=where, fix="Add --speculative-tokens K"
            )
        return {"model": _draft(text, where), "num_speculative_tokens": tokens}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsageError(f"it is no JSON: {error}", where=where, fix='Write e.g. {"method": "ngram", ...}') from error
    if not isinstance(content, dict) or not content:
        raise UsageError("it is no JSON object with anything in it", where=where, fix="Name a model or a method")
    if not {"model", "method"} & content.keys():
        raise UsageError("it names neither a model nor a method", where=where, fix="Add one of them")
    own = tokens if content.get("num_speculative_tokens") is None else content["num_speculative_tokens"]
    content["num_speculative_tokens"] = own
    if own is None:
        del content["num_speculative_tokens"]
    elif tokens not in {None, own} or isinstance(own, bool) or not isinstance(own, int) or own < 1:
        said = "" if tokens is None else f", and --speculative-tokens {tokens}"
        raise UsageError(
            f"num_speculative_tokens is {own!r}{said}", where=where, fix="Say once how many, with a number from 1 up"
        )
    if isinstance(content.get("model"), str):
        content["model"] = _draft(content["model"], where)
    return content


def _draft(model: str, where: str) -> str:
    """The draft model: a folder as an absolute path, so that the same folder is the same however it is written."""
    folder = Path(model).expanduser()
    if not model or not folder.is_dir():
        if folder.exists() or not model or model.count("/") != 1 or model.startswith((".", "~", "/")):
            raise UsageError(f"there is no folder {model!r} of a draft model", where=where, fix="Correct the path")
        return model
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"the folder {model} of the draft model has no config.json", where=where, fix="Give a model folder"
        )
    return str(folder.resolve())
