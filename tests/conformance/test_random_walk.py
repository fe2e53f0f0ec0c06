"""Both stores told the same, at random: they make the same of it, and rebuilt digests are the kept ones."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations, product

import psycopg
import pytest

from tests.conformance.test_history_store import FIRST, SECOND, V1, V2, A, B, attempt
from tests.support.scopes import assert_scopes_are_as_rebuilt
from tests.support.server import PostgresServer
from upgrader.database.connect import Connector
from upgrader.history.folding import HistoryFolding
from upgrader.history.layout import bring_up_to_date
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.history.store import HistorySnapshot, HistoryStore
from upgrader.model import INSTANCE, Attempt, AttemptStatus, Direction, Enrolment
from upgrader.testing import InMemoryHistoryStore

_ROUNDS = 120
_NO_END = (AttemptStatus.FAILED, AttemptStatus.INTERRUPTED)


@pytest.mark.parametrize("seed", range(3))
def test_two_stores_make_the_same_of_the_same(server: PostgresServer, seed: int):
    """After each change every scope has the same progress in both, and the same scopes share one."""
    with server.database() as url, Connector(url).connect() as driver:
        bring_up_to_date(driver, "upgrader")
        stores = (SqlHistoryStore(lambda: driver, "upgrader"), InMemoryHistoryStore())
        for number in range(_ROUNDS):
            for store in stores:
                _change(random.Random(f"{seed} {number}"), store)
            sql, memory = (store.snapshot() for store in stores)
            assert _told(sql) == _told(memory)
            assert _sharing(sql) == _sharing(memory)
        _assert_kept(driver)


@pytest.mark.parametrize("seed", range(3, 6))
def test_folding_changes_nothing_that_is_read(server: PostgresServer, seed: int):
    """A history that is folded now and then goes on like one that never is: states, and numbers of attempts."""
    with server.database() as url, Connector(url).connect() as driver:
        bring_up_to_date(driver, "upgrader")
        sql, memory = SqlHistoryStore(lambda: driver, "upgrader"), InMemoryHistoryStore()
        folded = 0
        for number in range(_ROUNDS):
            for store in (sql, memory):
                _change(random.Random(f"{seed} {number}"), store)
            if number % 7 == 0:
                folded += HistoryFolding(driver, "upgrader").fold(before=datetime.now(UTC)).attempts
            assert _told(sql.snapshot()) == _told(memory.snapshot())
            for name, scope in product((FIRST, SECOND), (INSTANCE, A, B)):
                assert sql.last_attempt(name, scope) == memory.last_attempt(name, scope)
        assert folded
        _assert_kept(driver)


def _change(whim: random.Random, store: HistoryStore) -> None:
    scope = whim.choice([INSTANCE, A, B])
    match whim.choices(["up", "down", "cut", "mark", "forget", "through"], [40, 30, 10, 10, 4, 10])[0]:
        case "up":
            _try(store, attempt(whim.choice([FIRST, SECOND]), scope), whim, Direction.UP)
        case "down":
            _try(store, attempt(whim.choice([FIRST, SECOND]), scope), whim, Direction.DOWN)
        case "cut":
            number = store.last_attempt(FIRST, scope) + 1
            direction = whim.choice([*Direction])
            store.start(replace(attempt(FIRST, scope, number, AttemptStatus.RUNNING), direction=direction))
            store.interrupt_running()
        case "mark":
            label = whim.choice(["baseline", "enrolment"])
            store.mark(Enrolment(whim.choice([V1, V2])), [scope], label=label, executed_by="1")
        case "forget" if scope.workspace_id is not None:
            store.forget(scope.workspace_id)
        case "through":
            store.record_through({scope: whim.choice([V1, V2, None])})


def _try(store: HistoryStore, made: Attempt, whim: random.Random, direction: Direction) -> None:
    number = store.last_attempt(made.name, made.scope) + 1
    status = whim.choice([direction.done, direction.done, *_NO_END])
    changes_state = direction is Direction.UP or status is direction.done or whim.random() < 0.5
    told = replace(made, attempt=number, status=status, direction=direction, changes_state=changes_state)
    is_running = changes_state and whim.random() < 0.5
    if is_running:
        store.start(replace(told, status=AttemptStatus.RUNNING))
    store.finish(told, is_running=is_running)


def _told(snapshot: HistorySnapshot) -> dict[str, tuple[object, ...]]:
    scopes = {"": snapshot.instance, **snapshot.workspaces}
    return {
        scope: (
            one.enrolment,
            one.enrolment and one.enrolment.is_baseline,
            one.completed,
            dict(one.open),
            one.half_reverted,
            one.tried_again,
            one.through,
        )
        for scope, one in scopes.items()
    }


def _sharing(snapshot: HistorySnapshot) -> set[tuple[str, str]]:
    scopes = {"": snapshot.instance, **snapshot.workspaces}
    return {(one, two) for one, two in combinations(sorted(scopes), 2) if scopes[one] is scopes[two]}


def _assert_kept(driver: psycopg.Connection) -> None:
    assert_scopes_are_as_rebuilt(driver)
