"""Genuine verdicts that do not say PASS, or not here and now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from support.bypass.content import ROUTE, add
from support.bypass.table import Area
from support.verdicts import digest_of

if TYPE_CHECKING:
    from support.bypass.scene import Answer, Scene

__all__ = ["VERDICTS"]

VERDICTS: Final = Area(title="Verdicts that do not say PASS, or not here and now")
HOUR: Final = timedelta(hours=1)


for outcome, words in (("FAIL", "the verdict is FAIL"), ("INCONCLUSIVE", "the verdict is INCONCLUSIVE")):

    def said(scene: Scene, version: str, outcome: str = outcome) -> str:
        return scene.verdict(version, outcome=outcome)

    add(VERDICTS, f"says-{outcome}", f"a genuine {outcome}", words)(said)


@add(VERDICTS, "expired", "a PASS that has expired", "expired at")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, issued_at=scene.issued - 2 * HOUR, lasts=HOUR)


@add(
    VERDICTS, "too-old", "a PASS that is older than the policy's 30 days, but has not expired", "older than the 30 days"
)
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, issued_at=scene.issued - timedelta(days=31), lasts=timedelta(days=60))


@add(VERDICTS, "future", "a PASS from ten minutes ahead", "still to come")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, issued_at=scene.issued + HOUR / 6)


@add(VERDICTS, "backwards", "a PASS that expires before it was given", "expires before it was given")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, lasts=-HOUR)


@add(VERDICTS, "suite-missing", "a PASS of another suite than the policy requires", "lacks the suite support")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, suites=(("smoke", "1.0.0"),))


@VERDICTS.refused(
    "suite-version",
    "a PASS of an older version of the suite than the policy requires",
    ROUTE,
    "lacks the suite support@2.*",
)
def _suite_version(scene: Scene) -> Answer:
    scene.rule = "support-strict"
    version = scene.create_version()
    return scene.try_with(version, scene.verdict(version, suites=(("support", "1.9.0"),)))


@add(VERDICTS, "endpoint", "a PASS of an endpoint whose weights nobody has seen", "an endpoint answered")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, weights=None)


@add(VERDICTS, "compared-nobody", "a PASS that was compared with nobody", "compared with nobody")
def _(scene: Scene, version: str) -> str:
    return scene.verdict(version, champion=None, key="gate")


@VERDICTS.refused(
    "compared-ghost",
    "a first PASS that was compared with a champion that does not exist",
    ROUTE,
    "nobody holds the alias",
)
def _ghost(scene: Scene) -> Answer:
    scene.crown("v1", "production")
    version = scene.create_version("v2")
    ghost = scene.champion("production")
    return scene.try_with(version, scene.verdict(version, champion=ghost, key="bootstrap"))


@add(VERDICTS, "compared-verdict", "a PASS that names another verdict of the champion", "has moved since")
def _(scene: Scene, version: str) -> str:
    champion = scene.champion()
    assert champion is not None
    return scene.verdict(version, champion=replace(champion, verdict=digest_of("another")))


@add(VERDICTS, "compared-weights", "a PASS that was compared with other weights than the champion's", "other weights")
def _(scene: Scene, version: str) -> str:
    champion = scene.champion()
    assert champion is not None
    return scene.verdict(version, champion=replace(champion, weights=digest_of("another")))
