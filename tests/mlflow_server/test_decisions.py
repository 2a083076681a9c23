"""No sequence of acts gets around the order of verdicts: the pure part of the gate, by properties."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.verdicts import REGISTRY, digest_of

from llmgate.attest.check import Signed
from llmgate.attest.keys import generate, public_key
from llmgate.attest.policy import KeyRole, Protection, Rollback, TrustedKey
from llmgate.attest.statement import ChampionFacts, RegistryFacts, SuiteFacts, VerdictStatement
from llmgate.errors import AttestationError
from llmgate.mlflow_server.decisions import Move, admit, attempt, decide, holder_now, stack
from llmgate.mlflow_server.events import Held, History, PromotionRow, StoredVersion, VerdictRow, instant, millis

START = datetime(2026, 11, 1, tzinfo=UTC)
KEY = TrustedKey(name="all", key=public_key(generate()[1], where="test"), roles=frozenset(KeyRole))
VERSIONS = (1, 2, 3)


def rule(rollback: Rollback = Rollback.PREVIOUS) -> Protection:
    return Protection(
        models=("*",), aliases=("champion",), suites={"s": "*"}, max_age=timedelta(days=30), rollback=rollback
    )


def facts(version: int) -> StoredVersion:
    return StoredVersion(version=version, created=1_000 + version, source="s3://b", stage="None", tags={})


@dataclass
class Ledgered:
    """A registry in memory: what the store does around the pure part."""

    policy: Protection = field(default_factory=rule)
    now: datetime = START
    present: int | None = None
    verdicts: list[VerdictRow] = field(default_factory=list)
    promotions: list[PromotionRow] = field(default_factory=list)
    given: list[Signed] = field(default_factory=list)
    tags: dict[int, set[str]] = field(default_factory=lambda: {version: set() for version in VERSIONS})

    @property
    def history(self) -> History:
        rows = len(self.verdicts) + len(self.promotions)
        last = max([*(row.seq for row in self.verdicts), *(row.seq for row in self.promotions)], default=0)
        return History(verdicts=tuple(self.verdicts), promotions=tuple(self.promotions), whole=rows == last)

    @property
    def seq(self) -> int:
        return len(self.verdicts) + len(self.promotions) + 1

    def tick(self) -> None:
        self.now += timedelta(minutes=1)

    def holder(self) -> Held | None:
        return holder_now(self.history, None if self.present is None else facts(self.present))[0]

    def gate(self, version: int, outcome: str) -> Signed:
        """A verdict against the present holder; nobody has shown it to the registry yet."""
        self.tick()
        held = self.holder()
        override = outcome == "OVERRIDE"
        signed = Signed(
            verdict=VerdictStatement(
                weaker=(),
                kind="override" if override else "gate",
                outcome=outcome,
                registry=RegistryFacts(
                    id=REGISTRY,
                    model="m",
                    version=str(version),
                    created_at=instant(facts(version).created),
                    source="s3://b",
                    alias="champion",
                ),
                champion=None
                if held is None
                else ChampionFacts(
                    version=str(held.version),
                    created_at=instant(held.created),
                    verdict=held.verdict,
                    weights=held.weights,
                ),
                subject_is="weights",
                subject=digest_of(f"weights {version}"),
                suites=() if override else (SuiteFacts(name="s", version="1", digest="", dataset=""),),
                records=MappingProxyType({}),
                attempts=1,
                issued_at=self.now,
                expires_at=self.now + timedelta(days=1),
                reason="why" if override else "",
                by="who" if override else "",
                digest=digest_of(f"verdict {len(self.given)}"),
                predicate=MappingProxyType({}),
            ),
            keys=(KEY,),
        )
        self.given.append(signed)
        return signed

    def show(self, signed: Signed) -> bool:
        """Put it on its version; whether the registry took it."""
        self.tick()
        version = int(signed.verdict.registry.version)
        try:
            new = admit(signed, self.history, facts(version), self.now)
        except AttestationError:
            return False
        if new:
            verdict = signed.verdict
            self.verdicts.append(
                VerdictRow(
                    seq=self.seq,
                    version=version,
                    created=facts(version).created,
                    alias="champion",
                    digest=verdict.digest,
                    outcome=verdict.outcome,
                    weights=verdict.weights,
                    issued=millis(verdict.issued_at),
                    expires=millis(verdict.expires_at),
                    attempt=attempt(self.history, facts(version), verdict.weights),
                    signers="all",
                    at=millis(self.now),
                )
            )
        self.tags[version].add(signed.verdict.digest)
        return True

    def ask(self, version: int, history: History | None = None) -> Move:
        """May it become champion, by all of the history or by a part of it?"""
        history = history or self.history
        known = history.of(version, facts(version).created)
        opened = next((s for s in self.given if known and s.verdict.digest == known[-1].digest), None)
        return decide(
            facts=facts(version),
            present=None if self.present is None else facts(self.present),
            history=history,
            opened=opened,
            shown=frozenset(self.tags[version]),
            rule=self.policy,
            now=self.now,
        )

    def move(self, version: int) -> Move | None:
        """Set the alias; None if it is refused or nothing changes."""
        self.tick()
        if version == self.present:
            return None
        try:
            move = self.ask(version)
        except AttestationError:
            return None
        self.promotions.append(
            PromotionRow(
                seq=self.seq, alias="champion", event=move.event, to=move.to, over=move.over, at=millis(self.now)
            )
        )
        self.present = version
        return move


Act = tuple[Literal["gate", "show", "move", "again"], int, str]
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["gate", "gate", "show", "show", "move", "move", "again"]),
        st.integers(0, 9),
        st.sampled_from(["PASS", "PASS", "FAIL", "INCONCLUSIVE", "OVERRIDE"]),
    ),
    max_size=40,
)


def play(acts: list[Act], policy: Protection, watch: Any = None) -> Ledgered:
    """Carry acts out; `watch` sees every move with the registry as it was before."""
    registry = Ledgered(policy=policy)
    for act, number, outcome in acts:
        version = VERSIONS[number % len(VERSIONS)]
        match act:
            case "gate":
                registry.show(registry.gate(version, outcome))
            case "again":
                registry.gate(version, outcome)
            case "show" if registry.given:
                registry.show(registry.given[number % len(registry.given)])
            case _:
                before = replace(registry, verdicts=list(registry.verdicts), promotions=list(registry.promotions))
                move = registry.move(version)
                if move is not None and watch is not None:
                    watch(before, move)
    return registry


@given(acts=ACTS, rollback=st.sampled_from(Rollback))
def test_what_moves_the_alias_is_the_newest_verdict_or_a_rollback(acts: list[Act], rollback: Rollback) -> None:
    def watch(before: Ledgered, move: Move) -> None:
        known = before.history.of(move.to.version, move.to.created)
        if move.event == "rolled-back":
            held = stack(before.history)[:-1]
            assert rollback is not Rollback.NONE
            assert move.to in (held if rollback is Rollback.ANY else held[-1:])
            since = [row for row in known if move.to.verdict is None or row.issued > issued(before, move.to.verdict)]
            assert not [row for row in since if row.outcome in {"FAIL", "INCONCLUSIVE"}]
            return
        newest = max(known, key=lambda row: row.issued)
        assert newest == known[-1]
        assert move.to.verdict == newest.digest
        assert newest.outcome == ("OVERRIDE" if move.event == "overridden" else "PASS")
        assert newest.digest not in before.history.earned()
        signed = next(s for s in before.given if s.verdict.digest == newest.digest)
        told, held_now = signed.verdict.champion, before.holder()
        assert (told is None) == (held_now is None) == (move.event == "bootstrapped" or move.over is None)
        if told is not None and held_now is not None:
            assert (told.version, told.verdict) == (str(held_now.version), held_now.verdict)

    play(acts, rule(rollback), watch)


def issued(registry: Ledgered, digest: str) -> int:
    return next(row.issued for row in registry.verdicts if row.digest == digest)


@given(acts=ACTS)
def test_a_verdict_promotes_once_and_the_ledger_knows_the_holder(acts: list[Act]) -> None:
    registry = play(acts, rule(Rollback.ANY))
    earned = [row.to.verdict for row in registry.promotions if row.event != "rolled-back"]
    assert len(earned) == len(set(earned))
    if registry.promotions:
        top = stack(registry.history)[-1]
        assert top.version == registry.present
        assert all(
            row.over is None or registry.history.held(row.over.version, row.over.created) for row in registry.promotions
        )


@given(acts=ACTS)
def test_verdicts_of_a_version_are_kept_in_the_order_in_which_they_were_given(acts: list[Act]) -> None:
    registry = play(acts, rule())
    for version in VERSIONS:
        known = registry.history.of(version, facts(version).created)
        times = [row.issued for row in known]
        assert times == sorted(set(times))
        assert [row.attempt for row in known] == list(range(1, len(known) + 1))


@given(acts=ACTS, data=st.data())
def test_a_ledger_without_one_of_its_rows_allows_nothing(acts: list[Act], data: st.DataObject) -> None:
    """But for the last row of all, whose absence looks like a ledger that was never longer."""
    registry = play(acts, rule(Rollback.ANY))
    everything: list[VerdictRow | PromotionRow] = [*registry.verdicts, *registry.promotions]
    rows = [row for row in everything if row.seq < registry.seq - 1]
    if not rows:
        return
    gone = data.draw(st.sampled_from(rows))
    registry.verdicts = [row for row in registry.verdicts if row is not gone]
    registry.promotions = [row for row in registry.promotions if row is not gone]
    for version in VERSIONS:
        with pytest.raises(AttestationError, match="damaged"):
            registry.ask(version)
    with pytest.raises(AttestationError, match="damaged"):
        admit(registry.gate(1, "PASS"), registry.history, facts(1), registry.now)


@given(acts=ACTS, verdicts=st.integers(1, 8), promotions=st.integers(1, 4), rollback=st.sampled_from(Rollback))
def test_a_part_of_the_ledger_allows_nothing_that_all_of_it_refuses(
    acts: list[Act], verdicts: int, promotions: int, rollback: Rollback
) -> None:
    registry = play(acts, rule(rollback))
    if not registry.verdicts or not registry.promotions:
        return
    part = replace(
        registry.history,
        verdicts=tuple(registry.verdicts[-verdicts:]),
        promotions=tuple(registry.promotions[-promotions:]),
    ).if_cut(verdicts, promotions)
    for present in (None, *VERSIONS):
        registry.present = present
        for version in VERSIONS:
            try:
                move = registry.ask(version, part)
            except AttestationError:
                continue
            assert move == registry.ask(version)


def test_a_part_of_the_ledger_is_enough_for_a_promotion() -> None:
    registry = Ledgered()
    for _ in range(20):
        for version in VERSIONS:
            registry.show(registry.gate(version, "FAIL"))
            registry.show(registry.gate(version, "PASS"))
            history = registry.history
            part = replace(history, verdicts=history.verdicts[-6:], promotions=history.promotions[-3:])
            if part.promotions:
                assert registry.ask(version, part.if_cut(6, 3)).event == "promoted"
            registry.move(version)


@given(acts=ACTS)
def test_a_tag_that_is_gone_never_turns_no_into_yes(acts: list[Act]) -> None:
    registry = play(acts, rule(Rollback.ANY))
    for version in VERSIONS:
        if version == registry.present or registry.promotions == []:
            continue
        bare = replace(registry, tags={**registry.tags, version: set()})
        # Without the text there is nothing to open, and nothing to go back to.
        bare.given = []
        try:
            move = bare.ask(version)
        except AttestationError:
            continue
        assert move.event == "rolled-back"
        assert move.to.verdict is None


def test_after_a_rollback_the_version_above_needs_a_new_verdict() -> None:
    registry = Ledgered()
    for version in (1, 2):
        registry.show(registry.gate(version, "PASS"))
        assert registry.move(version) is not None
    assert cast("Move", registry.move(1)).event == "rolled-back"
    assert registry.move(2) is None
    with pytest.raises(AttestationError, match="a verdict promotes once"):
        registry.ask(2)
    registry.show(registry.gate(2, "PASS"))
    assert cast("Move", registry.move(2)).event == "promoted"


def test_a_stranger_who_holds_the_alias_is_named_without_a_verdict() -> None:
    registry = Ledgered()
    registry.show(registry.gate(1, "PASS"))
    registry.move(1)
    registry.present = 3
    held, agreed = holder_now(registry.history, facts(3))
    assert (held, agreed) == (Held(version=3, created=1_003, verdict=None, weights=None), False)
    registry.show(registry.gate(2, "PASS"))
    with pytest.raises(AttestationError, match="moved past the gate"):
        registry.ask(2)
    assert registry.ask(1).event == "rolled-back"
    registry.present = None
    assert registry.ask(1) == Move(event="rolled-back", to=stack(registry.history)[-1], over=None)
