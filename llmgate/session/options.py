"""Every option once, for both doors: `llmgate run --concurrency 8` and `pytest --llmgate-concurrency 8`.

The same names are keys of `[tool.llmgate]` in pyproject.toml. Only the standard library is imported here: pytest
reads this table in every run of the environment.
"""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from llmgate.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["OPTIONS", "Option", "Settings", "file_options", "settings_from"]

Kind = Literal["text", "int", "float", "flag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        name: With dashes, as on the command line; a key in pyproject.toml may use dashes or underscores.
        help: One line that teaches.
        kind: How its text is read. A flag takes no value on the command line.
        default: Applied when neither command line nor file sets it.
        metavar: Placeholder in the help.
    """

    name: str
    help: str
    kind: Kind = "text"
    default: str | int | float | bool | None = None
    metavar: str | None = None

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
        help="Model name in requests. Default: the folder's name, or what the endpoint lists.",
    ),
    Option(
        name="api-key-env",
        metavar="VAR",
        default="LLMGATE_API_KEY",
        help="Environment variable that holds the endpoint's key.",
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
    Option(name="timeout", kind="float", default=600.0, metavar="S", help="Seconds that one answer may take."),
    Option(name="retries", kind="int", default=3, metavar="N", help="Further attempts after a failed request."),
    Option(name="baseline", metavar="RUN", help="The champion's run: a folder, or models:/NAME@champion in MLflow."),
    Option(name="policy", metavar="FILE", help="Policy file that overrides the margins and roles in the suites."),
    Option(
        name="allow-inconclusive",
        kind="flag",
        default=False,
        help="Exit with 0 on INCONCLUSIVE. It still allows no promotion.",
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
        help="Environment variable with the judge endpoint's key.",
    ),
    Option(name="out", metavar="DIR", help="Folder of the run record. Default: a new one under .llmgate/runs."),
    Option(
        name="resume", kind="flag", default=False, help="Go on with the unfinished run in --out, keeping its answers."
    ),
    Option(name="no-bench", kind="flag", default=False, help="Skip the serving measurements that suites ask for."),
    Option(name="mlflow-uri", metavar="URI", help="Log the run to this MLflow tracking server or store."),
    Option(name="mlflow-experiment", metavar="NAME", default="llmgate", help="MLflow experiment of the run."),
    Option(
        name="mlflow-model", metavar="NAME", help="Register the model under this name as a new version, the candidate."
    ),
    Option(name="registry-uri", metavar="URI", help="The registered version under test, e.g. models:/support-bot/7."),
    Option(name="show-missed", kind="int", default=5, metavar="N", help="How many missed cases the summary shows."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run's options, typed. See `OPTIONS` for what each means."""

    model: str | None
    endpoint: str | None
    served_name: str | None
    api_key_env: str
    server_args: tuple[str, ...]
    server_python: str | None
    port: int | None
    startup_timeout: float
    concurrency: int
    repeat: int | None
    timeout: float
    retries: int
    baseline: str | None
    policy: str | None
    allow_inconclusive: bool
    judge_model: str | None
    judge_endpoint: str | None
    judge_name: str | None
    judge_api_key_env: str
    out: str | None
    resume: bool
    no_bench: bool
    mlflow_uri: str | None
    mlflow_experiment: str
    mlflow_model: str | None
    registry_uri: str | None
    show_missed: int

    @property
    def api_key(self) -> str | None:
        """The endpoint's key, read when it is needed so that it is never stored with the settings."""
        return os.environ.get(self.api_key_env) or os.environ.get("OPENAI_API_KEY") or None

    @property
    def judge_api_key(self) -> str | None:
        """The judge endpoint's key."""
        return os.environ.get(self.judge_api_key_env) or None


def file_options(root: Path) -> dict[str, Any]:
    """Read `[tool.llmgate]` of a folder's pyproject.toml.

    Returns:
        Option fields and their values; empty if there is no such file or table.

    Raises:
        UsageError: If the file is no TOML or names an unknown option.
    """
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
        result[option.field] = value
    return result


def settings_from(given: Mapping[str, Any], *, root: Path) -> Settings:
    """Combine the command line, pyproject.toml and the defaults.

    Args:
        given: Option fields from the command line; None means not given, as does False for a flag.
        root: Folder with pyproject.toml.

    Raises:
        UsageError: If a value is impossible or options contradict each other.
    """
    from_file = file_options(root)
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value = given.get(option.field)
        if value is None or value is False:
            value = from_file.get(option.field, option.default)
        values[option.field] = read_value(option, value)
    values["server_args"] = tuple(shlex.split(values["server_args"] or ""))
    settings = Settings(**{field.name: values[field.name] for field in fields(Settings)})
    check(settings)
    return settings


def read_value(option: Option, value: object) -> object:
    """Check the type of one value."""
    if value is None:
        return None
    if option.kind == "flag":
        good = isinstance(value, bool)
    elif option.kind == "text":
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = shlex.join(str(part) for part in value)
        good = isinstance(value, str)
    else:
        try:
            value = int(str(value)) if option.kind == "int" else float(str(value))
        except ValueError:
            good = False
        else:
            good = True
    if not good:
        raise UsageError(f"--{option.name} is {value!r}, which is not {option.kind}", fix=option.help)
    return value


def check(settings: Settings) -> None:
    """Refuse contradictions before any work is done."""
    if settings.model and settings.endpoint:
        raise UsageError("both --model and --endpoint are given", fix="Give one of them")
    if settings.judge_model and settings.judge_endpoint:
        raise UsageError("both --judge-model and --judge-endpoint are given", fix="Give one of them")
    if settings.resume and not settings.out:
        raise UsageError("--resume needs to know which run", fix="Add --out with the folder of the unfinished run")
    for name, least in (("concurrency", 1), ("repeat", 1), ("retries", 0), ("port", 1), ("show_missed", 0)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} is {value}", fix=f"Give at least {least}")
    for name in ("timeout", "startup_timeout"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(settings, name)}", fix="Give seconds above 0")
