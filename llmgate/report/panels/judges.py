"""What a record says about its judges: who they are, and what the prefix cache spared them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.report.visible import one_line
from llmgate.report.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmgate.record.manifest import JudgeIdentity, Manifest
    from llmgate.record.schema import Record

__all__ = ["judge_facts", "judge_titles", "prefix_cache"]


def judge_titles(manifest: Manifest) -> list[str]:
    """The names of all judges of a run; empty for the one that asserts need not name."""
    return [*([""] if manifest.judge is not None else []), *sorted(manifest.judges)]


def judge_facts(name: str) -> list[tuple[str, Callable[[Record], str]]]:
    """Who a judge is, as labelled readings of a record."""

    def fact(read: Callable[[JudgeIdentity], str]) -> Callable[[Record], str]:
        def of_record(record: Record) -> str:
            judge = record.manifest.judges.get(name) if name else record.manifest.judge
            return one_line(read(judge)) if judge is not None else ""

        return of_record

    return [
        ("Model", fact(lambda judge: judge.model)),
        ("Prompt digest", fact(lambda judge: judge.prompt_digest)),
        ("Sampling", fact(lambda judge: ", ".join(f"{key}={judge.sampling[key]}" for key in sorted(judge.sampling)))),
        ("Weights digest", fact(lambda judge: judge.weights_digest or "")),
        ("Prefix cache", lambda record: prefix_cache(record, name)),
    ]


def prefix_cache(record: Record, name: str) -> str:
    """How much of its questions a judge's server had ready; empty where it did not say."""
    counted = [(cached, prompt) for cached, prompt in _asked(record, name) if cached is not None and prompt]
    total = sum(prompt or 0 for _, prompt in counted)
    if not total:
        return ""
    return f"{percent(sum(cached or 0 for cached, _ in counted) / total)} of {count(total)} prompt tokens"


def _asked(record: Record, name: str) -> Iterator[tuple[int | None, int | None]]:
    for result in record.results.values():
        for check in result.checks:
            for asked in check.judgements:
                if asked.judge == name:
                    yield asked.cached_tokens, asked.prompt_tokens
