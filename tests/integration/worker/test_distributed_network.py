"""A distributed run over machines on a network, of which one is cut off and one dies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import running_cluster
from tests.support.distributed import WAIT_SECONDS
from tests.support.network import Machine, Network, network
from tests.support.project import PROGRAM, Project
from tests.support.results import assert_code, attempts, document
from tests.support.server import wait_until

IDS = [f"w{number:02}" for number in range(60)]
TIGHT = {"UPGRADER_WORKER__STALLED_SECONDS": "3", "UPGRADER_WORKER__HEARTBEAT_SECONDS": "1"}
HOLDERS = """
select count(distinct c.member_id) from upgrader_worker.distributed_chunk c
join upgrader_worker.distributed_member m using (run_id, member_id) where m.state = 'admitted'
"""


@pytest.fixture
def three_machines() -> Iterator[Network]:
    """Three machines on a bridge."""
    with network(3) as made:
        yield made


@pytest.fixture
def networked(tmp_path: Path, three_machines: Network) -> Iterator[Project]:
    """A project on a server that the machines reach."""
    with running_cluster(18, {"listen_addresses": f"'{three_machines.address}'"}) as cluster:
        with (cluster.folder / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {three_machines.subnet} trust\n")
        cluster.execute("select pg_reload_conf()")
        yield Project.create(tmp_path, cluster.url)


def start_worker(project: Project, machine: Machine, address: str, log: Path) -> subprocess.Popen[bytes]:
    """Start `upgrader worker` on a machine."""
    environment = {
        **project.environment(TIGHT),
        "UPGRADER_DATABASE_URL": f"postgresql://postgres@{address}:5432/postgres",
    }
    with log.open("wb") as stream:
        return subprocess.Popen(
            [*machine.prefix, str(PROGRAM), "worker", "--concurrency", "2", "--no-scheduler"],
            cwd=project.directory,
            env=environment,
            stdout=stream,
            stderr=stream,
        )


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_one_machine_is_cut_off_and_one_dies(networked: Project, three_machines: Network):
    """The third one does what both had in hand; each step is kept once; the first one, back again, begins nothing."""
    project = networked
    project.create_workspaces(*IDS)
    project.fast("1.0.0", 1, "F1", "create table public.counted (step text, workspace text)")
    for version, step in (("1.0.0", "W2"), ("1.1.0", "W3")):
        body = f"insert into public.counted values ('{step}', current_schema()); select pg_sleep(0.1)"
        project.workspace(version, int(step[1]), step, body)
    logs = [project.home / f"{machine.name}.log" for machine in three_machines.machines]
    workers = [
        start_worker(project, machine, three_machines.address, log)
        for machine, log in zip(three_machines.machines, logs, strict=True)
    ]
    try:
        wait_until(
            lambda: project.query("select to_regclass('upgrader_worker.worker') is not null") == [(True,)]
        )
        wait_until(lambda: project.query("select count(*) from upgrader_worker.worker") == [(3,)])
        coordinator = project.start_cli("upgrade", "--distributed", "--json", env=TIGHT)
        wait_until(
            lambda: project.query("select to_regclass('upgrader_worker.distributed_chunk')") != [(None,)]
        )
        wait_until(lambda: project.query(HOLDERS) == [(3,)])
        three_machines.machines[0].cut_off()
        workers[1].kill()
        stdout, stderr = coordinator.communicate(timeout=2 * WAIT_SECONDS)
        result = subprocess.CompletedProcess([], coordinator.returncode, stdout, stderr)
        assert_code(result, 0)
        before = project.query("select count(*) from upgrader.history")
        three_machines.machines[0].plug_in()
        wait_until(lambda: "without this worker" in logs[0].read_text() or "was lost" in logs[0].read_text())
        for worker in (workers[0], workers[2]):
            worker.terminate()
            assert worker.wait(WAIT_SECONDS) == 0, logs[0].read_text()
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(WAIT_SECONDS)
    assert project.query("select count(*) from upgrader.history") == before
    counted = project.query(
        "select step, count(*), count(distinct workspace) from counted group by 1 order by 1"
    )
    assert counted == [("W2", 60, 60), ("W3", 60, 60)]
    assert len(attempts(project, "completed")) == 1 + 2 * 60
    told = document(result)
    assert (told["outcome"], told["completed"]) == ("done", 1 + 2 * 60)
    assert sorted(one["end"] for one in told["workers"]) == ["lost", "lost", "worked"]
    notes = sorted(one["note"] for one in told["workers"] if one["end"] == "lost")
    assert notes[0].startswith("it was silent for"), "cut off: nothing tells but the silence"
    assert notes[1] == "its session ended", "killed: its host says so"
