"""`llmgate merge`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from llmgate.cli.decide import show_decision
from llmgate.cli.frame import EXIT_CODES, PATH, DecidingCommand, visible_text
from llmgate.cli.options import run_options
from llmgate.errors import LlmgateError

if TYPE_CHECKING:
    from llmgate.gate.decision.types import Decision

__all__ = ["merge"]

OPTIONS: Final = frozenset(
    {"baseline", "as-baseline", "allow-inconclusive", "out", "attempts"}
    | {"mlflow-uri", "mlflow-experiment", "registry-id", "alias", "signing-key"}
)


@click.command(cls=DecidingCommand, epilog=EXIT_CODES)
@click.argument("shards", nargs=-1, type=PATH, required=True)
@run_options(OPTIONS)
def merge(shards: tuple[Path, ...], **options: Any) -> Decision:
    r"""Make one run of all SHARDS of it, and decide.

    SHARDS are the folders that `llmgate run --shard I/N` wrote, on one machine or on N. All of them have to be there,
    each once, and of one run: the same model, suites, policy, judges and llmgate. The record in --out is that of a run
    on one machine, with the same content digest; it is decided on and published as such a run is.

    \b
      llmgate merge shards/* --baseline runs/champion --out runs/candidate
    """
    from llmgate.session.commands.merge import merge_folders
    from llmgate.session.decide.publish import publish, taken
    from llmgate.session.decide.records import decide_run, resolve_baseline
    from llmgate.session.run_folder import default_out
    from llmgate.session.settings.combined import settings_from

    # No new version is registered: the model lies where the shards ran.
    settings = replace(settings_from(options, root=Path.cwd()), mlflow_model=None)
    out = Path(settings.out) if settings.out else default_out()
    merged = merge_folders(shards, out, lambda: resolve_baseline(settings, out), as_baseline=settings.as_baseline)
    for line in merged.lines:
        click.echo(visible_text(line))
    settings = replace(settings, registry_uri=merged.record.manifest.model.registry_uri)
    decision = decide_run(out, merged.baseline, settings)
    try:
        published = publish(out, decision, merged.baseline, settings)
    except LlmgateError:
        # Whoever cannot be told by the registry is told here.
        show_decision(decision)
        raise
    show_decision(decision)
    for line in published.lines():
        click.echo(line)
    return taken(out, decision)
