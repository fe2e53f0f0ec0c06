"""Folding old attempts in vain: what goes, what stays, and that nothing else changes by it."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.project import Project
from tests.support.scopes import assert_scopes_are_as_rebuilt
from upgrader.database.connect import Connector
from upgrader.history import folding
from upgrader.history.folding import Folded, HistoryFolding
from upgrader.history.layout import bring_up_to_date
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.model import Outcome
from upgrader.runner.options import DowngradeOptions, UpgradeOptions

SOON = timedelta(minutes=1)
WORDS = {"f": "failed", "i": "interrupted", "s": "skipped", "c": "completed", "r": "reverted", "w": "running"}


@pytest.fixture
def driver(database_url: str) -> Iterator[psycopg.Connection]:
    with Connector(database_url).connect() as connection:
        bring_up_to_date(connection, "upgrader")
        yield connection


def write(
    driver: psycopg.Connection,
    story: str,
    *,
    name: str = "1.0.0_Step_1",
    scope: str | None = "a",
    days: int = 100,
    first: int = 1,
) -> None:
    """Write the attempts of a story at a step, oldest first, a day apart: letters of `WORDS`.

    A capital letter is an attempt to take the step back; `-` before it: one of which nothing was kept.
    """
    tries = [letter for letter in story.replace("-", " -").split(" ") for letter in _letters(letter)]
    for number, letter in enumerate(tries):
        driver.execute(
            "insert into upgrader.history (name, kind, version, workspace_id, status, attempt, direction,"
            " changes_state, executed_by_version, checksum, error_message, started_at, finished_at)"
            " values (%s, 'workspace', '1.0.0', %s, %s, %s, %s, %s, '1', 'v1:x', %s, now() - %s, now() - %s)",
            [
                name,
                scope,
                WORDS[letter[-1].lower()],
                first + number,
                "down" if letter[-1].isupper() else "up",
                len(letter) == 1,
                f"error {first + number}",
                timedelta(days=days - number, hours=1),
                timedelta(days=days - number),
            ],
        )


def _letters(text: str) -> list[str]:
    return [text[:2], *text[2:]] if text.startswith("-") else list(text)


def story(driver: psycopg.Connection, name: str = "1.0.0_Step_1", scope: str | None = "a") -> str:
    """Tell the attempts that are there: their numbers and letters, and how many are folded into each."""
    letters = {word: letter for letter, word in WORDS.items()}
    rows = driver.execute(
        "select attempt, status, direction, folded from upgrader.history where name = %s"
        " and workspace_id is not distinct from %s and not is_initial order by id",
        [name, scope],
    )
    return " ".join(
        f"{attempt}{letters[status].upper() if direction == 'down' else letters[status]}{f'+{count}' if count else ''}"
        for attempt, status, direction, count in rows
    )


def fold(driver: psycopg.Connection, *, days: int = 1, **options: object) -> Folded:
    before = datetime.now(UTC) - timedelta(days=days)
    return HistoryFolding(driver, "upgrader").fold(before=before, **options)  # type: ignore[arg-type]  # by name


class TestWhatIsFolded:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("", ""),
            ("c", "1c"),
            ("f", "1f"),
            ("fc", "1f 2c"),
            ("ffc", "2f+1 3c"),
            ("fisfc", "4f+3 5c"),
            ("fff", "3f+2"),
            ("ffcRff", "2f+1 3c 4R 6f+1"),
            ("cFFR", "1c 3F+1 4R"),
            ("cFfF", "1c 2F 3f 4F"),
            ("fcFFffc", "1f 2c 4F+1 6f+1 7c"),
            ("c-F-FR", "1c 3F+1 4R"),
            ("c-FF-F", "1c 2F 3F 4F"),
            ("ffw", "2f+1 3w"),
            ("wf", "1w 2f"),
        ],
    )
    def test_of_tries_in_a_row_the_last_stays(self, driver: psycopg.Connection, before: str, after: str):
        """Tries in vain that follow each other are one; what came to an end stays, and what runs."""
        write(driver, before)

        fold(driver)

        assert story(driver) == after
        assert_scopes_are_as_rebuilt(driver)

    def test_keeps_when_how_often_and_the_last_error(self, driver: psycopg.Connection):
        """The row that stays tells how many it stands for, since when, and its own error."""
        write(driver, "ffffc")
        first = driver.execute("select started_at from upgrader.history order by id limit 1").fetchone()

        assert fold(driver) == Folded(attempts=3, kept=1)

        row = driver.execute(
            "select folded, folded_since, error_message, attempt from upgrader.history where folded > 0"
        ).fetchone()
        assert row == (3, first and first[0], "error 4", 4)

    def test_young_ones_stay_and_are_added_later(self, driver: psycopg.Connection):
        """Only what is old enough is folded; later the rest comes to it, and nothing is counted twice."""
        write(driver, "fffff", days=10)

        assert fold(driver, days=9) == Folded(1, 1)
        assert story(driver) == "2f+1 3f 4f 5f"
        assert fold(driver, days=9) == Folded()
        assert fold(driver) == Folded(3, 1)
        assert story(driver) == "5f+4"

    def test_scopes_and_steps_are_apart(self, driver: psycopg.Connection):
        """Tries at another step, or in another scope, do not follow each other."""
        for name, scope in itertools.product(("1.0.0_Step_1", "1.0.0_Step_2"), ("a", "b", None)):
            write(driver, "ff", name=name, scope=scope)

        assert fold(driver) == Folded(6, 6)
        assert story(driver, "1.0.0_Step_2", None) == "2f+1"

    def test_marks_and_earlier_lives_stay(self, driver: psycopg.Connection):
        """Marks are no tries, and what belongs to a forgotten workspace is left as it was."""
        store = SqlHistoryStore(lambda: driver, "upgrader")
        driver.execute("select upgrader.enroll_workspace('a', '1.0.0')")
        write(driver, "ff")
        store.forget("a")
        driver.execute("select upgrader.enroll_workspace('a', '1.0.0')")
        write(driver, "ff")

        assert fold(driver) == Folded(1, 1)

        assert story(driver) == "1f 2f 2f+1"
        assert store.snapshot().workspaces["a"].enrolment is not None

    def test_spared_steps_stay(self, driver: psycopg.Connection):
        """Of steps that are named nothing is folded."""
        write(driver, "fff")

        assert fold(driver, spared=["1.0.0_Step_1"]) == Folded()

    def test_trial_counts_the_same_and_changes_nothing(
        self, driver: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
    ):
        """A dry run gives the figures of the real one, however the batches fall."""
        monkeypatch.setattr(folding, "_BATCH", 3)
        for number, told in enumerate(["fffffc", "ifsfcRff", "sssss", "fc", "ffffffffffff"]):
            write(driver, told, scope=f"w{number}")
        before = driver.execute("table upgrader.history").fetchall()

        counted = fold(driver, is_trial=True)

        assert driver.execute("table upgrader.history").fetchall() == before
        assert counted == fold(driver) == Folded(4 + 3 + 1 + 4 + 11, 5)

    def test_without_a_history(self, database_url: str):
        """Where there is no history there is nothing to fold."""
        with Connector(database_url).connect() as connection:
            assert fold(connection) == Folded()


class TestNothingElseChanges:
    @pytest.mark.parametrize("seed", range(5))
    def test_random_histories(self, driver: psycopg.Connection, seed: int, monkeypatch: pytest.MonkeyPatch):
        """Snapshot, numbers and what went up are the same before and after, whatever has happened."""
        whim = random.Random(seed)
        monkeypatch.setattr(folding, "_BATCH", whim.randint(1, 50))
        for number in range(12):
            told = "".join(whim.choices(["f", "i", "s", "c", "R", "F", "-F"], [6, 2, 2, 3, 2, 2, 1], k=15))
            scope = whim.choice(["a", "b", None]) if number < 4 else f"w{number}"
            write(driver, told, name=f"1.0.0_Step_{number % 4}", scope=scope)
        store = SqlHistoryStore(lambda: driver, "upgrader")
        keys = driver.execute("select distinct name, workspace_id from upgrader.history").fetchall()
        facts = _facts(driver, keys), driver.execute("table upgrader.scope order by workspace_id").fetchall()
        steps = {key: one.completed for key, one in store.snapshot().workspaces.items()}

        done = fold(driver, days=whim.randint(1, 99))

        assert done.attempts > 0
        assert facts == (
            _facts(driver, keys),
            driver.execute("table upgrader.scope order by workspace_id").fetchall(),
        )
        assert steps == {key: one.completed for key, one in store.snapshot().workspaces.items()}
        assert_scopes_are_as_rebuilt(driver)

    def test_went_up_since_is_still_seen(self, driver: psycopg.Connection):
        """That something went up after a mark in the history is seen after folding, too."""
        write(driver, "c")
        row = driver.execute("select max(id) from upgrader.history").fetchone()
        write(driver, "Fff", first=2)

        fold(driver)

        query = "select exists (select from upgrader.history where id > %s and direction = 'up')"
        assert driver.execute(query.encode(), row).fetchone() == (True,)


def _facts(driver: psycopg.Connection, keys: list[tuple[str, str | None]]) -> list[object]:
    """Give what is read of the history, for each step and scope."""
    return [
        driver.execute(
            "select max(attempt), (array_agg((status, direction) order by attempt desc)"
            " filter (where changes_state))[1]::text, upgrader.was_taken_back(%s, %s)"
            " from upgrader.history where name = %s and workspace_id is not distinct from %s",
            [scope, name, name, scope],
        ).fetchone()
        for name, scope in keys
    ]


class TestBesideOthers:
    def test_killed_in_the_middle_loses_nothing(self, driver: psycopg.Connection, database_url: str):
        """A batch is whole or not at all; the next one goes on."""
        for number in range(30):
            write(driver, "fffc", scope=f"w{number}")
        with Connector(database_url).connect() as other:
            batches = HistoryFolding(other, "upgrader").batches(before=datetime.now(UTC))
            other.execute("select pg_backend_pid()")
            driver.execute("select pg_terminate_backend(%s)", [other.info.backend_pid])
            with pytest.raises(psycopg.Error):
                list(batches)

        fold(driver)

        assert {story(driver, scope=f"w{number}") for number in range(30)} == {"3f+2 4c"}

    def test_two_at_once(self, driver: psycopg.Connection, database_url: str):
        """Two fold side by side: each attempt is counted once."""
        for number in range(200):
            write(driver, "ffffc", scope=f"w{number}")
        done: list[Folded] = []

        def work() -> None:
            with Connector(database_url).connect() as other:
                done.append(fold(other))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(done, Folded()) == Folded(600, 200)
        assert {story(driver, scope=f"w{number}") for number in range(200)} == {"4f+3 5c"}

    def test_step_that_is_being_recorded_does_not_hold_it_up(
        self, driver: psycopg.Connection, database_url: str
    ):
        """A step's transaction that holds the row of its scope is neither waited for nor held up."""
        write(driver, "fff")
        with psycopg.connect(database_url) as step:
            step.execute("select from upgrader.scope for update")
            driver.execute("set lock_timeout = '5s'")

            assert fold(driver) == Folded(2, 1)


class TestVerb:
    def test_run_goes_on_where_it_was(self, project: Project):
        """After pruning a step that failed often is tried again as the next attempt, and comes through."""
        project.create_workspaces("a", "b")
        project.workspace("1.0.0", 1, "Fail", "select 1 / (select count(*) from core.good)")
        project.fast("1.0.0", 2, "Good", "create table if not exists core.good (id int)")
        for _ in range(4):
            assert project.api().upgrade(UpgradeOptions()).outcome is Outcome.FAILED
        with project.connect() as connection:
            connection.execute("update upgrader.history set finished_at = now() - interval '100 days'")

        tried = project.run_cli("prune", "--dry-run")
        done = project.run_cli("prune")
        again = project.run_cli("prune")

        assert "6 attempts before" in tried.stdout
        assert "would be folded into 2 later ones" in tried.stdout
        assert "6 attempts before" in done.stdout
        assert "nothing to fold" in again.stdout
        shown = project.run_cli("history", "-w", "a").stdout
        assert "(3 attempts like it before, since" in shown
        project.query("insert into core.good values (1) returning id")
        assert project.api().upgrade(UpgradeOptions()).outcome is Outcome.DONE
        rows = project.query(
            "select attempt, status, folded from upgrader.history"
            " where workspace_id = 'a' and not is_initial order by id"
        )
        assert rows == [(4, "failed", 3), (5, "completed", 0)]

    def test_commands_outside_a_transaction_are_spared(self, project: Project):
        """What an attempt outside a transaction left behind decides what the next may remove: its attempts stay."""
        project.fast("1.0.0", 1, "Fail", "select 1 / 0", transactional=False)
        for _ in range(3):
            assert project.api().upgrade(UpgradeOptions()).outcome is Outcome.FAILED

        assert "nothing to fold" in project.run_cli("prune", "--older-than", "0h").stdout

    def test_plans_up_and_down_and_why_are_the_same(self, project: Project):
        """What the verbs say of a database with failures behind it does not change by a word."""
        project.create_workspaces("a", "b", "c")
        project.fast(
            "1.0.0", 1, "Base", "create table core.fault (workspace text)", down="drop table core.fault"
        )
        project.workspace("1.0.0", 2, "One", "create table one ()", down="drop table one")
        body = 'n = ctx.connection.execute(text("select count(*) from core.fault")).scalar()\nassert n'
        project.workspace("1.1.0", 3, "Two", body, down="pass")
        for _ in range(3):
            project.api().upgrade(UpgradeOptions())
        for _ in range(2):
            project.api().downgrade(DowngradeOptions(steps=1))
            project.api().upgrade(UpgradeOptions())
        verbs = [
            ("plan", "--json"),
            ("plan", "--down", "--to", "1.0.0", "--json"),
            ("plan", "--down", "--steps", "2", "--json"),
            ("status", "--json"),
            ("why", "a", "--json"),
            ("why", "--step", "Two", "--json"),
        ]
        before = [project.run_cli(*verb).stdout for verb in verbs]

        done = project.run_cli("prune", "--older-than", "0h")

        assert "folded into" in done.stdout
        assert [project.run_cli(*verb).stdout for verb in verbs] == before

    @pytest.mark.parametrize("age", ["", "90", "d", "-1d", "1.5d", "1m", "²d", "999999999d"])
    def test_no_age(self, project: Project, age: str):
        """What is no age is refused with an example."""
        result = project.run_cli("prune", f"--older-than={age}")

        assert result.returncode == 2
        assert "for example --older-than 90d" in result.stderr
