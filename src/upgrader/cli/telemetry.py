"""OpenTelemetry, where its variables say where to and the extra is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upgrader.cli.console import Output

_TARGETS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


@contextmanager
def telemetry(output: Output, environment: Mapping[str, str] = os.environ) -> Iterator[bool]:
    """Send spans and metrics from within the block, and the last of them at its end; tells whether it does.

    The variables are OpenTelemetry's own, and read by its library: here they are only looked for.
    """
    if not any(environment.get(name) for name in _TARGETS) or environment.get("OTEL_SDK_DISABLED") == "true":
        yield False
        return
    try:
        from upgrader.worker.metrics.tracing import set_up

        finish = set_up()
    except ImportError:
        output.warn("OpenTelemetry's variables are set, and its library is not installed: upgrader[otel]")
        yield False
        return
    try:
        yield True
    finally:
        finish()
