"""The ledger's tables: which verdicts the registry was shown, and how protected aliases moved. Rows are only added."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, UniqueConstraint, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from llmgate.attest.statement import written
from llmgate.errors import CannotRunError
from llmgate.mlflow_server.events import Held, History, PromotionRow, VerdictRow, instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["MIRROR_LIMIT", "Ledger", "create_tables", "mirror", "tables"]

MIRROR_LIMIT: Final = 3_000
"""Characters of the tag that shows the last events; MLflow's column has 5,000."""
REASON_LIMIT: Final = 600
"""Characters in that tag of why somebody overrode, which in another script is six times as long as it seems."""
RECENT_VERDICTS: Final = 16
RECENT_PROMOTIONS: Final = 7
"""How many events of an alias are read before all are: as many as its tag has room for, and as a promotion needs."""
CREATE_ATTEMPTS: Final = 20
ENCODE: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def tables() -> tuple[MetaData, Table, Table]:
    """The two tables, in a catalogue of their own: MLflow's migrations know nothing of them."""
    catalogue = MetaData()

    def place() -> tuple[Column[Any], ...]:
        return (
            Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
            Column("workspace", String(63), nullable=False),
            Column("model", String(256), nullable=False),
            Column("seq", Integer, nullable=False),
            Column("alias", String(256), nullable=False),
            Column("at", BigInteger, nullable=False),
        )

    verdicts = Table(
        "llmgate_verdicts",
        catalogue,
        *place(),
        Column("version", Integer, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("outcome", String(16), nullable=False),
        Column("weights", String(64)),
        Column("issued", BigInteger, nullable=False),
        Column("expires", BigInteger, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("signers", String(500), nullable=False),
        UniqueConstraint("workspace", "model", "seq", name="llmgate_verdicts_seq"),
    )
    promotions = Table(
        "llmgate_promotions",
        catalogue,
        *place(),
        Column("event", String(16), nullable=False),
        Column("version", Integer, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("verdict", String(64)),
        Column("weights", String(64)),
        Column("over_version", Integer),
        Column("over_created", BigInteger),
        Column("over_verdict", String(64)),
        Column("over_weights", String(64)),
        Column("reason", String(1000), nullable=False),
        UniqueConstraint("workspace", "model", "seq", name="llmgate_promotions_seq"),
    )
    return catalogue, verdicts, promotions


CATALOGUE, VERDICTS, PROMOTIONS = tables()


def mine(table: Table) -> Any:
    """The rows of one model."""
    return (table.c.workspace == bindparam("of_workspace")) & (table.c.model == bindparam("of_model"))


def of_model(table: Table, columns: Iterable[str]) -> Any:
    """Some columns of the rows of one model."""
    return select(*(table.c[name] for name in columns)).where(mine(table))


def newest(statement: Any, table: Table, most: int) -> Any:
    """The newest of these rows for one alias, newest first."""
    return statement.where(table.c.alias == bindparam("of_alias")).order_by(table.c.seq.desc()).limit(most)


def asked(function: Any, table: Table) -> Any:
    """What a function says of all places of one model."""
    return select(function(table.c.seq)).where(mine(table)).scalar_subquery()


# Made once: to make a statement anew takes longer than to have SQLite carry it out.
VERDICTS_OF: Final = of_model(VERDICTS, VerdictRow._fields)
PROMOTIONS_OF: Final = of_model(
    PROMOTIONS,
    (
        *("seq", "alias", "event", *Held._fields),
        *("over_version", "over_created", "over_verdict", "over_weights", "at", "reason"),
    ),
)
ALL_VERDICTS: Final = VERDICTS_OF.order_by(VERDICTS.c.seq)
ALL_PROMOTIONS: Final = PROMOTIONS_OF.order_by(PROMOTIONS.c.seq)
NEWEST_VERDICTS: Final = newest(VERDICTS_OF, VERDICTS, RECENT_VERDICTS)
NEWEST_PROMOTIONS: Final = newest(
    PROMOTIONS_OF.add_columns(
        *(asked(function, table) for function in (func.count, func.max) for table in (VERDICTS, PROMOTIONS))
    ),
    PROMOTIONS,
    RECENT_PROMOTIONS,
)
ADD: Final = {table.name: table.insert() for table in (VERDICTS, PROMOTIONS)}


def create_tables(engine: Any, catalogue: MetaData = CATALOGUE) -> None:
    """Make the tables that are missing; other workers may be doing the same.

    Raises:
        CannotRunError: If they cannot be made, or are those of another version.
    """
    for tried in range(CREATE_ATTEMPTS):
        try:
            catalogue.create_all(engine)
            break
        except SQLAlchemyError as error:
            # `CREATE TABLE` of two workers collides in the database's own catalogue; whoever lost finds it there.
            if tried == CREATE_ATTEMPTS - 1:
                raise CannotRunError(
                    f"the ledger's tables cannot be made ({type(error).__name__}: {str(error).splitlines()[0]})",
                    where=engine.url.render_as_string(hide_password=True),
                    fix="Let the registry's database user create tables, or create them as another user",
                ) from error
            time.sleep(0.1)
    inspector = sqlalchemy.inspect(engine)
    for name, table in catalogue.tables.items():
        present = {column["name"] for column in inspector.get_columns(name)}
        if lacking := {column.name for column in table.columns} - present:
            raise CannotRunError(
                f"the table {name} lacks {', '.join(sorted(lacking))}, so another version of llmgate made it",
                where=engine.url.render_as_string(hide_password=True),
                fix="Run the version of llmgate that made it",
            )


class Ledger:
    """The rows of one model, read and added to in a transaction that somebody else opened and holds a lock in.

    Args:
        execute: Of a SQLAlchemy session or connection.
        workspace: MLflow's workspace.
        model: Registered model.
    """

    def __init__(self, execute: Callable[..., Any], workspace: str, model: str) -> None:
        self.execute = execute
        self.workspace = workspace
        self.model = model

    def rows(self, statement: Any, **more: Any) -> Any:
        """The rows of this model."""
        return self.execute(statement, {"of_workspace": self.workspace, "of_model": self.model, **more})

    def verdicts(self) -> list[VerdictRow]:
        """What the registry was shown of all versions, for all aliases."""
        return [VerdictRow._make(row) for row in self.rows(ALL_VERDICTS)]

    def promotions(self) -> list[PromotionRow]:
        """How all aliases moved."""
        return [read_promotion(row) for row in self.rows(ALL_PROMOTIONS)]

    def history(self, alias: str) -> History:
        """What there is on one alias."""
        verdicts, promotions = self.verdicts(), self.promotions()
        last = max(verdicts[-1].seq if verdicts else 0, promotions[-1].seq if promotions else 0)
        # A database that does not tell case apart would find the rows of names that differ in it, so it is not asked.
        return History(
            verdicts=tuple(row for row in verdicts if row.alias == alias),
            promotions=tuple(row for row in promotions if row.alias == alias),
            last=last,
            whole=len(verdicts) + len(promotions) == last,
        )

    def recent(self, alias: str) -> History:
        """The last that there is on one alias, so that a promotion costs the same however many came before."""
        verdicts = [VerdictRow._make(row) for row in reversed(self.rows(NEWEST_VERDICTS, of_alias=alias).all())]
        told = self.rows(NEWEST_PROMOTIONS, of_alias=alias).all()
        promotions = [read_promotion(row[:-4]) for row in reversed(told)]
        if (
            not verdicts
            or not promotions
            or {row.alias for row in verdicts} | {row.alias for row in promotions} != {alias}
        ):
            return self.history(alias)
        *counts, last_verdict, last_promotion = told[0][-4:]
        last = max(last_verdict or 0, last_promotion)
        read = History(verdicts=tuple(verdicts), promotions=tuple(promotions), last=last, whole=sum(counts) == last)
        return read.if_cut(RECENT_VERDICTS, RECENT_PROMOTIONS)

    def shown(self, history: History, alias: str) -> str:
        """What the tag of an alias shows of a history that ends with its last event."""
        return mirror(history) or mirror(self.history(alias))

    def held(self, version: int, created: int) -> tuple[str, ...]:
        """The aliases that a version holds or ever held."""
        return tuple(
            dict.fromkeys(
                row.alias
                for row in self.promotions()
                for held in (row.to, row.over)
                if held is not None and (held.version, held.created) == (version, created)
            )
        )

    def earned(self) -> frozenset[str]:
        """The digests of all verdicts that promoted a version of this model."""
        return frozenset(row.to.verdict for row in self.promotions() if row.to.verdict is not None)

    def add_verdict(self, history: History, row: VerdictRow) -> History:
        """Add a verdict behind all events of the model, and give the history with it."""
        self.add(VERDICTS, row._asdict())
        return replace(history, verdicts=(*history.verdicts, row), last=row.seq)

    def add_promotion(self, history: History, row: PromotionRow) -> History:
        """Add a move of the alias behind all events of the model, and give the history with it."""
        over = row.over
        self.add(
            PROMOTIONS,
            {
                "seq": row.seq,
                "alias": row.alias,
                "at": row.at,
                "event": row.event,
                **row.to._asdict(),
                "over_version": over and over.version,
                "over_created": over and over.created,
                "over_verdict": over and over.verdict,
                "over_weights": over and over.weights,
                "reason": row.reason,
            },
        )
        return replace(history, promotions=(*history.promotions, row), last=row.seq)

    def add(self, table: Table, values: dict[str, Any]) -> None:
        """Add a row."""
        self.execute(ADD[table.name], {"workspace": self.workspace, "model": self.model, **values})


def read_promotion(row: Any) -> PromotionRow:
    """A row of `PROMOTIONS_OF` as data."""
    seq, alias, event, *held, at, reason = row
    to, over = Held._make(held[:4]), Held._make(held[4:])
    return PromotionRow(seq, alias, event, to, over if over.version is not None else None, at, reason)


def mirror(history: History, *, limit: int = MIRROR_LIMIT) -> str:
    """The last events of an alias for whoever reads tags: a JSON list, newest first, as many as fit.

    Half of the room is for moves of the alias: however many verdicts came since, it is seen by which one somebody holds
    it, and who held it before. Empty if that takes more than the part of a history that is given.
    """
    verdicts = {row.digest: row for row in history.verdicts}
    chosen: dict[int, str] = {}
    size = 2
    events: list[VerdictRow | PromotionRow] = [*history.verdicts, *history.promotions]
    steps: list[tuple[Sequence[VerdictRow | PromotionRow], int, bool]] = [
        (history.promotions, limit // 2, len(history.promotions) == RECENT_PROMOTIONS),
        ([row for row in events if row.seq >= history.since], limit, True),
    ]
    for rows, room, cut in steps:
        for row in sorted(rows, key=lambda row: row.seq, reverse=True):
            if row.seq in chosen:
                continue
            digest = row.digest if isinstance(row, VerdictRow) else row.to.verdict
            if history.since and digest is not None and digest not in verdicts:
                return ""
            text = worded(row, verdicts.get(digest or ""))
            if size + len(text) + 1 > room:
                break
            size += len(text) + 1
            chosen[row.seq] = text
        else:
            if history.since and cut:
                return ""
    return f"[{','.join(chosen[seq] for seq in sorted(chosen, reverse=True))}]"


@lru_cache(maxsize=4096)
def worded(row: VerdictRow | PromotionRow, verdict: VerdictRow | None) -> str:
    """One event, with its verdict. Rows do not change, and each is shown again with the dozen that follow it."""
    told: dict[str, object] = {
        "at": written(instant(row.at)),
        "outcome": verdict and verdict.outcome,
        "attempt": verdict and verdict.attempt,
    }
    if isinstance(row, VerdictRow):
        told |= {"event": "verdict", "version": str(row.version), "verdict": row.digest, "weights": row.weights}
    else:
        told |= {
            "event": row.event,
            "version": str(row.to.version),
            "verdict": row.to.verdict,
            "weights": row.to.weights,
            "over": row.over and str(row.over.version),
            **({"reason": short(row.reason)} if row.reason else {}),
        }
    return ENCODE(told)


def short(reason: str) -> str:
    """As much of a reason as the tag has room for."""
    shown = reason[:200]
    while len(ENCODE(shown)) > REASON_LIMIT:
        shown = shown[: len(shown) * 9 // 10]
    return shown
