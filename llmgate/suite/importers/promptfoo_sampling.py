"""promptfoo's `providers:`: which model to ask is said when a suite is run; how it samples goes into the suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.importers.files import mapping
from llmgate.suite.importers.promptfoo_asserts import names_files

if TYPE_CHECKING:
    from llmgate.suite.asserts import Json
    from llmgate.suite.importers.files import ForeignFile
    from llmgate.suite.importers.result import Notebook

__all__ = ["read_sampling", "sampling_of"]

_SAME: Final = (
    *("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed", "stop", "frequency_penalty"),
    *("presence_penalty", "response_format"),
)
_CALLED_OTHERWISE: Final = {
    "max_completion_tokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "max_gen_toks": "max_tokens",
    "num_predict": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "stop_seqs": "stop",
    "stopSequences": "stop",
}
_EXTRA: Final = frozenset(
    {*("tools", "tool_choice", "functions", "function_call", "logprobs", "top_logprobs", "chat_template_kwargs")}
)
_NOT_ASKED: Final = frozenset(
    {
        *("apiKey", "apiKeyEnvar", "apiBaseUrl", "apiHost", "organization", "cost", "inputCost", "outputCost"),
        *("headers", "basePath", "showThinking", "region", "timeout", "maxRetries"),
    }
)


def read_sampling(source: ForeignFile, notes: Notebook) -> dict[str, Json]:
    """The sampling of the providers of a configuration; notes which they are and what is left out."""
    key = "providers" if "providers" in source.data else "targets"
    written = source.data.get(key)
    items = written if isinstance(written, list) else [written]
    providers: list[tuple[str, Mapping[str, Any], str]] = []
    for i, item in enumerate(items):
        where = source.where(key, i)
        if isinstance(item, str):
            providers.append((item, {}, where))
        elif isinstance(item, Mapping):
            providers.append(provider(item, where, notes))
    if not providers:
        return {}
    names = ", ".join(name for name, _, _ in providers)
    notes.remark(f"the model is named when the suite is run; it was {names}", source.where(key))
    choices = [sampling_of(config, where, notes) for _, config, where in providers]
    if any(choice != choices[0] for choice in choices):
        notes.lost(f"providers sample differently; the suite has the sampling of {providers[0][0]}", source.where(key))
    return choices[0]


def provider(item: Mapping[str, Any], where: str, notes: Notebook) -> tuple[str, Mapping[str, Any], str]:
    """Name, configuration and place of one provider."""
    inner: Mapping[str, Any] = item
    name = item.get("id") or item.get("label")
    if name is None and len(item) == 1:
        name, only = next(iter(item.items()))
        inner = mapping(only)
    for key in sorted(set(inner) & {"transform", "prompts", "delay"}):
        if key != "delay":
            notes.lost(f"the `{key}` of the provider {name}", where)
    return str(name), mapping(inner.get("config")), where


def sampling_of(config: Mapping[str, Any], where: str, notes: Notebook) -> dict[str, Json]:
    """Fields of `sampling:` from the request fields that another tool is configured with."""
    sampling: dict[str, Json] = {}
    extra: dict[str, Json] = {}
    for key, value in config.items():
        name = _CALLED_OTHERWISE.get(key, key)
        if value is None or key in _NOT_ASKED:
            continue
        if names_files(value):
            notes.lost(f"the request field {key!r}, which comes from a file", where)
        elif name in _SAME and fits(name, value):
            sampling[name] = value
        elif key in _EXTRA:
            extra[key] = value
        else:
            notes.lost(f"the provider's setting {key!r}", where)
    return {**sampling, **({"extra": extra} if extra else {})}


def fits(name: str, value: Any) -> bool:
    """Whether a value is of the kind that `sampling:` takes."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    stops = value if isinstance(value, list) else [value]
    whole = isinstance(value, int) and number
    kinds = {
        "max_tokens": whole and value >= 1,
        "seed": whole,
        "top_k": whole,
        "stop": all(isinstance(stop, str) for stop in stops),
        "response_format": isinstance(value, dict),
        "temperature": number and value >= 0,
        "top_p": number and 0 < value <= 1,
        "min_p": number and 0 <= value <= 1,
    }
    return kinds.get(name, number)
