"""An operator's word, and a database that suffers, before each batch: with the real tables and a clock of its own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import psycopg
import pytest

from tests.unit.cli.builders import step
from upgrader.backfill.brake import BrakeLimits
from upgrader.backfill.control import BackfillProgress, Verdict
from upgrader.backfill.governor import LOOK_SECONDS, HealthWatch, OrderBook, WatchfulGovernor
from upgrader.backfill.orders import OrderTable, Wanted
from upgrader.backfill.standing import Backfill, BackfillFilter, BackfillState, read_backfills
from upgrader.database.health import HealthReader
from upgrader.events import BackfillMoved, Event, Notice
from upgrader.history.layout import bring_up_to_date
from upgrader.model import Scope

RUN = "f00"
NO_LIMITS = BrakeLimits(0, 0, (), 0, 0, 0, 0)


@dataclass
class Ground:
    """A history with one backfill, and what asks before its batches. Sleeping moves the clock.

    Attributes:
        then: what somebody else does when the backfill sleeps for the n-th time.
    """

    connection: psycopg.Connection
    limits: BrakeLimits = NO_LIMITS
    now: float = 100.0
    sleeps: int = 0
    stops_after: int = 1_000
    then: dict[int, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    id: int = 0

    def __post_init__(self) -> None:
        """Make the history and the checkpoint."""
        bring_up_to_date(self.connection, "upgrader")
        self.connection.execute("create table thing (id int primary key)")
        self.id = self.add("1.0.0_FillThing_1", "public.thing")
        self.orders = OrderTable(lambda: self.connection, "upgrader")

    def add(self, step_name: str, label: str, workspace_id: str | None = None) -> int:
        """Write a checkpoint."""
        row = self.connection.execute(
            "insert into upgrader.backfill (step, workspace_id, label, checksum, relation, relation_oid, filenode,"
            " key_columns, rows_done, rows_estimated, rows_per_second, run_id) values (%s, %s, %s, 'v1:0', %s,"
            " 0, 0, '{id}', 500, 1000, 50, %s) returning id",
            [step_name, workspace_id, label, label, RUN],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def wait(self, seconds: float) -> bool:
        """Sleep; tell whether the run is to stop."""
        if seconds:
            self.sleeps += 1
            self.now += seconds
            if statement := self.then.get(self.sleeps):
                self.connection.execute(statement.encode())
        return self.sleeps >= self.stops_after

    def governor(self) -> WatchfulGovernor:
        """Make what is asked before each batch."""
        clock = lambda: self.now  # noqa: E731 - a clock that is moved
        reader = HealthReader(lambda: self.connection, own=(f"upgrader/{RUN}",), clock=clock)
        watch = HealthWatch(reader, self.limits, self.events.append, clock)
        book = OrderBook(self.orders, clock)
        return WatchfulGovernor(book, watch, self.events.append, RUN, self.wait, clock)

    @property
    def progress(self) -> BackfillProgress:
        """How far the backfill is."""
        oid = self.connection.execute("select 'thing'::regclass::oid::bigint").fetchone()
        assert oid is not None
        return BackfillProgress(
            step("FillThing"),
            Scope(),
            "public.thing",
            self.id,
            int(oid[0]),
            "public.thing",
            500,
            1000,
            5,
            100,
            50.0,
        )

    def read(self, name: str | None = None, *, has_run: bool = True) -> Backfill:
        """Read it as another terminal does."""
        wanted = BackfillFilter(name)
        return read_backfills(self.connection, "upgrader", wanted=wanted, is_worked_on=lambda _: has_run)[0]

    def waits(self) -> list[str]:
        """Give what the waiting was told with."""
        return [one.waiting_for or "-" for one in self.events if isinstance(one, BackfillMoved)]


@pytest.fixture
def ground(connection: psycopg.Connection) -> Ground:
    """A history with one backfill."""
    return Ground(connection)


def test_nobody_wants_anything(ground: Ground):
    """It goes on without a sleep, and says nothing."""
    governor = ground.governor()
    assert [governor.before_batch(ground.progress) for _ in range(3)] == [Verdict.PROCEED] * 3
    assert (ground.sleeps, ground.events) == (0, [])
    assert ground.read().state is BackfillState.RUNNING


def test_paused_and_resumed(ground: Ground):
    """It waits from the next batch on, tells so once a second, and its row tells it to others."""
    governor = ground.governor()
    assert governor.before_batch(ground.progress) is Verdict.PROCEED
    ground.orders.give(ground.id, Wanted.PAUSE, by="there")
    seen = ground.read()
    assert (seen.state, seen.wanted_by) == (BackfillState.PAUSED, "postgres on there")
    ground.now += 1.0
    ground.then = {10: f"delete from upgrader.backfill_order where backfill_id = {ground.id}"}
    assert governor.before_batch(ground.progress) is Verdict.PROCEED
    assert 10 <= ground.sleeps <= 12
    told = f"`upgrader backfill resume {ground.id}`, paused by postgres on there"
    assert ground.waits() == [told, told, told, "-"]
    assert ground.read().waiting_for is None


def test_paused_and_told_again(ground: Ground):
    """The first word stands, with its time; another one takes its place."""
    ground.orders.give(ground.id, Wanted.PAUSE, by="one")
    first = ground.read().wanted_at
    ground.orders.give(ground.id, Wanted.PAUSE, by="two")
    assert (ground.read().wanted_by, ground.read().wanted_at) == ("postgres on one", first)
    ground.orders.give(ground.id, Wanted.CANCEL, by="two")
    assert (ground.read().wanted, ground.read().state) == (Wanted.CANCEL, BackfillState.CANCELLED)
    assert not ground.orders.withdraw(ground.id, Wanted.PAUSE)


def test_cancelled_while_it_is_paused(ground: Ground):
    """The order is obeyed and gone, so that the next run goes on; the reason names who it was."""
    governor = ground.governor()
    governor.before_batch(ground.progress)
    ground.orders.give(ground.id, Wanted.PAUSE, by="there")
    ground.now += 1.0
    ground.then = {3: "update upgrader.backfill_order set wanted = 'cancel', ordered_at = clock_timestamp()"}
    assert governor.before_batch(ground.progress) is Verdict.CANCEL
    assert governor.reason == "cancelled by postgres on there"
    assert ground.read().wanted is None


def test_cancellation_of_a_run_that_died(ground: Ground):
    """It was meant for the run before this one: this one goes on, and takes it away."""
    ground.orders.give(ground.id, Wanted.CANCEL, by="there")
    assert ground.governor().before_batch(ground.progress) is Verdict.PROCEED
    assert ground.read().wanted is None


def test_pause_outlives_a_run(ground: Ground):
    """A new run waits at the first batch already, until it is asked to stop."""
    ground.orders.give(ground.id, Wanted.PAUSE, by="there")
    assert ground.read(has_run=False).state is BackfillState.PAUSED
    ground.stops_after = 4
    assert ground.governor().before_batch(ground.progress) is Verdict.STOP
    assert ground.sleeps == 4
    assert ground.read().wanted is Wanted.PAUSE


def test_stop_goes_before_everything(ground: Ground):
    """A run that is to stop begins no batch."""
    ground.stops_after = 0
    assert ground.governor().before_batch(ground.progress) is Verdict.STOP


def test_waits_for_somebody_elses_transaction(ground: Ground, database_url: str):
    """A real one, older than its limit; it is over, and the backfill goes on at the next look."""
    ground.limits = BrakeLimits(0, 0, (), 0, 0, 0, 0.0001)
    with closing(psycopg.connect(database_url, application_name="report")) as other:
        pid = other.info.backend_pid
        other.execute("insert into thing values (1)")
        ground.then = {6: f"select pg_terminate_backend({pid}, 30000)"}
        assert ground.governor().before_batch(ground.progress) is Verdict.PROCEED
    assert 6 <= ground.sleeps <= 6 + LOOK_SECONDS / 0.25 + 1
    first, *_, last = ground.waits()
    assert first.startswith(f"the end of a transaction that keeps dead rows: pid {pid} (report), idle in")
    assert last == "-"


def test_row_tells_what_is_waited_for_since_when(ground: Ground, database_url: str):
    """In another terminal: the state, the figure of now, and the time of the first word."""
    ground.limits = BrakeLimits(0, 0, (), 0, 0, 0, 0.0001)
    ground.stops_after = 9
    with psycopg.connect(database_url, application_name="report") as other:
        other.execute("insert into thing values (1)")
        assert ground.governor().before_batch(ground.progress) is Verdict.STOP
    seen = ground.read()
    assert seen.state is BackfillState.WAITING
    assert seen.waiting_for == ground.waits()[-1]
    assert seen.waiting_since is not None
    assert ground.read(has_run=False).state is BackfillState.STOPPED


def test_readings_are_taken_once_a_second(ground: Ground, database_url: str):
    """However many batches there are: what happened since the last look is seen at the next one."""
    ground.limits, ground.stops_after = BrakeLimits(0, 0, (), 0, 0, 0, 0.0001), 1
    governor = ground.governor()
    assert governor.before_batch(ground.progress) is Verdict.PROCEED
    with psycopg.connect(database_url) as other:
        other.execute("insert into thing values (1)")
        for _ in range(9):
            ground.now += LOOK_SECONDS / 10
            assert governor.before_batch(ground.progress) is Verdict.PROCEED
        ground.now += LOOK_SECONDS / 5
        assert governor.before_batch(ground.progress) is Verdict.STOP


def test_what_is_hidden_is_told_once(ground: Ground):
    """A reading that the server refuses holds nothing up; one warning for all backfills of the run."""
    ground.limits = BrakeLimits()
    governor = ground.governor()
    ground.connection.execute("revoke execute on function pg_stat_get_wal_senders() from public")
    ground.connection.execute("create role nobody_here; grant all on schema upgrader to nobody_here")
    ground.connection.execute(
        "grant all on all tables in schema upgrader to nobody_here; set role nobody_here"
    )
    for _ in range(3):
        assert governor.before_batch(ground.progress) is Verdict.PROCEED
        ground.now += 2.0
    ground.connection.execute("reset role; drop owned by nobody_here; drop role nobody_here")
    (notice,) = [one for one in ground.events if isinstance(one, Notice)]
    assert "open transactions, replication lag" in notice.message
    assert "GRANT pg_monitor" in notice.message


def test_found_by_any_of_its_names(ground: Ground):
    """By id, step and label, the step's class, its full name, its label; what is not meant is left out."""
    ground.add("1.0.0_Fill_other_thing_2", "a/b", "acme")
    for name in (str(ground.id), "FillThing/public.thing", "FillThing", "1.0.0_FillThing_1", "public.thing"):
        assert ground.read(name).id == ground.id, name
    for name in ("Fill_other_thing", "a/b", "Fill_other_thing/a/b"):
        assert ground.read(name).workspace_id == "acme", name
    assert ground.read("a/b").name == "Fill_other_thing/a/b in workspace acme"


def test_no_history(connection: psycopg.Connection):
    """There are no backfills."""
    wanted = BackfillFilter()
    assert read_backfills(connection, "upgrader", wanted=wanted, is_worked_on=lambda _: True) == ()


def test_server_that_writes_times_in_another_way(ground: Ground):
    """A role's DateStyle changes nothing: times are read as numbers."""
    ground.connection.execute("set datestyle = 'German'")
    ground.orders.give(ground.id, Wanted.PAUSE, by="there")
    seen = ground.read()
    assert seen.wanted_at is not None
    assert seen.wanted_at >= seen.started_at
    ground.stops_after = 1
    assert ground.governor().before_batch(ground.progress) is Verdict.STOP
