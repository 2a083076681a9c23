"""A registry in memory that keeps signed verdicts, and does what one is told to do to it."""

from __future__ import annotations  # noqa: I001

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING  # noqa: F401

from llmgate.promote.elsewhere.contract import RegisteredVersion
from llmgate.promote.elsewhere.failures import AbsentError
from collections.abc import Callable


__all__ = ["MemoryRegistry", "made"]


def made(version: str = "2", **given: object) -> RegisteredVersion:
    """A version of `support-bot`."""
    facts = RegisteredVersion(
        uri=f"memory://support-bot/{version}",
        workspace="default",
        model="support-bot",
        version=version,
        source=f"s3://bucket/v{version}",
        created_at=datetime(2026, 11, 1, 12, int(version), tzinfo=UTC),
        ready=True,
        holds=frozenset(),
        attached={},
        earned={},
        handle=version,
    )
    return replace(facts, **given)  # type: ignore[arg-type]


@dataclass
class MemoryRegistry:
    """Versions, verdicts, and who holds what; `before` is called with the name of each writing method."""

    versions: dict[str, RegisteredVersion]
    holders: dict[str, str] = field(default_factory=dict)
    shelf: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _: None
    calls: list[str] = field(default_factory=list)

    def acts(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)

    def alias_problem(self, alias: str) -> str | None:
        return "not here" if alias == "staging" else None

    def version(self, model: str, version: str) -> RegisteredVersion:  # noqa: ARG002
        if version not in self.versions:
            raise AbsentError("there is no such version", where=version)
        return self.versions[version]

    def holder(self, model: str, alias: str) -> RegisteredVersion | None:
        number = self.holders.get(alias)
        return None if number is None else self.version(model, number)

    def attach(self, version: RegisteredVersion, alias: str, digest: str, envelope: str) -> None:
        self.acts("attach")
        self.put(version.version, alias, digest, envelope)

    def put(self, version: str, alias: str, digest: str, envelope: str) -> None:
        self.shelf.setdefault((version, alias), {})[digest] = envelope
        was = self.versions[version]
        self.versions[version] = replace(was, attached={**was.attached, alias: digest})

    def envelopes(self, version: RegisteredVersion, alias: str) -> dict[str, str]:
        return self.shelf.get((version.version, alias), {})

    def set_holder(
        self,
        version: RegisteredVersion,
        alias: str,
        *,
        over: RegisteredVersion | None,  # noqa: ARG002
        digest: str,
    ) -> None:
        self.acts("set_holder")
        was = self.versions[version.version]
        self.versions[version.version] = replace(was, earned={**was.earned, alias: digest})
        self.holders[alias] = version.version

    def finish(self, version: RegisteredVersion, alias: str) -> None:  # noqa: ARG002
        self.acts("finish")
