"""Sessions of SQLAlchemy's ORM whose records are told as workspace events, beside the same without."""

from __future__ import annotations

import gc
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, create_engine, delete, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from tests.bench.blocks import Times, in_turns, timed
from tests.bench.findings import Section, at_most
from tests.bench.stage import Stage
from tests.support.server import with_parameters
from upgrader.worker import WorkspaceEventBatch, WorkspaceEventEmitter, track_events

RECORDS = 1_000
BLOCKS = 41
INSERTS_BAR, UPDATES_BAR = 1.3, 1.8
TRACKED, PLAIN = "tracked", "plain"


class _Base(DeclarativeBase):
    pass


class _Contact(_Base):
    __tablename__ = "contact"
    __event_object_name__ = "contact"

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str]
    name: Mapped[str]
    email: Mapped[str]
    phone: Mapped[str | None]
    city: Mapped[str | None]
    score: Mapped[int]
    deleted_at: Mapped[datetime | None]


def measure(stage: Stage, *, quick: bool) -> Section:
    """Insert and update records in one flush, with and without tracking, in turns."""
    records = 100 if quick else RECORDS
    blocks = 3 if quick else BLOCKS
    with stage.database("tracking") as name:
        url = with_parameters(stage.url, dbname=name).replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url)
        _Base.metadata.create_all(engine)
        contenders = _Contenders(engine, records)
        inserts = _measure(contenders.insert, blocks)
        updates = _measure(contenders.update, blocks)
        engine.dispose()
    return Section(
        [
            _row(f"{records:,} inserts in one flush", inserts, INSERTS_BAR),
            _row(f"{records:,} updates in one flush", updates, UPDATES_BAR),
        ],
        [
            "[^tracking]: One session each, flush and commit; records of eight columns, an update changes two of them."
            f" A handler takes each batch and counts its records. {blocks} times in turns; the ratio is the median of"
            " neighbours'.",
        ],
    )


class _Contenders:
    """Two makers of sessions on one database, one of them tracked."""

    def __init__(self, engine: Engine, records: int) -> None:
        self._engine = engine
        self._records = records
        self._told = 0
        self._makers = {PLAIN: sessionmaker(engine), TRACKED: sessionmaker(engine)}
        emitter = WorkspaceEventEmitter()
        emitter.on("contact.*", self._count)
        track_events(
            self._makers[TRACKED], workspace_id="acme", emitter=emitter, soft_delete_field="deleted_at"
        )

    def insert(self, name: str) -> float:
        """Give the seconds of one flush of inserts, with its commit."""
        with self._engine.begin() as connection:
            connection.execute(text("truncate contact"))
        with self._makers[name]() as session:
            session.add_all(map(_contact, range(self._records)))
            return self._timed(session, name)

    def update(self, name: str) -> float:
        """Give the seconds of one flush of updates, with its commit."""
        with Session(self._engine) as session:
            session.execute(delete(_Contact))
            session.add_all(map(_contact, range(self._records)))
            session.commit()
        with self._makers[name]() as session:
            for contact in session.scalars(select(_Contact)).all():
                contact.score += 1
                contact.city = "Paris"
            return self._timed(session, name)

    def _timed(self, session: Session, name: str) -> float:
        self._told = 0
        gc.collect()  # of what the block before has left
        seconds = timed(session.commit)
        if self._told != (self._records if name == TRACKED else 0):
            raise RuntimeError(f"{self._told} records were told")
        return seconds

    def _count(self, batch: WorkspaceEventBatch[Any]) -> None:
        self._told += len(batch.events)


def _measure(contender: Any, blocks: int) -> Times:
    return in_turns({name: lambda _, name=name: contender(name) for name in (PLAIN, TRACKED)}, blocks=blocks)


def _row(what: str, times: Times, bar: float) -> Any:
    told = f"{times.median(TRACKED) * 1000:.0f} ms to {times.median(PLAIN) * 1000:.0f} ms"
    ratio = times.median_ratio(TRACKED, PLAIN)
    return at_most(
        f"{what}, told as workspace events: time beside the same untracked [^tracking]", ratio, bar, told
    )


def _contact(number: int) -> _Contact:
    return _Contact(
        workspace_id="acme",
        name=f"Contact {number}",
        email=f"contact{number}@example.org",
        phone=None,
        city="London",
        score=number,
    )
