"""`llmgate champion`: the run of the champion that candidates are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from llmgate.cli.frame import PATH, Group, show_lines
from llmgate.cli.options import ENGINE_NAMES, run_options

__all__ = ["champion_group"]

OPTIONS: Final = ENGINE_NAMES | {
    *("model", "adapter", "served-name", "server-args", "server-python", "port", "startup-timeout", "stall-timeout"),
    *("repeat", "concurrency", "timeout", "deadline", "retries", "no-bench", "policy", "trust-weights-cache"),
    *("judge-model", "judge-endpoint", "judge-name", "judge-api-key-env", "judges", "judge-anchors", "judge-admission"),
    *("judge-concurrency", "embed-endpoint", "embed-name", "embed-api-key-env", "allow-outside"),
    *("out", "resume", "mlflow-uri", "mlflow-experiment", "alias"),
}


@click.group("champion", cls=Group)
def champion_group() -> None:
    """The run of the champion that candidates are compared with."""


@champion_group.command(short_help="Ask the champion again, for fair comparisons.")
@click.argument("uri")
@click.argument("suites", nargs=-1, required=True, type=PATH)
@run_options(OPTIONS)
def refresh(uri: str, suites: tuple[Path, ...], **options: Any) -> None:
    r"""Ask whoever holds the alias of URI, models:/NAME, the questions of SUITES again.

    The run that earned a promotion was chosen because it passed, so part of it is luck: against it an unchanged model
    fails about twice as often as it should. Run this once after each promotion. The fresh run is kept in MLflow, and
    --baseline models:/NAME@champion means it from then on; the alias and its verdict stay as they are.

    The champion is served from the folder that its run names, with the flags of that run; if the folder has moved,
    name it with --model. Its weights have to be those that earned the alias. SUITES are those of that run.

    \b
      llmgate champion refresh models:/bot suites/ --mlflow-uri http://mlflow:5000
    """
    from llmgate.session.commands.refresh import refresh_champion
    from llmgate.session.progress import LineProgress
    from llmgate.session.run.models import check_models
    from llmgate.session.run.plan import plan_paths
    from llmgate.session.run_folder import default_out
    from llmgate.session.settings.combined import settings_from

    settings = settings_from(options, root=Path.cwd())
    out = Path(settings.out) if settings.out else default_out()
    plan = plan_paths(suites, settings)
    check_models(settings, plan)
    done = refresh_champion(uri, settings, lambda: plan, out=out, progress=LineProgress())
    show_lines(done.lines)
