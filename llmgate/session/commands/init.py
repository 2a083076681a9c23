"""What `llmgate init` does: rows are read and understood, a project is planned, and only then anything is written."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmgate.errors import CannotRunError, DatasetError, EndpointError, UsageError
from llmgate.generate.base_url import normalise_url
from llmgate.generate.endpoint import served_models
from llmgate.record.disk import read_regular, write_atomic
from llmgate.report.words import plural
from llmgate.session.commands.columns import ProjectKind, RowReading, id_column, understand
from llmgate.session.commands.starter import Reachable, sample_rows, suite_text, workflow_text
from llmgate.session.run.plan import plan_paths
from llmgate.session.settings.combined import settings_from
from llmgate.suite.data.dataset import write_lock
from llmgate.suite.data.formats import BOM, SUFFIXES, Format, as_jsonl, format_of, read_records
from llmgate.suite.data.rows import parse_rows
from llmgate.suite.data.source import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmgate.suite.asserts import Json

__all__ = ["InitPlan", "InitWish", "plan_project", "write_project"]

WORKFLOW: Final = Path(".github/workflows/llmgate.yml")
IGNORE: Final = Path(".gitignore")
IGNORED: Final = ".llmgate/"
CHAMPION: Final = "runs/champion"
EXAMPLE_URL: Final = "http://127.0.0.1:8000/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class InitWish:
    """What somebody wants to start with.

    Attributes:
        folder: The project's.
        rows: A file with questions; None for sample rows.
        kind: What the model is asked for; None to tell it from the rows, of samples chat.
        options: Those that it shares with `llmgate run`: where the model answers, under which name, with which key.
    """

    folder: Path
    rows: Path | None = None
    kind: ProjectKind | None = None
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class InitPlan:
    """What will be written, and why.

    Attributes:
        folder: The project's.
        suite: The suite's name.
        files: Path in the folder to content; the lock comes on top.
        id_column: The column that names rows.
        chosen: What was chosen, in words.
        next: What each of the next commands is for, and the command.
    """

    folder: Path
    suite: str
    files: Mapping[Path, bytes]
    id_column: str
    chosen: tuple[str, ...]
    next: tuple[tuple[str, str], ...]

    @property
    def dataset(self) -> Path:
        """The rows."""
        return Path("suites") / f"{self.suite}.jsonl"

    @property
    def lock(self) -> Path:
        """Their lock."""
        return Path("suites") / f"{self.suite}.lock.json"

    @property
    def new(self) -> tuple[Path, ...]:
        """All files that must not be there yet."""
        return (*(path for path in self.files if path != IGNORE), self.lock)


def plan_project(wish: InitWish) -> InitPlan:
    """Read the rows, ask the endpoint which models it lists, and decide on every file; nothing is written.

    Raises:
        DatasetError: If the rows cannot be read, or do not say what to ask.
        UsageError: If a file is there already, or the rows are not of the kind that is wished.
        EndpointError: If the endpoint does not answer.
    """
    if os.path.lexists(wish.folder) and not wish.folder.is_dir():
        raise UsageError("this is no folder", where=str(wish.folder), fix="Name another one")
    name, reading = _rows(wish)
    suite, reach = suite_text(reading, name)
    models = _models(wish)
    plan = InitPlan(
        folder=wish.folder,
        suite=name,
        files={
            Path("suites") / f"{name}.yaml": suite.encode(),
            Path("suites") / f"{name}.jsonl": as_jsonl(reading.rows),
            WORKFLOW: workflow_text().encode(),
            **_ignore(wish.folder),
        },
        id_column=reading.id_column,
        chosen=tuple(_chosen(wish, reading, reach, models)),
        next=tuple(_next(wish, models)),
    )
    _refuse_existing(plan)
    return plan


def write_project(plan: InitPlan) -> None:
    """Write all files, lock the rows, and load the suite; whatever goes wrong, nothing new is left behind.

    Raises:
        CannotRunError: If a file cannot be written.
    """
    made: list[Path] = []
    try:
        for path in plan.new[:-1]:
            _make_folder((plan.folder / path).parent, made)
            _make_file(plan.folder / path, plan.files[path], made)
        made.append(plan.folder / plan.lock)
        write_lock(plan.folder / plan.dataset, id_column=plan.id_column)
        plan_paths([plan.folder / "suites" / f"{plan.suite}.yaml"], settings_from({}, root=plan.folder))
        if IGNORE in plan.files:
            write_atomic(plan.folder / IGNORE, plan.files[IGNORE], private=False)
    except BaseException as error:
        _undo(made)
        if isinstance(error, OSError):
            where = str(error.filename or plan.folder)
            fix = "Free some space, or choose another folder that you may write to"
            raise CannotRunError(f"cannot be written ({error.strerror})", where=where, fix=fix) from error
        raise


def _rows(wish: InitWish) -> tuple[str, RowReading]:
    """The suite's name, and what its rows are."""
    if wish.rows is None:
        kind = wish.kind or ProjectKind.CHAT
        records = [values for _, values in read_records(sample_rows(kind), Format.JSONL, source=f"{kind}.jsonl")]
        return kind.value, understand(records, source=f"{kind}.jsonl", kind=kind)
    path = wish.rows
    if path.suffix.lower() not in SUFFIXES:
        endings = ", ".join(SUFFIXES)
        raise UsageError(
            f"rows are read from {endings}, and this is none of them", where=str(path), fix="Save it as CSV, in UTF-8"
        )
    data = read_bytes(path, missing_fix="Check the path").removeprefix(BOM)
    kind_of_file = format_of(path)
    _refuse_other_separators(data, kind_of_file, path)
    records = [values for _, values in read_records(data, kind_of_file, source=str(path))]
    if not records:
        raise DatasetError("has no rows", where=str(path), fix="Write at least one row")
    own_id = id_column(records[0])
    if own_id:
        # Refuses ids that are missing, not unique or no names, and columns that some rows lack, with their lines.
        parse_rows(data, source=str(path), id_column=own_id, kind=kind_of_file)
    else:
        numbered: list[dict[str, Json]] = [{"id": f"row-{i}", **values} for i, values in enumerate(records, 1)]
        try:
            parse_rows(as_jsonl(numbered), source=str(path))
        except UnicodeEncodeError as error:
            fix = "Remove the \\ud… escape"
            raise DatasetError("holds half of a surrogate pair, no character", where=str(path), fix=fix) from error
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:60] or "suite"
    return name, understand(records, source=str(path), kind=wish.kind)


def _refuse_other_separators(data: bytes, kind: Format, path: Path) -> None:
    head = data.partition(b"\n")[0]
    if kind is Format.CSV and b"," not in head and (b";" in head or b"\t" in head):
        raise DatasetError(
            "columns seem to be separated by semicolons or tabs", where=str(path), fix="Save it with commas, in UTF-8"
        )


def _models(wish: InitWish) -> tuple[str, ...] | None:
    """What the endpoint lists; None if none is named, neither here nor in the project's pyproject.toml."""
    settings = settings_from(wish.options, root=wish.folder)
    if not settings.endpoint:
        return None
    url = normalise_url(settings.endpoint)
    models = served_models(url, api_key=settings.api_key, model=settings.served_name, key_place=settings.key_place)
    if not models:
        raise EndpointError("the endpoint lists no model", where=url, fix="Load one, or leave --endpoint out for now")
    if settings.served_name and settings.served_name not in models:
        raise EndpointError(
            f"the endpoint does not serve {settings.served_name!r}", where=url, fix=f"It serves {', '.join(models)}"
        )
    return models


def _ignore(folder: Path) -> dict[Path, bytes]:
    """A line for .gitignore, unless it has it."""
    path = folder / IGNORE
    if path.is_symlink():
        return {}
    if not path.exists():
        return {IGNORE: f"{IGNORED}\n".encode()}
    try:
        text = read_regular(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path), fix="Let it be a file") from error
    if {line.strip().strip("/") for line in text.splitlines()} & {IGNORED.strip("/")}:
        return {}
    end = "" if not text or text.endswith("\n") else "\n"
    return {IGNORE: f"{text}{end}{IGNORED}\n".encode("utf-8", "surrogateescape")}


def _refuse_existing(plan: InitPlan) -> None:
    inside = {folder for path in plan.new for folder in path.parents if folder != Path()}
    for folder in sorted(inside):
        if os.path.lexists(plan.folder / folder) and (
            (plan.folder / folder).is_symlink() or not (plan.folder / folder).is_dir()
        ):
            raise UsageError(
                "this is a link or no folder, and nothing is written through it",
                where=str(plan.folder / folder),
                fix="Move it away, or name another folder: llmgate init FOLDER",
            )
    there = [str(path) for path in plan.new if os.path.lexists(plan.folder / path)]
    if there:
        verb = "is" if len(there) == 1 else "are"
        raise UsageError(
            f"{', '.join(there)} {verb} there already, and nothing was written",
            where=str(plan.folder),
            fix="Move it away, or name another folder: llmgate init FOLDER",
        )


def _chosen(wish: InitWish, reading: RowReading, reach: Reachable, models: tuple[str, ...] | None) -> Iterator[str]:
    rows = plural(len(reading.rows), "row")
    if wish.rows is None:
        yield f"{rows} of ours, kind {reading.kind}: replace them by your own, or start with --from FILE"
    else:
        yield f"{rows} of {wish.rows}, kind {reading.kind}, copied: from now on the copy counts"
    yield from reading.remarks
    if (wish.folder / IGNORE).is_symlink():
        yield f"{IGNORE} is a link and stays as it is: let git ignore {IGNORED} yourself"
    yield from reach.sentences()
    if models is not None:
        first = "; the commands below ask the first" if len(models) > 1 and not wish.options.get("served_name") else ""
        yield f"the endpoint answers and lists {', '.join(models)}{first}"
    root = next((each for each in wish.folder.resolve().parents if (each / ".git").exists()), None)
    if root and not (wish.folder / ".git").exists():
        yield f"GitHub reads workflows at the repository's root only: move .github to {root}"


def _next(wish: InitWish, models: tuple[str, ...] | None) -> Iterator[tuple[str, str]]:
    if wish.folder.resolve() != Path.cwd().resolve():
        yield "", f"cd {shlex.quote(str(wish.folder))}"
    named = ""
    if models is None:
        named = ' --endpoint "$ENDPOINT"'
        yield "where your model answers", f"export ENDPOINT={EXAMPLE_URL}"
    else:
        options = {name: wish.options.get(name) for name in ("endpoint", "served_name", "api_key_env")}
        if len(models) > 1 and not options["served_name"]:
            options["served_name"] = models[0]
        named = "".join(f" --{k.replace('_', '-')} {shlex.quote(v)}" for k, v in options.items() if v)
        named += " --allow-key-over-http" if wish.options.get("allow_key_over_http") else ""
    run = f"llmgate run suites/{named}"
    yield "the model in production, once", f"{run} --as-baseline --out {CHAMPION}"
    yield (
        "the new model, at its own URL, or at the same one once it answers there",
        f"{run} --deployment v2 --baseline {CHAMPION}",
    )


def _make_folder(folder: Path, made: list[Path]) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, made)
    folder.mkdir()
    made.append(folder)


def _make_file(path: Path, data: bytes, made: list[Path]) -> None:
    """A file that was not there a moment ago; what somebody put there since is not overwritten."""
    with path.open("xb") as file:
        made.append(path)
        file.write(data)


def _undo(made: list[Path]) -> None:
    for path in reversed(made):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
