"""The gate: runs the rules that are asked for, as far as there is what they need.

load ─┬─ fails ─> its problems are the findings, everything else is left out
      └─ the commands alone ─> history of a live database ─> scratch databases ─> report
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from upgrader.check.book import CheckBook
from upgrader.check.database_rules import check_history
from upgrader.check.live import LiveDatabase
from upgrader.check.loading import loading_findings
from upgrader.check.options import CheckOptions
from upgrader.check.report import CheckReport
from upgrader.check.rule import Need, Rule
from upgrader.check.rules import COLLISION, FUTURE_TIMESTAMP, LOADING_PROBLEM, RELEASED_VERSION_CHANGED, RULES
from upgrader.check.scratch_rules import ScratchCheck
from upgrader.check.selection import select_rules
from upgrader.check.sequence_run import Subject
from upgrader.check.written import find_future_timestamps, find_released_changes
from upgrader.errors import LoadingError, OperatorError
from upgrader.events import CheckMoved, EventSink
from upgrader.registry import Registry
from upgrader.runner.database_access import DatabaseAccess
from upgrader.runner.stop import StopToken
from upgrader.settings import DatabaseUrlKind, Settings, database_url_kind, embedded_path
from upgrader.version import ApplicationVersion

_LOADING = (LOADING_PROBLEM, COLLISION)
_NO_DATABASE = "no database is named; set database_url or UPGRADER_DATABASE_URL"
_NOT_WANTED = "--no-database"
_NEVER_STARTED = "the embedded database has never been started"
_NOT_LOADED = "the commands cannot be loaded; mend that first"
_NO_RELEASE = "released_version is not set"
_NO_RELEASE_TIME = "there is neither released_at nor a database to tell what was added"


@dataclass(frozen=True)
class Gate:
    """One check.

    Attributes:
        load: loads the commands; raises LoadingError.
        app_version: asked once the commands are loaded.
        access: the way to the live database; asked only where one is named.
        emit: told what is done to the machine for an embedded server.
        stop: lets a signal end what runs in a scratch database.
    """

    settings: Settings
    options: CheckOptions
    load: Callable[[], Registry]
    app_version: Callable[[], ApplicationVersion]
    access: Callable[[], DatabaseAccess]
    emit: EventSink
    stop: StopToken

    def check(self) -> CheckReport:
        """Look at everything that is asked for. Writes nothing to the live database, and takes no lock.

        Raises:
            OperatorError: a rule is unknown, a database that is named cannot be used; or the commands cannot
                be loaded and the rules that say so are not asked for.
        """
        book = self._begun()
        registry = self._loaded(book)
        if registry is not None:
            self._look_at_commands(book, registry)
            live = self._look_at_database(book, registry)
            self._look_in_scratch(book, registry, live)
        return book.report()

    def _begun(self) -> CheckBook:
        given, options = self.settings.check, self.options
        if options.embedded and options.scratch_url is not None:
            raise OperatorError(
                "--embedded and --scratch-url contradict each other",
                hint="--embedded makes a server of its own, --scratch-url uses yours: give one of the two",
            )
        selection = select_rules(
            select=options.select or given.select,
            ignore=(*given.ignore, *options.ignore),
            severity=given.severity,
        )
        return CheckBook(selection)

    def _loaded(self, book: CheckBook) -> Registry | None:
        self.emit(CheckMoved("loading the commands"))
        try:
            registry = self.load()
        except LoadingError as error:
            findings = list(loading_findings(error))
            if not any(True for _ in book.selection.applied(findings)):
                raise  # nobody asked for these rules: what was asked for cannot be done
            book.ran(_LOADING, findings)
            book.leave_out(RULES.values(), _NOT_LOADED)
            return None
        book.ran(_LOADING)
        return registry

    def _look_at_commands(self, book: CheckBook, registry: Registry) -> None:
        now = datetime.now(UTC)
        book.ran([FUTURE_TIMESTAMP], find_future_timestamps(registry.sequence, now=now))
        released, released_at = self.settings.released_version, self.settings.released_at
        if released is None:
            book.leave_out([RELEASED_VERSION_CHANGED], _NO_RELEASE)
        elif released_at is not None:
            changes = find_released_changes(registry.sequence, released=released, released_at=released_at)
            book.ran([RELEASED_VERSION_CHANGED], changes)

    def _look_at_database(self, book: CheckBook, registry: Registry) -> LiveDatabase | None:
        reason = self._why_no_database()
        if reason is not None:
            book.leave_out(_needing(Need.DATABASE), reason)
            book.leave_out([RELEASED_VERSION_CHANGED], _NO_RELEASE_TIME)
            return None
        self.emit(CheckMoved("comparing with the history of the live database"))
        return check_history(book, registry.sequence, self.access())

    def _why_no_database(self) -> str | None:
        url = self.settings.database_url
        if not self.options.uses_database:
            return _NOT_WANTED
        if url is None:
            return _NO_DATABASE
        if database_url_kind(url) is DatabaseUrlKind.EMBEDDED and not _is_begun(Path(embedded_path(url))):
            return _NEVER_STARTED  # to make one only to find it empty would leave a server's files behind
        return None

    def _look_in_scratch(self, book: CheckBook, registry: Registry, live: LiveDatabase | None) -> None:
        subject = Subject(self.settings, registry, self.app_version())
        scratch = ScratchCheck(book, subject, live, emit=self.emit, stop=self.stop)
        scratch.check(embedded=self.options.embedded, url=self.options.scratch_url)


def _needing(need: Need) -> Iterator[Rule]:
    return (rule for rule in RULES.values() if rule.needs is need)


def _is_begun(data_directory: Path) -> bool:
    return (data_directory / "PG_VERSION").is_file()
