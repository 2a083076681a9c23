"""What a run reads and writes: endpoint, disk, suites, registry."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from llmgate.errors import LlmgateError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.endpoint import served_models
from llmgate.generate.key_travel import is_loopback
from llmgate.promote.registries import open_registry
from llmgate.report.words import plural
from llmgate.session.commands.doctor.diagnosis import Diagnosis, Health, problem
from llmgate.session.options.table import file_options
from llmgate.session.run.plan import find_suites, plan_paths
from llmgate.session.settings.combined import settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.session.commands.doctor.diagnosis import Circumstances

__all__ = ["check_endpoint", "check_folder", "check_mlflow", "check_suites"]

RUNS: Final = Path(".llmgate") / "runs"
LITTLE_DISK: Final = 1_000_000_000
NO_DISK: Final = 100_000_000
ASKING: Final = ("endpoint", "served_name", "api_key_env", "allow_key_over_http")


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
    asking = {name: here.options.get(name) for name in ASKING}
    settings = settings_from({**asking, "endpoint": url, "model": ""}, root=here.root)
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
            yield problem("suites", error)
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
