"""What a plain run has no use for: an endpoint, simple asserts, no registry, no serving, no judge."""

from __future__ import annotations

__all__ = ["unused"]

OTHERS = frozenset(
    {
        "cryptography",
        "detect_secrets",
        "fsspec",
        "html5lib",
        "huggingface_hub",
        "jsonschema",
        "lxml",
        "mlflow",
        "openai",
        "pandas",
        "pyarrow",
        "rapidfuzz",
        "ray",
        "referencing",
        "requests",
        "scipy.linalg",
        "scipy.optimize",
        "scipy.sparse",
        "scipy.special._support_alternative_backends",
        "scipy.stats",
        "sklearn",
        "sqlglot",
        "tokenizers",
        "torch",
        "transformers",
        "vllm",
        "aiohttp",
        "rich.console",
        "llmgate.attest.keys",
        "llmgate.bench",
        "llmgate.demo",
        "llmgate.gate.calibration",
        "llmgate.gate.power.serving",
        "llmgate.gate.serving",
        "llmgate.generate.held_weights",
        "llmgate.generate.vllm.checks",
        "llmgate.generate.vllm.server",
        "llmgate.generate.vllm.watchdog",
        "llmgate.mlflow_server",
        "llmgate.promote.elsewhere",
        "llmgate.promote.registries",
        "llmgate.report.formats.serving_plot",
        "llmgate.report.panels.arms",
        "llmgate.score.code",
        "llmgate.score.embeddings.similarity",
        "llmgate.score.expression",
        "llmgate.score.javascript",
        "llmgate.score.judge.g_eval",
        "llmgate.score.markup",
        "llmgate.score.rag.promptfoo",
        "llmgate.score.sql",
        "llmgate.score.structured.schema",
        "llmgate.score.tools",
        "llmgate.score.transform",
        "llmgate.session.admission",
        "llmgate.session.commands",
        "llmgate.session.reach.adapters",
        "llmgate.session.reach.owned",
        "llmgate.session.reach.weights",
        "llmgate.session.serving",
        "llmgate.suite.code.source",
        "llmgate.suite.form.field_docs",
        "llmgate.suite.importers",
        "llmgate.suite.program",
    }
)
"""Modules, each with all that lies below it."""


def unused(loaded: str) -> list[str]:
    """Of the names of imported modules, separated by blanks, those that a plain run has no use for."""
    return sorted(
        name for name in loaded.split() if any(name == other or name.startswith(f"{other}.") for other in OTHERS)
    )
