"""Options and fixtures of the killed runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.reliability.harness import ROOT, running_launcher
from tests.reliability.stage import DOWNGRADE, LANES, SOME_STEPS, UPGRADE, Stage
from tests.reliability.state import read_state
from tests.support.server import PostgresServer

_SCENARIOS = ROOT / "tests" / "scenarios"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each has an environment variable for where this file is read too late."""
    group = parser.getgroup("killed runs")
    group.addoption("--kills", type=int, help="how many runs are killed (UPGRADER_TEST_KILLS; 200)")
    group.addoption("--kill-seed", type=int, help="another choice of boundaries (UPGRADER_TEST_KILL_SEED; 1)")
    group.addoption(
        "--at-once", type=int, help="how often upgrades start together (UPGRADER_TEST_AT_ONCE; 20)"
    )
    group.addoption(
        "--at-once-lanes",
        type=int,
        help="how often two upgrades with lanes start together (UPGRADER_TEST_AT_ONCE_LANES; 4)",
    )
    group.addoption(
        "--event-seconds",
        type=float,
        help="how long durable events are sent, a hundred a second (UPGRADER_TEST_EVENT_SECONDS; 5)",
    )
    group.addoption(
        "--event-kill-pause",
        type=float,
        help="seconds between two kills of their workers (UPGRADER_TEST_EVENT_KILL_PAUSE; 2)",
    )
    group.addoption(
        "--machine-kills",
        type=int,
        help="how many upgrades over several machines are disturbed (UPGRADER_TEST_MACHINE_KILLS; 3)",
    )
    group.addoption("--kill-report", help="append a line per case to this file (UPGRADER_TEST_KILL_REPORT)")


@pytest.fixture(scope="session")
def stage(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage of an upgrade with one lane."""
    with _set_up(server, tmp_path_factory.mktemp("killed"), _SCENARIOS / "kill", UPGRADE) as stage:
        yield stage


@pytest.fixture(scope="session")
def backfills(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage of an upgrade that changes rows in batches, in the workspaces with several lanes."""
    with _set_up(server, tmp_path_factory.mktemp("filled"), _SCENARIOS / "kill_backfills", LANES) as stage:
        yield stage


@contextmanager
def _set_up(
    server: PostgresServer, folder: Path, scenario: Path, arguments: tuple[str, ...]
) -> Iterator[Stage]:
    """Give a database before its upgrade to copy, the launcher, and what an undisturbed run makes of the database."""
    with server.database() as template, running_launcher(folder, scenario / "commands") as launcher:
        with psycopg.connect(template, autocommit=True) as connection:
            connection.execute((scenario / "before.sql").read_bytes())
        name = psycopg.conninfo.conninfo_to_dict(template)["dbname"]
        for _ in range(2):  # the first one waits for the launcher's imports
            with server.database(template=str(name)) as url:
                started = time.monotonic()
                undisturbed = launcher.run(url, *arguments)
                seconds = time.monotonic() - started
                assert undisturbed.code == 0, undisturbed
                wanted = read_state(url)
        yield Stage(server, str(name), launcher, wanted, undisturbed.boundaries, seconds, arguments)


@pytest.fixture(scope="session")
def lanes(stage: Stage) -> Stage:
    """The stage of an upgrade with several lanes, which is to come to the same end as one without."""
    with stage.database() as url:
        started = time.monotonic()
        undisturbed = stage.launcher.run(url, *LANES)
        seconds = time.monotonic() - started
        assert undisturbed.code == 0, undisturbed.stderr
        stage.check_end(url)
    return replace(stage, boundaries=undisturbed.boundaries, seconds=seconds, arguments=LANES)


@pytest.fixture(scope="session")
def upgraded(server: PostgresServer, stage: Stage) -> Iterator[str]:
    """The name of a database after its upgrade, to copy."""
    with stage.database() as url:
        assert stage.launcher.run(url, *UPGRADE).code == 0
        read_state(url)  # waits until its sessions are gone
        yield str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


@pytest.fixture(scope="session", params=[DOWNGRADE, SOME_STEPS], ids=["to", "steps"])
def way_down(request: pytest.FixtureRequest, server: PostgresServer, stage: Stage, upgraded: str) -> Stage:
    """The stage of a downgrade, and what an undisturbed one makes of an upgraded database."""
    with server.database(template=upgraded) as url:
        started = time.monotonic()
        undisturbed = stage.launcher.run(url, *request.param)
        seconds = time.monotonic() - started
        assert undisturbed.code == 0, undisturbed.stderr
        wanted = read_state(url)
    return Stage(server, upgraded, stage.launcher, wanted, undisturbed.boundaries, seconds, request.param)


@pytest.fixture(scope="session")
def note(pytestconfig: pytest.Config, server: PostgresServer) -> Callable[..., None]:
    """Writes a line for the report, if one is wanted."""
    path = pytestconfig.getoption("--kill-report", default=None) or os.environ.get(
        "UPGRADER_TEST_KILL_REPORT"
    )

    def write(**values: Any) -> None:
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"server": server.version, **values}) + "\n")

    return write
