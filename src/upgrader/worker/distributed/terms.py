"""What a run tells its workers before they begin: what they have to have, and how they are to work."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from upgrader.backfill.options import BackfillOptions
from upgrader.model import Step
from upgrader.runner.options import RunSettings

# What of the coordinator's settings holds on all machines; the rest is about planning, or who is asked for it.
_SHARED = (
    "search_path_extra",
    "lock_timeout_seconds",
    "retry",
    "statement_timeout_seconds",
    "idle_in_transaction_session_timeout_seconds",
    "concurrent_wait_seconds",
    "pace",
    "brake",
    "batches_wait_for_disk",
)
_NAMED = 3


@dataclass(frozen=True)
class RunTerms:
    """What a run tells its workers.

    Attributes:
        app_version: of the application that the database is brought to.
        checksums: of its steps, by name.
        source: where workspaces come from.
        settings: what the coordinator's settings say of how steps are run, as JSON holds it.
        rereads_state: whether a step's state is to be read again in every workspace, before it runs.
        failures_at_most: with so many failed workspaces a worker begins no more by itself; None: no such number.
    """

    app_version: str
    checksums: Mapping[str, str]
    source: str
    settings: Mapping[str, Any]
    backfill: Mapping[str, Any]
    verbose: bool = False
    rereads_state: bool = False
    failures_at_most: int | None = None

    @classmethod
    def of(
        cls,
        settings: RunSettings,
        steps: Iterable[Step],
        *,
        source: str,
        backfill: BackfillOptions,
        verbose: bool,
        rereads_state: bool,
        failures_at_most: int | None,
    ) -> RunTerms:
        """Put together what a coordinator tells."""
        shared = {
            name: adapter.dump_python(getattr(settings, name), mode="json") for name, adapter in _adapters()
        }
        return cls(
            settings.app_version.text,
            {step.name: step.checksum for step in steps},
            source,
            shared,
            TypeAdapter(BackfillOptions).dump_python(backfill, mode="json"),
            verbose,
            rereads_state,
            failures_at_most,
        )

    def encode(self) -> str:
        """Write it for the table."""
        return json.dumps(vars(self))

    @classmethod
    def decode(cls, text: str) -> RunTerms:
        """Read it."""
        return cls(**json.loads(text))

    def settings_over(self, own: RunSettings) -> RunSettings:
        """Give the settings of a process with the run's where these have to be the same."""
        told = {name: adapter.validate_python(self.settings[name]) for name, adapter in _adapters()}
        return replace(own, **told)

    @property
    def backfill_options(self) -> BackfillOptions:
        """The options of backfills."""
        return TypeAdapter(BackfillOptions).validate_python(self.backfill)

    def difference(self, *, app_version: str, steps: Iterable[Step], source: str) -> str | None:
        """Say what a process has otherwise than the run; None where it may take part."""
        if app_version != self.app_version:
            return f"it has release {app_version}, the run {self.app_version}"
        own = {step.name: step.checksum for step in steps}
        missing = [name for name in self.checksums if name not in own]
        changed = [name for name, sum_ in self.checksums.items() if own.get(name, sum_) != sum_]
        added = [name for name in own if name not in self.checksums]
        for names, what in ((missing, "it lacks"), (changed, "it has other code of"), (added, "only it has")):
            if names:
                return f"{what} {_listed(names)}"
        if source != self.source:
            return "its settings name another source of workspaces"
        return None


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _adapters() -> Iterator[tuple[str, TypeAdapter[Any]]]:
    hints = get_type_hints(RunSettings)
    return ((name, TypeAdapter(hints[name])) for name in _SHARED)
