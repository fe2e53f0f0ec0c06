"""One call of the program: what stands before the verb, and what a verb makes of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from upgrader.cli.console import AuthorPrints, Output

if TYPE_CHECKING:
    from upgrader.api import Upgrader
    from upgrader.events import Event, EventSink
    from upgrader.runner.stop import StopToken
    from upgrader.settings import LoadedSettings, Settings


@dataclass
class Invocation:
    """The options before the verb, and the streams."""

    output: Output
    config: Path | None = None
    database_url: str | None = None
    commands: tuple[str, ...] = ()
    app_version: str | None = None
    debug: bool = False

    @classmethod
    def of(cls, context: typer.Context) -> Invocation:
        """Give the invocation that a verb belongs to."""
        found = context.find_object(cls)
        assert found is not None
        return found

    @property
    def settings(self) -> Settings:
        """The settings.

        Raises:
            SettingsError: something is wrong with them.
        """
        return self.loaded.settings

    @cached_property
    def loaded(self) -> LoadedSettings:
        """The settings with their origin; loaded once, warnings are told then, secrets hidden from then on."""
        from upgrader.settings import CommandLine, load_from_process

        flags = CommandLine(
            database_url=self.database_url, commands=self.commands, app_version=self.app_version
        )
        loaded = load_from_process(flags, config_file=self.config)
        self.output.add_secrets(loaded.settings.secrets)
        for warning in loaded.warnings:
            self.output.warn(warning)
        return loaded

    def with_settings(self, settings: Settings) -> Invocation:
        """Give an invocation with these settings, wherever they come from."""
        from upgrader.settings import LoadedSettings

        self.output.add_secrets(settings.secrets)
        made = replace(self)
        made.loaded = LoadedSettings(settings, (), None, Path.cwd())
        return made

    def upgrader(self, emit: EventSink | None = None, stop: StopToken | None = None) -> Upgrader:
        """Make the product's object for these settings; touches nothing yet.

        From here on `print` in an author's module goes to people, on stderr: stdout is for data. What it warns of by
        `logging` does so, too.
        """
        from upgrader.api import Upgrader
        from upgrader.cli.author_warnings import take_author_warnings

        take_author_warnings(self.output)
        sys.stdout = AuthorPrints(self.output)
        self.output.keep_stdout()
        return Upgrader(self.settings, base=self.loaded.directory, emit=emit or self._tell_notice, stop=stop)

    def _tell_notice(self, event: Event) -> None:
        from upgrader.cli.render.events import event_blocks
        from upgrader.events import Notice

        if isinstance(event, Notice):
            self.output.tell(*event_blocks(event))
