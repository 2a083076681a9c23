"""`llmgate promote`, `rollback` and `status` against a registry that decides for itself, and past it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support.promotions import digest_of
from support.verdicts import REGISTRY

from llmgate.errors import CannotRunError, PromotionRefusedError
from llmgate.promote import tags
from llmgate.promote.attached import champion_facts, registry_facts
from llmgate.promote.mlflow_client import quoted
from llmgate.promote.registries import find_baseline
from llmgate.record.run.loading import load_record
from llmgate.session.commands.champion import status_lines, status_values

if TYPE_CHECKING:
    from pathlib import Path

    from support.signed_registry import SignedRegistry

KEY = "llmgate.attestation/champion"


def direct_refusal(gated: SignedRegistry, number: str) -> str:
    before = gated.plain.holder()
    with pytest.raises(Exception, match="promotion blocked") as caught:
        gated.raw("set_registered_model_alias", gated.name, "champion", number)
    assert gated.plain.holder() == before
    return str(caught.value)


def test_a_registry_says_whether_it_is_gated(gated: SignedRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    gated.plain.create("v1")
    assert gated.open().gated(gated.name) is True
    gated.raw("create_registered_model", "unprotected")
    assert gated.open().gated("unprotected") is False
    assert gated.open().gated("no-such-model") is False
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert gated.open().gated(gated.name) is False
    assert gated.open().gated("no-such-model") is False
    assert not [tag for tag in gated.plain.raw("get_registered_model", gated.name).tags if tag.startswith("llmgate")]


def test_the_first_champion_and_its_successor(gated: SignedRegistry) -> None:
    first = gated.crown()
    assert gated.plain.holder() == first.number
    second = gated.gate("v2", first)
    done = gated.plain.promote(second.uri)
    assert (done.changed, done.kept, done.signed) == (True, True, second.posted.digest)
    assert f"signed verdict: {second.posted.digest}" in done.lines()
    told = gated.facts(second.uri).tags
    assert told[tags.PROMOTED_OVER] == first.number
    assert f"{tags.EARNED}/champion" in told
    mirror = gated.open().mirror(gated.name, "champion")
    assert [event.event for event in mirror.events] == ["promoted", "verdict", "bootstrapped", "verdict"]
    assert mirror.holding.verdict == second.posted.digest


def test_a_first_verdict_with_an_ordinary_key(gated: SignedRegistry) -> None:
    first = gated.gate("v1", role="gate")
    said = gated.refusal(first.uri)
    assert said == (
        f"{gated.name} v1 -> champion: the registry refuses: nobody holds the alias yet, and the first verdict needs a "
        "key of its own. Sign it with a key of the role bootstrap"
    )
    assert not {f"{tags.EARNED}/champion", tags.PROMOTED_AT} & gated.facts(first.uri).tags.keys()


def test_a_version_whose_verdict_is_not_signed(gated: SignedRegistry) -> None:
    uri = gated.plain.create("v1")
    gated.plain.log(gated.plain.measure("v1", uri))
    said = gated.refusal(uri)
    assert "the registry refuses: no verdict of this version is known to the registry. Run the gate with a key" in said
    assert "role bootstrap" in said
    assert "`llmgate verdict sign`" in said
    assert f"{tags.EARNED}/champion" not in gated.facts(uri).tags


def test_a_fail_outdates_the_pass_before_it(gated: SignedRegistry) -> None:
    first = gated.crown()
    second = gated.gate("v2", first)
    again = gated.gate("v2", first, uri=second.uri, right=60)
    assert (again.posted.key, again.posted.attempts) == (KEY, 2)
    assert "the verdict is FAIL" in gated.refusal(second.uri)
    assert "the verdict is FAIL" in direct_refusal(gated, second.number)


def test_nobody_who_asks_directly_gets_further(gated: SignedRegistry) -> None:
    first = gated.crown()
    gated.plain.create("v2")
    assert "no verdict of this version" in direct_refusal(gated, "2")
    third = gated.gate("v3", first)
    gated.succeed(first, "v4")
    assert "the alias has moved since" in direct_refusal(gated, third.number)


def test_a_verdict_by_a_stranger_is_not_taken(gated: SignedRegistry) -> None:
    with pytest.raises(CannotRunError, match="the registry refuses: no key that counts") as caught:
        gated.gate("v1", role="stranger")
    assert caught.value.exit_code == 4
    assert caught.value.where == f"models:/{gated.name}/1"
    assert caught.value.fix == "Sign it with a key of the registry's policy"
    assert KEY not in gated.facts(f"models:/{gated.name}/1").tags


def test_what_earned_the_alias_stays_and_the_next_verdict_has_a_tag_of_its_own(gated: SignedRegistry) -> None:
    first = gated.crown()
    again = gated.gate("v1", first, uri=first.uri)
    assert (again.posted.key, again.posted.attempts) == (f"{KEY}/2", 2)
    third = gated.gate("v1", first, uri=first.uri)
    assert (third.posted.key, third.posted.attempts) == (f"{KEY}/2", 3)
    facts = gated.facts(first.uri)
    held = champion_facts(facts, "champion", gated.open().mirror(gated.name, "champion"), gated=True)
    assert (held.verdict, held.weights) == (first.posted.digest, digest_of("v1"))
    # Still comparable: the champion is who it was when it was promoted.
    gated.succeed(first, "v2")


def test_the_alias_moved_while_the_gate_ran(gated: SignedRegistry) -> None:
    first = gated.crown()
    gated.succeed(first, "v2")
    late = gated.gate("v3", first)
    told = [one for one in gated.facts(late.uri).tags if one == KEY]
    assert told == [KEY]
    assert "so the verdict is stale" in gated.refusal(late.uri)
    assert "the alias has moved since" in direct_refusal(gated, late.number)


def test_the_baseline_is_found_by_the_verdict_alone(gated: SignedRegistry, tmp_path: Path) -> None:
    first = gated.gate("v1")
    gated.set_alias(first)
    gated.gate("v1", first, uri=first.uri, right=95)
    found = find_baseline(gated.name, into=tmp_path / "baseline", tracking_uri=gated.plain.uri)
    assert found.version.uri == first.uri
    assert load_record(found.folder) == load_record(first.record)
    # Nothing that a client wrote said so; a later candidate is compared with it and promoted.
    assert f"{tags.EARNED}/champion" not in gated.facts(first.uri).tags
    gated.succeed(first, "v2")


def test_a_record_that_was_swapped_in_the_store_is_noticed(gated: SignedRegistry, tmp_path: Path) -> None:
    first = gated.gate("v1")
    gated.set_alias(first)
    other = gated.plain.measure("v1", first.uri, right=71)
    shutil.copytree(other, tmp_path / "record")
    gated.plain.raw("log_artifacts", first.run, str(tmp_path / "record"), "record")
    with pytest.raises(
        CannotRunError, match=r"cannot be had: no run holds what the verdict \w+ was signed for"
    ) as caught:
        find_baseline(gated.name, into=tmp_path / "baseline", tracking_uri=gated.plain.uri)
    assert "the candidate's record is not the one that was signed for" in str(caught.value)


def test_an_override(gated: SignedRegistry, tmp_path: Path) -> None:
    first = gated.crown()
    second = gated.gate("v2", first, right=60)
    facts = gated.facts(second.uri)
    champion = champion_facts(
        gated.facts(first.uri), "champion", gated.open().mirror(gated.name, "champion"), gated=True
    )
    text = gated.keys.override(registry_facts(facts, "champion", REGISTRY), champion=champion)
    gated.open().post_verdict(facts, KEY, text)
    done = gated.plain.promote(second.uri)
    assert (done.changed, done.binding) == (True, None)
    assert done.sentence == "Overridden by ada@example.org: the champion leaks memory, and this one does not"
    assert gated.facts(second.uri).tags[tags.OVERRIDE].startswith("ada@example.org: ")
    champion_now = gated.status().champion
    assert champion_now is not None
    assert (champion_now.how, champion_now.outcome, champion_now.sentence) == ("overridden", "OVERRIDE", done.sentence)
    # What comes next is compared with the answers of the one that was overridden for.
    found = find_baseline(gated.name, into=tmp_path / "baseline", tracking_uri=gated.plain.uri)
    assert load_record(found.folder) == load_record(second.record)


def test_back_and_forth(gated: SignedRegistry) -> None:
    first = gated.crown()
    second = gated.succeed(first, "v2")
    third = gated.succeed(second, "v3")
    back = gated.roll_back()
    assert (back.version.uri, back.over.uri, back.weights, back.ledgered) == (second.uri, third.uri, True, True)
    for uri in (second.uri, third.uri):
        assert gated.facts(uri).tags[f"{tags.ROLLBACK}/champion"].endswith(" from 3 to 2: it swears")
    back = gated.roll_back(to="1", reason="and  this\none too")
    assert back.version.uri == first.uri
    with pytest.raises(PromotionRefusedError, match="nothing shows who held the alias before version 1"):
        gated.roll_back()
    mirror = gated.open().mirror(gated.name, "champion")
    assert [(event.event, event.version) for event in mirror.events][:2] == [("rolled-back", "1"), ("rolled-back", "2")]
    # Back on top only by a new verdict.
    assert "a verdict promotes once" in direct_refusal(gated, second.number)


def test_the_registry_decides_about_a_rollback(gated: SignedRegistry) -> None:
    first = gated.crown()
    second = gated.succeed(first, "v2")
    gated.gate("v1", second, uri=first.uri, right=50)
    with pytest.raises(PromotionRefusedError) as caught:
        gated.roll_back()
    said = str(caught.value)
    assert said.startswith(f"{gated.name} v1 -> champion: the registry refuses: it held the alias before, and has got")
    assert gated.plain.holder() == second.number


def test_weights_that_are_others_since(gated: SignedRegistry) -> None:
    first = gated.crown()
    gated.succeed(first, "v2")
    source = gated.facts(first.uri).source
    gated.plain.contents[source] = digest_of("swapped")
    with pytest.raises(PromotionRefusedError, match=f"the files at {source} are not the weights by which version 1"):
        gated.roll_back()
    del gated.plain.contents[source]
    back = gated.roll_back()
    assert (back.version.uri, back.weights) == (first.uri, None)
    assert back.lines()[1] == "weights: not compared, they or their digest cannot be had from here"


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("2", "version 2 holds the alias already"),
        ("9", "nothing shows that version 9 held the alias; those that did: 1"),
    ],
)
def test_a_version_that_cannot_be_gone_back_to(gated: SignedRegistry, to: str, why: str) -> None:
    gated.succeed(gated.crown(), "v2")
    with pytest.raises(PromotionRefusedError, match=why):
        gated.roll_back(to=to)


def test_an_alias_that_was_moved_past_the_gate_is_said_and_put_back(gated: SignedRegistry) -> None:
    first = gated.crown()
    gated.plain.create("v2")
    gated.plain.raw("set_registered_model_alias", gated.name, "champion", "2")
    status = gated.status()
    assert status.ledger_holder == first.number
    text = shown(status)
    assert "the ledger says that version 1 holds the alias, and version 2 does: it was moved past the gate" in text
    assert gated.roll_back().version.uri == first.uri
    assert gated.status().ledger_holder is None


def shown(status: Any, width: int = 1000) -> str:
    return "\n".join(f"{lead}{text}" for lead, text, _ in status_lines(status, width=width))


def test_the_status_of_an_alias(gated: SignedRegistry) -> None:
    first = gated.crown()
    empty = shown(gated.status())
    assert "Waiting: no newer version" in empty
    second = gated.gate("v2", first)
    gated.gate("v3", first, right=60)
    gated.gate("v3", first, uri=f"models:/{gated.name}/3", right=60)
    uri = gated.plain.create("v4")
    gated.plain.log(gated.plain.measure("v4", uri))
    gated.plain.create("v5")
    status = gated.status()
    assert status.champion is not None
    assert (status.gated, status.ledgered, status.champion.version) == (True, True, "1")
    assert (status.champion.how, status.champion.verdict) == ("bootstrapped", first.posted.digest)
    assert [(one.version, one.outcome, one.attempts) for one in status.waiting] == [
        ("5", None, 0),
        ("4", "PASS", 1),
        ("3", "FAIL", 2),
        ("2", "PASS", 1),
    ]
    text = shown(status)
    assert f"{gated.name} champion: version 1" in text
    assert ", promoted as the first" in text
    assert "not signed" in text
    assert f"{second.posted.digest[:12]}, until " in text
    assert "attempt 2" in text
    assert max(len(line) for line in shown(status, 80).splitlines()) <= 80
    values = status_values(status)
    assert values["champion"]["verdict"] == first.posted.digest
    assert values["champion"]["since"].endswith("+00:00")


def test_the_status_where_nobody_holds_the_alias(gated: SignedRegistry) -> None:
    gated.plain.create("v1")
    text = shown(gated.status())
    assert text.startswith(f"{gated.name} champion: nobody holds it\n")
    assert "signed with a key of the role bootstrap" in text
    with pytest.raises(CannotRunError, match="there is no such registered model"):
        type(gated)(plain=gated.plain, keys=gated.keys, client=gated.client).open().aliases("no-such-model")


class ForbiddenError(Exception):
    """As MLflow's client raises them."""


@pytest.mark.parametrize(
    ("said", "why", "fix"),
    [
        (
            "PERMISSION_DENIED: llmgate: promotion blocked: bot v3 -> champion: the verdict is FAIL; mend it",
            "the registry refuses: the verdict is FAIL",
            "Mend it",
        ),
        (
            "llmgate: promotion blocked: a v1 b v3 -> champion: it is late; 2 runs: too many; try again",
            "the registry refuses: it is late; 2 runs: too many",
            "Try again",
        ),
        ("llmgate: refused: set x of bot v3: no", "the registry refuses: no", None),
    ],
)
def test_what_a_gate_says_is_quoted_once(said: str, why: str, fix: str | None) -> None:
    assert quoted(ForbiddenError(said)) == (why, fix)


@pytest.mark.parametrize("said", ["PERMISSION_DENIED: Permission denied", "llmgate: the registry is not opened", ""])
def test_what_others_say_is_not_taken_for_a_gates(said: str) -> None:
    assert quoted(ForbiddenError(said)) is None
