"""Where the evidence comes from: identities, digests, versions, hardware, seeds, policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from llmgate.gate.evidence.answered_by import cached_answers, models_that_answered
from llmgate.record.run.content_digest import content_digest
from llmgate.record.schema import Record
from llmgate.report.rows import ProvenanceGroup, ProvenanceRow
from llmgate.report.visible import one_line, short_flags, short_path
from llmgate.report.words import count, percent, points

if TYPE_CHECKING:
    from llmgate.record.manifest import JudgeIdentity, Manifest, ModelIdentity, SuiteIdentity
    from llmgate.record.policy import MetricPolicy

__all__ = ["NONE", "provenance"]

NONE = "–"

Reading = Callable[[Record], str]
Facts = Sequence[tuple[str, Reading]]

T = TypeVar("T")


def _content(record: Record) -> str:
    """The content digest, or why there is none."""
    if record.seal is None:
        return "NOT SEALED"
    try:
        return content_digest(record)
    except ValueError:
        # No file can hold it, so it was made in memory; a report says what it can all the same.
        return "NOT TO BE WRITTEN"


def provenance(candidate: Record, champion: Record | None) -> tuple[ProvenanceGroup, ...]:
    """Facts about both runs side by side, in groups.

    Args:
        candidate: The record that was decided on.
        champion: The baseline; without one its column is empty and nothing differs.
    """
    groups = [
        ("Run", _RUN),
        ("Model", _MODEL),
        ("Server", _SERVER),
        *((f"Judge {name}".strip(), _judge_facts(name)) for name in _names(candidate, champion, _judge_names)),
        ("Embeddings", _EMBEDDING),
        ("Local models", [(name, _local(name)) for name in _names(candidate, champion, _local_names)]),
        ("Hardware", _HARDWARE),
        *((f"Suite {name}", _suite_facts(name)) for name in _names(candidate, champion, _suite_names)),
        ("Gates", [(name, _gate(name)) for name in _names(candidate, champion, _gate_names)]),
        (
            "Packages",
            [(name, _package(name)) for name in _names(candidate, champion, lambda run: sorted(run.packages))],
        ),
        ("Labels", [(name, _label(name)) for name in _names(candidate, champion, lambda run: sorted(run.labels))]),
    ]
    rows = ((one_line(title, 120), _rows(facts, candidate, champion)) for title, facts in groups)
    return tuple(ProvenanceGroup(title=title, rows=shown) for title, shown in rows if shown)


def _rows(facts: Facts, candidate: Record, champion: Record | None) -> tuple[ProvenanceRow, ...]:
    rows = []
    for label, read in facts:
        after = read(candidate) or NONE
        before = (read(champion) or NONE) if champion is not None else NONE
        if (after, before) != (NONE, NONE):
            differs = champion is not None and after != before
            rows.append(ProvenanceRow(label=one_line(label, 120), champion=before, candidate=after, differs=differs))
    return tuple(rows)


def _names(candidate: Record, champion: Record | None, read: Callable[[Manifest], Sequence[str]]) -> list[str]:
    return list(
        dict.fromkeys(name for record in (candidate, champion) if record is not None for name in read(record.manifest))
    )


def _judge_names(manifest: Manifest) -> Sequence[str]:
    """Empty for the judge that asserts need not name."""
    return [*([""] if manifest.judge is not None else []), *sorted(manifest.judges)]


def _local_names(manifest: Manifest) -> Sequence[str]:
    return sorted(manifest.local_models)


def _suite_names(manifest: Manifest) -> Sequence[str]:
    return [suite.name for suite in manifest.suites]


def _gate_names(manifest: Manifest) -> Sequence[str]:
    return [metric.where for metric in manifest.policy.metrics]


def _fact(find: Callable[[Record], T | None], read: Callable[[T], str]) -> Reading:
    """What a record says of a thing that it may lack."""

    def of_record(record: Record) -> str:
        thing = find(record)
        return "" if thing is None else read(thing)

    return of_record


def _embedding(record: Record) -> ModelIdentity | None:
    return record.manifest.embedding


def _answered(record: Record) -> str:
    """Which models replies name; empty where it is the one that was asked."""
    models = models_that_answered(record)
    if models.keys() <= {record.manifest.model.name}:
        return ""
    return ", ".join(f"{one_line(name, 120) or 'not said'} ({count(n)})" for name, n in models.most_common(5))


def _in_flight(record: Record) -> str:
    """How many at once; where the number followed the server, what it came to."""
    manifest, came = record.manifest, record.seal.in_flight if record.seal else None
    if not manifest.adaptive:
        return str(manifest.concurrency)
    followed = (
        f"; by its {one_line(came.by, 60)}: {count(came.most)} at most, {count(came.limit)} in the end" if came else ""
    )
    return f"as the server bears, up to {count(manifest.concurrency)}{followed}"


def _from_cache(record: Record) -> str:
    """How many were kept from earlier runs; empty where none could be."""
    if not record.manifest.cache:
        return ""
    return f"{count(cached_answers(record))}, kept in {short_path(record.manifest.cache)}"


def _further_names(manifest: Manifest) -> list[str]:
    return [name for name in manifest.server.model_names if name != manifest.model.name]


def _confirmed(manifest: Manifest) -> str:
    """Empty where the endpoint lists the name, or llmgate gave it."""
    why = one_line(manifest.server.unconfirmed, 160)
    return f"nothing but its own answers: {why}" if why else ""


_RUN: Facts = (
    ("Run", lambda record: one_line(record.manifest.run_id)),
    ("Started (UTC)", lambda record: one_line(record.manifest.created_at)),
    ("Sealed (UTC)", lambda record: one_line(record.seal.sealed_at) if record.seal else "NOT SEALED"),
    ("Record", lambda record: short_path(record.path)),
    ("Journal digest", lambda record: record.seal.journal_digest if record.seal else "NOT SEALED"),
    ("Content digest", _content),
    ("Cases digest", lambda record: one_line(record.manifest.cases_digest)),
    ("llmgate", lambda record: one_line(record.manifest.llmgate_version)),
    ("Record format", lambda record: f"{record.manifest.major}.{record.manifest.minor}"),
    ("Seed", lambda record: str(record.manifest.seed)),
    ("Requests in flight", _in_flight),
    ("Answers from a cache", _from_cache),
)

_MODEL: Facts = (
    ("Name", lambda record: one_line(record.manifest.model.name)),
    ("Name confirmed by", lambda record: _confirmed(record.manifest)),
    ("Registered as", lambda record: one_line(record.manifest.model.registry_uri or "")),
    ("Bound to it by", lambda record: record.manifest.model.binding or ""),
    ("Source", lambda record: short_path(record.manifest.model.source)),
    ("Pinned to", lambda record: one_line(record.manifest.model.revision, 160)),
    ("Weights digest", lambda record: one_line(record.manifest.model.weights_digest or "unknown (endpoint only)")),
    ("Adapter's own digest", lambda record: one_line(record.manifest.model.adapter)),
    ("Its base's digest", lambda record: one_line(record.manifest.model.base)),
    ("Answers came from", _answered),
    ("Further names", lambda record: one_line(", ".join(_further_names(record.manifest)))),
    ("Deployment", lambda record: one_line(record.manifest.server.deployment, 120)),
)

_SERVER: Facts = (
    ("Engine", lambda record: one_line(f"{record.manifest.server.engine} {record.manifest.server.version or ''}")),
    ("Started by", lambda record: "llmgate" if record.manifest.server.owned else "someone else"),
    ("Flags", lambda record: short_flags(record.manifest.server.flags)),
    ("Endpoint", lambda record: short_path(record.manifest.server.url)),
    ("Replicas", lambda record: ", ".join(short_path(url) for url in record.manifest.server.replicas)),
)

_EMBEDDING: Facts = (
    ("Model", _fact(_embedding, lambda model: one_line(model.name))),
    ("Endpoint", _fact(_embedding, lambda model: short_path(model.source))),
)

_HARDWARE: Facts = (
    ("GPUs", lambda record: one_line(", ".join(record.manifest.hardware.gpus) or "none")),
    ("Driver", lambda record: one_line(record.manifest.hardware.driver or "")),
    (
        "CPU",
        lambda record: one_line(f"{record.manifest.hardware.cpu}, {record.manifest.hardware.cores} cores"),
    ),
    ("Memory", lambda record: f"{record.manifest.hardware.memory_gib:.0f} GiB"),
)


def _judge_facts(name: str) -> Facts:
    def find(record: Record) -> JudgeIdentity | None:
        return record.manifest.judges.get(name) if name else record.manifest.judge

    def sampling(judge: JudgeIdentity) -> str:
        return one_line(", ".join(f"{key}={judge.sampling[key]}" for key in sorted(judge.sampling)))

    return (
        ("Model", _fact(find, lambda judge: one_line(judge.model))),
        ("Prompt digest", _fact(find, lambda judge: one_line(judge.prompt_digest))),
        ("Sampling", _fact(find, sampling)),
        ("Weights digest", _fact(find, lambda judge: one_line(judge.weights_digest or ""))),
        ("Prefix cache", lambda record: _prefix_cache(record, name)),
    )


def _prefix_cache(record: Record, name: str) -> str:
    """How much of its questions a judge's server had ready; empty where it did not say."""
    lengths = [
        (asked.cached_tokens, asked.prompt_tokens)
        for result in record.scored.values()
        for check in result.checks
        for asked in check.judgements
        if asked.judge == name and asked.cached_tokens is not None and asked.prompt_tokens
    ]
    total = sum(prompt for _, prompt in lengths)
    return f"{percent(sum(cached for cached, _ in lengths) / total)} of {count(total)} prompt tokens" if total else ""


def _suite_facts(name: str) -> Facts:
    def find(record: Record) -> SuiteIdentity | None:
        return next((suite for suite in record.manifest.suites if suite.name == name), None)

    return (
        ("Version", _fact(find, lambda suite: one_line(suite.version))),
        ("Digest", _fact(find, lambda suite: one_line(suite.digest))),
        ("File", _fact(find, lambda suite: short_path(suite.path))),
        ("Cases", _fact(find, lambda suite: f"{suite.cases:,}")),
        ("Dataset version", _fact(find, lambda suite: one_line(suite.dataset_version))),
        ("Dataset digest", _fact(find, lambda suite: one_line(suite.dataset_digest))),
        ("Description", _fact(find, lambda suite: one_line(suite.description))),
    )


def _gate(name: str) -> Reading:
    return lambda record: "; ".join(_rule(metric) for metric in record.manifest.policy.metrics if metric.where == name)


def _rule(metric: MetricPolicy) -> str:
    margin = f"margin {points(metric.margin)} points" if metric.margin is not None else "default margin"
    minimum = f", min {percent(metric.min)}" if metric.min is not None else ""
    reason = f" ({one_line(metric.reason)})" if metric.reason else ""
    if metric.trait is not None:
        unit = "margin" if metric.margin is None else f"margin {percent(metric.margin)}"
        return f"{metric.role}, {metric.trait} of answers, {unit}{minimum}, α = {metric.alpha:g}{reason}"
    return f"{metric.role}, {metric.aggregate} asserts, {margin}{minimum}, α = {metric.alpha:g}{reason}"


def _package(name: str) -> Reading:
    return lambda record: one_line(record.manifest.packages.get(name, ""), 120)


def _local(name: str) -> Reading:
    return lambda record: one_line(record.manifest.local_models.get(name, ""))


def _label(name: str) -> Reading:
    return lambda record: one_line(record.manifest.labels.get(name, ""))
