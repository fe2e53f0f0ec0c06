"""From the setting `modules` to scheduled jobs, queue workers and whatever else was decorated in them."""

from __future__ import annotations

import importlib
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from upgrader.errors import LoadingError, Problem
from upgrader.registry.failure import describe
from upgrader.registry.location import packages_at
from upgrader.registry.package import PREFIX, CommandPackage
from upgrader.registry.place import place_of
from upgrader.registry.scan import ScannedFile, scan
from upgrader.worker.decorators import QUEUE_WORKER, SCHEDULED_JOBS, within
from upgrader.worker.host import QueueWorkerHost
from upgrader.worker.names import JOBS_PACKAGE
from upgrader.worker.options import ScheduledJobOptions
from upgrader.worker.queue.arguments import QueueJobError, check_queue
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob, JobOrigin
from upgrader.worker.workspace_events.subscriber import brings_subscriptions

WHERE = "the modules of jobs"
_REMEDY = "correct the setting `modules` of [worker]"
_lock = threading.RLock()  # loading replaces modules in sys.modules


@dataclass(frozen=True, slots=True)
class Member:
    """A function, or a method of a class, that something was declared on.

    Attributes:
        function: as it stands in the module or class, not bound.
        owner: the class, None for a function of a module.
        place: `file:line`.
        origin: how another process finds it.
    """

    function: Callable[..., Any]
    owner: type | None
    attribute: str
    place: str
    origin: JobOrigin

    @property
    def provider(self) -> str:
        """The class's name, or the module's last one."""
        return self.owner.__name__ if self.owner else self.origin.module.rpartition(".")[2]


class Providers:
    """The classes with decorated methods: each is made once in a process, without arguments."""

    def __init__(self) -> None:
        self._made: dict[type, object] = {}
        self._making = threading.RLock()

    def get(self, cls: type) -> Any:
        """Give the instance, which is made when it is first asked for."""
        with self._making:
            if cls not in self._made:
                self._made[cls] = cls()
            return self._made[cls]

    def bound(self, member: Member) -> Callable[..., Any]:
        """Give a member ready to be called."""
        if member.owner is None:
            return member.function
        bound: Callable[..., Any] = getattr(self.get(member.owner), member.attribute)
        return bound


@dataclass(frozen=True)
class Discovered:
    """What was found in the modules.

    Attributes:
        jobs: scheduled jobs, in order of path and line.
        queue_workers: the classes that `@queue_worker` was put on.
        members: every function and method that anything was declared on: for decorators of other parts.
        bringers: objects in the modules that bring event subscriptions along: emitters, webhooks, audit tables.
        providers: the instances of their classes.
    """

    jobs: tuple[DiscoveredScheduledJob, ...] = ()
    queue_workers: tuple[type[QueueWorkerHost], ...] = ()
    members: tuple[Member, ...] = ()
    providers: Providers = field(default_factory=Providers)
    bringers: tuple[object, ...] = ()

    def members_with(self, attribute: str) -> tuple[Member, ...]:
        """Give the functions and methods that a decorator has put an attribute of this name on."""
        return tuple(member for member in self.members if getattr(member.function, attribute, None))


def discover(modules: Sequence[str | Path], *, base: Path) -> Discovered:
    """Load every module of the locations and find what is decorated in them.

    A directory is loaded as a package under a private name, anew each time; a package is imported as usual. Files
    and folders that begin with `_` or `.` are left out; so are classes whose names begin with `_`, and abstract
    ones: they are there for others to inherit from.

    Args:
        modules: directories, relative to `base`, and importable packages.

    Raises:
        LoadingError: anything is wrong; it carries all problems of all files.
    """
    finding = _Finding()
    with _lock:
        importlib.invalidate_caches()
        for location in modules:
            finding.take_location(location, base)
    return finding.done()


def discover_in(targets: Iterable[Any]) -> Discovered:
    """Find what is decorated in classes and functions that the application hands in itself.

    Raises:
        LoadingError: anything is wrong with them, or one has nothing decorated in it.
    """
    finding = _Finding()
    for target in targets:
        finding.take_target(target)
    return finding.done()


def load_module(origin: JobOrigin) -> ModuleType:
    """Load the module of a job as `discover` does; in a process that has loaded nothing yet.

    Raises:
        LoadingError: it cannot be imported.
    """
    if origin.location is None or origin.file is None:
        return importlib.import_module(origin.module)
    directory, path = Path(origin.location), Path(origin.file)
    package = _own(CommandPackage.private(directory))
    return package.load(ScannedFile(directory / path, path.parent.parts))


def function_of(origin: JobOrigin, module: ModuleType) -> Callable[..., Any]:
    """Give the function of a job, ready to be called; its provider is made."""
    if origin.owner is None:
        function: Callable[..., Any] = getattr(module, origin.attribute)
        return function
    cls: Any = module
    for name in origin.owner.split("."):
        cls = getattr(cls, name)
    method: Callable[..., Any] = getattr(cls(), origin.attribute)
    return method


@dataclass
class _Finding:
    """What has been found so far, and what is wrong."""

    members: list[Member] = field(default_factory=list)
    workers: list[type[QueueWorkerHost]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    providers: Providers = field(default_factory=Providers)
    bringers: list[object] = field(default_factory=list)

    def done(self) -> Discovered:
        jobs = [job for member in self.members for job in self._jobs_of(member)]
        if self.problems:
            raise LoadingError([_told(problem) for problem in self.problems], where=WHERE)
        return Discovered(
            tuple(jobs), tuple(self.workers), tuple(self.members), self.providers, tuple(self.bringers)
        )

    def take_location(self, location: str | Path, base: Path) -> None:
        try:
            packages = packages_at(location, base=base)
        except LoadingError as error:
            self.problems.extend(error.problems)
            return
        for package in map(_own, packages):
            if package.name.startswith(JOBS_PACKAGE) and package.name not in self.forgotten:
                self.forgotten.add(package.name)
                package.forget()
            scanned = scan(package.directory)
            self.problems.extend(scanned.problems)
            for file in scanned.files:
                self._take_file(package, file)
            self.problems.extend(package.problems)

    def take_target(self, target: Any) -> None:
        before = len(self.members), len(self.workers)
        module = inspect.getmodule(target)
        name = getattr(target, "__name__", None)
        if module is None or not isinstance(name, str) or not callable(target):
            self.problems.append(
                Problem(f"{target!r} is no class or function", (), "hand in the class or function itself")
            )
            return
        inner = getattr(target, "__qualname__", "").rpartition(".")[0]
        self._take_value(target, name, JobOrigin(module.__name__, inner or None, ""))
        if (len(self.members), len(self.workers)) == before:
            message = f"{name} has nothing decorated in it"
            self.problems.append(Problem(message, (_place(target),), "put @scheduled_job on it or a method"))

    def _take_file(self, package: CommandPackage, file: ScannedFile) -> None:
        real = os.path.realpath(file.path)
        if real in self.seen:  # a location inside of another, or given twice
            return
        self.seen.add(real)
        try:
            module = package.load(file)
        except LoadingError as error:
            self.problems.extend(error.problems)
            return
        is_private = package.name.startswith(JOBS_PACKAGE)
        origin = JobOrigin(
            module.__name__,
            None,
            "",
            str(package.directory) if is_private else None,
            str(file.path.relative_to(package.directory)) if is_private else None,
        )
        for name, value in list(vars(module).items()):
            # A partial says of its module that it is functools'; it is taken as other objects are.
            if getattr(value, "__module__", None) == module.__name__ or isinstance(value, partial):
                self._take_value(value, name, origin)
            # An object says nothing of where it was made; it is taken once, in whatever modules it stands.
            if brings_subscriptions(value) and not any(value is one for one in self.bringers):
                self.bringers.append(value)

    def _take_value(self, value: Any, name: str, origin: JobOrigin) -> None:
        if not inspect.isclass(value):
            if callable(value) and _declares(value):
                self._take_member(Member(value, None, name, _place(value), replace(origin, attribute=name)))
            return
        if name.startswith("_") or inspect.isabstract(value):
            return
        if QUEUE_WORKER in vars(value):
            self._take_worker(value)
        for attribute, function in _methods(value).items():
            if _declares(function):
                found = replace(origin, owner=value.__qualname__, attribute=attribute)
                self._take_member(Member(function, value, attribute, _place(function), found))

    def _take_member(self, member: Member) -> None:
        if all(one.function is not member.function or one.owner is not member.owner for one in self.members):
            self.members.append(member)

    def _take_worker(self, cls: type) -> None:
        if not issubclass(cls, QueueWorkerHost):
            message = f"{cls.__qualname__} has @queue_worker and is no QueueWorkerHost"
            self.problems.append(Problem(message, (_place(cls),), "let it inherit from QueueWorkerHost"))
            return
        queue = vars(cls)[QUEUE_WORKER].queue
        try:
            if queue is not None:
                check_queue(queue)
        except QueueJobError as error:
            self.problems.append(Problem(f"{cls.__qualname__}: {error}", (_place(cls),), error.hint))
        else:
            if cls not in self.workers:
                self.workers.append(cls)

    def _jobs_of(self, member: Member) -> Iterator[DiscoveredScheduledJob]:
        declared: Sequence[ScheduledJobOptions] = getattr(member.function, SCHEDULED_JOBS, ())
        if not declared:
            return
        try:
            call = self.providers.bound(member)
        except Exception as error:  # an author's constructor
            message = f"{member.provider} cannot be made without arguments: {describe(error)}"
            self.problems.append(Problem(message, (member.place,), "give its __init__ no required arguments"))
            return
        self.problems.extend(_unfit(member, call))
        default = f"{member.provider}.{member.attribute}" if member.owner else member.attribute
        for options in declared:
            yield DiscoveredScheduledJob(
                name=default if options.name is None else options.name,
                provider=member.provider,
                method=member.attribute,
                options=options,
                call=call,
                place=member.place,
                origin=member.origin if _can_be_found(member.origin) else None,
            )


def _unfit(member: Member, call: Callable[..., Any]) -> Iterator[Problem]:
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        yield Problem(
            f"{member.attribute} is a generator: nothing of it would run", (member.place,), "use return"
        )
        return
    try:
        inspect.signature(call).bind()
    except TypeError:
        message = f"{member.attribute} needs arguments, and a scheduled job is called without any"
        yield Problem(message, (member.place,), "give its parameters defaults, or take them out")
    except ValueError:  # something built in has no signature to look at
        return


def _can_be_found(origin: JobOrigin) -> bool:
    """Tell whether another process can load it: not what stands in a function, or in the program that was started."""
    return "<locals>" not in (origin.owner or "") and origin.module != "__main__"


def _declares(function: Any) -> bool:
    """Tell whether any decorator of the product's was put on it."""
    attributes: Mapping[str, Any] = getattr(function, "__dict__", {})
    return any(name.startswith("__upgrader_") for name in attributes)


def _methods(cls: type) -> dict[str, Any]:
    """Give what stands in a class and above it; a decorator may stand below `@staticmethod` as well as above it."""
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        found.update(vars(owner))
    return {name: value if _declares(value) else within(value) for name, value in found.items()}


def _own(package: CommandPackage) -> CommandPackage:
    """Keep a directory of jobs apart from one of commands: both may be the same, and are loaded on their own."""
    if not package.is_private:
        return package
    return CommandPackage(JOBS_PACKAGE + package.name.removeprefix(PREFIX), package.directory)


def _place(target: Any) -> str:
    inner = inspect.unwrap(
        target.func if isinstance(target, partial) else getattr(target, "__func__", target)
    )
    code = getattr(inner, "__code__", None)
    if code is not None:
        return place_of(code.co_filename, code.co_firstlineno)
    try:
        return place_of(inspect.getsourcefile(inner) or "", inspect.getsourcelines(inner)[1])
    except (OSError, TypeError):
        return getattr(target, "__qualname__", repr(target))


def _told(problem: Problem) -> Problem:
    """Speak of modules of jobs where the loading of commands speaks of those."""
    remedy = problem.remedy or ""
    if remedy.startswith("correct the setting `commands`"):
        remedy = _REMEDY
    return replace(
        problem,
        message=problem.message.replace("the commands path", "the module"),
        remedy=remedy.replace("a command module", "a module of jobs") or None,
    )
