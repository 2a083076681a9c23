"""Where results go, and the signed verdict."""

from __future__ import annotations

from typing import Final

from llmgate.session.options.option import Option

__all__ = ["RESULTS", "VERDICT"]

RESULTS: Final = (
    Option(name="out", metavar="DIR", help="Folder of the run record. Default: a new one under .llmgate/runs."),
    Option(
        name="resume",
        kind="flag",
        default=False,
        help="Go on with the unfinished run in --out, keeping its answers.",
    ),
    Option(
        name="attempts",
        metavar="DIR",
        # In a file, whoever changes the repository could begin a new count.
        by_hand=True,
        help="Where attempts at a candidate are counted. Default: LLMGATE_ATTEMPTS, else .llmgate/attempts.",
    ),
    Option(name="show-missed", kind="int", default=5, metavar="N", help="How many missed cases the summary shows."),
    Option(name="mlflow-uri", metavar="URI", help="Log the run to this MLflow tracking server or store."),
    Option(name="mlflow-experiment", metavar="NAME", default="llmgate", help="MLflow experiment of the run."),
    Option(
        name="mlflow-model",
        metavar="NAME",
        help="Register the model under this name as a new version, the candidate.",
    ),
    Option(name="registry-uri", metavar="URI", help="The registered version under test, e.g. models:/support-bot/7."),
)
VERDICT: Final = (
    Option(
        name="registry-id",
        metavar="ID",
        # In a file, whoever changes the repository could have a verdict signed for another registry.
        by_hand=True,
        help="Id of the registry that a signed verdict is for, as its policy names it. Default: LLMGATE_REGISTRY_ID.",
    ),
    Option(
        name="alias",
        metavar="NAME",
        default="champion",
        # In a file, whoever changes the repository could ask for another alias in CI's name.
        by_hand=True,
        help="The alias that a signed verdict asks for.",
    ),
    Option(
        name="signing-key",
        metavar="FILE",
        # In a file, whoever changes the repository could choose who signs.
        by_hand=True,
        help="Private key that signs the verdict. Default: LLMGATE_SIGNING_KEY, or what LLMGATE_SIGNING_COMMAND signs.",
    ),
)
