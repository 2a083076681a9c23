"""All checks, in the order of the table.

A further one is a function from `Circumstances` to what it found, and its place in `CHECKS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmgate.errors import EXIT_CANNOT_RUN, EXIT_PASS, LlmgateError
from llmgate.record.redaction import Redactor, environment_secrets, url_secrets
from llmgate.session.commands.doctor.diagnosis import Check, Circumstances, Diagnosis, Health, problem
from llmgate.session.commands.doctor.engine import check_vllm
from llmgate.session.commands.doctor.gpu import check_gpu
from llmgate.session.commands.doctor.installation import (
    check_ci,
    check_extras,
    check_installation,
    check_options,
    check_sandbox,
)
from llmgate.session.commands.doctor.machine import check_caches, check_machine, check_port
from llmgate.session.commands.doctor.model import check_model
from llmgate.session.commands.doctor.project import check_endpoint, check_folder, check_mlflow, check_suites

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CHECKS", "diagnose", "exit_code", "summary"]

CHECKS: Final[tuple[Check, ...]] = (
    check_installation,
    check_extras,
    check_options,
    check_machine,
    check_gpu,
    check_vllm,
    check_model,
    check_port,
    check_caches,
    check_endpoint,
    check_folder,
    check_suites,
    check_mlflow,
    check_sandbox,
    check_ci,
)


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


def summary(found: Iterable[Diagnosis]) -> str:
    """One sentence: can a run start?"""
    healths = [one.health for one in found]
    problems, warnings = healths.count(Health.PROBLEM), healths.count(Health.WARNING)
    if problems:
        return f"{problems} {'problem keeps' if problems == 1 else 'problems keep'} a run from starting."
    if warnings:
        return f"Nothing keeps a run from starting; {warnings} {'warning' if warnings == 1 else 'warnings'}."
    return "Nothing keeps a run from starting."


def _made(check: Check, here: Circumstances) -> Iterator[Diagnosis]:
    area = check.__name__.removeprefix("check_").replace("_", " ")
    try:
        yield from check(here)
    except LlmgateError as error:
        yield problem(area, error)
    except OSError as error:
        yield Diagnosis(area=area, what=str(error), health=Health.PROBLEM, advice="Check the path and its rights")
