"""Adding jobs: in the caller's transaction or at once, under an id, later, with a payload."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, NullPool, create_engine, text

from tests.support.server import Role
from tests.support.worker_queue import SCHEMA, QueueGround
from upgrader.database.connect import Connector
from upgrader.errors import DatabaseUnavailableError, LayoutError
from upgrader.settings.worker import LONGEST_QUEUE_BYTES
from upgrader.worker.options import Backoff, QueueJobOptions
from upgrader.worker.queue.arguments import QueueJobError
from upgrader.worker.queue.job_queue import JobQueue


class Mail(BaseModel):
    """A payload."""

    to: str
    at: datetime


@pytest.fixture
def engine(ground: QueueGround) -> Iterator[Engine]:
    """An application's engine."""
    made = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(ground.url), poolclass=NullPool
    )
    yield made
    made.dispose()


def test_a_job_is_added_at_once(ground: QueueGround) -> None:
    """Without a connection it is there when the call returns."""
    number = ground.queue.add("mails", "send", {"to": "a@b.example"}, priority=5)
    assert ground.jobs("id, queue_name, task_name, priority, args") == [
        (number, "mails", "send", 5, {"payload": {"to": "a@b.example"}})
    ]


def test_a_job_without_a_queue_goes_to_the_default_one(ground: QueueGround) -> None:
    """Whose name is that of the settings."""
    ground.queue.add(None, "send")
    assert ground.jobs("queue_name") == [("worker-default",)]


def test_a_committed_transaction_brings_its_jobs(ground: QueueGround, engine: Engine) -> None:
    """Nobody sees them before."""
    with engine.begin() as connection:
        ground.queue.add("mails", "send", connection=connection)
        assert ground.jobs() == []
    assert ground.jobs() == [("send", "todo")]


def test_a_transaction_that_is_rolled_back_takes_its_jobs_along(ground: QueueGround, engine: Engine) -> None:
    """Also a savepoint of the caller's."""
    with engine.begin() as connection:
        ground.queue.add("mails", "kept", connection=connection)
        inner = connection.begin_nested()
        ground.queue.add("mails", "inner", connection=connection)
        inner.rollback()
    with engine.connect() as connection:
        ground.queue.add("mails", "outer", connection=connection)
        connection.rollback()
    assert ground.jobs() == [("kept", "todo")]


@pytest.mark.parametrize("search_path", ["pg_catalog", "nowhere", '"$user", public', ""])
def test_any_search_path_does(ground: QueueGround, engine: Engine, search_path: str) -> None:
    """The caller's is as it was afterwards."""
    with engine.begin() as connection:
        connection.execute(text("select set_config('search_path', :path, false)"), {"path": search_path})
        ground.queue.add("mails", "send", connection=connection, id="one")
        assert connection.execute(text("show search_path")).scalar_one() == search_path
    assert ground.jobs() == [("send", "todo")]


def test_a_duplicate_leaves_the_transaction_usable(ground: QueueGround, engine: Engine) -> None:
    """It is no error, and nothing of the caller's is lost."""
    ground.connection.execute("create table thing (id int)")
    first = ground.queue.add("mails", "send", id="one")
    with engine.begin() as connection:
        connection.execute(text("insert into public.thing values (1)"))
        assert ground.queue.add("mails", "send", connection=connection, id="one") is None
        connection.execute(text("insert into public.thing values (2)"))
    assert ground.connection.execute("select count(*) from thing").fetchone() == (2,)
    assert ground.jobs("id") == [(first,)]


def test_an_id_is_that_of_one_waiting_job_of_its_queue(ground: QueueGround) -> None:
    """A second waits once the first is worked on, a third does not; another queue has ids of its own."""
    add: Callable[..., int | None] = ground.queue.add
    first = add("mails", "send", id="one")
    assert add("mails", "send", id="one") is None
    assert add("letters", "send", id="one") is not None
    assert ground.start("mails") == first
    second = add("mails", "send", id="one")
    assert second is not None
    assert add("mails", "send", id="one") is None


def test_a_retry_of_the_first_while_the_second_waits_works(ground: QueueGround) -> None:
    """Both wait then, and both come to their end."""
    first = ground.queue.add("mails", "send", id="one")
    assert ground.start() == first
    second = ground.queue.add("mails", "send", id="one")
    assert first is not None
    ground.retry(first)
    assert ground.jobs("id, status::text") == [(first, "todo"), (second, "todo")]
    for number in (first, second):
        assert ground.start() == number
        ground.finish(number)


def test_an_id_is_free_after_its_job_was_cancelled(ground: QueueGround) -> None:
    """It waits no more."""
    first = ground.queue.add("mails", "send", id="one")
    ground.connection.execute(
        f"select {SCHEMA}.procrastinate_cancel_job_v1(%s, false, false)".encode(), [first]
    )
    assert ground.queue.add("mails", "send", id="one") is not None


def test_only_one_of_many_at_once_has_the_id(ground: QueueGround) -> None:
    """The others are told that one waits; several threads share the queue."""
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: ground.queue.add("mails", "send", id="one"), range(50)))
    assert len([number for number in numbers if number is not None]) == 1
    assert len(ground.jobs()) == 1


def test_an_id_in_an_open_transaction_is_waited_for(ground: QueueGround, engine: Engine) -> None:
    """Whether it is taken is known once that transaction has ended: rolled back, it is free."""
    added: list[int | None] = []
    with engine.connect() as connection:
        ground.queue.add("mails", "send", connection=connection, id="one")
        second = threading.Thread(target=lambda: added.append(ground.queue.add("mails", "send", id="one")))
        second.start()
        assert not added
        connection.rollback()
        second.join(30)
    assert added[0] is not None


def test_a_job_waits_for_its_time(ground: QueueGround) -> None:
    """Given as a delay or as a time; the clock is the server's."""
    at = datetime.now(UTC) + timedelta(days=2)
    ground.queue.add("mails", "late", delay=timedelta(hours=1))
    ground.queue.add("mails", "later", scheduled_at=at)
    late, later = ground.jobs("extract(epoch from scheduled_at - now())::float8, scheduled_at")
    assert 3590 < late[0] <= 3600
    assert later[1] == at
    assert ground.start() is None


def test_attempts_and_rests_stand_with_the_job(ground: QueueGround) -> None:
    """They are those of the one who added it."""
    options = QueueJobOptions(attempts=3, backoff=Backoff.exponential(2.0), id="one", priority=1)
    ground.queue.add_options("mails", "send", 5, options)
    assert ground.jobs("args, priority") == [
        ({"payload": 5, "attempts": 3, "backoff": [2.0, 2.0, 86400.0], "id": "one"}, 1)
    ]


def test_a_payload_may_be_a_model(ground: QueueGround) -> None:
    """Or hold some, and what pydantic can write."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    ground.queue.add("mails", "send", [Mail(to="ä", at=at), UUID(int=1), "\\u0000"])
    assert ground.jobs("args") == [
        ({"payload": [{"to": "ä", "at": "2026-01-02T00:00:00Z"}, str(UUID(int=1)), "\\u0000"]},)
    ]


@pytest.mark.parametrize("payload", [float("nan"), {"a": "x\0y"}, "\ud800", object(), [{1, object()}]])
def test_a_payload_that_is_no_json_is_refused(ground: QueueGround, engine: Engine, payload: object) -> None:
    """Before anything is sent: the caller's transaction goes on."""
    with engine.begin() as connection:
        with pytest.raises(QueueJobError, match="no JSON"):
            ground.queue.add("mails", "send", payload, connection=connection)
        assert connection.execute(text("select 1")).scalar_one() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"queue": "two words"},
        {"queue": "x" * (LONGEST_QUEUE_BYTES + 1)},
        {"queue": ""},
        {"name": " "},
        {"name": "x" * 129},
        {"attempts": 0},
        {"priority": 2**31},
        {"delay": -1},
        {"delay": float("nan")},
        {"scheduled_at": datetime(2026, 1, 1)},
        {"scheduled_at": datetime(2026, 1, 1, tzinfo=UTC), "delay": 1},
        {"id": ""},
        {"id": "x" * 2000},
    ],
)
def test_what_cannot_be_queued_is_refused(ground: QueueGround, wrong: dict[str, object]) -> None:
    """With a sentence that says what may be given; nothing was sent."""
    given: dict[str, object] = {"queue": "mails", "name": "send", **wrong}
    with pytest.raises(QueueJobError):
        ground.queue.add(**given)  # type: ignore[arg-type]  # any option may be the wrong one
    assert ground.jobs() == []


def test_the_longest_name_of_a_queue_does(ground: QueueGround) -> None:
    """PostgreSQL's channels set the limit: one byte more, and the server refuses the job."""
    longest = "q" * LONGEST_QUEUE_BYTES
    assert ground.queue.add(longest, "send") is not None
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="channel name too long"):
        ground.connection.execute(
            f"select {SCHEMA}.add_job(%s, 'send', '{{}}', null, 0, 0, null)".encode(), [longest + "q"]
        )


def test_a_database_without_a_queue_is_told(database_url: str, connection: psycopg.Connection) -> None:
    """What makes it is named."""
    with pytest.raises(LayoutError, match="there is no queue") as caught:
        JobQueue.at(database_url).add("mails", "send")
    assert "upgrader worker" in str(caught.value.hint)


def test_a_role_without_rights_is_told_what_to_do(
    ground: QueueGround, make_role: Callable[..., Role]
) -> None:
    """The statements of the hint are enough for adding."""
    role = make_role()
    queue = JobQueue.at(role.url(ground.url))
    with pytest.raises(LayoutError, match="may not use the queue") as caught:
        queue.add("mails", "send")
    assert role.password not in f"{caught.value} {caught.value.hint}"
    for statement in str(caught.value.hint).partition("run: ")[2].split(";"):
        ground.connection.execute(statement.encode())
    assert queue.add("mails", "send", id="one") is not None
    queue.close()


def test_a_wrong_password_is_never_shown(database_url: str) -> None:
    """Nor is the one that was given."""
    queue = JobQueue.at("postgresql://nobody:s3cret-password@127.0.0.1:1/none?connect_timeout=2")
    with pytest.raises(DatabaseUnavailableError) as caught:
        queue.add("mails", "send")
    assert "s3cret-password" not in f"{caught.value} {caught.value.hint}"


def test_an_application_may_have_many_files_open(database_url: str, ground: QueueGround) -> None:
    """More than the 1,024 that select() can look at."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(2_048, limits[0]), limits[1]))
    queue = JobQueue(Connector(database_url))
    files = [os.dup(0) for _ in range(1_100)]
    try:
        assert queue.add("mails", "one") == 1
        assert queue.add("mails", "two") == 2
    finally:
        queue.close()
        for number in files:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_forked_process_has_a_connection_of_its_own(ground: QueueGround) -> None:
    """As those of a web server that loads the application before it forks; the parent's goes on."""
    assert ground.queue.add("mails", "parent") == 1
    assert ground.queue._connection is not None
    with ground.queue._connection.use() as driver:
        before = driver.info.backend_pid
    child = os.fork()
    if child == 0:
        try:
            ground.queue.add("mails", "child")
            ground.queue.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert ground.queue.add("mails", "parent") == 3
    assert [name for (name,) in ground.jobs("task_name")] == ["parent", "child", "parent"]
    with ground.queue._connection.use() as driver:
        assert driver.info.backend_pid == before


def test_a_lost_connection_is_replaced(ground: QueueGround) -> None:
    """The server ended it while nobody used it."""
    queue = JobQueue(Connector(ground.url, "idle-queue"))
    queue.add("mails", "first")
    ended = ground.connection.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'idle-queue'"
    ).fetchall()
    assert ended == [(True,)]
    queue.add("mails", "second")
    queue.close()
    assert ground.jobs("task_name") == [("first",), ("second",)]
