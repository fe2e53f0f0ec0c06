"""One case from its kill to its note: what all kinds of it have in common."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg

from tests.reliability.boundaries import OWN, SIGKILL, TERMINATE, Kill, kind_of
from tests.reliability.cases import Case
from tests.reliability.harness import Ended
from tests.reliability.stage import Stage, check_terminated
from tests.support.server import wait_until

_SESSIONS = """
select pid from pg_stat_activity where datname = current_database() and application_name like 'upgrader/%'
"""


def kill_at_boundaries(
    case: Case,
    stage: Stage,
    note: Callable[..., None],
    kills: Sequence[Kill],
    *,
    must_come: bool = True,
    then: Callable[[str], None] | None = None,
) -> list[Ended]:
    """Run until it is through, killing once more at each of `kills`; check the end, and note the case.

    Args:
        must_come: the boundary of the first kill is there in every run.
        then: what else is done with the database, and checked.
    """
    with case.noted(note, kills) as noted:
        with stage.database() as url:
            runs = stage.finish(url, list(kills))
            if then is not None:
                then(url)
        first = runs[0].kill
        assert first is not None or not must_come, f"{kills[0]} was not reached"
        noted.update(
            kills=sum(run.kill is not None for run in runs),
            runs=len(runs),
            codes=[run.code for run in runs],
        )
        if first is not None:
            target = kills[0].target
            noted.update(
                point=first.point,
                target=target if target != OWN else first.role,
                message=kind_of(first),
                at=kills[0].at,
                of=len(stage.boundaries),
            )
    return runs


def kill_at_a_moment(
    case: Case, stage: Stage, note: Callable[..., None], *, then: Callable[[str], None] | None = None
) -> None:
    """End a run at a random moment, from another process; run it again, check the end, and note the case.

    Args:
        then: what else is done with the database, and checked.
    """
    chance = case.random()
    delay = stage.seconds * (case.number + chance.random()) / case.count
    with case.noted(note, delay) as noted, stage.database() as url:
        run = stage.launcher.start(url, *stage.arguments)
        time.sleep(delay)
        is_killed = _kill_from_outside(case.how, run.pid, url, chance)
        ended = stage.launcher.wait(run)
        if case.how == TERMINATE:
            check_terminated(ended)
        else:
            assert ended.code in (-9, 0), ended
        _wait_until_gone(url)  # until then the next run is refused: another one is at work
        runs = stage.finish(url, [])
        if then is not None:
            then(url)
        noted.update(
            kills=int(is_killed and ended.code != 0),
            runs=1 + len(runs),
            codes=[ended.code, *(r.code for r in runs)],
        )


def _kill_from_outside(how: str, pid: int, url: str, chance: random.Random) -> bool:
    """Kill the process, or one of its sessions; tell whether it was still there."""
    if how == SIGKILL:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False
    with psycopg.connect(url, autocommit=True) as connection:
        give_up = time.monotonic() + 0.5
        while time.monotonic() < give_up:
            found = connection.execute(_SESSIONS).fetchall()
            if found:
                connection.execute("select pg_terminate_backend(%s)", chance.choice(found))
                return True
            time.sleep(0.002)
    return False


def _wait_until_gone(url: str) -> None:
    """Wait until the server has noticed that its client is dead."""
    with psycopg.connect(url, autocommit=True) as connection:
        wait_until(lambda: not connection.execute(_SESSIONS).fetchall())
