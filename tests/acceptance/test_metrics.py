"""What is measured, as others read it: Prometheus by file and by page, OpenTelemetry's collector."""

from __future__ import annotations

import gzip
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.project import Project
from tests.support.server import wait_until
from tests.support.worker_queue import QueueGround

Labels = tuple[tuple[str, str], ...]


def figures(project: Project) -> dict[tuple[str, Labels], float]:
    done = project.run_cli("status", "--format", "prometheus")
    assert done.returncode == 0, done.stderr
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(done.stdout)
        for sample in family.samples
    }


def test_figures_of_an_upgrade_that_is_half_done(project: Project):
    """One workspace failed, one is through, a slow step is deferred: health, counts, and its age."""
    project.configure(app_version="1.0.0")
    project.create_workspaces("acme", "globex")
    project.fast("1.0.0", 1, "AddNote", "ALTER TABLE core.workspace ADD note text")
    project.slow("1.0.0", 2, "FillNote")
    project.workspace(
        "1.0.0", 3, "Divide", "SELECT 1 / (CASE WHEN current_schema ~ 'acme' THEN 0 ELSE 1 END)"
    )
    before = figures(project)
    assert before["upgrader_instance_health", (("health", "behind"),)] == 1
    assert before["upgrader_workspaces", (("health", "behind"),)] == 2
    assert not [name for name, _ in before if name == "upgrader_deferred_step_age_seconds"]
    assert project.run_cli("upgrade").returncode == 1
    after = figures(project)
    assert after["upgrader_instance_health", (("health", "slow-pending"),)] == 1
    assert after["upgrader_instance_health", (("health", "behind"),)] == 0
    assert after["upgrader_workspaces", (("health", "failed"),)] == 1
    assert after["upgrader_workspaces", (("health", "up-to-date"),)] == 1
    assert after["upgrader_deferred_steps", ()] == 1
    assert 0 < after["upgrader_deferred_step_age_seconds", (("step", "1.0.0_FillNote_2"),)] < 300
    assert project.run_cli("upgrade", "--include-slow").returncode == 1
    assert figures(project)["upgrader_deferred_steps", ()] == 0


def test_figures_of_a_backfill(project: Project):
    """A backfill that was stopped halfway: rows done, and how many there were."""
    project.configure(app_version="1.0.0", backfill={"batch_rows": 10, "batch_tries": 1})
    with project.connect() as connection:
        connection.execute("create schema core")
        connection.execute(
            "create table core.item as select n as id, null::int as total from generate_series(1, 40) n"
        )
        connection.execute("alter table core.item add primary key (id)")
        connection.execute("analyze core.item")
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate='ctx.backfill("core.item", update="UPDATE core.item SET total = 1 / (id - 25) WHERE {batch}")',
    )
    assert project.run_cli("upgrade", "--include-slow").returncode == 1
    found = figures(project)
    ((labels, done),) = [
        (labels, value) for (name, labels), value in found.items() if name.endswith("rows_done")
    ]
    assert dict(labels)["step"] == "1.0.0_Fill_1"
    assert done == 20
    assert found["upgrader_backfill_rows_estimated", labels] == 40
    assert found["upgrader_backfill_rows_per_second", labels] > 0


def test_figures_of_the_queues(project: Project):
    """What waits and what failed, queue by queue, for the textfile collector; a delayed job does not wait yet."""
    project.configure(app_version="1.0.0")
    with project.connect() as connection:
        ground = QueueGround.make(project.database_url, connection)
        for queue, count in (("mail", 3), ("reports", 1)):
            for _ in range(count):
                ground.queue.add(queue, "send")
        ground.queue.add("mail", "send", delay=3600)
        number = ground.start("mail")
        assert number is not None
        ground.finish(number, "failed")
        ground.queue.close()
    found = figures(project)
    waiting = {labels: value for (name, labels), value in found.items() if name == "upgrader_jobs_waiting"}
    assert waiting == {(("queue", "mail"),): 2, (("queue", "reports"),): 1}
    assert found["upgrader_jobs_failed", (("queue", "mail"),)] == 1


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="asks Linux which ports a process listens on")
@pytest.mark.parametrize(
    ("flags", "variables", "addresses"),
    [
        ((), {}, set()),
        (("--metrics-port", "PORT"), {}, {"127.0.0.1"}),
        ((), {"UPGRADER_WORKER__METRICS_PORT": "PORT"}, {"127.0.0.1"}),
        (("--metrics-port", "PORT"), {"UPGRADER_WORKER__METRICS_HOST": "0.0.0.0"}, {"0.0.0.0"}),
    ],
)
def test_what_a_worker_listens_on(
    project: Project, flags: tuple[str, ...], variables: dict[str, str], addresses: set[str]
):
    """Nothing by default; for metrics loopback, unless it is told otherwise."""
    port = str(free_port())
    process = project.start_cli(
        "worker",
        *(flag.replace("PORT", port) for flag in flags),
        env={name: value.replace("PORT", port) for name, value in variables.items()},
    )
    try:
        wait_until(lambda: "1 worker at work" in project.run_cli("worker", "status").stdout)
        assert listening(process.pid) == {(address, int(port)) for address in addresses}
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told


def listening(pid: int) -> set[tuple[str, int]]:
    """Give the addresses and ports of TCP that a process listens on."""
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            own.add(str(link.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in own:
                address, _, port = local.partition(":")
                shown = str(IPv4Address(bytes.fromhex(address)[::-1])) if table == "tcp" else address
                found.add((shown, int(port, 16)))
    return found


class Collector:
    """An OpenTelemetry collector over HTTP that keeps what it is sent."""

    def __init__(self) -> None:
        bodies: list[tuple[str, bytes]] = []
        self.bodies = bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                bodies.append((self.path, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base names it
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for path, body in self.bodies
            if path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def gauges(self) -> dict[str, int]:
        return {
            point.attributes[0].value.string_value: point.as_int
            for path, body in self.bodies
            if path == "/v1/metrics"
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "upgrader.jobs.waiting"
            for point in metric.gauge.data_points
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def variables(collector: Collector) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server.server_port}"}


def test_spans_of_an_upgrade_are_sent(project: Project, collector: Collector):
    """The run and its steps, to where OpenTelemetry's variable says; nothing is lost at the end."""
    project.configure(app_version="1.0.0")
    project.create_workspaces("acme")
    project.fast("1.0.0", 1, "AddNote", "ALTER TABLE core.workspace ADD note text")
    project.workspace("1.0.0", 2, "Fail", "SELECT 1 / 0")
    assert project.run_cli("upgrade", env=variables(collector)).returncode == 1
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"upgrade", "1.0.0_AddNote_1", "1.0.0_Fail_2"}
    assert spans["1.0.0_Fail_2"].parent_span_id == spans["upgrade"].span_id
    assert "DivisionByZero" in spans["1.0.0_Fail_2"].status.message


def test_worker_shows_itself(project: Project, collector: Collector):
    """A page with the figures of instance, queues and jobs; spans of jobs and the gauge of waiting ones."""
    project.configure(app_version="1.0.0", worker={"modules": ["jobs"], "concurrency": 1})
    project.create_workspaces("acme")
    project.fast("1.0.0", 1, "AddNote", "ALTER TABLE core.workspace ADD note text")
    project.write("jobs/mine.py", _JOBS)
    port = free_port()
    process = project.start_cli(
        "worker", "--metrics-port", str(port), "--queues", "mail,worker-default", env=variables(collector)
    )
    try:

        def page() -> str:
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer,
            ):
                return str(answer.read().decode())
            return ""

        done = 'upgrader_job_duration_seconds_count{job="send",outcome="done",queue="mail"} 1.0'
        wait_until(lambda: done in page() and "upgrader_instance_health" in page())
        found = page()
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert 'upgrader_instance_health{health="behind"} 1.0' in found
    assert 'upgrader_jobs_waiting{queue="elsewhere"} 1.0' in found
    assert 'upgrader_jobs_waiting{queue="mail"} 0.0' in found
    assert "job send" in {span.name for span in collector.spans}
    assert collector.gauges["elsewhere"] == 1


_JOBS = """
from upgrader.worker import QueueWorkerHost, queue_job_handler, queue_worker, scheduled_job


@scheduled_job(run_on_start=True, queue_name="mail", queue_job_name="send")
def letter():
    return {}


@scheduled_job(run_on_start=True, queue_name="elsewhere")
def parcel():
    return {}


@queue_worker("mail")
class Mail(QueueWorkerHost):
    @queue_job_handler("send")
    def send(self, job):
        pass
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
