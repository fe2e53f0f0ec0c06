"""Hands the workspaces of a run to workers on other machines: one segment after the other, in chunks."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from upgrader.errors import ConnectionLostError, RunError, RunSupersededError
from upgrader.events import Notice, Waiting
from upgrader.model import Progress, Step, Workspace
from upgrader.runner.workspace_walk import SegmentParts
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion
from upgrader.worker.distributed.board import CoordinatorBoard
from upgrader.worker.distributed.chunks import Chunk, chunk_size
from upgrader.worker.distributed.crew import Crew, Member
from upgrader.worker.distributed.ledger import SegmentLedger
from upgrader.worker.distributed.messages import decode_event, decode_result
from upgrader.worker.distributed.terms import RunTerms

_LOOP_SECONDS = 0.04
_LOOK_SECONDS = 0.2
_EAGER_SECONDS = 2.0  # for so long after it began a segment looks out for workers all the time
_INVITE_SECONDS = 1.0
_EVENT_SECONDS = 1.0
# So many invitations wait for workers that are not at it yet; each is for one lane.
_INVITATIONS = 16
# So many chunks wait for each lane: until this process looks again none is to be idle.
_WAITING = 2
_FEWEST_LANES = 4
_LOSSES_AT_MOST = 5


class Invites(Protocol):
    """Calls workers to a run, through whatever they listen to."""

    def invite(self, run_id: str, count: int) -> None:
        """See to it that so many invitations wait, one for each lane."""

    def withdraw(self) -> None:
        """Take back those that nobody has taken."""


class DistributedExecutor:
    """Cuts segments into chunks, and waits until workers have done them; the barrier is whoever waits for it.

    What workers send is written into the run's report as lanes of this process would have done it.

    Attributes:
        is_open: whether there was anything to hand out until now.
    """

    def __init__(
        self,
        parts: SegmentParts,
        *,
        run_id: str,
        board: CoordinatorBoard,
        crew: Crew,
        invites: Invites,
        terms: RunTerms,
        steps: Mapping[str, Step],
        settle: Callable[[], object],
    ) -> None:
        """Hand out nothing yet.

        Args:
            steps: all there are, by name.
            settle: turns attempts that nobody works on any more into interrupted ones.
        """
        self._parts = parts
        self._terms = terms
        self.is_open = False
        self._run_id = run_id
        self._board = board
        self._crew = crew
        self._invites = invites
        self._steps = steps
        self._settle = settle
        self._numbers = 0
        self._ledger: SegmentLedger  # of the segment at hand
        self._fresh: deque[str] = deque()
        self._alone: deque[str] = deque()
        self._chunks: dict[int, tuple[str, ...]] = {}
        self._holders: dict[int, str | None] = {}
        self._is_ending = False
        self._looked = self._invited = self._told = self._eager_until = 0.0
        self._idle_since: float | None = None
        self._seconds, self._count = 0.0, 0
        self._unconnected: set[str] = set()

    def run(
        self,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
    ) -> set[str]:
        """Hand the tasks out in order; give the ids of the workspaces that did not get through."""
        ledger = self._ledger = SegmentLedger(self._parts, version, tasks, workspaces, progress)
        self._fresh, self._alone = deque(ledger.due_ids), deque()
        self._chunks, self._holders, self._is_ending = {}, {}, False
        self._seconds, self._count, self._invited = 0.0, 0, 0.0
        if not self.is_open:
            self._parts.check_lock()
            self._board.open(self._terms)
            self.is_open = True
        self._board.tell("running")
        self._eager_until = time.monotonic() + _EAGER_SECONDS
        try:
            self._work()
        except BaseException:  # a second signal, as a rule
            self._crew.cancel()
            ledger.close(is_cut_off=True)
            raise
        # A lane whose session was lost has tried again; nobody but the coordinator may say so of its first attempt.
        self._parts.check_lock()
        self._settle()
        ledger.close()
        return ledger.not_through

    def _work(self) -> None:
        while self._ledger.due_ids:
            self._parts.check_lock()
            self._read()
            self._look()
            if self._is_ending and not self._chunks:
                return
            if self._parts.stop.requested:
                self._end("stopping")
            elif self._ledger.is_over_early:
                self._end("ending")
            elif self._ledger.due_ids:
                self._hand_out()
                self._call()
            time.sleep(_LOOP_SECONDS)

    def _end(self, state: str) -> None:
        """Let no chunk be taken any more; those in progress come to their end."""
        if not self._is_ending:
            self._is_ending = True
            self._board.tell(state)
        elif state == "stopping":
            self._board.tell(state)
        for number in self._board.withdraw():
            self._chunks.pop(number, None)

    def _hand_out(self) -> None:
        """Let as many chunks wait as there are lanes that may ask for one soon."""
        self._holders = self._board.holders()
        waiting = sum(1 for number in self._chunks if self._holders.get(number) is None)
        lanes = max(_FEWEST_LANES, self._crew.lanes)
        self._parts.report.note_lanes(max(1, self._crew.lanes))
        made: list[Chunk] = []
        while waiting + len(made) < _WAITING * lanes and (ids := self._next_ids(lanes)):
            made.append(self._chunk(ids))
        if made:
            self._board.add(made)

    def _next_ids(self, lanes: int) -> tuple[str, ...]:
        due = self._ledger.due_ids
        while self._alone:
            if (workspace_id := self._alone.popleft()) in due:
                return (workspace_id,)
        per_second = self._count / self._seconds if self._seconds else 0.0
        size = chunk_size(len(self._fresh), lanes=lanes, per_second=per_second)
        taken: list[str] = []
        while self._fresh and len(taken) < size:
            if (workspace_id := self._fresh.popleft()) in due:
                taken.append(workspace_id)
        return tuple(taken)

    def _chunk(self, ids: tuple[str, ...]) -> Chunk:
        self._numbers += 1
        self._chunks[self._numbers] = ids
        ledger = self._ledger
        tasks = tuple(ledger.chunk_task(workspace_id) for workspace_id in ids)
        return Chunk(self._numbers, ledger.version, ledger.total, tasks)

    def _call(self) -> None:
        """Invite workers while chunks wait; say so where there is nobody."""
        now = time.monotonic()
        if self._chunks and now - self._invited >= _INVITE_SECONDS:
            self._invited = now
            self._invites.invite(self._run_id, _INVITATIONS)
        if self._crew.is_at_work:
            self._idle_since = None
            return
        self._idle_since = self._idle_since or now
        if now - self._idle_since >= _EVENT_SECONDS and now - self._told >= _EVENT_SECONDS:
            self._told = now
            text = (
                f"no worker is at work: {len(self._ledger.due_ids):,} workspaces of {self._ledger.version} wait;"
                " start one on any machine that has these commands: upgrader worker"
            )
            self._parts.emit(Waiting("workers", text, now - self._idle_since))

    def _read(self) -> None:
        """Take what workers wrote."""
        ended: list[int] = []
        for member_id, body in self._board.messages():
            member = self._crew.member(member_id)
            for item in json.loads(body):
                self._take(member, item, ended)
        if ended:
            self._board.drop(ended)

    def _take(self, member: Member, item: dict[str, Any], ended: list[int]) -> None:
        match item.pop("say"):
            case "result":
                result = decode_result(item, self._steps)
                if self._ledger.add(result):
                    member.note(result)
                    self._seconds, self._count = self._seconds + result.seconds, self._count + 1
            case "event":
                event = decode_event(item, self._steps)
                if event is not None:
                    self._parts.emit(event)
            case "begun":
                step = self._steps.get(item["step"])
                if step is not None:
                    self._ledger.note_begun(item["id"], step, item["attempt"])
            case "end":
                ended.append(item["chunk"])
                self._end_chunk(member, item)

    def _end_chunk(self, member: Member, item: dict[str, Any]) -> None:
        ids = self._chunks.pop(item["chunk"], ())
        how, error = item["end"], item["error"]
        if how == "superseded" and not (member.is_gone or self._is_ending):
            raise RunSupersededError(error, hint=item["hint"])
        if how == "broken" and not (member.is_gone or self._parts.stop.hard):
            raise RunError(f"{member.share.name}: {error}", hint=item["hint"])
        if how == "no-connection" and member.member_id not in self._unconnected:
            self._unconnected.add(member.member_id)
            self._warn(f"{member.share.name} has fewer lanes than it could have: {error}")
        self._return(ids, is_lost=how == "lost")

    def _return(self, ids: Iterable[str], *, is_lost: bool) -> None:
        """Let what is left of a chunk be handed out again."""
        left = self._ledger.take_back(tuple(ids))
        if not left:
            return
        if is_lost:
            first, *left = left
            losses = self._ledger.note_loss(first)
            if losses >= _LOSSES_AT_MOST:
                raise ConnectionLostError(
                    f"whoever worked on workspace {first} was lost, {losses} times",
                    hint="see in the logs of server and workers what became of them, then run the same command again",
                )
            self._alone.append(first)
        self._fresh.extendleft(reversed(left))

    def _look(self) -> None:
        """Let workers in, and take back what those had in hand that are gone."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS and now >= self._eager_until:
            return
        self._looked = now
        changes = self._crew.look()
        for text in changes.warnings:
            self._warn(text)
        for text in changes.notices:
            self._parts.emit(Notice(text))
        gone = self._crew.gone_ids
        if not gone and not self._crew.lost:
            return
        self._read()  # what they wrote before they went
        self._holders = self._board.holders()
        held = {number: id_ for number, id_ in self._holders.items() if number in self._chunks}
        self._take_from_lost(held)
        returned = [number for number, member_id in held.items() if member_id in self._crew.gone_ids]
        for number in returned:
            self._return(self._chunks.pop(number), is_lost=self._crew.member(held[number] or "").was_lost)
        if returned:
            self._board.drop(returned)

    def _take_from_lost(self, held: Mapping[int, str | None]) -> None:
        for member in list(self._crew.lost):
            numbers = [number for number, member_id in held.items() if member_id == member.member_id]
            ids = [id_ for number in numbers for id_ in self._chunks[number] if id_ in self._ledger.due_ids]
            if self._crew.end_sessions(member, ids):
                self._warn(
                    f"{member.share.name} was lost: what it had in hand goes to others ({len(ids):,} workspaces)"
                )

    def _warn(self, text: str) -> None:
        self._parts.report.warnings.append(text)
        self._parts.emit(Notice(text, "warning"))
