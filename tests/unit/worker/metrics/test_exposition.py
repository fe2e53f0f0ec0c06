"""Figures as Prometheus reads them."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from upgrader.errors import OperatorError
from upgrader.worker.host import UnhandledJobError
from upgrader.worker.metrics.exposition import MetricsServer, exposition_text
from upgrader.worker.metrics.figures import Figure, Sample, figures_document, figures_from, queue_figures
from upgrader.worker.running import JobEnd, RunningJob, run_job


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read an exposition as Prometheus does."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_text_is_what_prometheus_reads():
    """Labels with quotes, backslashes and line breaks come back as they were."""
    awkward = 'a "quoted" \\ name\nof two lines'
    found = values(exposition_text([Figure("upgrader_x", "Some figure", [Sample({"queue": awkward}, 2.5)])]))
    assert found["upgrader_x", (("queue", awkward),)] == 2.5
    assert found["upgrader_status_readable", ()] == 1.0


def test_figures_pass_through_json():
    """What one worker has seen another one hands out."""
    figures = queue_figures({"mail": 3, "": 0}, failed={"mail": 1})
    assert figures_from(figures_document(figures)) == figures


def test_figure_without_samples_is_named():
    """Nothing is waiting anywhere: the figure is there, with no value."""
    text = exposition_text(queue_figures({}))
    assert "# TYPE upgrader_jobs_waiting gauge" in text
    assert "\nupgrader_jobs_waiting{" not in text


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_page_is_read_anew_each_time():
    """A worker serves what is so when it is asked; job durations are counted by queue, job and outcome."""
    waiting = {"mail": 1}
    server = MetricsServer(lambda: queue_figures(waiting))
    port = server.start("127.0.0.1", 0)
    try:
        assert values(page(port))["upgrader_jobs_waiting", (("queue", "mail"),)] == 1
        waiting["mail"] = 7
        run_job(RunningJob("send", queue="mail", id=1), lambda: None, ended=server.ended)
        with pytest.raises(ZeroDivisionError):
            run_job(RunningJob("send", queue="mail", id=2), lambda: 1 / 0, ended=server.ended)
        found = values(page(port))
    finally:
        server.stop()
    assert found["upgrader_jobs_waiting", (("queue", "mail"),)] == 7
    for outcome in ("done", "failed"):
        labels = (("job", "send"), ("outcome", outcome), ("queue", "mail"))
        assert found["upgrader_job_duration_seconds_count", labels] == 1


def test_jobs_that_nobody_handles_are_one_series():
    """Their names are made up by whoever adds them: they do not become series without end."""
    server = MetricsServer(tuple)
    for number in range(3):
        error = UnhandledJobError("no handler")
        server.ended(JobEnd(RunningJob(f"made-up-{number}", queue="mail"), 0.1, error))
    port = server.start("127.0.0.1", 0)
    try:
        found = page(port)
    finally:
        server.stop()
    labels = (("job", "(no handler)"), ("outcome", "failed"), ("queue", "mail"))
    assert values(found)["upgrader_job_duration_seconds_count", labels] == 3
    assert "made-up" not in found


def test_what_cannot_be_read_leaves_the_rest():
    """A database that is away: the page says so, and still has the durations."""

    def fail() -> Iterable[Figure]:
        raise OSError("no server")

    server = MetricsServer(fail)
    server.ended(JobEnd(RunningJob("send"), 0.2))
    port = server.start("127.0.0.1", 0)
    try:
        found = values(page(port))
    finally:
        server.stop()
    assert found["upgrader_status_readable", ()] == 0
    assert (
        found["upgrader_job_duration_seconds_count", (("job", "send"), ("outcome", "done"), ("queue", ""))]
        == 1
    )


def test_address_that_is_taken():
    """The second one on a port is refused with what to do."""
    first, second = MetricsServer(tuple), MetricsServer(tuple)
    port = first.start("127.0.0.1", 0)
    try:
        with pytest.raises(OperatorError, match=f"cannot be served on 127.0.0.1:{port}") as raised:
            second.start("127.0.0.1", port)
    finally:
        first.stop()
    assert "--metrics-port" in str(raised.value.hint)


def test_missing_library_is_named():
    """Without the library the error says what to install."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from upgrader.errors import OperatorError\n"
        "from upgrader.worker.metrics.exposition import exposition_text\n"
        "try: exposition_text([])\n"
        "except OperatorError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'pip install "upgrader[worker]"'
