"""The workers of a run, as its coordinator sees them: let in, at work, gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from upgrader.history.keys import LockKeys
from upgrader.history.run_lock import Holder, RunLock
from upgrader.runner.result import RunReport, WorkerShare
from upgrader.worker.distributed.board import CoordinatorBoard, SeenMember
from upgrader.worker.distributed.messages import WorkspaceResult

COORDINATOR = "coordinator"
_POLL_SECONDS = 0.05
_LEAVE_SECONDS = 3.0
_END_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class Member:
    """A worker that takes part, or wanted to.

    Attributes:
        is_gone: it has no part any more, and no session that could do anything.
        is_lost: it died, or was cut off; its sessions may still be there.
        pids: of its sessions, as far as it told.
        first, last: of its results, by the monotonic clock.
    """

    member_id: str
    share: WorkerShare
    state: str = "asking"
    is_gone: bool = False
    is_lost: bool = False
    lost_at: float = 0.0
    pids: tuple[int, ...] = ()
    lanes: int = 0
    first: float = 0.0
    last: float = 0.0

    @property
    def was_lost(self) -> bool:
        """Whether it went without a word."""
        return self.share.end == "lost"

    def note(self, result: WorkspaceResult) -> None:
        """Count what it did."""
        now, share = time.monotonic(), self.share
        self.first = self.first or now - result.seconds
        self.last = now
        share.seconds = self.last - self.first
        share.workspaces += result.end is not None
        share.failed += result.end == "failed"
        share.steps += sum(one.is_completed and one.tries > 0 for one in result.steps)


@dataclass
class Changes:
    """What somebody should hear of the workers."""

    notices: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Crew:
    """The workers of one run.

    A worker is let in by a lock that the coordinator's own session takes for it: in each of its transactions the
    worker looks whether it is still held. It ends with the coordinator, and is given up to shut a worker out.
    """

    def __init__(
        self,
        board: CoordinatorBoard,
        lock: RunLock,
        *,
        spare: CoordinatorBoard,
        keys: LockKeys,
        report: RunReport,
        stalled_seconds: float,
        interrupt: Callable[[Collection[str]], None],
        holders: Callable[[Collection[str]], Mapping[str, Holder]],
    ) -> None:
        """Let nobody in yet.

        Args:
            spare: the same board on another connection: a signal may have come while the first one was in use.
            stalled_seconds: a worker that was silent for so long is taken to be lost.
            interrupt: turns attempts that were left unfinished in workspaces into interrupted ones.
            holders: who holds the locks of workspaces just now.
        """
        self._board = board
        self._lock = lock
        self._spare = spare
        self._keys = keys
        self._report = report
        self._stalled_seconds = stalled_seconds
        self._interrupt = interrupt
        self._find_holders = holders
        self._members: dict[str, Member] = {}

    def member(self, member_id: str) -> Member:
        """Give a worker; one that has not been seen yet is known from here on."""
        found = self._members.get(member_id)
        if found is None:
            share = WorkerShare(f"worker {member_id}")
            self._report.workers.append(share)
            found = self._members[member_id] = Member(member_id, share)
        return found

    @property
    def lanes(self) -> int:
        """How many workspaces are worked on at a time."""
        return sum(one.lanes for one in self._members.values() if one.state == "admitted")

    @property
    def is_at_work(self) -> bool:
        """Whether there is anybody."""
        return any(one.state == "admitted" for one in self._members.values())

    @property
    def lost(self) -> Collection[Member]:
        """Workers that were lost and may have sessions left."""
        return [one for one in self._members.values() if one.is_lost and not one.is_gone]

    @property
    def gone_ids(self) -> set[str]:
        """Those that have no part any more."""
        return {one.member_id for one in self._members.values() if one.is_gone}

    def look(self) -> Changes:
        """Let in who asks, and find out who is gone."""
        changes = Changes()
        at_work = {one.member_id for one in self._members.values() if one.state == "admitted"}
        present = self._board.present(at_work) if at_work else set()
        # Read after their sessions were looked at: a worker that leaves writes so before it goes.
        for row in self._board.members():
            member = self.member(row.member_id)
            member.share.name = row.name
            member.pids = row.pids or member.pids
            is_gone = row.member_id in at_work and row.member_id not in present
            self._follow(member, row, changes, is_present=not is_gone)
        return changes

    def _follow(self, member: Member, row: SeenMember, changes: Changes, *, is_present: bool) -> None:
        if member.is_gone or member.is_lost:
            return
        member.lanes = row.lanes
        member.share.lanes = max(member.share.lanes, row.lanes)
        if row.state == "asking":
            self._admit(member, changes)
        elif row.state == "refused":
            member.state, member.is_gone = "refused", True
            member.share.end, member.share.note = "refused", row.note
            changes.warnings.append(f"{row.name} takes no part: {row.note}")
        elif row.state == "left":
            member.state, member.is_gone = "left", True
            member.share.end = "left"
            self._lock.release(self._keys.member(self._lock.run_id, member.member_id))
        elif row.state == "admitted":
            member.state = "admitted"
            if not is_present:
                self._lose(member, "its session ended")
            elif row.silent_seconds > self._stalled_seconds:
                self._lose(member, f"it was silent for {row.silent_seconds:.0f} s")

    def _admit(self, member: Member, changes: Changes) -> None:
        key = self._keys.member(self._lock.run_id, member.member_id)
        if not self._lock.hold(key):
            return
        if not self._board.admit(member.member_id):  # it does not ask any more
            self._lock.release(key)
            return
        member.state = "admitted"
        changes.notices.append(f"{member.share.name} takes part")

    def _lose(self, member: Member, note: str) -> None:
        """Shut a worker out: from here on it begins nothing."""
        self._lock.release(self._keys.member(self._lock.run_id, member.member_id))
        self._board.give_up(member.member_id)
        member.state, member.is_lost, member.lost_at = "given-up", True, time.monotonic()
        member.share.end, member.share.note = "lost", note

    def end_sessions(self, member: Member, workspace_ids: Collection[str]) -> bool:
        """End what a lost worker has left on the server; True once nothing of it can do anything any more.

        Args:
            workspace_ids: what it had in hand.
        """
        holders = self._find_holders(workspace_ids) if workspace_ids else {}
        own = f"upgrader/{self._lock.run_id}"
        pids = {*member.pids, *(one.pid for one in holders.values() if one.application_name == own)}
        alive = self._board.alive(pids)
        if alive:
            with suppress(Exception):  # a role that may not: the server finds out by itself
                self._lock.terminate(alive)
            # Whoever has a workspace next waits for its lock, and looks at its state then.
            if time.monotonic() - member.lost_at < _END_SECONDS:
                return False
        self._interrupt(workspace_ids)
        member.is_gone = True
        return True

    def cancel(self) -> None:
        """Cancel what workers have in hand; end the sessions of those that do not come to an end by it."""
        with suppress(Exception):
            self._spare.tell("cancelled")
            # What a worker wrote before it heard of it says nothing: it may have begun something since.
            if not self._have_ended(
                _LEAVE_SECONDS, lambda row, since: not row.lanes and row.silent_seconds < since
            ):
                self._terminate()

    def dismiss(self) -> None:
        """Let all of them go: the run is over. Their sessions are gone after it."""
        self._spare.tell("over")
        if not self._have_ended(_LEAVE_SECONDS, lambda _row, _since: False):
            self._terminate()

    def _have_ended(self, seconds: float, is_at_rest: Callable[[SeenMember, float], bool]) -> bool:
        """Wait until all are gone, or at rest.

        Args:
            is_at_rest: tells of a worker's row, and how many seconds ago the waiting began.
        """
        began = time.monotonic()
        while True:
            since = time.monotonic() - began
            rows = self._spare.members()
            busy = [row.member_id for row in rows if row.state == "admitted" and not is_at_rest(row, since)]
            if not busy or not self._spare.present(busy):
                return True
            if since >= seconds:
                return False
            time.sleep(_POLL_SECONDS)

    def _terminate(self) -> None:
        pids = {pid for row in self._spare.members() for pid in row.pids}
        self._lock.terminate(self._spare.alive(pids))
