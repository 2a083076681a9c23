"""Verdicts that are forged, unreadable, or about something else. Each is put on a version before its alias is set."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llmgate.attest.envelope import PAYLOAD_TYPE, envelope_text, pae, read_envelope
from llmgate.attest.statement import canonical
from support.bypass.table import WALLED, Area

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.bypass.scene import Answer, Scene

__all__ = ["ABOUT", "FORGED", "ROUTE", "SIGNERS", "add", "enveloped"]

FORGED: Final = Area(title="Forged and unreadable verdicts")
SIGNERS: Final = Area(title="Who signed it")
ABOUT: Final = Area(title="Verdicts about something else")
ROUTE: Final = "POST model-versions/set-tag, then the alias"


def attempt(scene: Scene, make: Callable[[Scene, str], str]) -> Answer:
    version = scene.challenger()
    return scene.try_with(version, make(scene, version))


def add(area: Area, name: str, tried: str, *words: str) -> Callable[[Callable[[Scene, str], str]], None]:
    """A row whose verdict a function makes."""

    def register(make: Callable[[Scene, str], str]) -> None:
        area.refused(name, tried, ROUTE, *words)(partial(attempt, make=make))

    return register


def statement(text: str) -> Any:
    """What an envelope says."""
    return json.loads(read_envelope(text).payload)


def resigned(scene: Scene, payload: bytes, key: str = "gate") -> str:
    """An envelope around any bytes, signed by a trusted key."""
    signature = scene.keys.signers[key].sign(pae(PAYLOAD_TYPE, payload))
    return enveloped(payload, (scene.keys.signers[key].keyid, signature))


def enveloped(payload: bytes, *signatures: tuple[str, bytes], kind: str = PAYLOAD_TYPE) -> str:
    """An envelope without any check of its own."""
    return json.dumps(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind,
            "signatures": [{"keyid": k, "sig": base64.b64encode(s).decode()} for k, s in signatures],
        }
    )


@add(FORGED, "forged-word", "the word `PASS` instead of a verdict", "cannot be read")
def _(scene: Scene, version: str) -> str:
    return "PASS"


@add(FORGED, "forged-empty", "a JSON object that is no envelope", "no DSSE envelope")
def _(scene: Scene, version: str) -> str:
    return "{}"


@add(FORGED, "forged-edited", "a FAIL, edited into a PASS after it was signed", "the signature is not valid")
def _(scene: Scene, version: str) -> str:
    envelope = read_envelope(scene.verdict(version, outcome="FAIL"))
    return envelope_text(replace(envelope, payload=envelope.payload.replace(b'"FAIL"', b'"PASS"')))


@add(FORGED, "forged-unsigned", "a PASS without a signature", "1 to 16 signatures")
def _(scene: Scene, version: str) -> str:
    return enveloped(read_envelope(scene.verdict(version)).payload)


@add(FORGED, "forged-many", "a PASS with 17 signatures", "1 to 16 signatures")
def _(scene: Scene, version: str) -> str:
    envelope = read_envelope(scene.verdict(version))
    return enveloped(envelope.payload, *[(one.keyid, one.sig) for one in envelope.signatures * 17])


@add(FORGED, "forged-no-pae", "a signature over the statement alone, without its type", "the signature is not valid")
def _(scene: Scene, version: str) -> str:
    payload = read_envelope(scene.verdict(version)).payload
    signer = scene.keys.signers["gate"]
    return enveloped(payload, (signer.keyid, signer.sign(payload)))


@add(FORGED, "forged-other-pae", "a signature over the statement as another type", "the signature is not valid")
def _(scene: Scene, version: str) -> str:
    payload = read_envelope(scene.verdict(version)).payload
    signer = scene.keys.signers["gate"]
    return enveloped(payload, (signer.keyid, signer.sign(pae("text/plain", payload))))


@add(FORGED, "forged-type", "another payload type, signed as such", "is expected")
def _(scene: Scene, version: str) -> str:
    payload = read_envelope(scene.verdict(version)).payload
    signer = scene.keys.signers["gate"]
    return enveloped(payload, (signer.keyid, signer.sign(pae("text/plain", payload))), kind="text/plain")


@add(FORGED, "forged-base64", "base64 with a letter that is none", "base64")
def _(scene: Scene, version: str) -> str:
    values = json.loads(scene.verdict(version))
    return json.dumps({**values, "payload": "*" + values["payload"][1:]})


@add(FORGED, "forged-nested", "JSON that is nested ten thousand deep", "cannot be read")
def _(scene: Scene, version: str) -> str:
    return "[" * 10_000


@add(FORGED, "forged-twice-outside", "an envelope with two payloads", "stands twice")
def _(scene: Scene, version: str) -> str:
    good = scene.verdict(version)
    return '{"payload":"e30=",' + good[1:]


@add(FORGED, "forged-twice-inside", "a signed statement that says FAIL, and then PASS", "stands twice")
def _(scene: Scene, version: str) -> str:
    payload = read_envelope(scene.verdict(version)).payload
    return resigned(scene, payload.replace(b'"verdict":"PASS"', b'"verdict":"FAIL","verdict":"PASS"'))


@add(FORGED, "forged-nan", "a signed statement with NaN in it", "NaN is no JSON")
def _(scene: Scene, version: str) -> str:
    payload = read_envelope(scene.verdict(version)).payload
    return resigned(scene, payload.replace(b'"attempts":1', b'"attempts":NaN'))


@add(
    FORGED,
    "forged-unbound",
    "a verdict that is bound to no registry, as earlier versions wrote",
    "registry: this field is missing",
)
def _(scene: Scene, version: str) -> str:
    told = statement(scene.verdict(version))
    del told["predicate"]["registry"]
    return resigned(scene, canonical(told))


@add(FORGED, "forged-predicate", "a PASS of another tool, signed with our key", "no verdict of llmgate")
def _(scene: Scene, version: str) -> str:
    told = statement(scene.verdict(version))
    return resigned(scene, canonical({**told, "predicateType": "https://in-toto.io/attestation/test-result/v0.1"}))


@add(FORGED, "forged-subjects", "a statement about two sets of weights", "2 subjects")
def _(scene: Scene, version: str) -> str:
    told = statement(scene.verdict(version))
    return resigned(scene, canonical({**told, "subject": told["subject"] * 2}))


@add(FORGED, "forged-outcome", "a verdict that is neither PASS, FAIL nor INCONCLUSIVE", "verdict")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, outcome="PASS (with waivers)")


@add(FORGED, "forged-long", "an envelope of 60,001 characters", "60,000")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version).ljust(60_001)


@add(SIGNERS, "key-unknown", "a key that the policy does not know", "no key that counts")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, key="stranger")


@add(SIGNERS, "key-claimed", "an unknown key under the id of the gate's", "the signature is not valid")
def _(scene: Scene, version: str) -> str:
    envelope = read_envelope(scene.verdict(version, key="stranger"))
    return enveloped(envelope.payload, (scene.keys.signers["gate"].keyid, envelope.signatures[0].sig))


@add(
    SIGNERS,
    "key-two-bad",
    "two signatures: a stranger's, and the gate's over another verdict",
    "the signature is not valid",
)
def _(scene: Scene, version: str) -> str:
    mine = read_envelope(scene.verdict(version, key="stranger"))
    other = read_envelope(scene.verdict(version, outcome="FAIL")).signatures[0]
    return enveloped(mine.payload, (mine.signatures[0].keyid, mine.signatures[0].sig), (other.keyid, other.sig))


@add(SIGNERS, "key-expired", "a key beyond the day on which it ends", "the key retired expired")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, key="retired")


@add(SIGNERS, "key-backdated", "an ended key, with a verdict dated to when it counted", "the key retired expired")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, key="retired", issued_at=scene.issued - timedelta(days=20))


@add(SIGNERS, "key-early", "a key before the day on which it begins", "the key early counts from")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, key="early")


@add(SIGNERS, "key-models", "a key for other models", "does not sign for this model")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, key="elsewhere")


@add(SIGNERS, "key-bootstrap", "the bootstrap key, though somebody holds the alias", "only signs for the first")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, key="bootstrap")


@add(SIGNERS, "key-override", "a gate's verdict, signed with the override key", "may not sign a verdict")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, key="override")


@add(SIGNERS, "key-gate-override", "an override, signed with the gate's key", "may not sign an override")
def _(scene: Scene, version: str) -> str:
    return scene.keys.override(scene.facts(version), champion=scene.champion(), key="gate")


@SIGNERS.refused(
    "key-first", "the gate's key for the first champion ever", ROUTE, "the first verdict needs a key of its own"
)
def _first(scene: Scene) -> Answer:
    version = scene.create_version()
    return scene.try_with(version, scene.verdict(version, key="gate"))


for what, changed, words in (
    ("registry", {"id": "staging"}, "the registry 'staging'"),
    ("workspace", {"workspace": "team-a"}, "the workspace 'team-a'"),
    ("model", {"model": "support-other"}, "the model 'support-other'"),
    ("version", {"version": "1"}, "the version '1'"),
    ("alias", {"alias": "production"}, "the alias 'production'"),
    ("source", {"source": "s3://bucket/elsewhere"}, "weights at 's3://bucket/elsewhere'"),
):

    def make(scene: Scene, version: str, changed: dict[str, Any] = changed) -> str:
        return scene.verdict(version, changed=changed)

    add(ABOUT, f"about-{what}", f"a verdict for another {what}", words)(make)


@add(ABOUT, "about-created", "a verdict on a version of this number that was created at another time", "was deleted")
def _(scene: Scene, version: str) -> str:
    then = scene.facts(version).created_at - timedelta(milliseconds=1)
    return scene.verdict(version, changed={"created_at": then})


@ABOUT.refused("about-copied", "the champion's own verdict, put on the next version", ROUTE, "the version '1'")
def _copied(scene: Scene) -> Answer:
    text = scene.promote(scene.create_version("v1"))
    return scene.try_with(scene.create_version("v2"), text)


@ABOUT.refused("about-copy-call", "copy the champion with its tags", "client: copy_model_version, then the alias")
def _copy_call(scene: Scene) -> Answer:
    version = scene.crown()
    copied: list[str] = []

    def copy() -> Answer:
        answer = scene.client("copy_model_version", f"models:/{scene.model}/{version}", scene.model)
        copied.append(str(answer.body.version) if answer.ok else version)
        return answer

    scene.calls = 2
    first = copy()
    if not first.ok:
        # The gate refuses the copy with its tags; a copy without them is a version like any other.
        return scene.attempt(copy)
    return scene.attempt(lambda: scene.set_alias(copied[0]))


@ABOUT.refused(
    "about-created-with",
    "create a version with the champion's verdict among its tags",
    "POST model-versions/create, then the alias",
)
def _created_with(scene: Scene) -> Answer:
    text = scene.promote(scene.create_version("v1"))
    tags = [{"key": "llmgate.attestation/champion", "value": text}]
    source = f"s3://bucket/{scene.model}/v2"
    made = scene.api("POST", "model-versions/create", name=scene.model, source=source, tags=tags)
    if not made.ok:
        return scene.attempt(
            lambda: scene.api("POST", "model-versions/create", name=scene.model, source=source, tags=tags)
        )
    return scene.attempt(lambda: scene.set_alias("2"))


@ABOUT.refused(
    "about-workspace-here",
    "a verdict on the model of the same name in another workspace",
    ROUTE,
    "the workspace 'default'",
    setup=WALLED,
)
def _workspace_here(scene: Scene) -> Answer:
    name = f"team-{scene.token}"
    scene.done(scene.raw("POST", "/api/3.0/mlflow/workspaces", {"name": name}))
    scene.workspace = name
    version = scene.challenger()
    return scene.try_with(version, scene.verdict(version, changed={"workspace": "default"}))
