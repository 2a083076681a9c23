"""Bodies: read after their signature held, and still written by anybody who may create a version."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.promote.webhook.events import AliasChanged, OtherEvent, VersionCreated, read_event
from llmgate.promote.webhook.refusal import DeliveryRefusedError


def body(entity: object = "model_version", action: object = "created", **changed: Any) -> bytes:
    data: dict[str, Any] = {
        "name": "bot",
        "version": "7",
        "source": "s3://b/x",
        "run_id": None,
        "tags": {},
        "description": None,
    }
    data.update(changed.pop("data", {}))
    told = {"entity": entity, "action": action, "timestamp": "2026-11-28T20:14:26+00:00", "data": data, **changed}
    return json.dumps(told).encode()


def refused(text: bytes, status: int, match: str) -> None:
    with pytest.raises(DeliveryRefusedError, match=match) as caught:
        read_event(text)
    assert caught.value.status == status


def test_a_new_version() -> None:
    assert read_event(body()) == VersionCreated(workspace=None, name="bot", version="7")
    assert read_event(body(workspace="team")) == VersionCreated(workspace="team", name="bot", version="7")


@pytest.mark.parametrize("action", ["created", "deleted"])
def test_an_alias(action: str) -> None:
    told = body("model_version_alias", action, data={"alias": "champion"})
    assert read_event(told) == AliasChanged(workspace=None, name="bot", alias="champion")


@pytest.mark.parametrize("kind", ["registered_model.created", "prompt_version.created", "model_version.exploded"])
def test_other_events_are_named(kind: str) -> None:
    entity, _, action = kind.partition(".")
    assert read_event(body(entity, action)) == OtherEvent(kind=kind)


def test_every_event_of_the_installed_mlflow_is_read() -> None:
    pytest.importorskip("mlflow")
    from llmgate.mlflow_quiet import quiet

    with quiet():
        from mlflow.webhooks.types import EVENT_TO_PAYLOAD_CLASS
    kinds = {}
    payloads: dict[Any, Any] = EVENT_TO_PAYLOAD_CLASS
    for (entity, action), payload in payloads.items():
        told = {"entity": entity.value, "action": action.value, "timestamp": "", "data": payload.example()}
        kinds[f"{entity.value}.{action.value}"] = type(read_event(json.dumps(told).encode()))
    assert kinds.pop("model_version.created") is VersionCreated
    assert kinds.pop("model_version_alias.created") is AliasChanged
    assert kinds.pop("model_version_alias.deleted") is AliasChanged
    assert set(kinds.values()) == {OtherEvent}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"entity": "a", "entity": "b"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        body() + b"x",
    ],
)
def test_no_json(text: bytes) -> None:
    refused(text, 400, "no JSON")


@pytest.mark.parametrize("text", [b"[]", b"1", b'"x"', b"null"])
def test_no_object(text: bytes) -> None:
    refused(text, 400, "no JSON object")


@pytest.mark.parametrize("text", [b"{}", body(entity=1), body(action=None), body(entity="A b"), body(entity="a\n")])
def test_no_event(text: bytes) -> None:
    refused(text, 400, "names no event")


def test_no_data() -> None:
    refused(json.dumps({"entity": "model_version", "action": "created", "data": []}).encode(), 400, "has no data")


@pytest.mark.parametrize("version", [7, "0", "-1", "07", "1.0", "7\n", "٧", "latest", "", None, "9" * 20, ["7"]])
def test_no_version(version: object) -> None:
    refused(body(data={"version": version}), 422, "no positive whole number")


@pytest.mark.parametrize("name", [None, 7, "", "x" * 257, "a/b", "a:b", "a\nb", "a\x1b[31mb", "a\u202eb", {}])
def test_no_name(name: object) -> None:
    refused(body(data={"name": name}), 422, "the name of")
    refused(body(workspace=name or ""), 422, "the workspace of")
    refused(body("model_version_alias", "created", data={"alias": name}), 422, "the alias of")


@given(st.binary(max_size=300) | st.recursive(st.none() | st.text(), lambda x: st.dictionaries(st.text(), x)).map(str))
def test_whatever_comes_is_an_event_or_refused(text: bytes | str) -> None:
    status = 202
    try:
        read_event(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    except DeliveryRefusedError as error:
        status = error.status
    assert status in {202, 400, 422}
