"""What is seen of a lock that is in the way: piped, on a narrow terminal, in JSON; and Ctrl-C meanwhile."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from tests.support.locks import holding, is_waiting
from tests.support.project import PROGRAM, Project
from tests.support.results import assert_code, assert_error, attempts, document
from tests.support.server import wait_until

COLUMNS = 60
ALTER = "alter table busy add column more int"
INDEX = 'create_index_concurrently(connection, "busy_id", table="busy", columns="id")'


@pytest.fixture
def busy(project: Project) -> Project:
    with project.connect() as connection:
        connection.execute("create table busy (id int); insert into busy values (1)")
    project.configure(
        lock_timeout_seconds=0.4, lock_tries=2, lock_retry_initial_seconds=0.01, lock_retry_max_seconds=0.05
    )
    return project


def folded(text: str) -> str:
    """Give a text with every fold and indent as one blank."""
    return " ".join(text.split())


def test_report_and_history_name_the_blocker(busy: Project):
    """Each try on stderr, the failure on stdout, all of it in the history; no word is lost at 60 columns."""
    busy.fast("1.0.0", 1, "Alter", ALTER)
    for columns in ({}, {"COLUMNS": str(COLUMNS)}):
        with holding(busy, "select 1 from busy") as holder:
            pid = holder.info.backend_pid
            result = busy.run_cli("upgrade", env=columns)
        assert_error(result, 1, "1 step failed")
        told = folded(result.stderr)
        assert "instance: Alter tries again in " in told
        assert "lock timeout after 1 try, 40" in told
        assert f"in the way: pid {pid} (user " in told
        assert "holds AccessShareLock on public.busy; last: select 1 from busy" in told
        report = folded(result.stdout)
        assert "waited for locks: Alter 8" in report
        assert ", 1 transaction repeated" in report
        assert f"in the way: pid {pid} (user " in report
        assert f"hint: end it with SELECT pg_terminate_backend({pid}); or run" in report
        if columns:
            assert [line for line in result.stderr.splitlines() if len(line) > COLUMNS] == []
    history = folded(busy.run_cli("history").stdout)
    assert f"in the way: pid {pid}" in history


def test_json_tells_tries_waits_and_blockers(busy: Project):
    """One document; blockers with all that is known."""
    busy.create_workspaces("a", "b")
    busy.workspace("1.0.0", 1, "Alter", "alter table public.busy add column if not exists more int")
    with holding(busy, "update busy set id = 2") as holder:
        pid = holder.info.backend_pid
        result = busy.run_cli("upgrade", "--json")
    found = document(result)
    assert [one["tries"] for one in found["failures"]] == [2, 2]
    (step,) = found["steps"]
    assert step["tries"] == 4
    assert 1.2 < step["waited_seconds"] < 30
    assert step["paused_seconds"] > 0
    for failure in found["failures"]:
        (blocker,) = failure["blockers"]
        assert blocker["pid"] == pid
        assert (blocker["application_name"], blocker["state"]) == ("reporting", "idle in transaction")
        assert (blocker["lock_mode"], blocker["locked"]) == ("RowExclusiveLock", "public.busy")
        assert blocker["query"] == "update busy set id = 2"
        assert not blocker["is_waiting"]


def test_index_waits_for_somebody_in_a_pipe(busy: Project):
    """A plain line at once, and none for each second of waiting."""
    busy.fast("1.0.0", 1, "Index", INDEX, transactional=False)
    with holding(busy, "update busy set id = 2") as holder:
        pid = holder.info.backend_pid
        process = busy.start_cli("upgrade")
        assert process.stderr is not None
        told = ""
        while f"pid {pid}" not in told:
            told = process.stderr.readline()
            assert process.poll() is None
        time.sleep(2.5)  # two more events, for which there is no line
        holder.rollback()
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert told.startswith(
        "Index: waiting for writers before build (0 of 1 ended): waits for the end of a transaction"
    )
    assert stderr.count(f"pid {pid}") == 0
    assert "waited for locks: Index" in stdout


def test_index_on_a_narrow_terminal(busy: Project):
    """One line that is updated, with the pid in it; all that is known of the blocker stands above it, once."""
    busy.fast("1.0.0", 1, "Index", INDEX, transactional=False)
    with holding(busy, "update busy set id = 2") as holder:
        pid = holder.info.backend_pid
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [str(PROGRAM), "upgrade"],
            cwd=busy.directory,
            env=busy.environment({"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        shown = _read_until(master, f"waits for pid {pid}, 0 of 1 ended")
        holder.rollback()
        shown += _read_until(master, None)
        os.close(master)
        assert process.wait(60) == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert f"Index waits for pid {pid}, 0 of 1 ended" in plain
    assert folded(plain).count("waits for the end of a transaction") == 1
    assert [line for line in re.split(r"[\r\n]+", plain) if len(line) > COLUMNS] == []


def _read_until(master: int, words: str | None) -> str:
    shown = ""
    while words is None or words not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown):
        assert select.select([master], [], [], 60)[0], shown
        try:
            piece = os.read(master, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        shown += piece.decode(errors="replace")
    return shown


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_waiting_for_a_lock(busy: Project, number: signal.Signals, code: int):
    """Ends at once and in good order, however long the lock timeout is: nothing was done yet."""
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_timeout_seconds=600)
    with holding(busy, "select 1 from busy"):
        process = busy.start_cli("upgrade", "--json")
        wait_until(lambda: is_waiting(busy, "alter table"))
        began = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        seconds = time.monotonic() - began
    assert process.returncode == code, stderr
    assert seconds < 50
    assert "Traceback" not in stderr
    found = document(subprocess.CompletedProcess([], process.returncode, stdout, ""))
    assert found["outcome"] == "interrupted"
    assert attempts(busy) == [("Alter", None, 1, "interrupted")]
    assert_code(busy.run_cli("upgrade"), 0)


def test_second_signal_ends_the_building_of_an_index(busy: Project):
    """The first one lets it finish; after the second the next run mends what is left."""
    busy.fast("1.0.0", 1, "Index", INDEX, transactional=False)
    with holding(busy, "update busy set id = 2"):
        process = busy.start_cli("upgrade")
        wait_until(lambda: is_waiting(busy, "concurrently"))
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "stopping" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert [status for *_, status in attempts(busy)] == ["interrupted"]
    assert_code(busy.run_cli("upgrade"), 0)
    assert busy.query("select indisvalid from pg_index where indexrelid = 'busy_id'::regclass") == [(True,)]


def test_timeouts_that_are_wrong_are_told_where_they_stand(busy: Project):
    """Settings with their key, decorators with their line."""
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_tries=0)
    assert_error(busy.run_cli("plan"), 2, "has lock_tries=0", "1_alter.py:6", "a whole number: from 1")
    busy.fast("1.0.0", 1, "Alter", ALTER)
    busy.configure(statement_timeout_seconds=-1)
    assert_error(busy.run_cli("plan"), 2, "statement_timeout_seconds")
