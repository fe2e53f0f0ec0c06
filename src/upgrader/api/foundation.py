"""What every part of the API stands on: settings, commands, the way to the database."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.events import EventSink, ignore_events, quiet
from upgrader.history.layout import bring_up_to_date
from upgrader.registry import Registry, load
from upgrader.runner.database_access import DatabaseAccess, OpenRun, Reading
from upgrader.runner.stop import StopToken
from upgrader.settings import Settings
from upgrader.survey import Survey, take_survey
from upgrader.version import ApplicationVersion

if TYPE_CHECKING:
    pass


class Foundation:
    """The settings and what is made of them; touches nothing before it is needed."""

    def __init__(
        self,
        settings: Settings,
        *,
        base: Path | None = None,
        emit: EventSink = ignore_events,
        stop: StopToken | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            settings: see `upgrader.settings.load_settings`.
            base: what relative command directories are relative to; the working directory by default.
            emit: told of everything that happens; never fails a run.
            stop: lets another thread or a signal handler end a run in good order.
        """
        self.settings = settings
        self.stop = stop or StopToken()
        self.directory = base or Path.cwd()
        self._emit = quiet(emit)

    @cached_property
    def registry(self) -> Registry:
        """The loaded commands.

        Raises:
            LoadingError: with all problems at once.
        """
        return load(self.settings.commands, base=self.directory)

    @property
    def app_version(self) -> ApplicationVersion:
        """The application's version: as set, else the highest one that there are commands of."""
        given = self.settings.application_version
        if given is not None:
            return given
        highest = self.registry.highest_version
        return ApplicationVersion.of(highest) if highest else ApplicationVersion.parse("0.0.0")

    def cancel(self) -> None:
        """Ask the server to end the statement in progress; for a second signal."""
        access: DatabaseAccess | None = self.__dict__.get(
            "_access"
        )  # nothing is in progress before it is made
        if access is not None:
            access.cancel()

    @cached_property
    def _access(self) -> DatabaseAccess:
        return DatabaseAccess(self.settings, app_version=self.app_version, emit=self._emit, stop=self.stop)

    def _survey(self, reading: Reading) -> Survey:
        return take_survey(session=reading.session, store=reading.store, source=self._access.source)

    def _bring_up_to_date(self, run: OpenRun) -> None:
        bring_up_to_date(run.lock.driver, self.settings.history_schema)
        run.lock.announce(self.app_version.text)
