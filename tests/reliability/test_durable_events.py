"""Durable event handlers: nothing that was committed is lost, nothing that was not is sent, whoever is killed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from tests.reliability.options import number_of
from tests.support.project import Project
from tests.support.server import wait_until, with_parameters
from upgrader.worker import JobQueue, WorkspaceEventEmitter, on_event, track_events

RATE = 100
"""Events a second that are committed; those that are rolled back come on top."""
WORKERS = 2
ROLLED_BACK = 7
"""One transaction more is rolled back after so many."""
_DELIVERED_SECONDS = 60.0

MODULE = '''
import os
import threading

import psycopg

from upgrader.worker import on_event

mine = threading.local()


@on_event("order.created", durable=True)
def receive(batch):
    """Note what came: once per record and delivery."""
    if not hasattr(mine, "connection"):
        mine.connection = psycopg.connect(os.environ["RECEIVER_URL"], autocommit=True)
    for event in batch.events:
        mine.connection.execute("insert into received values (%s, %s)", [event.record_id, batch.id])
'''
APPLICATION = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.reliability.test_durable_events import Order, application

with application(sys.argv[1]) as sessions:
    session = sessions()
    session.add(Order(id=int(sys.argv[2])))
    session.flush()
    if sys.argv[3] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    session.connection().connection.driver_connection.commit()  # nothing of ours runs after it
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


@on_event("order.created", durable=True)
def receive(batch: object) -> None:
    """Stand in the application for the handler that the workers have."""
    raise AssertionError("it runs in a worker")


@contextmanager
def application(url: str) -> Iterator[sessionmaker[Session]]:
    """Give the sessions of an application, tracked, with a durable handler."""
    engine = create_engine(with_parameters(url).replace("postgresql://", "postgresql+psycopg://", 1))
    sessions = sessionmaker(engine)
    emitter = WorkspaceEventEmitter(receive, queue=JobQueue())
    track_events(sessions, workspace_id="acme", emitter=emitter)
    yield sessions
    engine.dispose()


class Place:
    """A project with a handler, and its workers."""

    def __init__(self, project: Project) -> None:
        self.project = project
        project.write("subscribers/receive.py", MODULE)
        project.configure(
            worker={
                "modules": ["subscribers"],
                "heartbeat_enabled": False,
                "heartbeat_seconds": 0.5,
                "stalled_seconds": 1.5,
                "rescue_seconds": 0.5,
                "poll_seconds": 0.5,
            }
        )
        with project.connect() as connection:
            connection.execute("create table orders (id integer primary key)")
            connection.execute("create table received (id integer not null, batch uuid not null)")
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self) -> None:
        """Start one, its log thrown away."""
        self.workers.append(
            subprocess.Popen(
                [str(Path(sys.executable).with_name("upgrader")), "worker", "--no-scheduler"],
                cwd=self.project.directory,
                env=self.project.environment({"RECEIVER_URL": self.project.database_url}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def kill_worker(self, choice: random.Random) -> None:
        """Kill one without a word, and start another."""
        process = self.workers.pop(choice.randrange(len(self.workers)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.start_worker()

    def wait_for_queue(self) -> None:
        """Wait until a worker has made the queue's tables and works."""
        wait_until(
            lambda: (
                self.project.query("select to_regclass('upgrader_worker.worker') is not null") == [(True,)]
            )
        )
        wait_until(lambda: self.project.query("select count(*) > 0 from upgrader_worker.worker") == [(True,)])

    def received(self) -> list[int]:
        """Give the ids that came, those that came twice as often."""
        return sorted(number for (number,) in self.project.query("select id from received"))

    def statuses(self) -> list[tuple[object, ...]]:
        """Give how many jobs are in which state, after how many tries."""
        return self.project.query(
            "select status::text, attempts, count(*) from upgrader_worker.procrastinate_jobs group by 1, 2"
        )

    def waiting(self) -> int:
        """Give how many jobs are not over."""
        return int(
            self.project.query(
                "select count(*) from upgrader_worker.procrastinate_jobs"
                " where queue_name = 'workspace-events' and status in ('todo', 'doing')"
            )[0][0]
        )


@pytest.fixture
def place(project: Project) -> Iterator[Place]:
    """The place; its workers are killed at the end."""
    made = Place(project)
    yield made
    for process in made.workers:
        process.kill()
        process.wait()


@pytest.mark.parametrize("moment", ["after", "before"])
def test_an_application_that_dies_at_its_commit(place: Place, tmp_path: Path, moment: str) -> None:
    """Killed right after the commit its event is delivered; killed right before, it is not."""
    place.start_worker()
    place.wait_for_queue()
    program = tmp_path / "application.py"
    program.write_text(APPLICATION.format(root=str(Path(__file__).parents[2])))
    done = subprocess.run(
        [sys.executable, str(program), place.project.database_url, "1", moment], timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    with application(place.project.database_url) as sessions, sessions.begin() as session:
        session.add(Order(id=2))  # a later one, so that there is something to wait for
    wait_until(lambda: 2 in place.received() and place.waiting() == 0)
    assert place.received() == ([1, 2] if moment == "after" else [2])


def test_workers_that_are_killed_lose_nothing(
    place: Place, pytestconfig: pytest.Config, note: Callable[..., None]
) -> None:
    """A hundred durable events a second while workers are killed: each arrives at least once, none of a rollback."""
    seconds = number_of(pytestconfig, "--event-seconds", 5.0)
    pause = number_of(pytestconfig, "--event-kill-pause", 2.0)
    for _ in range(WORKERS):
        place.start_worker()
    place.wait_for_queue()
    committed, kills, emitting = _emit(place, seconds, pause)
    give_up = time.monotonic() + _DELIVERED_SECONDS
    while place.waiting() and time.monotonic() < give_up:
        time.sleep(0.05)
    left, alive = place.waiting(), sum(one.poll() is None for one in place.workers)
    received = place.received()
    lost = committed - set(received)
    note(
        kind="durable-events",
        events=len(committed),
        seconds=round(emitting, 1),
        kills=kills,
        lost=len(lost),
        twice=len(received) - len(set(received)),
        wrong=len(set(received) - committed),
    )
    assert kills >= 1
    assert alive == WORKERS, "a worker ended that nobody had killed"
    assert left == 0, f"not delivered within {_DELIVERED_SECONDS:g} s: {place.statuses()}"
    assert lost == set(), place.statuses()
    assert set(received) == committed, "something was sent that was rolled back"


def _emit(place: Place, seconds: float, pause: float) -> tuple[set[int], int, float]:
    """Commit so many seconds' worth of transactions, kill a worker after each pause; give what was committed."""
    committed: set[int] = set()
    choice = random.Random(1)
    kills = 0
    started = time.monotonic()
    with application(place.project.database_url) as sessions:
        while len(committed) < RATE * seconds:  # where the machine does not keep the pace it takes longer
            now = time.monotonic() - started
            if now > (kills + 1) * pause:
                place.kill_worker(choice)
                kills += 1
            time.sleep(max(0.0, len(committed) / RATE - now))  # when it is due
            number = len(committed) + 1
            with sessions() as session:
                session.add(Order(id=number))
                session.commit()
                committed.add(number)
                if number % ROLLED_BACK == 0:
                    session.add(Order(id=-number))
                    session.flush()
                    session.rollback()
    return committed, kills, time.monotonic() - started
