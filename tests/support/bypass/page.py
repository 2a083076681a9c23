"""The page that tells of the rows: docs/registry-bypass.md."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from support.bypass.table import WALLED, Expected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from support.bypass.table import Area, Row

__all__ = ["LIMITS", "anchor", "page_text"]

HEAD: Final = """\
# Ways past the gate

An MLflow server whose registry has llmgate's gate before it gives a protected alias only to a version with a signed verdict. This page lists
what was tried to get around that, and what came of it. Each row is a test against a live `mlflow server`, with MLflow's own client or with a
raw call, once on SQLite and once on PostgreSQL; the page is written from the same table as the tests, and a test holds it against them.

{counts}

*Refused* means: the server answers with an error (HTTP 403 with the words that are quoted, where llmgate refuses), and neither a model, a
version, a stage, an alias nor the ledger's promotions have changed in the database; where the attempt is a single call, no tag and no verdict
either. *Without effect* means: the call is answered as if it had succeeded, and what was tried has not happened. *Limits* succeed, and the
section that is named says why, and what catches them. The servers have two workers; where “as administrator” stands, one worker, basic
authentication and workspaces, and an administrator tries it.
"""
LIMITS: Final = {
    "Whoever can write the database": """\
Whoever can log in to the registry's database can change an alias there, with SQL or with a client whose `registry_uri` is that database. No
server is asked. So only the server's user gets the database's password, a SQLite file belongs to the server's user alone, and MLflow's job
execution, which hands the database's URI to the jobs it runs, stays off (`MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false`) where people who
must not promote may start jobs. The same is true of a second server without the gate on the same database, which the package for server
images keeps an image from starting, and of the server behind a gate that stands before a remote registry: only the gate may reach it.

It does not stay unnoticed: the ledger still says who held the alias, `llmgate status` and `llmgate webhook` compare the two, the next promotion
is refused until the alias is back or somebody with an override key has signed, and `llmgate verify` finds no verdict for what is served.
""",
    "Versions without an alias": """\
A deployment that asks for `models:/NAME@latest`, for a number, or for an alias that the policy does not protect gets what it asks for: every
version can be registered and read, which is how candidates get to the gate. Deploy by the protected alias, protect every alias that is deployed
(`aliases: ["*"]` protects all), and let the deployment run `llmgate verify`, which refuses a version without a PASS.
""",
    "Bytes behind a version": """\
A version is a row with a URI. Who may write artifacts may change the files there after the promotion, through MLflow or past it in the bucket.
The verdict names a digest over the path and the SHA-256 of every file, so `llmgate verify models:/NAME@champion` before the server starts
refuses what was changed, added or taken away. Object lock or versioned buckets keep it from happening.
""",
}
"""What each limit is, by its heading."""
WORD: Final = {
    Expected.REFUSED: "refused",
    Expected.FUTILE: "without effect",
    Expected.LIMIT: "documented limits",
    Expected.WORKS: "work as they should",
}


def page_text(areas: Sequence[Area]) -> str:
    """The page."""
    rows = [row for area in areas for row in area.rows]
    counted = Counter(row.expected for row in rows)
    told = ", ".join(f"{counted[expected]} {word}" for expected, word in WORD.items())
    parts = [HEAD.format(counts=f"**{len(rows)} rows: {told}; none is unknown.**")]
    for area in areas:
        parts += [f"## {area.title}\n", table(area.rows)]
    parts += ["## The limits\n", *(f"### {heading}\n\n{text}" for heading, text in LIMITS.items())]
    return "\n".join(parts)


def table(rows: Iterable[Row]) -> str:
    """The rows of one area."""
    lines = ["|what is tried|by|outcome|", "|-|-|-|"]
    lines += [f"|{cell(row.tried)}|{by(row)}|{cell(outcome(row))}|" for row in rows]
    return "\n".join(lines) + "\n"


def by(row: Row) -> str:
    """The route, and who goes it."""
    return f"`{cell(row.route)}`" + (" as administrator" if row.setup == WALLED else "")


def outcome(row: Row) -> str:
    """What came of it."""
    if row.expected is Expected.LIMIT:
        return f"limit: [{row.limit}](#{anchor(row.limit)})"
    if row.expected is Expected.REFUSED:
        who = "refused" if row.by == "llmgate" else f"refused by {row.by}"
        words = [word for word in row.words if word not in {"refused", "llmgate: "}]
        return who + (": " + ", ".join(f"“{word}”" for word in words) if words else "")
    return str(row.expected)


def cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|")


def anchor(heading: str) -> str:
    """Where a heading is, as GitHub names it."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c == "-")
