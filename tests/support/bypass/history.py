"""Verdicts used again, out of order or under other tags; rollbacks; and two who promote at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from llmgate.attest.envelope import envelope_text, read_envelope
from llmgate.attest.tags import attestation_key
from support.bypass.scene import PRODUCTION, Answer
from support.bypass.table import Area

if TYPE_CHECKING:
    from support.bypass.scene import Scene

__all__ = ["REPLAYS", "ROLLBACKS"]

REPLAYS: Final = Area(title="Verdicts used again, late or out of order")
ROLLBACKS: Final = Area(title="Rollbacks")
TAG: Final = "POST model-versions/set-tag, then the alias"
ALIAS: Final = "POST registered-models/alias"
SECOND: Final = attestation_key("champion", 2)
MILLI: Final = timedelta(milliseconds=1)


def failed_after(scene: Scene) -> tuple[str, str]:
    """A version with a PASS and then a FAIL; returns it with the PASS."""
    version = scene.challenger()
    passed = scene.verdict(version)
    scene.done(scene.attest(version, passed))
    scene.done(scene.attest(version, scene.verdict(version, outcome="FAIL")))
    return version, passed


@REPLAYS.refused("older-pass", "put the PASS back after a FAIL", TAG, "not newer than the FAIL")
def older_pass(scene: Scene) -> Answer:
    return scene.try_with(*failed_after(scene))


@REPLAYS.refused(
    "older-pass-second", "put the PASS back after a FAIL, under a second tag", TAG, "not newer than the FAIL"
)
def older_pass_second(scene: Scene) -> Answer:
    return scene.try_with(*failed_after(scene), SECOND)


@REPLAYS.refused("older-pass-resigned", "the same PASS in a new envelope", TAG, "not newer than the FAIL")
def older_pass_resigned(scene: Scene) -> Answer:
    version, passed = failed_after(scene)
    envelope = read_envelope(passed)
    again = envelope_text(envelope)
    return scene.try_with(version, again.replace('"keyid":"', '"keyid":"0'))


@REPLAYS.refused(
    "older-pass-unseen", "a PASS from before the FAIL that nobody has seen yet", TAG, "not newer than the FAIL"
)
def older_pass_unseen(scene: Scene) -> Answer:
    version = scene.challenger()
    hidden = scene.verdict(version)
    scene.done(scene.attest(version, scene.verdict(version, outcome="FAIL")))
    return scene.try_with(version, hidden)


@REPLAYS.refused("same-moment", "a PASS of the same millisecond as the FAIL", TAG, "not newer than the FAIL")
def same_moment(scene: Scene) -> Answer:
    version = scene.challenger()
    now = scene.next_time()
    scene.done(scene.attest(version, scene.verdict(version, outcome="FAIL", issued_at=now)))
    return scene.try_with(version, scene.verdict(version, issued_at=now))


@REPLAYS.refused("fail-second", "hide a FAIL under a second tag", ALIAS, "FAIL")
def fail_second(scene: Scene) -> Answer:
    version = scene.challenger()
    scene.done(scene.attest(version, scene.verdict(version)))
    scene.done(scene.attest(version, scene.verdict(version, outcome="FAIL"), SECOND))
    return scene.attempt(lambda: scene.set_alias(version))


@REPLAYS.refused("fail-deleted", "delete the tag with the FAIL", ALIAS, "FAIL")
def fail_deleted(scene: Scene) -> Answer:
    version = scene.challenger()
    scene.done(scene.attest(version, scene.verdict(version)))
    scene.done(scene.attest(version, scene.verdict(version, outcome="FAIL"), SECOND))
    return scene.attempt(
        lambda: scene.api("DELETE", "model-versions/delete-tag", name=scene.model, version=version, key=SECOND),
        lambda: scene.set_alias(version),
    )


@REPLAYS.refused("stale", "a PASS against a champion that has been replaced since", ALIAS, "has moved since")
def stale(scene: Scene) -> Answer:
    scene.crown("v1")
    late, first = scene.create_version("v2"), scene.create_version("v3")
    scene.done(scene.attest(late, scene.verdict(late)))
    scene.promote(first)
    return scene.attempt(lambda: scene.set_alias(late))


@REPLAYS.refused("spent", "a verdict that has promoted its version before", ALIAS, "promotes once")
def spent(scene: Scene) -> Answer:
    first = scene.crown("v1")
    scene.crown("v2")
    scene.crown("v3")
    return scene.attempt(lambda: scene.set_alias(first))


@REPLAYS.refused("pass-late", "a PASS that expired between tag and alias", ALIAS, "expired at")
def pass_late(scene: Scene) -> Answer:
    version = scene.challenger()
    text = scene.verdict(version, issued_at=scene.next_time() - timedelta(seconds=30), lasts=timedelta(seconds=31))
    scene.done(scene.attest(version, text))
    threading.Event().wait(1.2)
    return scene.attempt(lambda: scene.set_alias(version))


@REPLAYS.refused("race", "promote two versions at the same moment, with a good verdict each", ALIAS, "has moved since")
def race(scene: Scene) -> Answer:
    scene.crown("v1")
    versions = [scene.create_version(weights) for weights in ("v2", "v3", "v4", "v5")]
    for version in versions:
        scene.done(scene.attest(version, scene.verdict(version)))
    start = threading.Barrier(len(versions))
    answers: dict[str, Answer] = {}

    def promote(version: str) -> None:
        start.wait()
        answers[version] = scene.set_alias(version)

    threads = [threading.Thread(target=promote, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [version for version, answer in answers.items() if answer.ok]
    assert (
        scene.done(scene.api("GET", f"registered-models/alias?name={scene.model}&alias=champion"))["model_version"][
            "version"
        ]
        == winner
    )
    losers = [answer for answer in answers.values() if not answer.ok]
    assert all(answer.denied for answer in losers), losers
    loser = next(version for version in versions if version != winner)
    return scene.attempt(lambda: scene.set_alias(loser))


@ROLLBACKS.works("rollback", "go back to the champion before this one, without a new verdict", ALIAS)
def rollback(scene: Scene) -> Answer:
    old, _ = scene.dethroned()
    return scene.attempt(lambda: scene.set_alias(old))


@ROLLBACKS.works("rollback-stage", "the same with a stage", "POST model-versions/transition-stage")
def rollback_stage(scene: Scene) -> Answer:
    old = scene.crown("v1", PRODUCTION)
    new = scene.create_version("v2")
    text = scene.verdict(new, alias=PRODUCTION)
    scene.done(scene.attest(new, text, alias=PRODUCTION))
    scene.done(scene.stage(new, archive_existing_versions=True))
    return scene.attempt(lambda: scene.stage(old, archive_existing_versions=True))


@ROLLBACKS.refused("rollback-never", "roll back to a version that never held the alias", ALIAS, "no verdict")
def rollback_never(scene: Scene) -> Answer:
    never = scene.create_version("v0")
    scene.dethroned()
    return scene.attempt(lambda: scene.set_alias(never))


@ROLLBACKS.refused("rollback-failed", "roll back to a version that has failed since", ALIAS, "FAIL since")
def rollback_failed(scene: Scene) -> Answer:
    old, _ = scene.dethroned()
    scene.done(scene.attest(old, scene.verdict(old, outcome="FAIL"), SECOND))
    return scene.attempt(lambda: scene.set_alias(old))


@ROLLBACKS.refused("rollback-forth", "roll forth again to the version that was rolled back", ALIAS, "promotes once")
def rollback_forth(scene: Scene) -> Answer:
    old, new = scene.dethroned()
    scene.done(scene.set_alias(old))
    return scene.attempt(lambda: scene.set_alias(new))


@ROLLBACKS.refused(
    "rollback-far",
    "roll back over one champion, where the policy says `previous`",
    ALIAS,
    "goes to the previous holder",
)
def rollback_far(scene: Scene) -> Answer:
    oldest = scene.crown("v1")
    scene.crown("v2")
    scene.crown("v3")
    return scene.attempt(lambda: scene.set_alias(oldest))


@ROLLBACKS.refused("rollback-none", "roll back where the policy says `none`", ALIAS, "allows no rollback")
def rollback_none(scene: Scene) -> Answer:
    scene.rule = "support-strict"
    versions = []
    for weights in ("v1", "v2"):
        version = scene.create_version(weights)
        text = scene.verdict(version, suites=(("support", "2.0.0"),))
        scene.done(scene.attest(version, text))
        scene.done(scene.set_alias(version))
        scene.took(version, text)
        versions.append(version)
    return scene.attempt(lambda: scene.set_alias(versions[0]))


@ROLLBACKS.refused(
    "rollback-edited",
    "put another verdict into the tag of a version that held the alias, to forge a rollback",
    "POST model-versions/set-tag",
    "refused",
)
def rollback_edited(scene: Scene) -> Answer:
    old, _ = scene.dethroned()
    return scene.attempt(lambda: scene.attest(old, scene.verdict(old)))


@ROLLBACKS.refused(
    "rollback-undeleted",
    "delete the tag that earned the alias, of a version that held it",
    "DELETE model-versions/delete-tag",
    "refused",
)
def rollback_undeleted(scene: Scene) -> Answer:
    old, _ = scene.dethroned()
    return scene.attempt(
        lambda: scene.api(
            "DELETE", "model-versions/delete-tag", name=scene.model, version=old, key=attestation_key("champion")
        )
    )
