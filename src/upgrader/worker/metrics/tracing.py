"""Spans for OpenTelemetry: a run, each of its steps, and (see `upgrader.worker.running`) each job.

The extra `otel` brings the library. Where spans go is said by its own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, …);
an application that has set a provider up keeps its own.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from upgrader.events import Event, RunFinished, RunStarted, StepFinished, StepStarted
from upgrader.model import AttemptStatus, Scope

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation
    from opentelemetry.trace import Span, Tracer

_NAME = "upgrader"
_WELL = (AttemptStatus.COMPLETED, AttemptStatus.REVERTED, AttemptStatus.SKIPPED)
ReadsWaiting = Callable[[], Mapping[str, int]]


def is_set_up() -> bool:
    """Tell whether this process sends what it measures somewhere; nothing is imported for it."""
    return "opentelemetry.sdk.trace" in sys.modules


def set_up(*, service: str = _NAME) -> Callable[[], None]:
    """Send spans and metrics to where OpenTelemetry's variables say; give what sends the last of them.

    Raises:
        ImportError: the extra `otel` is not installed.
    """
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which create() reads, go before the name given here.
    resource = Resource({SERVICE_NAME: service}).merge(Resource.create())
    if resource.attributes[SERVICE_NAME] == "unknown_service":
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    spans = TracerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(spans)
    measures = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource)
    metrics.set_meter_provider(measures)

    def finish() -> None:
        spans.shutdown()
        measures.shutdown()

    return finish


class TracingSink:
    """An event sink that makes a span of a run and of each of its steps; lanes may share it."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        """Take the tracer; without one it is that of the global provider."""
        from opentelemetry import trace

        self._tracer = tracer or trace.get_tracer(_NAME)
        self._lock = threading.Lock()
        self._run: Span | None = None
        self._steps: dict[tuple[str, Scope], tuple[StepStarted, int]] = {}

    def __call__(self, event: Event) -> None:
        """Begin or end a span; what else happens is no concern of spans."""
        match event:
            case RunStarted():
                self._run = self._tracer.start_span("upgrade", attributes=_run_attributes(event))
            case StepStarted():
                self._begin(event)
            case StepFinished():
                self._end(event)
            case RunFinished():
                self._finish(event)
            case _:
                pass

    def _begin(self, event: StepStarted) -> None:
        with self._lock:
            self._steps[event.step.name, event.scope] = event, time.time_ns()

    def _end(self, event: StepFinished) -> None:
        with self._lock:
            begun = self._steps.pop((event.step.name, event.scope), None)
        if begun is None:
            return
        started, told_at = begun
        # Of a step that another machine has done both its beginning and its end may be told at its end.
        span = self._span(started, min(told_at, time.time_ns() - int(event.seconds * 1e9)))
        span.set_attribute("upgrader.status", event.status.value)
        if event.status not in _WELL:
            _fail(span, event.error or event.status.value)
        span.end()

    def _span(self, event: StepStarted, began_at: int) -> Span:
        from opentelemetry import trace

        around = trace.set_span_in_context(self._run) if self._run is not None else None
        return self._tracer.start_span(
            event.step.name, context=around, attributes=_step_attributes(event), start_time=began_at
        )

    def _finish(self, event: RunFinished) -> None:
        with self._lock:
            left, self._steps = list(self._steps.values()), {}
        for started, told_at in left:  # steps that were cut off
            span = self._span(started, told_at)
            _fail(span, "cut off")
            span.end()
        run, self._run = self._run, None
        if run is None:
            return
        run.set_attribute("upgrader.outcome", event.outcome)
        for name, count in event.counts.items():
            run.set_attribute(f"upgrader.{name}", count)
        if event.outcome == "failed":
            _fail(run, event.outcome)
        run.end()


def watch_waiting_jobs(read: ReadsWaiting, *, meter: Meter | None = None) -> None:
    """Observe how many jobs wait in each queue, as a gauge that is read when metrics are collected."""
    from opentelemetry import metrics
    from opentelemetry.metrics import Observation

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        try:
            found = read()
        except Exception:
            # A database that is away: others say so, and the library would log a traceback each time.
            return []
        return [Observation(count, {"queue": queue}) for queue, count in found.items()]

    (meter or metrics.get_meter(_NAME)).create_observable_gauge(
        "upgrader.jobs.waiting", [observe], unit="{job}", description="Jobs that wait in a queue"
    )


def _run_attributes(event: RunStarted) -> dict[str, Any]:
    return {
        "upgrader.run_id": event.run_id,
        "upgrader.app_version": event.app_version,
        "upgrader.dry_run": event.dry_run,
        "db.system.name": "postgresql",
        "db.namespace": event.database,
    }


def _step_attributes(event: StepStarted) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "upgrader.step": event.step.name,
        "upgrader.version": event.step.version.text,
        "upgrader.attempt": event.attempt,
    }
    if event.scope.workspace_id is not None:
        attributes["upgrader.workspace_id"] = event.scope.workspace_id
    return attributes


def _fail(span: Span, text: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, text.partition("\n")[0]))
