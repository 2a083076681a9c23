"""`llmgate lock` and `llmgate dataset`."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import click

from llmgate.cli.frame import PATH, Command, Group, show_json, show_lines, visible_text
from llmgate.cli.options import run_options
from llmgate.errors import EXIT_PASS, EXIT_USAGE, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["dataset_group", "lock"]

BESIDE = click.option(
    "--beside", type=PATH, metavar="SUITE", help="Suite or folder beside which the lock of a URI lies [default: .]."
)
ALLOW = run_options(frozenset({"allow-outside"}))
ID_COLUMN = click.option("--id-column", help="Column that names the rows [default: as locked, else id].")


DATASET_HELP = """Verify, compare, describe and sample datasets; `llmgate lock` locks them.

A dataset is a .jsonl, .csv or .parquet file, hf://datasets/OWNER/NAME/FILE@COMMIT, mlflow:datasets/NAME,
mlflow:runs/RUN_ID/NAME, or a suite file, which stands for its dataset.
"""


@click.group("dataset", cls=Group, help=DATASET_HELP)
def dataset_group() -> None:
    """Commands about data."""


@click.command("lock", cls=Command)
@click.argument("dataset")
@click.option("--version", "version", help="The new version. Needed when locked content changed.")
@click.option("--licence", help="SPDX name of the licence.")
@BESIDE
@ALLOW
@ID_COLUMN
@click.option(
    "--type", "types", multiple=True, metavar="COLUMN=TYPE", help="JSON type of a CSV column that is not text."
)
@click.option("--check", is_flag=True, help="Only check that the data matches its lock.")
def lock(
    dataset: str,
    *,
    version: str | None,
    licence: str | None,
    beside: Path | None,
    id_column: str | None,
    allow_outside: str | None,
    types: tuple[str, ...],
    check: bool,
) -> None:
    """Write or check the lock of a DATASET: digests of its bytes and of every row.

    A lock is written once, and again with a higher --version whenever rows change.
    """
    from llmgate.session.commands.datasets import check_dataset, find_dataset, lock_dataset, read_types
    from llmgate.session.settings.readers import read_folders

    named = find_dataset(dataset, beside=beside, id_column=id_column, allowed=read_folders(allow_outside))
    if check:
        locked = check_dataset(named)
    else:
        locked = lock_dataset(named, version=version, licence=licence, types=read_types(types))
    click.echo(f"{named.source.name}: version {locked.version}, {len(locked.rows)} rows, sha256 {locked.sha256}")


# The name of before, for scripts that have it; the help shows one name.
former = copy(lock)
former.hidden = True
dataset_group.add_command(former)


@dataset_group.command("verify", short_help="Check that datasets match their locks.")
@click.argument("datasets", nargs=-1, required=True)
@BESIDE
@ALLOW
@ID_COLUMN
def dataset_verify(
    datasets: tuple[str, ...], *, beside: Path | None, id_column: str | None, allow_outside: str | None
) -> int:
    """Check that DATASETS match their locks; a folder stands for all suites and locks in it. Exits with 0 or 2."""
    from llmgate.session.commands.datasets import verify
    from llmgate.session.settings.readers import read_folders

    results = verify(datasets, beside=beside, id_column=id_column, allowed=read_folders(allow_outside))
    for result in results:
        if result.lock is None:
            click.secho(f"refused  {visible_text(str(result.problem))}", fg="red")
        else:
            show_lines([f"matches  {result.name}: version {result.lock.version}, {len(result.lock.rows)} rows"])
    return EXIT_USAGE if any(result.lock is None for result in results) else EXIT_PASS


@dataset_group.command("diff", short_help="List rows added, removed and changed.")
@click.argument("first")
@click.argument("second", required=False)
@click.option("--against", metavar="REF", help="Compare the file with this git revision of it.")
@BESIDE
@ALLOW
@ID_COLUMN
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
def dataset_diff(
    first: str,
    second: str | None,
    *,
    against: str | None,
    beside: Path | None,
    id_column: str | None,
    allow_outside: str | None,
    as_json: bool,
) -> None:
    """List rows added, removed and changed from FIRST to SECOND, by id and field.

    With FIRST alone: since it was locked (by row), or since a git revision (--against REF, by field). Exits with 0
    whether or not they differ.
    """
    from llmgate.session.commands.datasets import compare, compare_with_git, compare_with_lock, find_dataset
    from llmgate.session.settings.readers import read_folders
    from llmgate.suite.data.diff import diff_lines

    if second and against:
        raise UsageError("a dataset is compared with one other", fix="Give SECOND or --against")
    named = find_dataset(first, beside=beside, id_column=id_column, allowed=read_folders(allow_outside))
    if second:
        diff = compare(
            named, find_dataset(second, beside=beside, id_column=id_column, allowed=read_folders(allow_outside))
        )
    else:
        diff = compare_with_git(named, against) if against else compare_with_lock(named)
    if as_json:
        show_json(diff.to_json())
    else:
        show_lines(diff_lines(diff))


@dataset_group.command("stats", short_help="Describe a dataset, and find duplicates.")
@click.argument("dataset")
@click.option("--slice", "slices", multiple=True, metavar="COLUMN", help="Slice column; may be repeated.")
@click.option("--cluster", metavar="COLUMN", help="Column whose rows belong together.")
@click.option("--text", "texts", multiple=True, metavar="COLUMN", help="Column compared for near-duplicates.")
@click.option(
    "--near", type=click.FloatRange(0, 1, min_open=True), default=0.8, show_default=True, help="Least resemblance."
)
@BESIDE
@ALLOW
@ID_COLUMN
@click.option("--json", "as_json", is_flag=True, help="Print the statistics as JSON.")
def dataset_stats_command(
    dataset: str,
    *,
    slices: tuple[str, ...],
    cluster: str | None,
    texts: tuple[str, ...],
    near: float,
    beside: Path | None,
    id_column: str | None,
    allow_outside: str | None,
    as_json: bool,
) -> None:
    """Describe a DATASET: columns, lengths, missing values, duplicates, near-duplicates, slices, clusters."""
    from llmgate.session.commands.datasets import describe, find_dataset
    from llmgate.session.settings.readers import read_folders
    from llmgate.suite.data.describe import stats_lines

    named = find_dataset(dataset, beside=beside, id_column=id_column, allowed=read_folders(allow_outside))
    described = describe(named, slices=slices, cluster=cluster, texts=texts, near=near)
    if as_json:
        show_json({"dataset": described.name, "lock": described.lock_note, **described.stats.to_json()})
    else:
        show_lines([f"{described.name}: {described.lock_note}", *stats_lines(described.stats)])


@dataset_group.command("sample", short_help="Write some rows as a dataset of their own.")
@click.argument("dataset")
@click.argument("count", type=click.IntRange(1))
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The new .jsonl file.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which rows.")
@click.option("--stratify", metavar="COLUMN", help="Column whose values keep their shares.")
@BESIDE
@ALLOW
@ID_COLUMN
def dataset_sample(
    dataset: str,
    count: int,
    *,
    out: Path,
    seed: int,
    stratify: str | None,
    beside: Path | None,
    id_column: str | None,
    allow_outside: str | None,
) -> None:
    """Write COUNT rows of a DATASET as a dataset of its own, with its lock; the same rows for the same seed."""
    from llmgate.session.commands.datasets import find_dataset, sample_dataset
    from llmgate.session.settings.readers import read_folders

    named = find_dataset(dataset, beside=beside, id_column=id_column, allowed=read_folders(allow_outside))
    locked = sample_dataset(named, out, count, seed=seed, stratify=stratify)
    click.echo(f"{out}: version {locked.version}, {len(locked.rows)} rows, sha256 {locked.sha256}")
