"""What a worker finds in its modules, and everything that is wrong with them, at once."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from upgrader.errors import LoadingError
from upgrader.worker.decorators import scheduled_job
from upgrader.worker.discovery import discover, discover_in, function_of, load_module
from upgrader.worker.options import ScheduledJobOptions
from upgrader.worker.scheduling.jobs import resolve

HEADER = "from upgrader.worker import QueueWorkerHost, queue_job_handler, queue_worker, scheduled_job\n"


def _write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEADER + textwrap.dedent(text), encoding="utf-8")
    return file


def test_decorated_functions_and_methods_are_found(tmp_path: Path) -> None:
    """In a directory, at any depth; relative imports work, and `sys.path` stays as it is."""
    before = list(sys.path)
    _write(tmp_path, "jobs/_shared.py", "ANSWER = 42\n")
    _write(
        tmp_path,
        "jobs/cleanup.py",
        """
        from ._shared import ANSWER

        class Cleanup:
            @scheduled_job(cron="0 3 * * *", description="old sessions")
            def sessions(self):
                return ANSWER

            @scheduled_job(name="named", interval=30)
            async def other(self): ...

            def not_one(self): ...

        class _Base:
            @scheduled_job()
            def inherited(self): ...

        class Derived(_Base):
            pass
        """,
    )
    _write(
        tmp_path,
        "jobs/deeper/mail.py",
        """
        @scheduled_job()
        def send(): return "sent"

        @queue_worker("mail")
        class Mail(QueueWorkerHost):
            @queue_job_handler("send")
            def on_send(self, job): ...
        """,
    )
    found = discover(["jobs"], base=tmp_path)
    assert [(job.name, job.provider, job.method) for job in found.jobs] == [
        ("Cleanup.sessions", "Cleanup", "sessions"),
        ("named", "Cleanup", "other"),
        ("Derived.inherited", "Derived", "inherited"),
        ("send", "mail", "send"),
    ]
    assert [job.is_coroutine for job in found.jobs] == [False, True, False, False]
    assert found.jobs[0].call() == 42
    assert found.jobs[0].options == ScheduledJobOptions(cron="0 3 * * *", description="old sessions")
    assert found.jobs[0].place.endswith("cleanup.py:6")
    assert [cls.__name__ for cls in found.queue_workers] == ["Mail"]
    assert [member.attribute for member in found.members_with("__upgrader_job_handlers__")] == ["on_send"]
    assert sys.path == before


def test_a_partial_is_found(tmp_path: Path) -> None:
    """As the function that it is made of would be: it is no job that is left out in silence."""
    _write(
        tmp_path,
        "jobs/regions.py",
        """
        from functools import partial

        def collect(region): return region

        north = scheduled_job(interval=60)(partial(collect, "north"))
        south = scheduled_job(interval=60, name="southern")(partial(collect, region="south"))
        plain = partial(collect, "nowhere")
        """,
    )
    found = discover(["jobs"], base=tmp_path)
    assert [(job.name, job.method, job.call()) for job in found.jobs] == [
        ("north", "north", "north"),
        ("southern", "south", "south"),
    ]
    assert found.jobs[0].place.endswith("regions.py:5")
    origin = found.jobs[0].origin
    assert origin is not None
    assert function_of(origin, load_module(origin))() == "north"


def test_a_decorator_may_stand_on_either_side_of_another(tmp_path: Path) -> None:
    """Of `@staticmethod` and `@classmethod`: a job that is not found would never run, and nobody would know."""
    _write(
        tmp_path,
        "jobs/both.py",
        """
        class Both:
            @staticmethod
            @scheduled_job()
            def below(): return "below"

            @scheduled_job()
            @staticmethod
            def above(): return "above"

            @classmethod
            @scheduled_job()
            def of_the_class(cls): return cls.__name__

        @queue_worker("mail")
        class Mail(QueueWorkerHost):
            @staticmethod
            @queue_job_handler("send")
            def on_send(job): return job
        """,
    )
    found = discover(["jobs"], base=tmp_path)
    assert {job.name: job.call() for job in found.jobs} == {
        "Both.below": "below",
        "Both.above": "above",
        "Both.of_the_class": "Both",
    }
    assert [dict(cls.job_handlers()) for cls in found.queue_workers] == [{"send": "on_send"}]


def test_a_provider_is_made_once(tmp_path: Path) -> None:
    """Two jobs of a class share the instance, and a host with them, as they share what it has opened."""
    _write(
        tmp_path,
        "jobs/one.py",
        """
        made = []

        @queue_worker("q")
        class One(QueueWorkerHost):
            def __init__(self): made.append(self); self.seen = made
            @scheduled_job()
            def a(self): self.seen.append("a"); return self.seen
            @scheduled_job()
            def b(self): self.seen.append("b"); return self.seen
        """,
    )
    found = discover(["jobs"], base=tmp_path)
    first, second = found.jobs
    first.call()
    host = found.providers.get(found.queue_workers[0])
    assert second.call() == [host, "a", "b"]


def test_a_package_is_imported_as_usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job changes in a module of the package is what the application sees."""
    _write(tmp_path, "shop_jobs_package/__init__.py", "")
    _write(tmp_path, "shop_jobs_package/state.py", "runs = []\n")
    _write(
        tmp_path,
        "shop_jobs_package/jobs.py",
        """
        from shop_jobs_package.state import runs

        @scheduled_job()
        def count(): runs.append(1)
        """,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (job,) = discover(["shop_jobs_package"], base=tmp_path / "elsewhere").jobs
    job.call()
    assert sys.modules["shop_jobs_package.state"].runs == [1]
    assert job.origin is not None
    assert (job.origin.module, job.origin.location) == ("shop_jobs_package.jobs", None)


def test_all_problems_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    """Modules that cannot be imported, classes that cannot be made, functions that cannot be called."""
    _write(tmp_path, "jobs/broken.py", "import there_is_no_such_module\n")
    _write(
        tmp_path,
        "jobs/wrong.py",
        """
        class Needs:
            def __init__(self, url): ...
            @scheduled_job()
            def run(self): ...

        @scheduled_job()
        def needs_too(argument): ...

        @scheduled_job()
        def generates(): yield 1

        @queue_worker("q")
        class NoHost: ...

        @queue_worker("two words")
        class Misnamed(QueueWorkerHost): ...
        """,
    )
    with pytest.raises(LoadingError) as raised:
        discover(["jobs", "nowhere"], base=tmp_path)
    assert raised.value.message == "7 problems in the modules of jobs"
    told = {problem.message: problem.places[0].rpartition("/")[2] for problem in raised.value.problems}
    assert told == {
        "this module cannot be imported: ModuleNotFoundError: No module named 'there_is_no_such_module'": (
            "broken.py:2"
        ),
        "NoHost has @queue_worker and is no QueueWorkerHost": "wrong.py:14",
        "Misnamed: 'two words' is no name of a queue: up to 40 bytes, no spaces, commas or #": "wrong.py:17",
        "the module 'nowhere' is neither a directory nor an importable package": "nowhere",
        "Needs cannot be made without arguments: TypeError: Needs.__init__() missing 1 required"
        " positional argument: 'url'": "wrong.py:5",
        "needs_too needs arguments, and a scheduled job is called without any": "wrong.py:8",
        "generates is a generator: nothing of it would run": "wrong.py:11",
    }
    assert {problem.remedy for problem in raised.value.problems} >= {
        "correct the setting `modules` of [worker]",
        "let it inherit from QueueWorkerHost",
    }


def test_what_is_wrong_with_options_is_told_at_once(tmp_path: Path) -> None:
    """Each with the line of the job it belongs to; names that are given twice with both lines."""
    _write(
        tmp_path,
        "jobs/wrong.py",
        """
        @scheduled_job(cron="0 3 * * *", interval=5)
        def both(): ...

        @scheduled_job(cron="61 * * * *")
        def bad_cron(): ...

        @scheduled_job(cron="0 0 * * *", timezone="Europe/Bielefeld")
        def bad_zone(): ...

        @scheduled_job(interval=0, retries=-1, timeout=float("nan"), retry_delay="5")
        def bad_numbers(): ...

        @scheduled_job(name="twice")
        def one(): ...

        @scheduled_job(name="twice")
        def two(): ...

        @scheduled_job(cron="0 0 31 feb *")
        def never(): ...

        @scheduled_job(name=" ")
        def nameless(): ...
        """,
    )
    found = discover(["jobs"], base=tmp_path)
    with pytest.raises(LoadingError) as raised:
        resolve(found.jobs)
    told = [
        (problem.message, [place.rpartition(":")[2] for place in problem.places])
        for problem in raised.value.problems
    ]
    assert told == [
        ("2 jobs are called 'twice'", ["15", "18"]),
        ("job 'both': it has both cron and interval", ["3"]),
        ("job 'bad_cron': cron: 61 in '61 * * * *' is no minute: they are 0 to 59", ["6"]),
        ("job 'bad_zone': timezone='Europe/Bielefeld' is no time zone", ["9"]),
        ("job 'bad_numbers': interval=0 is no time between two ticks", ["12"]),
        ("job 'bad_numbers': retries=-1 is no number of retries", ["12"]),
        ("job 'bad_numbers': retry_delay='5' is no length of time", ["12"]),
        ("job 'bad_numbers': timeout=nan is no length of time", ["12"]),
        ("job 'never': cron='0 0 31 feb *' never comes", ["21"]),
        ("job ' ': this is no name", ["24"]),
    ]
    assert all(problem.remedy for problem in raised.value.problems)


def test_a_fresh_process_finds_the_function_again(tmp_path: Path) -> None:
    """By what travels to a child: directory, file, class and method."""
    _write(tmp_path, "jobs/a/b.py", "class Outer:\n    class Inner:\n        pass\n")
    _write(tmp_path, "jobs/a/c.py", "class P:\n    @scheduled_job()\n    def run(self): return 'ran'\n")
    (job,) = discover(["jobs"], base=tmp_path).jobs
    assert job.origin is not None
    for name in [name for name in sys.modules if name.startswith("_upgrader_jobs_")]:
        del sys.modules[name]
    assert function_of(job.origin, load_module(job.origin))() == "ran"


class _Handed:
    @scheduled_job(interval=5)
    def run(self) -> None:
        """Do nothing."""


def test_an_application_hands_in_its_own() -> None:
    """Classes and functions; what has nothing decorated in it is a mistake."""

    class Handed(_Handed):
        pass

    assert [job.name for job in discover_in([Handed]).jobs] == ["Handed.run"]
    with pytest.raises(LoadingError) as raised:
        discover_in([str, 5])
    assert [problem.message for problem in raised.value.problems] == [
        "str has nothing decorated in it",
        "5 is no class or function",
    ]
