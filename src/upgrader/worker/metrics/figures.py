"""The figures as values: what a status, backfills and queues come to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from upgrader.status.health import Health

if TYPE_CHECKING:
    from upgrader.backfill.standing import Backfill
    from upgrader.status.report import StatusReport

_MOST_BACKFILLS = 100  # each is three series, and very many workspaces may be at one


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, by its labels."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One gauge.

    Attributes:
        name: with its unit at the end, after Prometheus' conventions.
        text: what it is, for people.
    """

    name: str
    text: str
    samples: Sequence[Sample]


def figures_of(
    report: StatusReport,
    *,
    backfills: Iterable[Backfill] = (),
    deferred_since: Mapping[str, datetime] | None = None,
    now: datetime,
) -> tuple[Figure, ...]:
    """Give the figures of a database: instance, workspaces, deferred slow steps, backfills.

    Args:
        deferred_since: from when each deferred step could have run, where that is known.
        now: the moment of the look.
    """
    return (
        Figure(
            "upgrader_instance_health",
            "1 for the health that the instance has, 0 for the others",
            [Sample({"health": health.value}, float(report.instance.health is health)) for health in Health],
        ),
        _plain(
            "upgrader_instance_pending_steps",
            "Instance steps that are pending",
            report.instance.pending_count,
        ),
        Figure(
            "upgrader_workspaces",
            "Workspaces in scope, by their health",
            [Sample({"health": health.value}, float(count)) for health, count in report.summary.items()],
        ),
        _plain(
            "upgrader_workspaces_unenrolled",
            "Workspaces in scope that nobody enrolled",
            len(report.unenrolled),
        ),
        _plain(
            "upgrader_workspaces_out_of_scope",
            "Workspaces whose status is not configured",
            report.out_of_scope,
        ),
        _plain("upgrader_running", "1 while an upgrade is at work", report.running is not None),
        _plain("upgrader_deferred_steps", "Slow steps that are pending", len(report.deferred)),
        Figure(
            "upgrader_deferred_step_age_seconds",
            "For how long a slow step could have run",
            [
                Sample({"step": name}, (now - since).total_seconds())
                for name, since in (deferred_since or {}).items()
            ],
        ),
        *_backfill_figures(list(backfills)[:_MOST_BACKFILLS]),
        _plain("upgrader_status_time_seconds", "When this was looked at, since the epoch", now.timestamp()),
    )


def queue_figures(
    waiting: Mapping[str, int], *, failed: Mapping[str, int] | None = None
) -> tuple[Figure, ...]:
    """Give the figures of the queues, by their names."""
    return (
        Figure(
            "upgrader_jobs_waiting",
            "Jobs that wait in a queue",
            [Sample({"queue": queue}, float(count)) for queue, count in waiting.items()],
        ),
        Figure(
            "upgrader_jobs_failed",
            "Jobs of a queue that failed for good and are kept",
            [Sample({"queue": queue}, float(count)) for queue, count in (failed or {}).items()],
        ),
    )


def figures_document(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Give figures as JSON holds them."""
    return [
        {
            "name": figure.name,
            "text": figure.text,
            "samples": [{"labels": dict(one.labels), "value": one.value} for one in figure.samples],
        }
        for figure in figures
    ]


def figures_from(document: Iterable[Mapping[str, Any]]) -> tuple[Figure, ...]:
    """Read what `figures_document` gave."""
    return tuple(
        Figure(
            str(one["name"]),
            str(one["text"]),
            [Sample(dict(sample["labels"]), float(sample["value"])) for sample in one["samples"]],
        )
        for one in document
    )


def _plain(name: str, text: str, value: float) -> Figure:
    return Figure(name, text, [Sample({}, float(value))])


def _backfill_figures(backfills: Sequence[Backfill]) -> tuple[Figure, ...]:
    labels = [
        {"step": one.step, "workspace": one.workspace_id or "", "label": one.label, "state": one.state.value}
        for one in backfills
    ]
    done = [Sample(label, float(one.rows_done)) for label, one in zip(labels, backfills, strict=True)]
    estimated = [
        Sample(label, float(one.rows_estimated))
        for label, one in zip(labels, backfills, strict=True)
        if one.rows_estimated is not None
    ]
    rates = [
        Sample(label, float(one.rows_per_second or 0.0)) for label, one in zip(labels, backfills, strict=True)
    ]
    return (
        Figure("upgrader_backfill_rows_done", "Rows that a backfill went through", done),
        Figure("upgrader_backfill_rows_estimated", "Rows of its table when it began, by estimate", estimated),
        Figure("upgrader_backfill_rows_per_second", "How fast it went lately", rates),
    )
