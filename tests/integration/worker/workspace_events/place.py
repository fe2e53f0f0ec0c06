"""Tables, mapped classes and an emitter that notes what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Engine, ForeignKey, create_engine, func
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)

from upgrader.worker.workspace_events.batch import WorkspaceEventBatch
from upgrader.worker.workspace_events.emitter import WorkspaceEventEmitter
from upgrader.worker.workspace_events.tracking import EventTracking, track_events


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(default="acme")
    name: Mapped[str]
    age: Mapped[int | None]
    tags: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    secret: Mapped[str | None]
    deleted_at: Mapped[datetime | None]
    pets: Mapped[list[Pet]] = relationship(back_populates="owner", cascade="all, delete-orphan")


class Pet(Base):
    __tablename__ = "pet"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_at: Mapped[datetime | None] = mapped_column(onupdate=func.now())
    biography: Mapped[str | None] = mapped_column("bio", deferred=True)
    owner: Mapped[Person | None] = relationship(back_populates="pets")


class Membership(Base):
    __tablename__ = "membership"
    __event_object_name__ = "member"

    team: Mapped[str] = mapped_column(primary_key=True)
    person: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Document(Base):
    __tablename__ = "document"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    subtitle: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    changed: Mapped[bool] = mapped_column(default=False, onupdate=True)
    pages: Mapped[list[Page]] = relationship(lazy="joined")
    __mapper_args__ = {"version_id_col": version}


class Page(Base):
    __tablename__ = "page"

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("document.id"))


class Vehicle(Base):
    __tablename__ = "vehicle"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    wheels: Mapped[int] = mapped_column(default=4)


class DeliveryVan(Vehicle):
    __tablename__ = "van"
    __mapper_args__ = {"polymorphic_identity": "van"}

    id: Mapped[int] = mapped_column(ForeignKey("vehicle.id"), primary_key=True)
    load: Mapped[int]


@dataclass
class Told:
    """An emitter, and the batches that a handler of everything was given."""

    emitter: WorkspaceEventEmitter = field(default_factory=WorkspaceEventEmitter)
    batches: list[WorkspaceEventBatch[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.emitter.on("**", self.batches.append, name="told")

    @property
    def names(self) -> list[str]:
        """The names of the batches until now."""
        return [batch.name for batch in self.batches]

    @property
    def ids(self) -> list[tuple[str, list[Any]]]:
        """The names, and the ids of the records."""
        return [(batch.name, [event.record_id for event in batch.events]) for batch in self.batches]

    def take(self) -> list[WorkspaceEventBatch[Any]]:
        """Give the batches until now, and forget them."""
        taken, self.batches[:] = list(self.batches), []
        return taken


def make_engine(url: str, **options: Any) -> Engine:
    """Make an engine of psycopg's for a URL of libpq's, with the tables."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), **options)
    Base.metadata.create_all(engine)
    return engine


@contextmanager
def tracked_sessions(engine: Engine, told: Told, **options: Any) -> Iterator[sessionmaker[Session]]:
    """Make sessions that are tracked within the block."""
    maker = sessionmaker(engine)
    given: dict[str, Any] = {"workspace_id": "acme", "soft_delete_field": "deleted_at", **options}
    tracking: EventTracking = track_events(maker, emitter=told.emitter, **given)
    yield maker
    tracking.stop()
