"""Where the evidence comes from: identities, digests, versions, hardware, seeds, policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llmgate.record.schema import Record
from llmgate.report.panels.judges import judge_facts, judge_titles
from llmgate.report.rows import ProvenanceGroup, ProvenanceRow
from llmgate.report.visible import one_line, short_flags, short_path
from llmgate.report.words import percent, points

if TYPE_CHECKING:
    from llmgate.record.manifest import Manifest, SuiteIdentity
    from llmgate.record.policy import MetricPolicy

__all__ = ["NONE", "provenance"]

NONE = "–"

Facts = Sequence[tuple[str, Callable[[Record], str]]]


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
        *((f"Judge {name}".strip(), judge_facts(name)) for name in _names(candidate, champion, judge_titles)),
        ("Embeddings", _EMBEDDING),
        ("Hardware", _HARDWARE),
        *((f"Suite {name}", _suite_facts(name)) for name in _names(candidate, champion, _suite_names)),
        ("Gates", [(name, _gate(name)) for name in _names(candidate, champion, _gate_names)]),
        ("Packages", [(name, _package(name)) for name in _names(candidate, champion, _package_names)]),
        ("Labels", [(name, _named_label(name)) for name in _names(candidate, champion, _label_names)]),
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


def _suite_names(manifest: Manifest) -> Sequence[str]:
    return [suite.name for suite in manifest.suites]


def _gate_names(manifest: Manifest) -> Sequence[str]:
    return [_gate_name(metric) for metric in manifest.policy.metrics]


def _package_names(manifest: Manifest) -> Sequence[str]:
    return sorted(manifest.packages)


def _label_names(manifest: Manifest) -> Sequence[str]:
    return sorted(manifest.labels)


_RUN: Facts = (
    ("Run", lambda record: one_line(record.manifest.run_id)),
    ("Started (UTC)", lambda record: one_line(record.manifest.created_at)),
    ("Sealed (UTC)", lambda record: one_line(record.seal.sealed_at) if record.seal else "NOT SEALED"),
    ("Record", lambda record: short_path(record.path)),
    ("Journal digest", lambda record: record.seal.journal_digest if record.seal else "NOT SEALED"),
    ("Cases digest", lambda record: one_line(record.manifest.cases_digest)),
    ("llmgate", lambda record: one_line(record.manifest.llmgate_version)),
    ("Record format", lambda record: f"{record.manifest.major}.{record.manifest.minor}"),
    ("Seed", lambda record: str(record.manifest.seed)),
    ("Requests in flight", lambda record: str(record.manifest.concurrency)),
)

_MODEL: Facts = (
    ("Name", lambda record: one_line(record.manifest.model.name)),
    ("Registered as", lambda record: one_line(record.manifest.model.registry_uri or "")),
    ("Source", lambda record: short_path(record.manifest.model.source)),
    ("Weights digest", lambda record: one_line(record.manifest.model.weights_digest or "unknown (endpoint only)")),
)

_SERVER: Facts = (
    ("Engine", lambda record: one_line(f"{record.manifest.server.engine} {record.manifest.server.version or ''}")),
    ("Started by", lambda record: "llmgate" if record.manifest.server.owned else "someone else"),
    ("Flags", lambda record: short_flags(record.manifest.server.flags)),
    ("Endpoint", lambda record: short_path(record.manifest.server.url)),
)


_EMBEDDING: Facts = (
    ("Model", lambda record: one_line(record.manifest.embedding.name) if record.manifest.embedding else ""),
    ("Endpoint", lambda record: short_path(record.manifest.embedding.source) if record.manifest.embedding else ""),
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


def _suite_facts(name: str) -> Facts:
    def find(record: Record) -> SuiteIdentity | None:
        return next((suite for suite in record.manifest.suites if suite.name == name), None)

    def fact(read: Callable[[SuiteIdentity], str]) -> Callable[[Record], str]:
        def of_record(record: Record) -> str:
            suite = find(record)
            return read(suite) if suite else ""

        return of_record

    return (
        ("Version", fact(lambda suite: one_line(suite.version))),
        ("Digest", fact(lambda suite: one_line(suite.digest))),
        ("File", fact(lambda suite: short_path(suite.path))),
        ("Cases", fact(lambda suite: f"{suite.cases:,}")),
        ("Dataset version", fact(lambda suite: one_line(suite.dataset_version))),
        ("Dataset digest", fact(lambda suite: one_line(suite.dataset_digest))),
        ("Description", fact(lambda suite: one_line(suite.description))),
    )


def _gate_name(metric: MetricPolicy) -> str:
    return f"{metric.suite}::gate::{metric.metric}"


def _gate(name: str) -> Callable[[Record], str]:
    def read(record: Record) -> str:
        return "; ".join(_rule(metric) for metric in record.manifest.policy.metrics if _gate_name(metric) == name)

    return read


def _rule(metric: MetricPolicy) -> str:
    margin = f"margin {points(metric.margin)} points" if metric.margin is not None else "default margin"
    minimum = f", min {percent(metric.min)}" if metric.min is not None else ""
    if metric.trait is not None:
        unit = "margin" if metric.margin is None else f"margin {percent(metric.margin)}"
        return f"{metric.role}, {metric.trait} of answers, {unit}{minimum}, α = {metric.alpha:g}"
    return f"{metric.role}, {metric.aggregate} asserts, {margin}{minimum}, α = {metric.alpha:g}"


def _package(name: str) -> Callable[[Record], str]:
    return lambda record: one_line(record.manifest.packages.get(name, ""), 120)


def _named_label(name: str) -> Callable[[Record], str]:
    return lambda record: one_line(record.manifest.labels.get(name, ""))
