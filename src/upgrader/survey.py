"""A survey: how far the database is at one moment, for planner, runner and status alike. It never writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from upgrader.database.session import CommandSession
from upgrader.database.streaming import without_collection
from upgrader.history.store import HistorySnapshot, HistoryStore
from upgrader.model import Enrolment, Progress, Quarantine, Workspace
from upgrader.sequence.state import DatabaseState, Member, Source
from upgrader.workspaces import WorkspaceListing, WorkspaceSource

_NEVER_ENROLLED = Progress()
_AT_THE_BEGINNING = Progress(enrolment=Enrolment())


@dataclass(frozen=True, eq=False)
class Survey:
    """What was read.

    Attributes:
        state: what the planner is told.
        workspaces: the workspaces in scope by id, those that are set aside too.
        quarantined: every quarantine by id: also of workspaces out of scope, or no longer there.
    """

    state: DatabaseState
    listing: WorkspaceListing
    workspaces: dict[str, Workspace]
    quarantined: Mapping[str, Quarantine] = field(default_factory=dict)

    @property
    def rows(self) -> Sequence[Member]:
        """Every workspace that there is: in scope, set aside, out of scope."""
        return [*self.state.members, *self.state.quarantined, *self.state.others]

    @property
    def everyone(self) -> dict[str, Workspace]:
        """The workspaces in scope and out of it, by id."""
        return {**self.workspaces, **{workspace.id: workspace for workspace in self.listing.out_of_scope}}


def take_survey(*, session: CommandSession, store: HistoryStore, source: WorkspaceSource) -> Survey:
    """Read history and workspaces in a fixed number of queries.

    Without an instance mark there was no upgrade yet: everything then counts as enrolled at the beginning,
    except what the application has enrolled itself.

    Raises:
        WorkspaceSourceError: the workspaces cannot be listed.
        LayoutError: the history is of a newer program.
    """
    with without_collection():
        return _take_survey(store.snapshot(), source.listing(session), source)


def _take_survey(snapshot: HistorySnapshot, listing: WorkspaceListing, source: WorkspaceSource) -> Survey:
    is_first = snapshot.instance.enrolment is None
    default = _AT_THE_BEGINNING if is_first else _NEVER_ENROLLED
    in_scope = _members(listing.in_scope, snapshot, default)
    aside = snapshot.quarantined
    state = DatabaseState(
        instance=_instance(snapshot, is_first=is_first),
        members=[one for one in in_scope if one.quarantine is None] if aside else in_scope,
        quarantined=[one for one in in_scope if one.quarantine is not None] if aside else (),
        others=_members(listing.out_of_scope, snapshot, default),
        is_first=is_first,
        source=Source.LISTED if listing.exists else Source.ABSENT,
        source_description=source.description,
        statuses=source.statuses,
    )
    return Survey(state, listing, {workspace.id: workspace for workspace in listing.in_scope}, aside)


def _instance(snapshot: HistorySnapshot, *, is_first: bool) -> Progress:
    return _AT_THE_BEGINNING if is_first else snapshot.instance


def _members(found: Sequence[Workspace], snapshot: HistorySnapshot, default: Progress) -> list[Member]:
    known, aside = snapshot.workspaces, snapshot.quarantined
    return [
        Member(workspace.id, known.get(workspace.id, default), workspace.status, aside.get(workspace.id))
        for workspace in found
    ]
