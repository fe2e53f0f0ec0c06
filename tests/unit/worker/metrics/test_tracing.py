"""Spans and the gauge of OpenTelemetry, collected in memory."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from upgrader.command import CommandKind
from upgrader.errors import DatabaseUnavailableError
from upgrader.events import RunFinished, RunStarted, StepFinished, StepStarted
from upgrader.model import AttemptStatus, Scope, Step
from upgrader.version import ReleaseVersion
from upgrader.worker.metrics.tracing import TracingSink, watch_waiting_jobs
from upgrader.worker.running import RunningJob, run_job


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def make_step(name: str, number: int) -> Step:
    return Step(
        name=f"1.0.0_{name}_{number}",
        version=ReleaseVersion.parse("1.0.0"),
        kind=CommandKind.WORKSPACE,
        timestamp=number,
        class_name=name,
    )


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_run_and_its_steps(exporter: InMemorySpanExporter, provider: TracerProvider):
    """Steps are children of the run; one that failed has the first line of its error; one that was cut off ends."""
    sink = TracingSink(provider.get_tracer("test"))
    good, bad, cut = make_step("Good", 1), make_step("Bad", 2), make_step("Cut", 3)
    acme = Scope("acme")
    sink(RunStarted("r1", "1.0.0", False, "db"))
    sink(StepStarted(good, acme, 1))
    sink(StepStarted(bad, Scope("globex"), 2))
    sink(StepFinished(good, acme, 1, AttemptStatus.COMPLETED, 0.1))
    sink(StepFinished(bad, Scope("globex"), 2, AttemptStatus.FAILED, 0.1, "DivisionByZero: x\nline 2"))
    sink(StepStarted(cut, acme, 1))
    sink(RunFinished("r1", "failed", {"completed": 1}))
    spans = by_name(exporter)
    run = spans["upgrade"]
    assert run.attributes is not None
    assert (run.attributes["upgrader.run_id"], run.attributes["upgrader.completed"]) == ("r1", 1)
    assert run.status.status_code is StatusCode.ERROR
    for step in (good, bad, cut):
        parent = spans[step.name].parent
        assert parent is not None
        assert parent.span_id == run.context.span_id
    assert spans[good.name].status.status_code is StatusCode.UNSET
    assert spans[bad.name].status.description == "DivisionByZero: x"
    assert spans[cut.name].status.description == "cut off"
    assert (spans[bad.name].attributes or {})["upgrader.workspace_id"] == "globex"


def test_a_step_that_is_told_at_its_end_is_as_long_as_it_was(
    exporter: InMemorySpanExporter, provider: TracerProvider
):
    """Another machine has done it, and both its events come at once."""
    sink = TracingSink(provider.get_tracer("test"))
    step = make_step("Far", 1)
    sink(RunStarted("r1", "1.0.0", False, "db"))
    sink(StepStarted(step, Scope("acme"), 1))
    sink(StepFinished(step, Scope("acme"), 1, AttemptStatus.COMPLETED, 90.0))
    span = by_name(exporter)[step.name]
    assert span.start_time is not None
    assert span.end_time is not None
    assert 90 <= (span.end_time - span.start_time) / 1e9 < 120


def test_job_is_a_span_around_its_work(
    exporter: InMemorySpanExporter, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
):
    """What the job does lies in it; what it raises is recorded."""
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)

    def work() -> None:
        with provider.get_tracer("author").start_as_current_span("inner"):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_job(RunningJob("send", queue="mail", id=7, attempt=2, attempts=3), work)
    spans = by_name(exporter)
    parent = spans["inner"].parent
    assert parent is not None
    assert parent.span_id == spans["job send"].context.span_id
    assert spans["job send"].status.status_code is StatusCode.ERROR
    assert dict(spans["job send"].attributes or {}) == {
        "upgrader.job": "send",
        "upgrader.job_id": 7,
        "upgrader.queue": "mail",
        "upgrader.attempt": 2,
    }


def test_waiting_jobs_are_an_observable_gauge():
    """It is read when metrics are collected, not before."""
    reader = InMemoryMetricReader()
    waiting = {"mail": 1}
    watch_waiting_jobs(lambda: waiting, meter=MeterProvider([reader]).get_meter("test"))
    waiting.update(mail=5, reports=2)
    data = reader.get_metrics_data()
    assert data is not None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == "upgrader.jobs.waiting"
    points = {
        dict(point.attributes or {})["queue"]: getattr(point, "value", None)
        for point in metric.data.data_points
    }
    assert points == {"mail": 5, "reports": 2}


def test_a_gauge_that_cannot_be_read_is_left_out(caplog: pytest.LogCaptureFixture):
    """A database that is away is no traceback of the library's at each collection."""

    def fail() -> dict[str, int]:
        raise DatabaseUnavailableError("no server")

    reader = InMemoryMetricReader()
    watch_waiting_jobs(fail, meter=MeterProvider([reader]).get_meter("test"))
    assert reader.get_metrics_data() is None
    assert caplog.records == []
