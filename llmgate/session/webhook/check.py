"""Aliases against the ledger, once, for cron."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llmgate.promote.webhook.ledger import Standing
from llmgate.session.webhook.watch import alarmed, examine, exit_code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmgate.promote.webhook.registry import WatchedRegistry

__all__ = ["check_aliases"]


def check_aliases(
    registry: WatchedRegistry,
    *,
    models: Sequence[str],
    aliases: Sequence[str],
    revert: bool,
    alarm_url: str | None,
    say: Callable[[str], None],
) -> int:
    """Compare aliases with the ledger, and sound the alarm where they disagree.

    Args:
        registry: Where both are.
        models: Names and globs.
        aliases: The aliases.
        revert: Whether to set back what moved; that it moved is still what the exit code says.
        alarm_url: Whom to tell.
        say: Takes a line.

    Returns:
        The exit code: 0 all agree, 1 one moved past the gate, 4 one could not be checked, or there was none to check.

    Raises:
        CannotRunError: If the registry does not list its models.
    """

    async def checked() -> int:
        findings = []
        for model in await asyncio.to_thread(registry.models, models):
            for alias in aliases:
                finding = await examine(registry, model, alias)
                findings.append(finding)
                if finding.state is Standing.MOVED:
                    await alarmed(registry, finding, revert_it=revert, url=alarm_url, say=say)
                else:
                    say(str(finding))
        if not findings:
            say(f"no model fits {', '.join(models)}, so nothing was compared")
        return exit_code(findings)

    return asyncio.run(checked())
