"""Ways to an alias around its verdict, against a live registry: other evidence, other weights, weaker policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from support.adversary import Ending, llmgate
from support.endpoint import chat, scripted_endpoint
from support.project import answer_right, write_suite
from support.promotions import POLICY, SUITE, digest_of, make_manifest, redecide, store_decision, write_record

from llmgate.errors import LlmgateError
from llmgate.promote import tags
from llmgate.promote.evidence import read_evidence, read_identity
from llmgate.promote.permission import Refusal, may_promote
from llmgate.promote.registries import find_baseline
from llmgate.promote.target import EvidenceFiles, VersionFacts
from llmgate.record.policy import Aggregate, Binding, MetricPolicy, OnInconclusive, Policy, Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.registry import Registry

HERE, THERE = "http://127.0.0.1:8001/v1", "http://127.0.0.1:8002/v1"
EARNED = f"{tags.EARNED}/champion"
(GATE,) = POLICY.metrics
CLAIMED = replace(POLICY, binding=Binding.CLAIMED)


def promote(registry: Registry, uri: str, **options: Any) -> Ending:
    """Ask for the alias; green if it moved, or if nothing spoke against it."""
    before = registry.holder()
    try:
        done = registry.promote(uri, **options)
    except LlmgateError as refusal:
        return Ending(exit_code=refusal.exit_code, output=str(refusal), promoted=registry.holder() != before)
    return Ending(exit_code=0, output="\n".join(done.lines()), promoted=registry.holder() != before)


def baseline(registry: Registry) -> Path:
    """What `models:/NAME@champion` stands for."""
    into = registry.folder.parent / f"baseline-{len(list(registry.folder.iterdir()))}"
    return find_baseline(registry.name, into=into, tracking_uri=registry.uri).folder


def challenge(registry: Registry, **measured: Any) -> Ending:
    """Judge a second version against what `models:/NAME@champion` stands for, and ask for the alias."""
    try:
        found = baseline(registry)
    except LlmgateError as refusal:
        return Ending(exit_code=refusal.exit_code, output=str(refusal))
    return promote(registry, registry.challenge(found, **measured)[0])


def told(registry: Registry, version: str = "1") -> dict[str, str]:
    return dict(registry.raw("get_model_version", registry.name, version).tags)


def tell(registry: Registry, version: str, key: str, value: str) -> None:
    registry.raw("set_model_version_tag", registry.name, version, key, value)


def gated(**changes: Any) -> Policy:
    return Policy(metrics=(replace(GATE, **changes),))


# Evidence that earned an alias.


def measured_again_at_a_bad_endpoint(registry: Registry) -> Ending:
    """Row 5: the champion's evidence is what it was, and the bad candidate is compared with that."""
    uri, _ = registry.crown()
    registry.log(registry.measure("v1", uri, right=82, endpoint=HERE))
    return challenge(registry, right=84)


def measured_again_and_promoted_again(registry: Registry) -> Ending:
    uri, _ = registry.crown()
    registry.log(registry.measure("v1", uri, right=82, endpoint=HERE))
    promote(registry, uri)
    return challenge(registry, right=84)


def pointer_to_a_later_run(registry: Registry) -> Ending:
    """What earned the alias is said to be a later run of the same version that passed by a weaker policy."""
    uri, _ = registry.crown()
    later = registry.log(registry.measure("v1", uri, right=82, policy=gated(min=0.5)))
    _, _, digest = told(registry)[EARNED].partition(" ")
    tell(registry, "1", EARNED, f"{later.run_id} {digest}")
    return challenge(registry, right=84)


def pointer_that_is_none(registry: Registry) -> Ending:
    registry.crown()
    tell(registry, "1", EARNED, "somewhere")
    return challenge(registry)


def kept_files_changed(registry: Registry) -> Ending:
    """The kept decision is another one: the digest says so."""
    registry.crown()
    run = told(registry)[EARNED].split()[0]
    stored = registry.folder.parent / "decision.json"
    stored.write_text("{}", encoding="utf-8")
    registry.raw("log_artifact", run, str(stored))
    return challenge(registry)


def kept_run_deleted(registry: Registry) -> Ending:
    registry.crown()
    registry.raw("delete_run", told(registry)[EARNED].split()[0])
    return challenge(registry)


def alias_moved_by_hand(registry: Registry) -> Ending:
    """A version that failed is made champion by other means; nothing it has is a baseline."""
    _, record = registry.crown()
    registry.challenge(record, "bad", right=30)
    registry.raw("set_registered_model_alias", registry.name, "champion", "2")
    return challenge(registry, weights="v3")


def alias_moved_by_hand_with_the_tags(registry: Registry) -> Ending:
    _, record = registry.crown()
    registry.challenge(record, "bad", right=30)
    for key, value in told(registry).items():
        tell(registry, "2", key, value)
    registry.raw("set_registered_model_alias", registry.name, "champion", "2")
    return challenge(registry, weights="v3")


def earned_under_another_alias(registry: Registry) -> Ending:
    """What earned `staging` did not earn `champion`."""
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    registry.promote(uri, "staging")
    registry.raw("set_registered_model_alias", registry.name, "champion", "1")
    return challenge(registry)


def champion_deleted_and_made_again(registry: Registry) -> Ending:
    registry.crown()
    old = told(registry)
    registry.raw("delete_registered_model", registry.name)
    registry.create("bad")
    for key, value in old.items():
        tell(registry, "1", key, value)
    registry.raw("set_registered_model_alias", registry.name, "champion", "1")
    return challenge(registry)


def older_champion_measured_again(registry: Registry) -> Ending:
    """An llmgate that kept nothing promoted it; what it shows today came later."""
    uri, _ = registry.crown()
    registry.forget_what_earned_it(uri)
    tell(registry, "1", tags.PROMOTED_AT, "2026-01-01T00:00:00+00:00")
    registry.log(registry.measure("v1", uri, right=82))
    return promote(registry, uri)


# Who answered.


def the_champions_endpoint(registry: Registry) -> Ending:
    """Row 4: version 2 was never asked."""
    first = registry.create("v1")
    registry.contents.clear()
    registry.log(registry.measure("v1", first, policy=CLAIMED, endpoint=HERE))
    registry.promote(first)
    second = registry.create("v2")
    registry.contents.clear()
    registry.log(registry.measure("v2", second, endpoint=HERE), baseline=baseline(registry))
    return promote(registry, second)


# Verdicts that came before, and after.


def pointer_back_to_a_pass(registry: Registry) -> Ending:
    """Row 15: the latest verdict counts."""
    uri = registry.create("v1")
    passed = registry.log(registry.measure("v1", uri))
    registry.log(registry.measure("v1", uri, right=30))
    tell(registry, "1", tags.EVIDENCE, passed.run_id)
    return promote(registry, uri)


def pointer_back_and_the_run_deleted(registry: Registry) -> Ending:
    uri = registry.create("v1")
    passed = registry.log(registry.measure("v1", uri))
    failed = registry.log(registry.measure("v1", uri, right=30))
    tell(registry, "1", tags.EVIDENCE, passed.run_id)
    registry.raw("delete_model_version_tag", registry.name, "1", f"{tags.VERDICTS}/{failed.run_id}")
    registry.raw("delete_run", failed.run_id)
    return promote(registry, uri)


def note_that_cannot_be_read(registry: Registry) -> Ending:
    uri = registry.create("v1")
    registry.log(registry.measure("v1", uri))
    tell(registry, "1", f"{tags.VERDICTS}/0123", "FAIL some day")
    return promote(registry, uri)


def decision_of_another_major(registry: Registry) -> Ending:
    uri = registry.create("v1")
    record = registry.measure("v1", uri)
    logged = registry.log(record)
    stored = record / "decision.json"
    stored.write_text(json.dumps(json.loads(stored.read_text(encoding="utf-8")) | {"major": 2}), encoding="utf-8")
    registry.raw("log_artifact", logged.run_id, str(stored))
    return promote(registry, uri)


ATTEMPTS: tuple[Callable[[Registry], Ending], ...] = (
    measured_again_at_a_bad_endpoint,
    measured_again_and_promoted_again,
    pointer_to_a_later_run,
    pointer_that_is_none,
    kept_files_changed,
    kept_run_deleted,
    alias_moved_by_hand,
    alias_moved_by_hand_with_the_tags,
    earned_under_another_alias,
    champion_deleted_and_made_again,
    older_champion_measured_again,
    the_champions_endpoint,
    pointer_back_to_a_pass,
    pointer_back_and_the_run_deleted,
    note_that_cannot_be_read,
    decision_of_another_major,
)


@pytest.mark.parametrize("way", ATTEMPTS, ids=lambda way: way.__name__)
def test_ways_around_a_verdict(
    way: Callable[[Registry], Ending], registry: Registry, attempt: Callable[[Ending], None]
) -> None:
    attempt(way(registry))


@dataclass(frozen=True, kw_only=True)
class OnPaper:
    """A candidate that is no worse than the champion, and what is wrong with it; no registry is needed to see that.

    Attributes:
        candidate: What differs in the manifest of the candidate's run.
        champion: The same of the champion's.
        baseline: The same of the run that the candidate was compared with, None for the champion's own.
        first: Whether nobody holds the alias.
    """

    candidate: Mapping[str, Any] = field(default_factory=dict)
    champion: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] | None = None
    first: bool = False

    def ask(self, folder: Path) -> Ending:
        """Whether the alias may be set."""
        champion = record(folder / "champion", {"registry_uri": "models:/bot/1", "weights": "v1", **self.champion})
        own = record(folder / "record", {"registry_uri": "models:/bot/2", "weights": "v2", **self.candidate})
        other = None if self.first else champion
        if self.baseline is not None:
            other = record(folder / "baseline", {"registry_uri": "models:/bot/1", "weights": "v1", **self.baseline})
        try:
            files = EvidenceFiles(
                run="2",
                where="run 2",
                subject="models:/bot/2",
                ended_at=datetime.now(UTC),
                candidate=own,
                baseline=other,
                decision=store_decision(folder, redecide(own, other)),
            )
            answer = may_promote(
                version=facts("2"),
                holder=None if self.first else facts("1"),
                evidence=read_evidence(files, redecide=redecide, source="s3://2", source_digest=lambda _: None),
                alias="champion",
                now=datetime.now(UTC),
                earned=None if self.first else read_identity(champion),
            )
        except LlmgateError as refusal:  # there may be nothing to decide on
            return Ending(exit_code=refusal.exit_code, output=str(refusal))
        if isinstance(answer, Refusal):
            return Ending(exit_code=1, output=answer.reason)
        return Ending(exit_code=0, promoted=True)


def record(folder: Path, facts: Mapping[str, Any]) -> Path:
    """A run that got ninety of a hundred right; an endpoint has no weights to show."""
    facts = {**facts, "weights": None if "endpoint" in facts else facts["weights"]}
    return write_record(folder, make_manifest(folder.name, **facts), right=90)


def facts(number: str) -> VersionFacts:
    """A version whose digest was known before it was judged, and whose source is out of reach."""
    digest = {tags.WEIGHTS_DIGEST: digest_of(f"v{number}")}
    return VersionFacts(
        name="bot", version=number, source="s3://", created_at=datetime(2026, 1, 1, tzinfo=UTC), tags=digest
    )


ON_PAPER = {
    "margin and alpha that let all pass": OnPaper(candidate={"policy": gated(margin=0.999, alpha=0.49)}),
    "the same for the first": OnPaper(candidate={"policy": gated(alpha=0.49)}, first=True),
    "a blank reason": OnPaper(candidate={"policy": gated(margin=0.999, reason=" ")}),
    "a wider margin": OnPaper(candidate={"policy": gated(margin=0.4)}),
    "a wider margin with a reason": OnPaper(candidate={"policy": gated(margin=0.6, reason="it is late")}),
    "a larger alpha": OnPaper(candidate={"policy": gated(alpha=0.2)}),
    "a lower min": OnPaper(candidate={"policy": gated(min=0.1)}),
    "no min": OnPaper(candidate={"policy": gated(min=None)}),
    "means of scores": OnPaper(candidate={"policy": gated(aggregate=Aggregate.MEAN)}),
    "the metric renamed": OnPaper(candidate={"policy": Policy(metrics=(MetricPolicy(suite=SUITE, metric="exact"),))}),
    "the metric only watched": OnPaper(candidate={"policy": gated(role=Role.WATCH)}),
    "inconclusive allowed": OnPaper(candidate={"policy": replace(POLICY, inconclusive=OnInconclusive.ALLOW)}),
    "a claim where the champion showed weights": OnPaper(candidate={"policy": CLAIMED, "endpoint": THERE}),
    "an endpoint where weights are wanted": OnPaper(candidate={"endpoint": THERE}),
    "an endpoint for the first version": OnPaper(candidate={"endpoint": THERE}, first=True),
    "the champion's endpoint, claimed": OnPaper(
        candidate={"policy": CLAIMED, "endpoint": HERE}, champion={"policy": CLAIMED, "endpoint": HERE}
    ),
    "the champion's endpoint with a slash": OnPaper(
        candidate={"policy": CLAIMED, "endpoint": f"{HERE}/"}, champion={"policy": CLAIMED, "endpoint": HERE}
    ),
    "a folder that nobody held against the version": OnPaper(candidate={"binding": Binding.CLAIMED}),
    "other weights": OnPaper(candidate={"weights": "v3"}),
    "another version": OnPaper(candidate={"registry_uri": "models:/bot/3"}),
    "the champion measured again at an endpoint": OnPaper(baseline={"endpoint": HERE}),
    "the champion measured again by a claim": OnPaper(
        champion={"policy": CLAIMED, "endpoint": HERE},
        baseline={"policy": CLAIMED, "endpoint": THERE},
        candidate={"policy": CLAIMED, "endpoint": "http://127.0.0.1:8003/v1"},
    ),
    "other weights by the champion's name": OnPaper(baseline={"weights": "bad"}),
    "nothing compared": OnPaper(first=False, baseline={"registry_uri": "models:/other/1", "weights": "v9"}),
}


@pytest.mark.parametrize("name", ON_PAPER)
def test_candidates_that_are_no_worse_but_prove_less(
    name: str, tmp_path: Path, attempt: Callable[[Ending], None]
) -> None:
    """Rows 4 and 7, and what stands beside them."""
    attempt(ON_PAPER[name].ask(tmp_path))


@pytest.mark.parametrize(
    "case",
    [
        OnPaper(),
        OnPaper(first=True),
        OnPaper(baseline={}),
        OnPaper(candidate={"policy": gated(margin=0.09, min=0.72, alpha=0.04)}),
        OnPaper(candidate={"policy": CLAIMED, "endpoint": THERE}, champion={"policy": CLAIMED, "endpoint": HERE}),
    ],
    ids=["a successor", "a first", "the same weights served again", "a stricter policy", "a claim where it is enough"],
)
def test_honest_candidates_may_have_the_alias(case: OnPaper, tmp_path: Path) -> None:
    ending = case.ask(tmp_path)
    assert ending.green, ending


def test_honest_successor_is_promoted_and_its_history_told(registry: Registry) -> None:
    _, record = registry.crown()
    uri, _ = registry.challenge(record, right=30)
    registry.log(registry.measure("v2", uri), baseline=baseline(registry))
    ending = promote(registry, uri)
    assert ending.promoted
    assert "binding: weights" in ending.output
    assert "verdicts: FAIL of " in ending.output
    assert ", PASS of " in ending.output


def test_honest_policy_change_is_accepted_for_a_reason_and_written_down(registry: Registry) -> None:
    registry.crown()
    uri, _ = registry.challenge(baseline(registry), policy=gated(margin=0.2))
    ending = promote(registry, uri, accept="the margin was too narrow for 100 cases")
    assert ending.promoted
    assert "accepted, though its policy asks for less: support::gate::accuracy: margin 0.1 → 0.2" in ending.output
    assert told(registry, "2")[tags.POLICY_CHANGE].startswith("the margin was too narrow for 100 cases [support::gate")


def test_honest_claims_are_promoted_and_named(registry: Registry) -> None:
    first = registry.create("v1")
    registry.log(registry.measure("v1", first, policy=CLAIMED, endpoint=HERE))
    ending = promote(registry, first)
    assert ending.promoted
    assert "binding: claimed, nothing but the run's word" in ending.output
    assert told(registry)[tags.BINDING] == "claimed"


def test_honest_claim_by_the_command_line_is_named_everywhere(registry: Registry, tmp_path: Path) -> None:
    gate = "metrics: {accuracy: {min: 0.2, margin: 0.1}}\n  binding: claimed"
    suite = write_suite(tmp_path, cases=40)
    head, _, _ = suite.read_text(encoding="utf-8").rpartition("gate:\n")
    suite.write_text(f"{head}gate:\n  {gate}\n", encoding="utf-8")
    at = ("--mlflow-uri", registry.uri)
    for number, more in ((1, ()), (2, ("--baseline", f"models:/{registry.name}@champion"))):
        uri = registry.create(f"v{number}")
        with scripted_endpoint(lambda _, body: chat(answer_right(body))) as (url, _):
            judged = llmgate(
                "run", suite, "--endpoint", url, "--registry-uri", uri, *at, *more, out=tmp_path / f"run-{number}"
            )
        assert judged.green, judged.output
        assert f"That {uri} answered is claimed, not shown" in (tmp_path / f"run-{number}/summary.md").read_text(
            "utf-8"
        )
        assert told(registry, str(number))[tags.BINDING] == "claimed"
        promoted = llmgate("promote", uri, *at)
        assert promoted.exit_code == 0, promoted.output
        assert "binding: claimed, nothing but the run's word says that this version answered" in promoted.output
        assert registry.holder() == str(number)


# Before anything is asked.

IMPOSSIBLE = {
    "an alias": ("--registry-uri", "models:/bot@champion"),
    "latest": ("--registry-uri", "models:/bot/latest"),
    "no registry": ("--registry-uri", "bot/1"),
    "a version that does not exist": ("--registry-uri", "models:/bot-that-is-not/7"),
    "a version and a new one": ("--registry-uri", "models:/bot/1", "--mlflow-model", "bot"),
    "a name with a slash": ("--mlflow-model", "team/bot"),
    "an empty name": ("--mlflow-model", ""),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_versions_cost_no_answer(
    name: str, registry: Registry, tmp_path: Path, attempt: Callable[[Ending], None]
) -> None:
    suite = write_suite(tmp_path, cases=4, gate="min: 0.2")
    with scripted_endpoint(lambda _, body: chat(answer_right(body))) as (url, seen):
        attempt(llmgate("run", suite, "--endpoint", url, "--mlflow-uri", registry.uri, *IMPOSSIBLE[name]))
    assert seen == []


LAX = {
    "margin of a suite": ("margin: 0.999", ""),
    "alpha of a suite": ("min: 0.5, alpha: 0.49", ""),
    "blank reason": ("min: 0.5, alpha: 0.49, reason: ' '", ""),
    "margin of refusals": ("min: 0.5", "drift: {refusals: {margin: 0.999}}\n"),
    "alpha of refusals": ("min: 0.5", "drift: {refusals: {margin: 0.1, alpha: 0.3}}\n"),
}


@pytest.mark.parametrize("name", LAX)
def test_lax_gates_need_a_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[Ending], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    gate, extra = LAX[name]
    write_suite(tmp_path, cases=4, gate=gate, extra=extra)
    with scripted_endpoint(lambda _, body: chat(answer_right(body))) as (url, seen):
        ending = llmgate("run", "words.yaml", "--endpoint", url)
    attempt(ending)
    assert seen == []
    assert "needs a reason" in ending.output
    assert "words.yaml:1" in ending.output
