"""Jobs with a timeout: in a child process, which is killed, or cancelled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.schedulers import Schedulers
from tests.support.server import wait_until
from upgrader.errors import LoadingError
from upgrader.settings import Settings
from upgrader.worker import scheduled_job
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob
from upgrader.worker.scheduling.scheduler import Scheduler
from upgrader.worker.scheduling.timed import ChildFailedError, JobTimeoutError

TIMED = """
import asyncio, functools, multiprocessing, os, subprocess, sys, time, logging
from upgrader.worker import current_job, scheduled_job

class Refused(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")

def decorated(function):
    @functools.wraps(function)
    def inner(*arguments):
        return function(*arguments)
    return inner

class Timed:
    @scheduled_job(timeout=30, description="in a child")
    def quick(self):
        logging.getLogger("mine").warning("logged %s", 1, extra={"order": 7})
        print("printed")
        return {"pid": os.getpid(), "job": current_job().name, "group": os.getpgid(0)}

    @scheduled_job(timeout=30, interval=0.3, name="ticks")
    def ticks(self):
        sys.stdout.write(f"for {current_job().due.isoformat()}, without an end of line")

    @scheduled_job(timeout=0.5)
    def hangs(self):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open("pids", "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
        while True:
            pass

    @scheduled_job(timeout=60)
    def forks(self):
        def tell(letter):
            for _ in range(20):
                print(letter * 100_000)
                logging.getLogger("mine").warning(letter * 50_000)

        context = multiprocessing.get_context("fork")
        helpers = [context.Process(target=tell, args=(letter,)) for letter in "abcd"]
        for one in helpers:
            one.start()
        tell("e")
        for one in helpers:
            one.join()
        return [one.exitcode for one in helpers]

    @scheduled_job(timeout=60)
    def comes_back_from_forks(self):
        codes = []
        for number in range(3):
            pid = os.fork()
            if pid == 0 and number == 0:
                sys.exit(7)
            if pid == 0 and number == 1:
                raise KeyError("in the fork")
            if pid == 0:
                return "forked"
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return codes

    @scheduled_job(timeout=30)
    def raises(self):
        raise KeyError("missing")

    @scheduled_job(timeout=30)
    def raises_strangely(self):
        raise Refused(1, 2)

    @scheduled_job(timeout=30)
    def returns_strangely(self):
        return {"failed": [Refused(1, 2)]}

    @scheduled_job(timeout=30, queue_name="strange")
    def queues_strangely(self):
        return {"failed": [Refused(1, 2)]}

    @scheduled_job(timeout=30, retries=2, retry_delay=0)
    def ends_the_program(self):
        with open("exits", "a") as file:
            file.write("one ")
        sys.exit(3)

    @scheduled_job(timeout=30)
    def dies(self):
        os.kill(os.getpid(), 9)

    @scheduled_job(timeout=30)
    def dies_strangely(self):
        os.kill(os.getpid(), 40)

    @scheduled_job(timeout=30)
    def leaves_one_behind(self):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open("pids", "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
        os._exit(3)

    @scheduled_job(timeout=500)
    def goes_on(self):
        with open("going", "w") as file:
            file.write(str(os.getpid()))
        while True:
            pass

    @scheduled_job(timeout=30)
    @decorated
    async def behind_a_decorator(self):
        await asyncio.sleep(0)
        return {"pid": os.getpid(), "job": current_job().name}

    @scheduled_job(timeout=500)
    def stops_when_asked(self):
        with open("going", "w") as file:
            file.write(str(os.getpid()))
        while not current_job().stop_requested:
            time.sleep(0.01)
        return "stopped"

    @scheduled_job(timeout=0.3)
    async def sleeps(self):
        import asyncio
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            open("cancelled", "w").close()
            raise
"""


@pytest.fixture
def timed(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Scheduler, dict[str, DiscoveredScheduledJob]]]:
    """A scheduler of jobs with timeouts, loaded from a directory as a worker does."""
    from upgrader.worker.discovery import discover
    from upgrader.worker.ground import open_ground
    from upgrader.worker.scheduling.jobs import resolve
    from upgrader.worker.scheduling.opening import scheduler_on

    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "timed.py").write_text(TIMED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = discover(["jobs"], base=tmp_path)
    settings = Settings.model_validate({"database_url": database_url, "worker": {"queue_enabled": False}})
    with open_ground(settings) as ground, scheduler_on(ground, resolve(found.jobs)) as made:
        yield made, {job.name: job for job in found.jobs}


def test_a_job_with_a_timeout_runs_in_a_child(
    timed: tuple[Scheduler, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its result comes back, and what it logs and prints; it has a process group of its own."""
    caplog.set_level("INFO")
    run = timed[0].trigger_now("Timed.quick")
    assert run.error is None
    assert run.result["pid"] != os.getpid()
    assert run.result["job"] == "Timed.quick"
    assert run.result["group"] == run.result["pid"]
    told = [(record.name, record.getMessage()) for record in caplog.records]
    assert ("mine", "logged 1") in told
    assert ("upgrader.worker.output", "printed") in told
    assert next(record for record in caplog.records if record.name == "mine").__dict__["order"] == 7


def test_a_coroutine_behind_a_decorator(timed: tuple[Scheduler, Any]) -> None:
    """It looks like a function, so that it runs in a child: there it is awaited, and not dropped for done."""
    run = timed[0].trigger_now("Timed.behind_a_decorator")
    assert run.error is None
    assert run.result["pid"] != os.getpid()
    assert run.result["job"] == "Timed.behind_a_decorator"


def test_a_child_knows_its_tick(timed: tuple[Scheduler, Any], caplog: pytest.LogCaptureFixture) -> None:
    """And what it writes is told to the end, also where that is no end of a line."""
    caplog.set_level("INFO")

    def told() -> list[str]:
        return [record.message for record in caplog.records if record.name == "upgrader.worker.output"]

    timed[0].start()
    wait_until(lambda: told() != [])
    moment = told()[0].removeprefix("for ").removesuffix(", without an end of line")
    assert datetime.fromisoformat(moment).utcoffset() == timedelta(0)


def test_modules_of_the_working_directory(
    timed: tuple[Scheduler, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project's own `logging` or `upgrader`, which the worker does not see, is none of the child's either."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".", str(tmp_path))])
    for name in ("logging", "upgrader"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("", encoding="utf-8")
    run = timed[0].trigger_now("Timed.quick")
    assert run.error is None
    assert run.result["job"] == "Timed.quick"


def test_a_module_that_takes_too_long_to_load(
    timed: tuple[Scheduler, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is what is told, not the job's timeout, which has not begun."""
    monkeypatch.setattr("upgrader.worker.scheduling.timed._START_SECONDS", 1.0)
    path = tmp_path / "jobs" / "timed.py"
    path.write_text(f"import time\ntime.sleep(600)\n{path.read_text()}", encoding="utf-8")
    run = timed[0].trigger_now("Timed.hangs")
    assert isinstance(run.error, JobTimeoutError)
    assert "its module took too long to load" in str(run.error)


def test_no_process_to_be_had(timed: tuple[Scheduler, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails, and leaves nothing open."""
    timed[0].trigger_now("Timed.raises")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        for _ in range(3):
            assert isinstance(timed[0].trigger_now("Timed.raises").error, FileNotFoundError)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_forked_processes_tell(timed: tuple[Scheduler, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Lines longer than what a pipe takes at once, from five processes at a time: each comes whole."""
    caplog.set_level("INFO")
    run = timed[0].trigger_now("Timed.forks")
    assert (run.error, run.result) == (None, [0, 0, 0, 0])
    told = Counter(record.getMessage() for record in caplog.records if record.name != "upgrader.worker.jobs")
    lines = {letter * length for letter in "abcde" for length in (100_000, 50_000)}
    assert {line: told[line] for line in lines} == dict.fromkeys(lines, 20)


def test_the_end_of_a_forked_process_is_not_that_of_the_job(timed: tuple[Scheduler, Any]) -> None:
    """It comes back from the job's function as the job does; its exit code is what it asks for."""
    run = timed[0].trigger_now("Timed.comes_back_from_forks")
    assert (run.error, run.result) == (None, [7, 1, 0])


def test_a_timeout_really_ends_it(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    """A busy loop, and the process that it has started: both are gone."""
    started = time.monotonic()
    run = timed[0].trigger_now("Timed.hangs")
    assert isinstance(run.error, JobTimeoutError)
    assert time.monotonic() - started < 20
    pids = (tmp_path / "pids").read_text().split()
    wait_until(lambda: not any(_is_running(int(pid)) for pid in pids))


def test_a_coroutine_is_cancelled_at_its_timeout(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    run = timed[0].trigger_now("Timed.sleeps")
    assert isinstance(run.error, JobTimeoutError)
    assert "was cancelled after 0.3 s" in str(run.error)
    assert 0.3 <= run.seconds < 20
    assert (tmp_path / "cancelled").exists()


def test_what_is_raised_in_a_child_comes_back(timed: tuple[Scheduler, Any]) -> None:
    """As it is, or as text where it cannot be pickled; a death is told, too."""
    run = timed[0].trigger_now("Timed.raises")
    assert repr(run.error) == "KeyError('missing')"
    assert "in raises" in "".join(getattr(run.error, "__notes__", []))
    strange = timed[0].trigger_now("Timed.raises_strangely")
    assert isinstance(strange.error, ChildFailedError)
    assert str(strange.error) == "Refused: 1 2"
    dead = timed[0].trigger_now("Timed.dies")
    assert "SIGKILL" in str(dead.error)
    assert "signal 40" in str(timed[0].trigger_now("Timed.dies_strangely").error)


def test_a_job_that_ends_the_program(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    """It means it: no retry, as without a timeout."""
    run = timed[0].trigger_now("Timed.ends_the_program")
    assert str(run.error) == "job 'Timed.ends_the_program' ended its program: SystemExit 3"
    assert (tmp_path / "exits").read_text() == "one "


def test_a_result_that_cannot_be_read_again(timed: tuple[Scheduler, Any]) -> None:
    """Of a job that has done its work: it is done, and not begun anew. A payload has to be there."""
    run = timed[0].trigger_now("Timed.returns_strangely")
    assert (run.error, run.result) == (None, None)
    payload = timed[0].trigger_now("Timed.queues_strangely")
    assert isinstance(payload.error, ChildFailedError)
    assert "what it returned cannot be handed over: TypeError" in str(payload.error)


def test_what_a_dead_child_has_started_ends_with_it(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    """Else it would go on beside the next try."""
    run = timed[0].trigger_now("Timed.leaves_one_behind")
    assert "exit code 3" in str(run.error)
    pids = (tmp_path / "pids").read_text().split()
    wait_until(lambda: not any(_is_running(int(pid)) for pid in pids))


def test_a_timeout_that_could_end_nothing_is_refused(scheduler: Schedulers) -> None:
    """A class within a function: the child process could not find it. A coroutine needs no child."""

    class Local:
        @scheduled_job(timeout=5)
        def local(self) -> None: ...

    class Cancellable:
        @scheduled_job(timeout=5)
        async def local(self) -> str:
            return "ran"

    with pytest.raises(LoadingError) as raised, scheduler(Local):
        pass
    assert "cannot find it" in raised.value.problems[0].message
    with scheduler(Cancellable) as made:
        assert made.trigger_now("Cancellable.local").result == "ran"


def test_a_child_ends_with_its_worker(tmp_path: Path, database_url: str) -> None:
    """A worker is SIGKILLed while a job runs in its child: the child is not left behind."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "timed.py").write_text(TIMED.replace("timeout=0.5", "timeout=500"), encoding="utf-8")
    program = """
import sys
from pathlib import Path
from upgrader.settings import Settings
from upgrader.worker.discovery import discover
from upgrader.worker.ground import open_ground
from upgrader.worker.scheduling.opening import scheduler_on
from upgrader.worker.scheduling.jobs import resolve
settings = Settings.model_validate({"database_url": sys.argv[1], "worker": {"queue_enabled": False}})
jobs = resolve(discover(["jobs"], base=Path.cwd()).jobs)
with open_ground(settings) as ground, scheduler_on(ground, jobs) as made:
    made.trigger_now("Timed.hangs")
"""
    worker = subprocess.Popen([sys.executable, "-c", program, database_url], cwd=tmp_path)
    try:
        wait_until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text() != "")
    finally:
        worker.kill()
        worker.wait()
    pids = (tmp_path / "pids").read_text().split()
    wait_until(lambda: not any(_is_running(int(pid)) for pid in pids))


def test_stopping_ends_what_does_not(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    """A child that goes on past the time is killed, and named; nothing is left of it."""
    made = timed[0]
    runs: list[Any] = []
    made._spawn("Timed.goes_on", lambda: runs.append(made.trigger_now("Timed.goes_on")))
    wait_until(lambda: (tmp_path / "going").exists() and (tmp_path / "going").read_text() != "")
    assert made.stop(timeout_seconds=0.2) == ("Timed.goes_on",)
    assert not _is_running(int((tmp_path / "going").read_text()))
    assert str(runs[0].error) == "job 'Timed.goes_on' was ended: the worker ends"


def test_a_child_is_told_that_the_worker_ends(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    """So that it comes to its end within the time that there is, as a function in a thread does."""
    made = timed[0]
    runs: list[Any] = []
    made._spawn("Timed.stops_when_asked", lambda: runs.append(made.trigger_now("Timed.stops_when_asked")))
    wait_until(lambda: (tmp_path / "going").exists() and (tmp_path / "going").read_text() != "")
    assert made.stop(timeout_seconds=60) == ()
    assert (runs[0].error, runs[0].result) == (None, "stopped")


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
