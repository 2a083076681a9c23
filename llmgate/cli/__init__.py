"""The command line. Commands only read options, call the session, and print; each imports what it needs."""

from __future__ import annotations

import click

from llmgate import __version__
from llmgate.cli.frame import EXIT_CODES, LazyGroup

__all__ = ["main"]


MAIN_HELP = """A release gate for language models.

Runs versioned suites against a model on vLLM (or any OpenAI-compatible endpoint), compares it with the champion
by paired statistics, and says PASS, FAIL or INCONCLUSIVE.

\b
First steps:
  llmgate import promptfoo promptfooconfig.yaml                  # suites of another tool, or write your own
  llmgate dataset lock datasets/support.jsonl                    # once, and whenever rows change
  llmgate run suites/ --endpoint http://127.0.0.1:8000/v1        # absolute thresholds (min:)
  llmgate run suites/ --model new --baseline runs/champion       # paired comparison
  llmgate decide runs/candidate runs/champion                    # again, without a model
  llmgate promote models:/support-bot/7 --alias champion

Asserts, judges, datasets, imports and checks of your own: docs/cookbook/ in the repository.
"""

COMMANDS = {
    "anchors": "anchors:anchors_group",
    "bench": "bench:bench",
    "calibrate": "calibrate:calibrate",
    "dataset": "datasets:dataset_group",
    "decide": "decide:decide",
    "demo": "demo:demo",
    "github-summary": "report:github_summary",
    "import": "foreign:import_",
    "judge": "judge:judge_group",
    "labels": "labels:labels_group",
    "lock": "datasets:lock",
    "power": "power:power",
    "promote": "promote:promote",
    "report": "report:report",
    "run": "run:run",
    "schema": "schema:schema",
}
"""By name: the module beside this one, and what it calls the command. Each is loaded when somebody names it."""


@click.group(
    cls=LazyGroup,
    places={name: f"{__name__}.{place}" for name, place in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
    help=MAIN_HELP,
)
@click.version_option(__version__, prog_name="llmgate")
def main() -> None:
    """The command line."""
