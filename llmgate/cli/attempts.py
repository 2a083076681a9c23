"""`llmgate attempts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmgate.cli.frame import PATH, Command, show_json, show_lines

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["attempts"]

HELP = r"""List what was tried: the verdicts on each candidate, in order.

All answers to the same candidate count together, and each attempt takes its
share of the error rate, so trying again is no way to pass. WHICH is a run's
folder, a run id, or the beginning of a key; its attempts are then listed one by
one. Changes nothing.

\b
  llmgate attempts
  llmgate attempts runs/candidate

Not counted are runs outside of the ledger and those of a ledger that was
deleted; a new version of the suite, another policy or other weights begin a
new count.
"""


@click.command(cls=Command, help=HELP)
@click.argument("which", required=False)
@click.option(
    "--attempts", "folder", type=PATH, metavar="DIR", help="The ledger. [default: LLMGATE_ATTEMPTS, .llmgate/attempts]"
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def attempts(which: str | None, *, folder: Path | None, as_json: bool) -> None:
    """List what was tried."""
    from llmgate.session.commands.attempts import attempt_rows, tried_candidates

    tried = tried_candidates(folder, which)
    if as_json:
        show_json([one.values for one in tried])
        return
    show_lines(attempt_rows(tried, whole=which is not None) or ["no attempt was made yet"])
