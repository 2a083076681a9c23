"""Every option once, for both doors: `llmgate run --concurrency 8` and `pytest --llmgate-concurrency 8`.

The same names are keys of `[tool.llmgate]` in pyproject.toml. Only the standard library is imported here: pytest
reads this table in every run of the environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from llmgate.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["OPTIONS", "PURPOSES", "Option", "file_options", "purpose"]

Kind = Literal["text", "int", "float", "flag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        name: With dashes, as on the command line; a key in pyproject.toml may use dashes or underscores.
        help: One line that teaches.
        kind: How its text is read. A flag takes no value on the command line.
        default: Applied when neither command line nor file sets it.
        by_hand: Whether pyproject.toml may not set it, because whoever changes the repository would.
        metavar: Placeholder in the help.
    """

    name: str
    help: str
    kind: Kind = "text"
    default: str | int | float | bool | None = None
    metavar: str | None = None
    by_hand: bool = False

    @property
    def field(self) -> str:
        """The attribute of `Settings`."""
        return self.name.replace("-", "_")


OPTIONS: Final[tuple[Option, ...]] = (
    Option(name="model", metavar="DIR", help="Model folder; llmgate starts vLLM for it and ends it afterwards."),
    Option(
        name="endpoint", metavar="URL", help="OpenAI-compatible endpoint that is already running, instead of --model."
    ),
    Option(
        name="served-name",
        metavar="NAME",
        help="Model name in requests, believed where the endpoint lists none. Default: what it lists, or the folder's.",
    ),
    Option(
        name="reply-names",
        metavar="NAME ...",
        default="",
        help="Further names by which replies may call the models that are asked, e.g. behind an Azure deployment.",
    ),
    Option(
        name="deployment",
        metavar="LABEL",
        help="What --endpoint serves now, in your words, e.g. v7: tells apart models that one address serves in turn.",
    ),
    Option(
        name="api-key-env",
        metavar="VAR",
        default="LLMGATE_API_KEY",
        help="Environment variable that holds the endpoint's key; api.openai.com alone also gets OPENAI_API_KEY.",
    ),
    Option(
        name="allow-key-over-http",
        kind="flag",
        default=False,
        help="Send keys over plain http to other hosts too, which everyone on the way can read.",
    ),
    Option(
        name="finish-reasons",
        metavar="NAME ...",
        default="",
        help="Further finish reasons by which --endpoint says that an answer is complete; `null` if it names none.",
    ),
    Option(
        name="server-args",
        metavar="ARGS",
        default="",
        help='Flags passed to vLLM untouched, e.g. "--tensor-parallel-size 2".',
    ),
    Option(
        name="server-python", metavar="EXE", help="Python that has vLLM installed. Default: the one running llmgate."
    ),
    Option(name="port", kind="int", metavar="N", help="Port of the started server. Default: a free one."),
    Option(
        name="startup-timeout", kind="float", default=1800.0, metavar="S", help="Seconds that vLLM may take to start."
    ),
    Option(name="concurrency", kind="int", default=32, metavar="N", help="Requests in flight at once."),
    Option(name="repeat", kind="int", metavar="K", help="Generations per case, overriding the suites."),
    Option(
        name="timeout",
        kind="float",
        default=600.0,
        metavar="S",
        help="Seconds that one answer may take, or one call of a check of your own.",
    ),
    Option(
        name="retries",
        kind="int",
        default=3,
        metavar="N",
        help="Further attempts after a failed request; 0 also waits for no rate limit.",
    ),
    Option(
        name="rpm",
        kind="int",
        default=0,
        metavar="N",
        help="Requests per minute that the model under test is asked at most; 0 for any number.",
    ),
    Option(
        name="tpm",
        kind="int",
        default=0,
        metavar="N",
        help="Tokens per minute, prompts and answers, that it is asked for at most; 0 for any number.",
    ),
    Option(name="baseline", metavar="RUN", help="The champion's run: a folder, or models:/NAME@champion in MLflow."),
    Option(
        name="as-baseline",
        kind="flag",
        default=False,
        # In a file, it would let every run through that forgets its --baseline.
        by_hand=True,
        help="Record what later runs are compared with: ends with 0 though nothing is compared. `min:` still decides.",
    ),
    Option(name="policy", metavar="FILE", help="Policy file that overrides the margins and roles in the suites."),
    Option(
        name="allow-inconclusive",
        kind="flag",
        default=False,
        help="Exit with 0 on INCONCLUSIVE. It still allows no promotion.",
    ),
    Option(
        name="no-stopping",
        kind="flag",
        default=False,
        help="Ask all cases, also of suites that could stop early; for runs that others will be compared with.",
    ),
    Option(
        name="strict-power",
        kind="flag",
        default=False,
        help="Refuse to run where the champion's repeats say that an unchanged model would pass too rarely.",
    ),
    Option(
        name="judge-model",
        metavar="DIR",
        help="Model folder of the judge; started after the model under test has ended.",
    ),
    Option(name="judge-endpoint", metavar="URL", help="Endpoint of the judge, instead of --judge-model."),
    Option(name="judge-name", metavar="NAME", help="Model name in the judge's requests."),
    Option(
        name="judge-api-key-env",
        metavar="VAR",
        default="LLMGATE_JUDGE_API_KEY",
        help="Environment variable with the judges' key; that of judge `strict` alone has _STRICT at its end.",
    ),
    Option(
        name="judge-finish-reasons",
        metavar="NAME ...",
        default="",
        help="The same for the endpoints of judges.",
    ),
    Option(name="judge-rpm", kind="int", default=0, metavar="N", help="As --rpm, for each endpoint of judges."),
    Option(name="judge-tpm", kind="int", default=0, metavar="N", help="As --tpm, for each endpoint of judges."),
    Option(
        name="judges",
        metavar="NAME=URL ...",
        default="",
        help='Judges that suites name, e.g. for a panel: "strict=http://a:8001 kind=some-model@http://b:8002".',
    ),
    Option(
        name="judge-anchors",
        metavar="FILE",
        help="Answers with stored verdicts, which the judge is asked about again: see `llmgate anchors freeze`.",
    ),
    Option(
        name="judge-admission",
        metavar="FILE ...",
        default="",
        help="Admission records of the judges, from `llmgate judge admit`, beside those that suites name.",
    ),
    Option(name="embed-endpoint", metavar="URL", help="Endpoint of the embedding model that similarities need."),
    Option(name="embed-name", metavar="NAME", help="Model name in embedding requests. Default: what it lists."),
    Option(
        name="embed-api-key-env",
        metavar="VAR",
        default="LLMGATE_EMBED_API_KEY",
        help="Environment variable with the embedding endpoint's key.",
    ),
    Option(name="out", metavar="DIR", help="Folder of the run record. Default: a new one under .llmgate/runs."),
    Option(
        name="resume", kind="flag", default=False, help="Go on with the unfinished run in --out, keeping its answers."
    ),
    Option(name="no-bench", kind="flag", default=False, help="Skip the serving measurements that suites ask for."),
    Option(
        name="serving-champion",
        metavar="DIR|URL",
        # In a file, whoever changes the repository could have the candidate compared with a slower server.
        by_hand=True,
        help="Where the champion is served for the comparison of serving, as URL or URL#NAME, or its model folder. "
        "Default: the folder or endpoint of its run.",
    ),
    Option(
        name="serving-hosting",
        metavar="HOW",
        default="auto",
        help="How both are served: together, shared (one server, two names), restarts (one after another), or auto.",
    ),
    Option(name="mlflow-uri", metavar="URI", help="Log the run to this MLflow tracking server or store."),
    Option(name="mlflow-experiment", metavar="NAME", default="llmgate", help="MLflow experiment of the run."),
    Option(
        name="mlflow-model", metavar="NAME", help="Register the model under this name as a new version, the candidate."
    ),
    Option(name="registry-uri", metavar="URI", help="The registered version under test, e.g. models:/support-bot/7."),
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
    Option(
        name="allow-outside",
        metavar="DIR ...",
        default="",
        by_hand=True,
        help="Folders outside the project whose files suites and datasets may name; by hand only, in no file.",
    ),
    Option(
        name="trust-weights-cache",
        kind="flag",
        default=False,
        # In a file, whoever changes the repository could have CI believe what an earlier job left in the cache.
        by_hand=True,
        help="Believe digests of weights from earlier runs in CI, too, and where a verdict is signed.",
    ),
    Option(name="show-missed", kind="int", default=5, metavar="N", help="How many missed cases the summary shows."),
)

PURPOSES: Final = {
    "The model": "model endpoint served_name deployment api_key_env reply_names finish_reasons",
    "The server that llmgate starts": "server_args server_python port startup_timeout",
    "What it is compared with, and how strictly": (
        "baseline as_baseline policy allow_inconclusive strict_power no_stopping serving_champion serving_hosting"
    ),
    "How it is asked": "repeat concurrency timeout retries rpm tpm no_bench",
    "Judges and embeddings": (
        "judge_endpoint judge_model judge_name judge_api_key_env judge_finish_reasons judges judge_rpm judge_tpm"
        " judge_admission judge_anchors embed_endpoint embed_name embed_api_key_env"
    ),
    "Files and keys": "allow_outside allow_key_over_http trust_weights_cache",
    "Where results go": "out resume show_missed mlflow_uri mlflow_experiment mlflow_model registry_uri",
    "The signed verdict": "registry_id alias signing_key",
}
"""Fields by the heading under which the help lists them."""


def purpose(field: str) -> str:
    """The heading of an option in the help, "" for the last one."""
    return next((title for title, fields in PURPOSES.items() if field in fields.split()), "")


def file_options(root: Path) -> dict[str, Any]:
    """Read `[tool.llmgate]` of a folder's pyproject.toml.

    Returns:
        Option fields and their values; empty if there is no such file or table.

    Raises:
        UsageError: If the file is no TOML, or names an option that is unknown or given by hand only.
    """
    import tomllib

    path = root / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("llmgate", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read ({error})", where=str(path), fix="Correct the file") from error
    known = {option.field: option for option in OPTIONS}
    result = {}
    for key, value in table.items():
        option = known.get(key.replace("-", "_"))
        if option is None:
            raise UsageError(
                f"unknown key {key!r} in [tool.llmgate]",
                where=str(path),
                fix=did_you_mean(key, (option.name for option in OPTIONS)),
            )
        if option.by_hand:
            raise UsageError(f"{key!r} is given by hand only", where=str(path), fix=f"Write --{option.name} instead")
        result[option.field] = value
    return result
