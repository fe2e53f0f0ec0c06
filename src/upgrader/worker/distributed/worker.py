"""What a worker does with an invitation to a run: it joins, once for each run, and brings a lane."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import psycopg

from upgrader.api import Upgrader
from upgrader.errors import ConnectionLostError, DatabaseUnavailableError, OperatorError
from upgrader.worker.decorators import queue_job_handler, queue_worker
from upgrader.worker.distributed.membership import Answer, Membership, Says
from upgrader.worker.distributed.names import QUEUE, TAKE_PART
from upgrader.worker.host import Job, QueueWorkerHost
from upgrader.worker.running import current_job

_REST_SECONDS = 1.0
_REMEMBERED = 100


class Participation:
    """The runs that this process takes part in. Any number of threads may bring a lane."""

    def __init__(self, upgrader: Upgrader, *, say: Says) -> None:
        """Take part in nothing yet.

        Args:
            upgrader: with the commands and the database of this process.
            say: takes sentences for people.
        """
        self._upgrader = upgrader
        self._say = say
        self._lock = threading.Lock()
        self._members: dict[str, Membership] = {}
        self._refused: dict[str, None] = {}
        self._is_leaving = False

    def bring_lane(self, run_id: str, *, stop: threading.Event | None = None) -> None:
        """Work on a run until nothing of it is left for this lane; returns at once where it is over.

        Args:
            stop: set when the lane is to end, after the step that it has in hand.
        """
        if self._is_leaving:
            return
        if run_id in self._refused:
            time.sleep(_REST_SECONDS)  # so that others take the invitations
            return
        member = self._member(run_id)
        if member is not None:
            member.work(stop or threading.Event())

    def leave(self, seconds: float) -> bool:
        """End in good order, within so long; False where a step was still at work then."""
        self._is_leaving = True
        with self._lock:
            members = list(self._members.values())
        for member in members:
            member.leave()
        deadline = time.monotonic() + seconds
        left = [one for one in members if not one.wait_closed(max(0.0, deadline - time.monotonic()))]
        return not left

    def _member(self, run_id: str) -> Membership | None:
        with self._lock:  # the lanes of one run join once; those of others wait for a moment
            self._members = {key: one for key, one in self._members.items() if not one.is_over}
            found = self._members.get(run_id)
            if found is not None or run_id in self._refused:
                return found
            member = Membership(self._upgrader, run_id, say=self._say)
            answer = self._join(member)
            if answer is Answer.YES:
                self._members[run_id] = member
                return member
            if answer is Answer.OTHER_CODE:
                self._refused = dict([*self._refused.items(), (run_id, None)][-_REMEMBERED:])
            return None

    def _join(self, member: Membership) -> Answer:
        try:
            return member.join()
        except (DatabaseUnavailableError, ConnectionLostError, psycopg.OperationalError) as error:
            # It may be there again in a moment, or the run has just ended, and the sessions of its members with it.
            self._say(f"takes no part in run {member.run_id}: {' '.join(str(error).split())}")
            time.sleep(_REST_SECONDS)
            return Answer.OVER
        except OperatorError as error:  # commands that cannot be loaded, for example
            told = "; ".join([error.message, *(one.message for one in getattr(error, "problems", ()))])
            self._say(f"takes no part in run {member.run_id}: {told}")
            return Answer.OTHER_CODE


@queue_worker(QUEUE)
class DistributedUpgradeWorker(QueueWorkerHost):
    """Handles the invitations to runs that are distributed over machines. Every worker has it."""

    def __init__(self, participation: Participation) -> None:
        """Take what knows the runs."""
        self.participation = participation

    @queue_job_handler(TAKE_PART)
    def take_part(self, job: Job[Mapping[str, str]]) -> None:
        """Bring a lane to the run that the invitation names."""
        running = current_job()
        self.participation.bring_lane(job.data["run_id"], stop=running.stop if running else None)
