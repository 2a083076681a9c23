"""The installation: llmgate, its extras, the sandbox, CI."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from llmgate import __version__
from llmgate.errors import CannotRunError
from llmgate.score.code.mechanisms import MECHANISMS
from llmgate.score.code.sandbox import run_python
from llmgate.session.commands.doctor.diagnosis import Diagnosis, Health

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.session.commands.doctor.diagnosis import Circumstances

__all__ = ["check_ci", "check_extras", "check_installation", "check_options", "check_sandbox"]

EXTRAS: Final = (
    ("mlflow", ("mlflow",), "logs runs, finds the champion, promotes"),
    ("xdist", ("xdist",), "pytest -n"),
    (
        "metrics",
        ("sacrebleu", "rouge_score", "mpmath", "phonenumbers", "detect_secrets", "py3langid", "textstat", "pycountry"),
        "asserts such as chrf, rouge-l, math-equal, contains-pii, language",
    ),
    ("data", ("pyarrow", "huggingface_hub"), "datasets in Parquet files and on the hub, models on the hub"),
    ("s3", ("s3fs",), "models in s3://…"),
    ("gs", ("gcsfs",), "models in gs://…"),
    ("ray", ("ray",), "--on ray"),
    ("ragas", ("ragas",), "asserts ragas:…"),
    ("deepeval", ("deepeval",), "asserts deepeval:…"),
)
"""Name, modules, and what it is for."""


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
    """What is installed besides vLLM, and what the rest would be for."""
    del here
    missing = {name: [module for module in modules if find_spec(module) is None] for name, modules, _ in EXTRAS}
    installed = [name for name, absent in missing.items() if not absent]
    if installed:
        yield Diagnosis(area="extras", what=f"installed: {', '.join(installed)}")
    for name, modules, purpose in EXTRAS:
        if missing[name]:
            part = f" ({', '.join(missing[name])})" if len(missing[name]) < len(modules) else ""
            advice = f"If you need it: pip install 'pytest-llmgate[{name}]'"
            yield Diagnosis(area="extras", what=f"{name}: not installed{part}; {purpose}", advice=advice)


def check_options(here: Circumstances) -> Iterator[Diagnosis]:
    """Are the options of a server possible, by hand and in pyproject.toml?"""
    here.read_settings()
    yield from ()


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
