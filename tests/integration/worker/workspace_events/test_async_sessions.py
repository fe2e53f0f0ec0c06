"""Asynchronous sessions: what works is the plain session behind each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from tests.integration.worker.workspace_events.place import Person, Told, make_engine
from upgrader.worker import track_events


def _run(database_url: str, work: Callable[[async_sessionmaker[AsyncSession]], Awaitable[None]]) -> None:
    async def run() -> None:
        engine = create_async_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
        await work(async_sessionmaker(engine))
        await engine.dispose()

    make_engine(database_url).dispose()
    asyncio.run(run())


def test_a_maker_of_asynchronous_sessions(database_url: str, told: Told) -> None:
    """Its sessions tell after their commit, bulk statements and savepoints included; those of others do not."""

    async def work(maker: async_sessionmaker[AsyncSession]) -> None:
        other = async_sessionmaker(maker.kw["bind"])
        tracking = track_events(maker, workspace_id="acme", emitter=told.emitter)
        async with maker() as session:
            session.add(Person(id=1, name="Ada"))
            await session.flush()
            savepoint = await session.begin_nested()
            await session.execute(insert(Person).values(id=2, name="Grace"))
            await savepoint.rollback()
            await session.execute(insert(Person).values(id=3, name="Edith"))
            assert told.names == []
            await session.commit()
        async with other.begin() as session:
            session.add(Person(id=4, name="Mary"))
        tracking.stop()
        async with maker.begin() as session:
            session.add(Person(id=5, name="Jean"))

    _run(database_url, work)
    assert told.ids == [("person.created", [1]), ("person.created", [3])]


def test_one_asynchronous_session(database_url: str, told: Told) -> None:
    """A single session can be tracked, too."""

    async def work(maker: async_sessionmaker[AsyncSession]) -> None:
        async with maker() as session:
            track_events(session, workspace_id="acme", emitter=told.emitter)
            session.add(Person(id=1, name="Ada"))
            await session.commit()
        async with maker.begin() as session:
            session.add(Person(id=2, name="Grace"))

    _run(database_url, work)
    assert told.ids == [("person.created", [1])]
