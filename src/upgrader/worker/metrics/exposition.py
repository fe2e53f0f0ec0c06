"""Figures as Prometheus reads them: a text, or a page that a worker serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIServer

from upgrader.errors import OperatorError
from upgrader.worker.host import UnhandledJobError
from upgrader.worker.metrics.figures import Figure, Sample
from upgrader.worker.running import JobEnd

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0)
_READABLE = "upgrader_status_readable"
_UNHANDLED = "(no handler)"
ReadsFigures = Callable[[], Iterable[Figure]]


def exposition_text(figures: Iterable[Figure]) -> str:
    """Give figures in Prometheus' text format, for the textfile collector of its node exporter.

    Raises:
        OperatorError: the library that writes it is not installed.
    """
    library = _library()
    registry = library.CollectorRegistry()
    registry.register(_Collector(lambda: figures))
    return str(library.generate_latest(registry).decode())


class MetricsServer:
    """A page of figures at `/metrics`; they are read anew whenever it is asked for."""

    def __init__(self, read: ReadsFigures) -> None:
        """Take what reads them; it runs on a thread of the server, and what it raises leaves the figures out.

        Raises:
            OperatorError: the library is not installed.
        """
        library = _library()
        self._registry: CollectorRegistry = library.CollectorRegistry()
        self._registry.register(_Collector(read))
        self._durations = library.Histogram(
            "upgrader_job_duration_seconds",
            "How long jobs took",
            ("queue", "job", "outcome"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

    def ended(self, end: JobEnd) -> None:
        """Count a job that came to its end; see `upgrader.worker.running`."""
        outcome = "done" if end.error is None else "failed"
        # Whoever adds jobs makes up their names: only those that have a handler are series of their own.
        name = _UNHANDLED if isinstance(end.error, UnhandledJobError) else end.job.name
        self._durations.labels(end.job.queue or "", name, outcome).observe(end.seconds)

    def start(self, host: str, port: int) -> int:
        """Listen; give the port, which with 0 the system chooses.

        Raises:
            OperatorError: the address is taken, or is none of this machine.
        """
        try:
            self._server, self._thread = _library().start_http_server(
                port, addr=host, registry=self._registry
            )
        except OSError as error:
            raise OperatorError(
                f"metrics cannot be served on {host}:{port}: {error.strerror or error}",
                hint="give another port with --metrics-port, or 0 for none",
            ) from error
        assert self._server is not None
        return int(self._server.server_port)

    def stop(self) -> None:
        """Listen no longer; never raises."""
        server, self._server = self._server, None
        if server is not None:
            with suppress(Exception):
                server.shutdown()
                server.server_close()
        if self._thread is not None:
            self._thread.join(5.0)


class _Collector:
    """Gives figures to the library, whenever somebody asks it for them."""

    def __init__(self, read: ReadsFigures) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        from prometheus_client.core import GaugeMetricFamily

        try:
            figures, is_readable = list(self._read()), 1.0
        except Exception:  # a database that is away: the jobs' durations are told all the same
            figures, is_readable = [], 0.0
        figures.append(Figure(_READABLE, "0 while the figures cannot be read", [Sample({}, is_readable)]))
        for figure in figures:
            names = list(figure.samples[0].labels) if figure.samples else []
            family = GaugeMetricFamily(figure.name, figure.text, labels=names)
            for sample in figure.samples:
                family.add_metric([sample.labels[name] for name in names], sample.value)
            yield family


def _library() -> Any:
    try:
        import prometheus_client
    except ImportError:
        raise OperatorError(
            "figures for Prometheus need a library that is not installed",
            hint='pip install "upgrader[worker]"',
        ) from None
    return prometheus_client
