"""A worker's part in one run: its connections, its lanes, and what it hears of and tells the coordinator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from enum import StrEnum
from typing import Protocol
from uuid import uuid4

import psycopg

from upgrader.api import Upgrader
from upgrader.database.connect import client_name
from upgrader.errors import RunSupersededError, UpgraderError
from upgrader.events import quiet
from upgrader.history.run_lock import find_workspace_holders
from upgrader.model import FailureLimit
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.stop import StopToken
from upgrader.runner.taking_part import Part, PartOptions
from upgrader.worker.distributed.chunks import Chunk
from upgrader.worker.distributed.lane import Lane, LaneParts, hearing
from upgrader.worker.distributed.member_board import MemberBoard, Standing
from upgrader.worker.distributed.outbox import Outbox
from upgrader.worker.distributed.terms import RunTerms

_TICK_SECONDS = 0.1
_ASK_SECONDS = 5.0
_POLL_SECONDS = 0.02
_LEAVE_SECONDS = 5.0
_IDLE_SECONDS = 0.3  # a lane waits so long for another chunk

_SHUT_OUT = "the run has ended, or goes on without this worker"


class Answer(StrEnum):
    """Whether a worker takes part in a run."""

    YES = "yes"
    OTHER_CODE = "other-code"
    OVER = "over"


class Says(Protocol):
    """Writes a line for the people who watch a worker."""

    def __call__(self, message: str, /) -> None:
        """Write it."""


class Membership:
    """One worker's part in one run, for as long as both live. Any number of threads bring a lane each.

    Attributes:
        is_over: nothing is begun any more.
    """

    def __init__(self, upgrader: Upgrader, run_id: str, *, say: Says) -> None:
        """Open nothing yet."""
        self._upgrader = upgrader
        self.run_id = run_id
        self._say = say
        self._member_id = uuid4().hex[:12]
        self._stack = ExitStack()
        self._stop = StopToken()
        self._outbox = Outbox()
        self._lock = threading.Lock()
        self._lanes: list[Lane] = []
        self._free: list[Lane] = []
        self._busy = 0
        self._is_ending = self._is_leaving = self.is_over = False
        self._ticking: threading.Thread | None = None
        self._board: MemberBoard
        self._part: Part
        self._lane_parts: LaneParts
        self._make_lane: Callable[[], StepRunner]

    def join(self) -> Answer:
        """Take part, if the run lives and this worker has its code."""
        answer = Answer.OVER
        try:
            answer = self._join()
        finally:
            if answer is not Answer.YES:
                self.is_over = True
                self._stack.close()
        return answer

    def _join(self) -> Answer:
        self._part = part = self._stack.enter_context(self._upgrader.taking_part(self.run_id))
        self._board = board = MemberBoard(
            lambda: part.control.driver, keys=part.keys, run_id=self.run_id, member_id=self._member_id
        )
        terms = board.terms()
        if terms is None:
            return Answer.OVER
        difference = terms.difference(
            app_version=self._upgrader.app_version.text, steps=part.registry.sequence, source=part.source
        )
        if difference is not None:
            board.refuse(_own_name(), f"{difference}; deploy the same commands there and start it again")
            self._say(f"takes no part in run {self.run_id}: {difference}")
            return Answer.OTHER_CODE
        board.ask(_own_name())
        if not self._is_let_in():
            board.leave()
            return Answer.OVER
        self._prepare(terms)
        self._ticking = threading.Thread(
            target=self._tick_on, name=f"upgrader-run-{self.run_id}", daemon=True
        )
        self._ticking.start()
        self._say(f"takes part in run {self.run_id}")
        return Answer.YES

    def _is_let_in(self) -> bool:
        deadline = time.monotonic() + _ASK_SECONDS
        while time.monotonic() < deadline and not self._is_leaving:
            if self._board.is_admitted():
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _prepare(self, terms: RunTerms) -> None:
        part, emit = self._part, quiet(hearing(self._outbox))
        self._emit = emit
        options = PartOptions(
            settings=terms.settings_over(part.settings),
            backfill=terms.backfill_options,
            verbose=terms.verbose,
            rereads_state=terms.rereads_state,
            emit=emit,
            stop=self._stop,
            admission=self._board.admission,
            check=self._check_admission,
        )
        self._make_lane = part.lanes(options)
        self._lane_parts = LaneParts(
            self.run_id,
            self._outbox,
            self._stop,
            self._check,
            lambda ids: find_workspace_holders(part.control.driver, part.keys, ids),
            FailureLimit(count=terms.failures_at_most),
        )

    def work(self, stop: threading.Event) -> None:
        """Bring a lane: take chunks until none comes any more, or the run, this worker or the lane ends."""
        lane = self._begin(stop)
        if lane is None:
            return
        is_usable = True
        try:
            idle_since = time.monotonic()
            while is_usable and not (stop.is_set() or self._is_closed()):
                if time.monotonic() - idle_since >= _IDLE_SECONDS:
                    break
                chunk = self._claim()
                if chunk is None:
                    time.sleep(_POLL_SECONDS)
                    continue
                is_usable = lane.run(chunk, self._emit)
                idle_since = time.monotonic()
        finally:
            self._end(lane, is_usable=is_usable)
        if self._is_leaving:  # the process may be about to end: what there is to tell is told first
            self.wait_closed(_LEAVE_SECONDS)

    def leave(self) -> None:
        """End this worker's part in good order: steps in progress come to their end, the rest is for others."""
        self._is_leaving = True
        self._stop.request("worker")
        self._outbox.is_urgent.set()

    def wait_closed(self, seconds: float) -> bool:
        """Wait until everything is closed; False where that takes longer."""
        if self._ticking is not None:
            self._ticking.join(seconds)
        return self._ticking is None or not self._ticking.is_alive()

    def _begin(self, stop: threading.Event) -> Lane | None:
        with self._lock:
            if self._is_closed():
                return None
            self._busy += 1
            lane = self._free.pop() if self._free else Lane(self._lane_parts, self._make_lane())
            lane.stop = stop
            if lane not in self._lanes:
                self._lanes.append(lane)
            return lane

    def _end(self, lane: Lane, *, is_usable: bool) -> None:
        if not is_usable:
            lane.steps.session.close()
        with self._lock:
            self._busy -= 1
            self._free.append(lane)
            is_last = not self._busy
        if is_last and lane.stop.is_set():
            self.leave()
        self._outbox.is_urgent.set()

    def _is_closed(self) -> bool:
        return self.is_over or self._is_leaving or self._is_ending or self._stop.requested

    def _claim(self) -> Chunk | None:
        try:
            return self._board.claim(self._part.registry.sequence.by_name)
        except psycopg.Error:
            self._give_up("its connection was lost")
            return None

    def _check(self) -> None:
        if self.is_over:
            raise RunSupersededError(
                f"run {self.run_id} is over, or goes on without this worker", hint="nothing is left half done"
            )

    def _check_admission(self) -> None:
        self._check()
        if not self._board.is_admitted():
            self._give_up(_SHUT_OUT)
            self._check()

    def _tick_on(self) -> None:
        """Tell and hear, until the run is over or this worker leaves, and no lane is busy any more."""
        while not (self.is_over and not self._busy):
            if self._is_leaving and not self._busy:
                self._tick()
                with suppress(psycopg.Error):
                    self._board.leave()
                break
            if not self.is_over:
                self._tick()
            self._outbox.is_urgent.wait(_TICK_SECONDS)
            if self.is_over:
                time.sleep(_POLL_SECONDS)
        self.is_over = True
        self._stack.close()

    def _tick(self) -> None:
        # With a lane in it, or the coordinator would hand out what this one is about to take.
        pids = [pid for lane in self._lanes if (pid := lane.steps.session.backend_pid) is not None]
        own = self._part.control.backend_pid
        self._end_lanes()
        try:
            body = self._outbox.take()
            standing = self._board.tick(body, lanes=self._busy, pids=[*pids, *([own] if own else [])])
        except (psycopg.Error, UpgraderError) as error:
            self._give_up(f"its connection was lost: {' '.join(str(error).split())}")
            return
        self._follow(standing)

    def _end_lanes(self) -> None:
        """Let lanes end that are to; where that is all of them, this worker ends its part."""
        busy = [lane for lane in list(self._lanes) if lane not in self._free]
        ending = [lane for lane in busy if lane.stop.is_set()]
        for lane in ending:
            if (walk := lane.walk) is not None:
                walk.halt()
        if ending and len(ending) == len(busy):
            self.leave()

    def _follow(self, standing: Standing) -> None:
        if standing.run == "over" or standing.run is None:
            self._give_up(None)
        elif not standing.is_admitted:
            self._give_up(_SHUT_OUT)
        self._is_ending = standing.run == "ending"
        if standing.run == "ending":
            for lane in self._lanes:
                if (walk := lane.walk) is not None:
                    walk.begin_no_more()
        elif standing.run in ("stopping", "cancelled"):
            self._stop.request("coordinator")
        if standing.run == "cancelled":
            self._stop.hard = True
            for lane in self._lanes:
                with suppress(Exception):  # one that is gone just now has nothing in progress
                    lane.steps.session.cancel()

    def _give_up(self, reason: str | None) -> None:
        """Begin nothing any more: the run is over, or this worker was shut out of it."""
        if self.is_over:
            return
        self.is_over = True
        self._say(f"run {self.run_id} is over" if reason is None else f"run {self.run_id}: {reason}")
        for lane in self._lanes:
            if (walk := lane.walk) is not None:
                walk.halt()


def _own_name() -> str:
    return f"worker {client_name()}"
