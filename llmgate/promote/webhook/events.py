"""The body of a delivery, read only after its signature held. Names in it are anybody's who may create a version."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from llmgate.promote.webhook.refusal import DeliveryRefusedError

__all__ = ["AliasChanged", "Event", "OtherEvent", "VersionCreated", "read_event"]

CREATED: Final = "model_version.created"
ALIAS_EVENTS: Final = frozenset({"model_version_alias.created", "model_version_alias.deleted"})
WORD: Final = re.compile(r"[a-z_]{1,40}")
VERSION: Final = re.compile(r"[1-9][0-9]{0,9}")
LONGEST_NAME: Final = 256
"""Of a model, in MLflow's tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCreated:
    """A model version is new.

    Attributes:
        workspace: The workspace of it; None if the server has none.
        name: Of the model: printable, and apart from that whatever somebody called it.
        version: A positive whole number.
    """

    workspace: str | None
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasChanged:
    """An alias was set or deleted.

    Attributes:
        workspace: As above.
        name: As above.
        alias: Printable text.
    """

    workspace: str | None
    name: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent:
    """What no receiver of ours acts upon, such as an event about a prompt.

    Attributes:
        kind: `entity.action`.
    """

    kind: str


Event = VersionCreated | AliasChanged | OtherEvent


def read_event(body: bytes) -> Event:
    """Read a body.

    Raises:
        DeliveryRefusedError: With 400 for what is no event, 422 for one whose names are impossible.
    """
    told = parsed(body)
    entity, action = told.get("entity"), told.get("action")
    if not (isinstance(entity, str) and isinstance(action, str) and WORD.fullmatch(entity) and WORD.fullmatch(action)):
        raise DeliveryRefusedError(400, "the body names no event: entity and action are words")
    kind = f"{entity}.{action}"
    if kind != CREATED and kind not in ALIAS_EVENTS:
        return OtherEvent(kind=kind)
    data = told.get("data")
    if not isinstance(data, dict):
        raise DeliveryRefusedError(400, f"{kind} has no data")
    workspace = None if told.get("workspace") is None else name_in(told, "workspace", kind)
    name = name_in(data, "name", kind)
    if kind in ALIAS_EVENTS:
        return AliasChanged(workspace=workspace, name=name, alias=name_in(data, "alias", kind))
    version = data.get("version")
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise DeliveryRefusedError(422, f"the version of {kind} is no positive whole number")
    return VersionCreated(workspace=workspace, name=name, version=version)


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in the body."""
    try:
        told = json.loads(body.decode("utf-8"), parse_constant=no_number, object_pairs_hook=unambiguous)
    except (ValueError, RecursionError) as error:
        raise DeliveryRefusedError(400, "the body is no JSON in UTF-8") from error
    if not isinstance(told, dict):
        raise DeliveryRefusedError(400, "the body is no JSON object")
    return told


def no_number(constant: str) -> NoReturn:
    """Refuse NaN and infinities, which Python reads though JSON has none."""
    raise ValueError(constant)


def unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says a thing twice."""
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError
    return told


def name_in(data: dict[str, Any], key: str, kind: str) -> str:
    """A name that can be looked up and printed."""
    name = data.get(key)
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= LONGEST_NAME
        or not name.isprintable()
        or set(name) & {"/", ":"}
    ):
        raise DeliveryRefusedError(422, f"the {key} of {kind} is missing, too long, or no name")
    return name
