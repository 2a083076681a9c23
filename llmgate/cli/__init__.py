"""The command line. Commands only read options, call the session, and print; each imports what it needs."""

from __future__ import annotations

import click

from llmgate import __version__
from llmgate.cli.frame import EXIT_CODES, LazyGroup

__all__ = ["main"]


MAIN_HELP = """A release gate for language models.

Asks a model the questions of versioned suites, compares the answers with those of the champion, and says PASS, FAIL
or INCONCLUSIVE.

\b
First steps:
  llmgate init
  llmgate run suites/ --as-baseline --endpoint URL --out runs/champion
  llmgate run suites/ --baseline runs/champion --endpoint URL2
"""

COMMANDS = {
    "anchors": "anchors:anchors_group",
    "attempts": "attempts:attempts",
    "bench": "bench:bench",
    "calibrate": "calibrate:calibrate",
    "champion": "release.champion:champion_group",
    "dataset": "datasets:dataset_group",
    "decide": "decide:decide",
    "demo": "demo:demo",
    "doctor": "doctor:doctor",
    "github-summary": "report:github_summary",
    "import": "foreign:import_",
    "init": "init:init",
    "judge": "judge:judge_group",
    "labels": "labels:labels_group",
    "lock": "datasets:lock",
    "merge": "merge:merge",
    "power": "power:power",
    "promote": "release.promote:promote",
    "report": "report:report",
    "rollback": "release.rollback:rollback",
    "round": "round:round_",
    "run": "run:run",
    "schema": "schema:schema",
    "serve": "serve:serve",
    "show": "show:show",
    "status": "release.status:status",
    "verdict": "release.verdict:verdict_group",
    "verify": "release.verify:verify",
    "webhook": "release.webhook:webhook",
}
"""By name: the module below this one, and what it calls the command. Each is loaded when somebody names it."""

SECTIONS = {
    "What you need every day": {
        "import": "make suites from those of another tool",
        "lock": "freeze a dataset: once, and whenever its rows change",
        "run": "ask a model, score the answers, and decide",
        "decide": "decide again without a model, or on results of any tool",
        "promote": "make the version that passed the champion",
    },
    "Setting out": {
        "init": "start a project: a suite, locked rows, margins, CI",
        "doctor": "look at what a run needs: GPU, vLLM, model, endpoint, disk, suites",
    },
    "The registry, and what is served": {
        "champion": "ask the champion again, after a promotion",
        "status": "say who is champion, by which verdict, and who waits",
        "rollback": "go back to the champion before",
        "verdict": "sign verdicts, and see who signed one and what for",
        "verify": "hold weights against a signed verdict, before they are served",
        "webhook": "gate what is new in MLflow, and watch who holds an alias",
    },
    "Before and after a run": {
        "power": "say what a gate can decide, before it is run",
        "bench": "measure serving speed",
        "serve": "start the server that the gate would start, and keep it on",
        "show": "print the cases that got worse",
        "merge": "make one run of its shards, and decide",
        "attempts": "list what was tried, and what it came to",
        "round": "decide several candidates together, or by one final",
        "report": "write a run's report again",
        "demo": "see the gate at work on a small real model",
    },
    "Data and suites": {
        "dataset": "verify, compare, describe and sample datasets",
        "schema": "print the JSON Schema of suites, for editors, or of verdicts",
    },
    "Judges and people": {
        "judge": "test a judge before it may gate",
        "labels": "have people label a sample of answers",
        "anchors": "freeze judged answers, to see whether a judge drifts",
    },
    "For CI and for llmgate itself": {
        "github-summary": "write the summary of a step in GitHub Actions",
        "calibrate": "measure how often the gate errs",
    },
}
"""The main help: commands by purpose, where they exist; what stands in none comes last, with its help's first line."""


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    places={name: f"{__name__}.{place}" for name, place in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
    help=MAIN_HELP,
)
@click.version_option(__version__, prog_name="llmgate")
def main() -> None:
    """The command line."""
