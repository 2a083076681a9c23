"""`llmgate serve`."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from llmgate.cli.frame import PATH, Command, show_lines
from llmgate.cli.options import ENGINE_NAMES, run_options
from llmgate.errors import EXIT_CANNOT_RUN, EXIT_PASS

__all__ = ["serve"]

HELP = """Start the server that the gate would start for PLACE, and keep it on.

PLACE is what --model takes. The server has the flags, the environment and the process tree that it has in a run, so
what you see here is what will be gated. It answers this machine only, and ends with Ctrl-C or SIGTERM, or when this
command dies however that may be; nothing of it is left.

\b
  llmgate serve models/candidate
  llmgate serve models/candidate --port 8000 --tool-call-parser hermes
  llmgate serve models/candidate --json | jq -r .url

Ends with 0 if it was ready and then was told to end, with 4 if it did not start or died, with 2 on a mistaken option.
"""


@click.command("serve", cls=Command, help=HELP)
@click.argument("place", metavar="PLACE")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON once it is ready: url, models, pid, …")
@click.option(
    "--logs",
    type=PATH,
    metavar="DIR",
    help="Folder of its log, which is kept. Default: one that goes when the server has ended well.",
)
@run_options(
    frozenset(
        {
            *("served-name", "adapter", "mlflow-uri", "trust-weights-cache"),
            *("server-args", "server-python", "port", "startup-timeout"),
            *ENGINE_NAMES,
        }
    )
)
def serve(place: str, *, as_json: bool, logs: Path | None, **options: Any) -> int:
    """Start the server that the gate would start for PLACE, and keep it on."""
    from llmgate.session.commands.serve import keep_on, served, serving_json, serving_lines
    from llmgate.session.progress import LineProgress
    from llmgate.session.settings.combined import settings_from

    # An endpoint in pyproject.toml is for runs.
    settings = settings_from({**options, "model": place, "endpoint": ""}, root=Path.cwd())
    ended = "interrupted before the server was ready"
    try:
        with served(settings, folder=logs, progress=LineProgress()) as serving:
            ended = "interrupted while the server ended; its supervisor goes on with that"
            with suppress(KeyboardInterrupt):
                if as_json:
                    click.echo(json.dumps(serving_json(serving), allow_nan=False))
                else:
                    show_lines(serving_lines(serving))
                keep_on(serving)
    except KeyboardInterrupt:
        click.echo(f"llmgate: {ended}", err=True)
        return EXIT_CANNOT_RUN
    click.echo("llmgate: the server has ended, and nothing of it is left", err=True)
    return EXIT_PASS
