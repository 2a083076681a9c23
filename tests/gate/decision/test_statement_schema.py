"""The published schemas fit what is signed, and refuse what the reader refuses."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from support.promotions import POLICY, make_manifest, redecide, write_record
from support.records import make_decision, make_metric
from support.records import make_manifest as any_manifest
from support.serving_runs import busy, make_arms, make_plan, noisy, with_run
from support.verdicts import Keys, digest_of, make_keys, registry_facts

from llmgate.attest.envelope import read_envelope
from llmgate.attest.statement import ChampionFacts, bind, canonical, read_statement
from llmgate.cli import main
from llmgate.errors import AttestationError
from llmgate.gate.decision.statement import statement
from llmgate.gate.decision.statement_size import fitted
from llmgate.gate.serving.arms_told import told_arms
from llmgate.record.policy import MetricPolicy, Policy, Role
from llmgate.record.serving.policy import ServingPolicy
from llmgate.session.decide.sign import sign_statement, statement_of_run

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLISHED = Path(__file__).parents[3] / "docs" / "schema"
NOW = datetime(2026, 11, 28, 20, 14, 26, 123_000, tzinfo=UTC)
CHAMPION = ChampionFacts(version="1", created_at=NOW - timedelta(days=9), verdict=digest_of("first"))


def complaints(kind: str, document: Any) -> list[str]:
    schema = json.loads((PUBLISHED / f"{kind}.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)]


def read(document: Any) -> None:
    read_statement(canonical(document), "0" * 64)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def compared(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A PASS against a champion, signed from records on disk."""
    folder = tmp_path_factory.mktemp("runs")
    old = write_record(folder / "old", make_manifest("old", registry_uri="models:/support-bot/1", weights="v1"))
    new = write_record(folder / "new", make_manifest("new", registry_uri="models:/support-bot/2", weights="v2"))
    payload = statement_of_run(
        new,
        redecide(new, old),
        baseline=old,
        registry=registry_facts(),
        champion=CHAMPION,
        now=NOW,
        environ={},
    )
    signed = sign_statement(payload, keys.signers["gate"])
    document: dict[str, Any] = json.loads(read_envelope(signed.envelope).payload)
    return document


def test_a_signed_verdict_fits(compared: dict[str, Any]) -> None:
    assert complaints("verdict", compared) == []
    assert compared["predicate"]["champion"] is not None
    assert compared["predicate"]["tools"]["engine"] == "vllm"


def test_a_verdict_of_an_endpoint_fits(keys: Keys, tmp_path: Path) -> None:
    manifest = make_manifest("e", registry_uri="models:/support-bot/2", weights=None, endpoint="http://127.0.0.1:1/v1")
    run = write_record(tmp_path / "run", manifest, right=10)
    payload = statement_of_run(
        run,
        redecide(run, None),
        baseline=None,
        registry=registry_facts(),
        champion=None,
        now=NOW,
        environ={},
    )
    signed = sign_statement(payload, keys.signers["gate"])
    document = json.loads(read_envelope(signed.envelope).payload)
    assert document["predicate"]["verdict"] == "FAIL"
    assert complaints("verdict", document) == []


@pytest.fixture(scope="module")
def with_serving(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A PASS whose serving gates too, signed from records on disk."""
    folder = tmp_path_factory.mktemp("serving")
    figures = (
        ServingPolicy(suite="support", metric="output_throughput", min=90.0),
        ServingPolicy(suite="support", metric="median_ttft_ms", role=Role.GUARDRAIL, margin=0.1),
        ServingPolicy(suite="support", metric="mean_itl_ms", role=Role.WATCH),
    )
    policy = replace(POLICY, serving=figures)
    made = [
        make_manifest(run, registry_uri=f"models:/support-bot/{number}", weights=run, policy=policy)
        for run, number in (("old", 1), ("new", 2))
    ]
    arms = make_arms(noisy(100, 9), noisy(100, 9, seed=1), plan=make_plan(9, candidate=made[1], champion=made[0]))
    again = replace(arms.runs[0], position=len(arms.runs), discarded="somebody compiled")
    arms = replace(arms, runs=(*arms.runs, again))
    old = write_record(folder / "old", made[0])
    new = write_record(folder / "new", made[1], arms=(arms,))
    payload = statement_of_run(
        new, redecide(new, old), baseline=old, registry=registry_facts(), champion=CHAMPION, now=NOW, environ={}
    )
    signed = sign_statement(payload, keys.signers["gate"])
    document: dict[str, Any] = json.loads(read_envelope(signed.envelope).payload)
    return document


def test_a_verdict_with_serving_gates_fits(with_serving: dict[str, Any]) -> None:
    assert complaints("verdict", with_serving) == []
    predicate = with_serving["predicate"]
    assert predicate["verdict"] == "PASS"
    units = [(metric["metric"], metric.get("unit")) for metric in predicate["metrics"]]
    assert units == [
        ("accuracy", None),
        ("output_throughput", "tok/s"),
        ("median_ttft_ms", "ms"),
        ("mean_itl_ms", "ms"),
    ]
    speed = predicate["metrics"][1]
    assert speed["lower"] < speed["delta"] < speed["upper"]
    assert speed["lower"] > -speed["margin"]
    (arms,) = predicate["arms"]
    assert (arms["name"], arms["hosting"], arms["pairs"]) == ("support", "together", 9)
    assert arms["order"] == "ABBAABBAABBAABBAAB"
    assert (arms["discarded"], arms["reasons"]) == (1, ["somebody compiled (1)"])
    assert arms["servers"] == {"candidate": "vllm 0.25.1", "champion": "vllm 0.25.1"}
    assert set(arms["figures"]) == {"output_throughput", "median_ttft_ms"}, "what gates"
    for side in ("candidate", "champion"):
        figures = arms["figures"]["output_throughput"][side]
        assert len(figures) == 9
        assert speed[side] == pytest.approx(math.exp(math.fsum(map(math.log, figures)) / 9))


def test_runs_that_must_not_be_believed_have_no_figure() -> None:
    arms = make_arms(noisy(100, 60), noisy(100, 60, seed=1))
    first = arms.runs[0].trace
    arms = with_run(with_run(arms, 0, "candidate", machine=busy(first).machine), 2, "champion", client_cpu_s=1e9)
    arms = replace(arms, runs=tuple(run for run in arms.runs if (run.pair, run.arm) != (1, "candidate")))
    policy = Policy(metrics=(), serving=(ServingPolicy(suite="support", metric="output_throughput"),))
    (told,) = told_arms([arms], policy)
    figures: Any = told["figures"]
    candidate, champion = (figures["output_throughput"][arm] for arm in ("candidate", "champion"))
    assert [value is None for value in candidate[:4]] == [True, True, False, False]
    assert [value is None for value in champion[:4]] == [False, False, True, False]
    assert len(candidate) == 50, "of 60, as a statement has little room"
    assert told_arms([arms], Policy(metrics=())) == [], "nothing gates"
    (alone,) = told_arms([make_arms(noisy(100, 6), None)], policy)
    assert alone["order"] == "AAAAAA"
    assert set(alone["figures"]["output_throughput"]) == {"candidate"}  # type: ignore[index]  # of a mapping


def test_arms_are_left_out_where_there_is_no_room(with_serving: dict[str, Any]) -> None:
    short = fitted(with_serving, room=3_500)
    assert complaints("verdict", short) == []
    assert short["predicate"]["arms"] == []
    assert short["predicate"]["leftOut"]["arms"] == 1
    assert [metric["unit"] for metric in short["predicate"]["metrics"] if "unit" in metric] == ["tok/s", "ms"]


def test_a_verdict_that_had_to_be_shortened_fits() -> None:
    metrics = [make_metric(metric=f"metric-{i}") for i in range(60)]
    policy = Policy(
        metrics=tuple(MetricPolicy(suite=m.suite, metric=m.metric, margin=m.margin, alpha=m.alpha) for m in metrics)
    )
    manifest = any_manifest(policy=policy)
    made: Any = statement(
        make_decision(metrics=metrics, candidate_run=manifest.run_id, champion_run=None),
        candidate=manifest,
        issued_at=NOW.isoformat(),
        serving=[
            {
                "name": "s",
                "concurrency": 4,
                "requests": 9,
                "completed": 9,
                "figures": {"p50_ttft_ms": 1.5},
                "invalid": [],
            }
        ],
    )
    bound = bind(
        made,
        registry=registry_facts(),
        champion=CHAMPION,
        records={"candidate": "a" * 64, "baseline": "b" * 64, "decision": "c" * 64},
        attempts=3,
        issued_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    assert complaints("verdict", bound) == []
    short = fitted(bound, room=18_000)
    assert short["predicate"]["leftOut"]["metricsInShort"] == 60
    assert complaints("verdict", short) == []
    read(short)


def test_an_override_fits(keys: Keys) -> None:
    document = json.loads(read_envelope(keys.override(registry_facts(), champion=CHAMPION)).payload)
    assert complaints("override", document) == []
    assert complaints("verdict", document) != []


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another type": lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"),
    "another predicate": lambda d: d.update(predicateType="urn:llmgate:verdict:v2"),
    "no subject": lambda d: d.update(subject=[]),
    "two subjects": lambda d: d.update(subject=d["subject"] * 2),
    "upper case": lambda d: d["subject"][0]["digest"].update(sha256="A" * 64),
    "a short digest": lambda d: d["subject"][0]["digest"].update(sha256="a" * 63),
    "sha1": lambda d: d["subject"][0].update(digest={"sha1": "a" * 40}),
    "no predicate": lambda d: d.pop("predicate"),
    "another verdict": lambda d: d["predicate"].update(verdict="pass"),
    "a verdict of its own": lambda d: d["predicate"].update(verdict="WARN"),
    "no subjectIs": lambda d: d["predicate"].pop("subjectIs"),
    "another subjectIs": lambda d: d["predicate"].update(subjectIs="hope"),
    "no registry": lambda d: d["predicate"].pop("registry"),
    "registry null": lambda d: d["predicate"].update(registry=None),
    "no champion": lambda d: d["predicate"].pop("champion"),
    "a champion's name": lambda d: d["predicate"].update(champion="1"),
    "a champion without a verdict": lambda d: d["predicate"]["champion"].pop("verdict"),
    "a champion's verdict": lambda d: d["predicate"]["champion"].update(verdict="first"),
    "local time": lambda d: d["predicate"].update(issuedAt="2026-11-28T20:14:26.123+01:00"),
    "seconds": lambda d: d["predicate"]["registry"].update(createdAt="2026-11-28T20:14:26Z"),
    "a number as version": lambda d: d["predicate"]["registry"].update(version=7),
    "no alias": lambda d: d["predicate"]["registry"].update(alias=" "),
    "no attempts": lambda d: d["predicate"].update(attempts=0),
    "half an attempt": lambda d: d["predicate"].update(attempts=1.5),
    "attempts as text": lambda d: d["predicate"].update(attempts="1"),
    "suites as text": lambda d: d["predicate"].update(suites="support"),
    "a suite without a digest": lambda d: d["predicate"]["suites"][0].pop("digest"),
    "no records": lambda d: d["predicate"].pop("records"),
    "no candidate": lambda d: d["predicate"]["records"].update(candidate=None),
    "no decision": lambda d: d["predicate"]["records"].pop("decision"),
    "no expiry": lambda d: d["predicate"].update(expiresAt=None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_schema_and_reader_refuse_the_same(compared: dict[str, Any], name: str) -> None:
    changed = copy.deepcopy(compared)
    read(changed)
    CHANGES[name](changed)
    assert complaints("verdict", changed) != []
    with pytest.raises(AttestationError):
        read(changed)


def test_a_newer_minor_version_may_add_fields(compared: dict[str, Any]) -> None:
    more = copy.deepcopy(compared)
    more["predicate"]["weather"] = "fine"
    more["predicate"]["registry"]["colour"] = 7
    more["predicate"]["metrics"][0]["novel"] = [1.5]
    assert complaints("verdict", more) == []
    read(more)


@pytest.mark.parametrize("kind", ["verdict", "override"])
def test_the_command_prints_them(kind: str) -> None:
    printed = CliRunner().invoke(main, ["schema", kind])
    assert printed.exit_code == 0
    assert printed.output == (PUBLISHED / f"{kind}.schema.json").read_text("utf-8")
