"""Attempts that were made before a run asks anything: what is said of them, and whether the run may stop early."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.errors import LlmgateError
from llmgate.record.run.files import MANIFEST
from llmgate.session.attempts.entry import current
from llmgate.session.attempts.key import attempt_key
from llmgate.session.attempts.place import attempts_of, said_of_ci

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.record.manifest import Manifest
    from llmgate.session.settings.typed import Settings

__all__ = ["attempt_lines", "verdicts_before"]


def verdicts_before(settings: Settings, manifest: Manifest, champion: str | None) -> tuple[str, ...] | None:
    """The verdicts of the attempts at a candidate before a run, in order; without the run itself.

    Args:
        settings: The options.
        manifest: Of the run.
        champion: Folder of the champion's record, None without one.

    Returns:
        None if it cannot be told: the decision will say why.
    """
    if settings.as_baseline or settings.shard is not None:
        return ()
    attempts = attempts_of(settings)
    if attempts.ledger is None:
        return ()
    try:
        theirs = MANIFEST.read(Path(champion)) if champion is not None else None
        key = attempt_key(manifest, theirs, manifest.policy)
        made = [entry for entry in current(attempts.ledger.peek(key)) if entry.candidate.run != manifest.run_id]
        verdicts = [entry.verdict.value for entry in made]
        if settings.mlflow_uri:
            # The registry client is an extra: only who names a server pays for it.
            from llmgate.session.attempts.registry import verdicts_known_to  # noqa: PLC0415

            known = {entry.id for entry in made}
            verdicts += verdicts_known_to(settings.mlflow_uri, settings.mlflow_experiment, key, known)
    except LlmgateError:
        return None
    return tuple(verdicts)


def attempt_lines(settings: Settings, manifest: Manifest, champion: str | None) -> Iterator[str]:
    """What is to be said of attempts before anything is asked."""
    if said := said_of_ci(settings):
        yield said
    before = verdicts_before(settings, manifest, champion)
    if before:
        counts = "All answers count together" if manifest.policy.reserve else "Only the first could pass"
        yield f"attempt {len(before) + 1} at this candidate; earlier: {', '.join(before)}. {counts}"
