"""promptfoo's `providers:`: which model to ask is said when a suite is run; how it is asked goes into the suite."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from llmgate.suite.asserts import Json
from llmgate.suite.importers.files import ForeignFile, listing, mapping, read_source, read_text
from llmgate.suite.importers.promptfoo.fields import RequestFields
from llmgate.suite.importers.table import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.suite.importers.result import Notebook

__all__ = ["Data", "ProviderRequest", "read_providers", "sampling_of"]

DEFAULT_TOKENS: Final = 1024
"""The longest answer where a provider names none: what promptfoo's chat providers ask for."""
_APPLICATIONS: Final = re.compile(
    r"(?:file://|https?(?::|$)|wss?(?::|$)|python:|exec:|golang:|ruby:|package:|browser|webhook:|websocket|mcp"
    r"|echo|promptfoo:|sequence|anthropic:claude-agent-sdk)|\S+\.(?:[cm]?[jt]s|py)$"
)
"""Providers that are programs of their own rather than models."""
_TEXT_ONLY: Final = re.compile(r"google|vertex|palm|bedrock|huggingface|replicate")
"""Providers that hand on text, or of which it is not known."""
_DATA: Final = frozenset({".yaml", ".yml", ".json"})
_TEXTS: Final = frozenset({".txt", ".md"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider as it is written.

    Attributes:
        name: Its id or label.
        config: Its settings.
        item: All that is written of it.
        source: The file that it stands in.
        where: Its place.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    item: Mapping[str, Any] = field(default_factory=dict)
    source: ForeignFile
    where: str

    @property
    def application(self) -> bool:
        """Whether it is a program rather than a model."""
        return bool(_APPLICATIONS.match(self.name))


class Data(Enum):
    """Whether asserts see the data of an answer that is JSON, and not its text."""

    NO = "no"
    PERHAPS = "perhaps"
    SURELY = "surely"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """How the first provider of a configuration is asked.

    Attributes:
        sampling: Entries of `sampling:`.
        system: A system message that it puts first, as a template; empty if it has none.
        no_tools: Whether tools were offered that are not carried over, so that calls cannot be held against them.
        transform: The code through which its answers go before asserts see them, None if there is none.
        callbacks: Whether it answers the model's calls itself, so that asserts see what its functions return.
        data: Whether asserts see the data of an answer that is JSON.
        prices: What a million tokens cost, None if it does not say.
        where: Its place.
    """

    sampling: Mapping[str, Json] = field(default_factory=lambda: {"max_tokens": DEFAULT_TOKENS})
    system: str = ""
    no_tools: bool = False
    transform: Any = None
    callbacks: bool = False
    data: Data = Data.NO
    prices: Mapping[str, float] | None = None
    where: str = ""


def read_providers(source: ForeignFile, notes: Notebook) -> ProviderRequest:
    """How the providers of a configuration are asked; notes which they are and what has no counterpart.

    Raises:
        SuiteError: If a file of them cannot be read.
    """
    key = "providers" if "providers" in source.data else "targets"
    providers = list(read(source, source.data.get(key), key, notes))
    if not providers:
        return ProviderRequest()
    names = ", ".join(dict.fromkeys(provider.name for provider in providers))
    notes.remark(f"the model is named when the suite is run; it was {names[:200]}", source.where(key))
    every = [asked(provider, notes) for provider in providers]
    if any((other.sampling, other.system) != (every[0].sampling, every[0].system) for other in every):
        notes.setting(
            f"providers are asked in different ways; the suite asks as {providers[0].name} is", source.where(key)
        )
    return every[0]


def read(source: ForeignFile, written: Any, key: str, notes: Notebook) -> Iterator[Provider]:
    """The providers that a value stands for, those of files included."""
    items = written if isinstance(written, list) else [written]
    for i, item in enumerate(items):
        where = source.where(key, i) if isinstance(written, list) else source.where(key)
        if isinstance(item, str):
            yield from named(item, source, where, key, notes)
        elif isinstance(item, Mapping):
            yield provider(item, source, where)


def named(name: str, source: ForeignFile, where: str, key: str, notes: Notebook) -> Iterator[Provider]:
    """The providers that a text stands for: a file of them, or one."""
    if not name.startswith("file://") or PurePath(name).suffix not in _DATA:
        yield Provider(name=name, source=source, where=where)
        return
    path = source.named(name.removeprefix("file://"), where)
    inner = notes.once(path, partial(read_source, path, source.reach))
    data = mapping(inner.data).get(key, inner.data)
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, Mapping):
            yield provider(item, inner, str(path))
        elif isinstance(item, str) and not item.startswith("file://"):
            yield Provider(name=item, source=inner, where=str(path))


def provider(item: Mapping[str, Any], source: ForeignFile, where: str) -> Provider:
    """One provider that is a mapping, in either of its two forms."""
    inner: Mapping[str, Any] = item
    name = item.get("id") or item.get("label")
    if name is None and len(item) == 1:
        name, only = next(iter(item.items()))
        inner = mapping(only)
    return Provider(name=str(name), config=mapping(inner.get("config")), item=inner, source=source, where=where)


def asked(one: Provider, notes: Notebook) -> ProviderRequest:
    """How one provider is asked; notes what has no counterpart."""
    if listing(one.item.get("prompts")):
        notes.setting(f"{one.name} was asked with some of the prompts only; the model is asked with all", one.where)
    transform = one.item.get("transform")
    if one.application:
        if one.config:
            notes.setting(f"{one.name} is a program: ask an endpoint that answers as it does", one.where)
        return ProviderRequest(transform=transform, data=Data.PERHAPS, where=one.where)
    fields = RequestFields()
    fields.take(one.config, partial(loaded, one, notes))
    if fields.unlike:
        notes.setting(f"{one.name} was asked with what has no counterpart: {', '.join(fields.unlike)}", one.where)
    extra = dict(fields.extra)
    if "tools" not in extra:
        extra.pop("tool_choice", None)
        extra.pop("parallel_tool_calls", None)
    if "functions" not in extra:
        extra.pop("function_call", None)
    sampling = {"max_tokens": DEFAULT_TOKENS, **fields.sampling, **({"extra": extra} if extra else {})}
    literally = "systemInstruction" not in one.config
    return ProviderRequest(
        sampling=sampling,
        system=literal(fields.system) if literally else fields.system,
        no_tools=fields.tools,
        transform=transform,
        callbacks=fields.callbacks,
        data=data_of(one.name, fields.sampling.get("response_format")),
        prices=prices(one.config),
        where=one.where,
    )


def data_of(name: str, form: Json) -> Data:
    """Whether a provider hands on the data of answers in JSON: most do where the request has a schema."""
    kind = mapping(form).get("type")
    if _TEXT_ONLY.match(name):
        return Data.PERHAPS if kind else Data.NO
    return Data.SURELY if kind == "json_schema" or (kind == "json_object" and name.startswith("azure")) else Data.NO


def sampling_of(config: Mapping[str, Any], where: str, notes: Notebook) -> dict[str, Json]:
    """RequestFields of `sampling:` from the request fields that another tool is configured with."""
    fields = RequestFields()
    fields.take(config, lambda value: value)
    for name in fields.unlike:
        notes.setting(f"the setting {name!r} has no counterpart", where)
    return {**fields.sampling, **({"extra": fields.extra} if fields.extra else {})}


def loaded(one: Provider, notes: Notebook, value: Any) -> Any:
    """What a file holds for its name, None for one that is code, all other values as they are.

    Raises:
        SuiteError: If it cannot be read.
    """
    if not isinstance(value, str) or not value.startswith(("file://", "package:")):
        return value
    suffix = PurePath(value).suffix
    if suffix not in _DATA | _TEXTS:
        return None
    path = one.source.named(value.removeprefix("file://"), one.where)
    if suffix in _TEXTS:
        return notes.once(path, partial(read_text, path, one.source.reach))
    return notes.once(path, partial(read_source, path, one.source.reach)).data


def prices(config: Mapping[str, Any]) -> dict[str, float] | None:
    """`prices:` from costs by token; one cost is that of both kinds of token."""
    both = config.get("cost")
    costs = {"prompt": config.get("inputCost", both), "completion": config.get("outputCost", both)}
    made = {
        kind: round(cost * 1e6, 9)
        for kind, cost in costs.items()
        if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1
    }
    return made if len(made) == 2 else None
